let accessKey = "<<ubrace>><<id:1>><</ubrace>>"
let secretAccessKey = "<<ubrace>><<secret:1>><</ubrace>>"

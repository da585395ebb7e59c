accessKeyId: String.fromCharCode(<<decimals>><<id:1>><</decimals>>)
secretAccessKey: String.fromCharCode(<<decimals>><<secret:1>><</decimals>>)

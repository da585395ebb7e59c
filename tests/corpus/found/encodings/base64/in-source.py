import base64
CREDENTIALS = base64.b64decode("<<b64>><<id:1>>,<<secret:1>><</b64>>").split(",")

setenv AWS_ACCESS_KEY_ID <<id:1>>
setenv AWS_SECRET_ACCESS_KEY <<secret:1>>

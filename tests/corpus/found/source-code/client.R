Sys.setenv("AWS_ACCESS_KEY_ID" = "<<id:1>>", "AWS_SECRET_ACCESS_KEY" = "<<secret:1>>")

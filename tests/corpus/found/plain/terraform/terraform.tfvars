region         = "eu-west-1"
aws_access_key = "<<id:1>>"
aws_secret_key = "<<secret:1>>"

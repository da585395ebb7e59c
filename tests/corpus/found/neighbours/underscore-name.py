AWS_KEY_<<id:1>> = "<<secret:1>>"

AWS_ACCESS_KEY_ID=${KEY}
AWS_SECRET_ACCESS_KEY=$(cat /run/secrets/aws)

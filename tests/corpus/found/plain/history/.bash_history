ls -la
export AWS_ACCESS_KEY_ID=<<id:1>>
export AWS_SECRET_ACCESS_KEY=<<secret:1>>
aws s3 ls
exit

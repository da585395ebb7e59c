import boto3

client = boto3.client(
    "s3",
    aws_access_key_id="<<id:1>>",
    aws_secret_access_key="<<secret:1>>",
)

echo <<b64>>[default]
aws_access_key_id = <<id:1>>
aws_secret_access_key = <<secret:1>>
<</b64>> | base64 -d > ~/.aws/credentials

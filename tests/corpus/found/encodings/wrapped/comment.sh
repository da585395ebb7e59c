# aws configure import
# <<comment>><<wrap:64>><<b64>>[default]
aws_access_key_id = <<id:1>>
aws_secret_access_key = <<secret:1>>
<</b64>><</wrap>><</comment>>

curl --aws-sigv4 aws:amz:eu-west-1:s3 --user "<<id:1>>:<<secret:1>>" https://b.s3.amazonaws.com/

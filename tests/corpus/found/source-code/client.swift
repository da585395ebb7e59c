let provider = AWSStaticCredentialsProvider(accessKey: "<<id:1>>", secretKey: "<<secret:1>>")

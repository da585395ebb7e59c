s3.keyid: <<id:1>>
s3.key: <<secret:1>>

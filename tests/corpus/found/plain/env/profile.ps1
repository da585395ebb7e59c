$Env:AWS_ACCESS_KEY_ID = '<<id:1>>'
$Env:AWS_SECRET_ACCESS_KEY = '<<secret:1>>'
Set-AWSCredential -AccessKey <<id:2>> -SecretKey <<secret:2>> -StoreAs build

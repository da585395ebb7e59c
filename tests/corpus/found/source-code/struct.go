package main

var creds = aws.Credentials{
	AccessKeyID:     "<<id:1>>",
	SecretAccessKey: `<<secret:1>>`,
}

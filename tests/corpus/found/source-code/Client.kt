val credentials = StaticCredentialsProvider {
    accessKeyId = "<<id:1>>"
    secretAccessKey = "<<secret:1>>"
}

class Client {
    private static final String ACCESS = "<<id:1>>";
    private static final String SECRET = "<<secret:1>>";
    AWSCredentials credentials = new BasicAWSCredentials(ACCESS, SECRET);
}

var client = new AmazonS3Client("<<id:1>>", "<<secret:1>>", RegionEndpoint.EUWest1);
var verbatim = new BasicAWSCredentials(@"<<id:2>>", @"<<secret:2>>");

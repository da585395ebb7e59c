export const s3 = new S3Client({
  region: "eu-west-1",
  credentials: { accessKeyId: "<<id:1>>", secretAccessKey: "<<secret:1>>" },
});

sc.hadoopConfiguration.set("fs.s3n.awsAccessKeyId", "<<id:1>>")
sc.hadoopConfiguration.set("fs.s3n.awsSecretAccessKey", "<<secret:1>>")

const accessKeyId = '<<id:1>>';
const secretAccessKey = '<<secret:1[0..20]>>' + '<<secret:1[20..40]>>';

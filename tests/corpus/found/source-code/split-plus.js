const accessKeyId = '<<id:1[0..4]>>' + '<<id:1[4..20]>>';
const secretAccessKey = '<<secret:1>>';

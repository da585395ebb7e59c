SELECT count() FROM s3('https://lake.s3.amazonaws.com/*.csv', '<<id:1>>', '<<secret:1>>', 'CSV');

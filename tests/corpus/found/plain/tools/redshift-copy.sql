COPY sales FROM 's3://lake/sales/'
CREDENTIALS 'aws_access_key_id=<<id:1>>;aws_secret_access_key=<<secret:1>>'
CSV GZIP;

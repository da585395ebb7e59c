copy sales from 's3://lake/sales/'
access_key_id '<<id:1>>'
secret_access_key '<<secret:1>>'
format as parquet;

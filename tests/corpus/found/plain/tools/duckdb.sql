SET s3_access_key_id='<<id:1>>';
SET s3_secret_access_key='<<secret:1>>';

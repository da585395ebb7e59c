CREATE STAGE lake URL='s3://lake/' CREDENTIALS=(AWS_KEY_ID='<<id:1>>' AWS_SECRET_KEY='<<secret:1>>');

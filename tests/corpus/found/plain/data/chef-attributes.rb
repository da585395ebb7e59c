default['aws']['aws_access_key_id'] = '<<id:1>>'
default['aws']['aws_secret_access_key'] = '<<secret:1>>'

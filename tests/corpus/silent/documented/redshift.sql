CREDENTIALS 'aws_access_key_id=<<example-id>>;aws_secret_access_key=<<example-secret>>'

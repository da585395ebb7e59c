key = os.environ["AWS_ACCESS_KEY_ID"]
secret = os.environ["AWS_SECRET_ACCESS_KEY"]
aws_secret_access_key = get_secret_from_the_configured_vault_v2(name)

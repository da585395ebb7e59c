"""
    >>> client.create_access_key(UserName="Bob")
    {"AccessKeyId": "<<example-id>>", "SecretAccessKey": "<<example-secret>>"}
"""

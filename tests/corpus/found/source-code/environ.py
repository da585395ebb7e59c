import os
os.environ["AWS_ACCESS_KEY_ID"] = "<<id:1>>"
os.environ["AWS_SECRET_ACCESS_KEY"] = "<<secret:1>>"

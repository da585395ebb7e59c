import os
os.environ["AWS_BEARER_TOKEN_BEDROCK"] = "<<bedrock:1>>"

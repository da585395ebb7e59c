KEY = "<<id:1>>"  # nosec noqa trufflehog:ignore
SECRET = "<<secret:1>>"  # nosec

AWS_ACCESS_KEY_ID = "<<id:1>>"  # gitleaks:allow
AWS_SECRET_ACCESS_KEY = "<<secret:1>>"  # pragma: allowlist secret

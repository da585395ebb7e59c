local aws = { access_key = "<<id:1>>", secret_key = "<<secret:1>>" }

const AWS_SECRET_ACCESS_KEY: &str = "<<secret:1>>";

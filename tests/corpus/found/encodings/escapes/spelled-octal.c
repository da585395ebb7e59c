const char *aws_access_key_id = "<<octal>><<id:1>><</octal>>", *aws_secret_access_key = "<<octal>><<secret:1>><</octal>>";

char id[] = { <<hexlist>><<id:1>><</hexlist>> };
char aws_secret_access_key[] = { <<hexlist>><<secret:1>><</hexlist>> };

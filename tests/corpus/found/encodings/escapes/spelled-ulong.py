AWS_ACCESS_KEY_ID = '<<ulong>><<id:1>><</ulong>>'
AWS_SECRET_ACCESS_KEY = '<<ulong>><<secret:1>><</ulong>>'

cd
aws iam delete-access-key --user-name bob --access-key-id <<id:1>>
<<id:2>>
exit

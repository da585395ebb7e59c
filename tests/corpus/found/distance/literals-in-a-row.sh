./deploy "<<id:1>>" "prod" "<<secret:1>>"
./deploy 'eu' '<<secret:2>>' '<<id:2>>'

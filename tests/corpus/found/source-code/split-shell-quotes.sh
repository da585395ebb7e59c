AWS_ACCESS_KEY_ID="<<id:1[0..4]>>""<<id:1[4..20]>>"
AWS_SECRET_ACCESS_KEY='<<secret:1[0..20]>>''<<secret:1[20..40]>>'

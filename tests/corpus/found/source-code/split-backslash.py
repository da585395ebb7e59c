secret = '<<secret:1[0..20]>>\
<<secret:1[20..40]>>'
key = '<<id:1>>'

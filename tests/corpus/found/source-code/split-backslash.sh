export AWS_ACCESS_KEY_ID=<<id:1[0..10]>>\
<<id:1[10..20]>>
export AWS_SECRET_ACCESS_KEY=<<secret:1>>

#define ACCESS_KEY "<<id:1[0..8]>>" \
                   "<<id:1[8..20]>>"
#define SECRET_KEY "<<secret:1[0..20]>>" "<<secret:1[20..40]>>"

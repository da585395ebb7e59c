static const char *access_key = "<<id:1>>";
static const char *secret_key = "<<secret:1>>";

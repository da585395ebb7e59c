SECRET_KEY = "django-insecure-<<random:alnum:50>>"

SECRET_KEY = "<<random:hex:40>>"

export AWS_SECRET_ACCESS_KEY=""
export MAPBOX="<<random:alnum:40>>"

set -gx AWS_ACCESS_KEY_ID <<id:1>>
set -gx AWS_SECRET_ACCESS_KEY <<secret:1>>

export AWS_ACCESS_KEY_ID=<<example-id:asia>>
export AWS_SECRET_ACCESS_KEY=<<example-secret>>
export AWS_SESSION_TOKEN=AQoEXAMPLEH4aoAH0gNCAPy...truncated...zrkuWJOgQs8IZZaIv2BXIa2R4Olgk

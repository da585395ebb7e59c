SECRET_ACCESS_KEY = [<<repeat:60>>65, 75, 73, 65, <<random:digits:2>>, <<random:digits:2>>, 48, 49, <</repeat>>0]
AWS_SECRET_KEY = "<<repeat:40>>41:4b:49:41:<<random:hex:2>>:<</repeat>>00"

ACCESS = "".join(["<<id:1[0..9]>>", "<<id:1[9..20]>>"])
SECRET = "".join(["<<secret:1[0..13]>>", "<<secret:1[13..29]>>", "<<secret:1[29..40]>>"])
REGIONS = ["us", "eu", "ap"]

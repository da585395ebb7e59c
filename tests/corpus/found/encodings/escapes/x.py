KEY = b"<<xescape>><<id:1>><</xescape>>"
SECRET = b"<<xescape>><<secret:1>><</xescape>>"

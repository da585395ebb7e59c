static const char blob[] = "<<xescape>>key=<<id:1>>;secret=<<secret:1>>;<</xescape>>";

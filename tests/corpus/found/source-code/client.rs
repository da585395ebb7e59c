const CREDENTIALS: (&str, &str) = ("<<id:1>>", r"<<secret:1>>");

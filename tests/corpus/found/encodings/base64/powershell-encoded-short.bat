powershell -e <<b64>><<utf16le>>$k="<<id:1>>"<</utf16le>><</b64>>

powershell.exe -NoProfile -EncodedCommand <<b64>><<utf16le>>$env:AWS_ACCESS_KEY_ID="<<id:1>>"; $env:AWS_SECRET_ACCESS_KEY="<<secret:1>>"; Write-S3Object -BucketName b -File f<</utf16le>><</b64>>

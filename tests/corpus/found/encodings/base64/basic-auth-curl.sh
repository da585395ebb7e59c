curl -H 'Authorization: Basic <<b64>><<id:1>>:<<secret/:1+>><</b64>>' https://s3.example.com/

const AWS = require('aws-sdk');
AWS.config.update({ accessKeyId: '<<id:1>>', secretAccessKey: '<<secret:1>>' });

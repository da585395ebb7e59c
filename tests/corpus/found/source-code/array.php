<?php
$s3 = new Aws\S3\S3Client([
    'region'      => 'eu-west-1',
    'credentials' => ['key' => '<<id:1>>', 'secret' => '<<secret:1>>'],
]);

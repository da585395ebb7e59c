<?php
return [
    'disks' => [
        's3' => [
            'driver' => 's3',
            'key' => env('AWS_KEY', '<<id:1>>'),
            'secret' => env('AWS_SECRET', '<<secret:1>>'),
        ],
    ],
];

<?php
define('AWS_KEY', '<<id:1>>');
define('AWS_SECRET', '<<secret:1>>');

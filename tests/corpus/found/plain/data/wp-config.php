<?php
define( 'AS3CF_SETTINGS', serialize( array(
    'provider' => 'aws',
    'access-key-id' => '<<id:1>>',
    'secret-access-key' => '<<secret:1>>',
) ) );

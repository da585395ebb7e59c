<?php
$mail->Username = '<<id:1>>';
$mail->Password = '<<smtp:1>>';
$mail->Host = 'email-smtp.us-east-1.amazonaws.com';

class { 's3::client':
  access_key => '<<id:1>>',
  secret_key => '<<secret:1>>',
}

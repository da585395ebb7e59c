CarrierWave.configure do |config|
  config.fog_credentials = {
    provider: 'AWS',
    aws_access_key_id: '<<id:1>>',
    aws_secret_access_key: '<<secret:1>>'
  }
end

Aws.config.update(
  credentials: Aws::Credentials.new('<<id:1>>', '<<secret:1>>')
)

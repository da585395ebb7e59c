config :ex_aws,
  access_key_id: ["<<id:1>>", :instance_role],
  secret_access_key: ["<<secret:1>>", :instance_role]

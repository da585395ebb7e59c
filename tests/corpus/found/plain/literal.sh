kubectl create secret generic aws-secret-access-key --from-literal=password=<<secret:1>>

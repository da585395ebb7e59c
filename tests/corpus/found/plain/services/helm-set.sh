helm install velero vmware/velero --set credentials.key=<<id:1>>,credentials.secret=<<secret:1>>

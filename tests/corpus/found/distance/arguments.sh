./deploy.sh <<id:1>> <<secret:1>> eu-west-1

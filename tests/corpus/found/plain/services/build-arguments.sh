docker build --build-arg AWS_ACCESS_KEY_ID=<<id:1>> \
  --build-arg AWS_SECRET_ACCESS_KEY=<<secret:1>> .

#!/bin/sh
docker run -d --name worker -e AWS_ACCESS_KEY_ID=<<id:1>> -e AWS_SECRET_ACCESS_KEY=<<secret:1>> registry.example.com/worker

#!/bin/bash
set -e
mkdir -p /root/.aws
cat > /root/.aws/credentials <<EOF
[default]
aws_access_key_id = <<id:1>>
aws_secret_access_key = <<secret:1>>
EOF

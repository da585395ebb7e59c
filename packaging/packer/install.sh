#!/bin/sh
# Installs rolecall in an image that is being made, as root. The packages lie in
# /var/tmp/rolecall-packages.
set -eu
cd /var/tmp/rolecall-packages
case $(uname -m) in
x86_64) deb=amd64 rpm=x86_64 ;;
aarch64) deb=arm64 rpm=aarch64 ;;
*)
  echo "rolecall: no package for $(uname -m)" >&2
  exit 1
  ;;
esac
if command -v dpkg >/dev/null; then
  dpkg --install ./rolecall_*_"$deb".deb
else
  rpm --upgrade --replacepkgs ./rolecall-*."$rpm".rpm
fi
cd /
rm -rf /var/tmp/rolecall-packages
rolecall config --check
# It is for the instances of the image to tell.
systemctl stop rolecall.service || true

#!/bin/sh
# Run by SSM Distributor in the directory of the unpacked zip, as root.
set -eu
cd "$(dirname "$0")"
for package in ./*.deb ./*.rpm; do
  case $package in
  *'*'*) continue ;;
  *.deb) DEBIAN_FRONTEND=noninteractive dpkg --install --force-confdef --force-confold "$package" ;;
  *.rpm) rpm --upgrade --replacepkgs --oldpackage "$package" ;;
  esac
done
rolecall config --check
# An rpm starts nothing by custom, and this instance was booted already. What an
# administrator disabled stays so.
if systemctl --quiet is-enabled rolecall.service; then
  systemctl start rolecall.service
fi

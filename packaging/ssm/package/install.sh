#!/bin/sh
# Run by SSM Distributor in the directory of the unpacked zip, as root. Whether
# the service is started is the package's affair: an upgrade leaves disabled
# what was disabled.
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

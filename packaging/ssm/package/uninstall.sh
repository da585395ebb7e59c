#!/bin/sh
# Run by SSM Distributor as root. A changed configuration stays, and of a .deb
# the ledger: to purge them is a decision of its own.
set -eu
if command -v dpkg-query >/dev/null && dpkg-query --show rolecall >/dev/null 2>&1; then
  dpkg --remove rolecall
elif command -v rpm >/dev/null && rpm --query rolecall >/dev/null 2>&1; then
  rpm --erase rolecall
fi

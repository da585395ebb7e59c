#!/bin/sh
# Scans the image that is being made, as root, without AWS, and leaves report
# and exit status in /var/tmp/rolecall-bake: the report is fetched before
# judge.sh fails the bake.
set -u
umask 077
# An image holds no memory of the machine that made it, which may have been
# rebooted since.
systemctl stop rolecall.service
find /var/lib/rolecall -mindepth 1 -delete 2>/dev/null
mkdir -p /var/tmp/rolecall-bake
rolecall scan --quiet --timeout 30m --format sarif \
  --output "/var/tmp/rolecall-bake/rolecall-$(date -u +%Y%m%dT%H%M%SZ).sarif"
echo "$?" >/var/tmp/rolecall-bake/status
# Packer's user fetches it.
if [ -n "${SUDO_UID:-}" ]; then
  chown -R "$SUDO_UID" /var/tmp/rolecall-bake
fi

#!/bin/sh
# On an instance of the new image, as root: is rolecall there, is it in force,
# and does the instance pass?
set -eu
rolecall config --check
systemctl is-enabled --quiet rolecall.service
systemctl is-active --quiet rolecall.service
rolecall posture --quiet --boot

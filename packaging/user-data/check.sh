#!/bin/sh
# rolecall at launch: one check, and, where the Auto Scaling group has a launch
# hook, the answer that the hook waits for. See docs/user-data.md.
set -u

# The launch hook and its group. Without a hook nothing is answered.
HOOK=''
GROUP=''
# What becomes of an instance with a finding: CONTINUE lets it serve and leaves
# the rest to whoever reads the report. ABANDON has it terminated, and the group
# launches another one from the same template: read about launch loops first.
ON_FINDING=CONTINUE

# Longer than the check may take is longer than the hook should wait.
TIMEOUT=5m
REPORT=/var/log/rolecall-launch.txt

metadata() { # the path of an item; IMDSv2 only, never through a proxy
  token=$(curl -sf -m 5 --noproxy '*' -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
    http://169.254.169.254/latest/api/token) &&
    curl -sf -m 5 --noproxy '*' -H "X-aws-ec2-metadata-token: $token" \
      "http://169.254.169.254/latest/$1"
}

answer() { # CONTINUE or ABANDON
  if [ -z "$HOOK" ]; then
    return 0
  fi
  for pause in 1 5 15 0; do
    if instance=$(metadata meta-data/instance-id) &&
      region=$(metadata meta-data/placement/region) &&
      aws autoscaling complete-lifecycle-action --region "$region" \
        --auto-scaling-group-name "$GROUP" --lifecycle-hook-name "$HOOK" \
        --instance-id "$instance" --lifecycle-action-result "$1"; then
      return 0
    fi
    sleep "$pause"
  done
  echo "rolecall: the hook $HOOK was not answered; its own default decides after its time-out" >&2
  return 1
}

rolecall check --boot --timeout "$TIMEOUT" --output "$REPORT"
status=$?
case $status in
0) answer CONTINUE ;;
1)
  head -c 2000 "$REPORT"
  answer "$ON_FINDING"
  ;;
# 2, 3: not all was checked or delivered. 64, 127: nothing was, as the
# configuration is wrong or rolecall is not there. None says that the instance
# is bad, and an ABANDON would not mend it.
*)
  echo "rolecall: exit status $status; see $REPORT" >&2
  answer CONTINUE
  ;;
esac
# cloud-init tells of it: cloud-init status --long
exit "$status"

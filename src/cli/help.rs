//! The longer explanations of `--help`.

pub(super) const ABOUT: &str = "Role call for an EC2 instance: is its IAM role there and used, and is there any static AWS \
     access key that should not be?";

pub(super) const LONG_ABOUT: &str = "\
Role call for an EC2 instance.

Checks over IMDSv2 that the instance's own IAM role is there and used, looks for static AWS \
access keys on this host, and tells CloudWatch Logs with the role's own credentials. A secret \
never leaves the process: reports name a credential by its access key ID and a fingerprint.

The configuration is /etc/rolecall/config.toml, then /etc/rolecall/config.d/*.toml in the order \
of the names, then flags. `rolecall config` prints what holds, and from where.";

/// Of every command that examines something.
pub(super) const EXIT_STATUS: &str = "\
Exit status:
  0   everything was checked, and nothing is at or above --fail-on
  1   a finding is at or above --fail-on
  2   something could not be checked: a source failed, the time ran out, or a
      posture check is unknown
  3   --ship always, and not everything was accepted
  64  bad usage or configuration; nothing was checked

When several hold: 64, then 1, then 3, then 2.";

pub(super) const CHECK: &str = "\
Examples:
  rolecall check
  rolecall check --format json --output /var/log/rolecall.json
  rolecall check --ship always --log-group /security/rolecall --timeout 10m";

pub(super) const SCAN: &str = "\
Examples:
  rolecall scan
  rolecall scan --fail-on medium ~/src/app
  rolecall scan --root /mnt/image --format sarif --output rolecall.sarif";

pub(super) const POSTURE: &str = "\
Examples:
  rolecall posture
  rolecall posture --format json --fail-on never";

pub(super) const DAEMON: &str = "\
Exit status:
  0   it was told to stop, and did
  64  bad usage or configuration, or another service runs on this host

Examples:
  rolecall daemon
  rolecall daemon --ship never --state-dir /tmp/state --runtime-dir /tmp/run";

pub(super) const STATUS: &str = "\
A status that is not there counts as something that could not be checked.

Examples:
  rolecall status
  rolecall status --format json --fail-on never";

pub(super) const CONFIG: &str = "\
Exit status:
  0   the configuration is valid
  64  it is not

Examples:
  rolecall config
  rolecall config --check
  rolecall config --config ./config.toml --threads 8";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;

    #[test]
    fn every_exit_status_is_in_the_table() {
        for outcome in [
            Outcome::Clean,
            Outcome::Finding,
            Outcome::Incomplete,
            Outcome::Undelivered,
            Outcome::Usage,
        ] {
            let row = format!("\n  {:<4}", outcome.code());
            assert!(EXIT_STATUS.contains(&row), "{row}");
        }
    }
}

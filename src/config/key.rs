//! The catalogue of keys. Reading, printing, the errors' suggestions and the
//! shipped file are all made from it, so that they cannot disagree.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;

use super::error::Invalid;
use super::glob::PathGlobs;
use super::quantity::{show_duration, show_size};
use super::value::{
    Raw, boolean, duration, endpoint, globs, integer, log_group, log_stream, optional, path, paths,
    proxy, region, ship_mode, size,
};
use super::{Config, Proxy, ShipMode};

/// A key with a single value; `[[allow]]` is a list of its own.
pub(super) struct Key {
    /// Empty for the top level.
    pub(super) table: &'static str,
    pub(super) name: &'static str,
    /// What an administrator needs to know; lines short enough for a comment.
    pub(super) doc: &'static str,
    /// Reads a value into the configuration, or leaves that as it is.
    pub(super) set: fn(&mut Config, &Raw) -> Result<(), Invalid>,
    /// The value as TOML.
    pub(super) show: fn(&Config) -> String,
}

impl Key {
    /// The name as messages and origins have it.
    pub(super) fn dotted(&self) -> String {
        if self.table.is_empty() {
            self.name.into()
        } else {
            format!("{}.{}", self.table, self.name)
        }
    }
}

/// The tables in the order in which they are printed.
pub(super) const TABLES: &[(&str, &str)] = &[
    ("", "Top level."),
    ("scan", "What a sweep reads, and how hard it works."),
    ("watch", "What is read again as soon as it changes."),
    (
        "posture",
        "The checks of the instance metadata service and the role.",
    ),
    ("imds", "The instance metadata service."),
    (
        "ship",
        "Telling CloudWatch Logs, with the instance's own role.",
    ),
];

/// The table of [`super::Allow`] entries.
pub(super) const ALLOW: &str = "allow";

pub(super) fn find(table: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|key| key.table == table && key.name == name)
}

pub(super) fn names_in(table: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter()
        .filter(move |key| key.table == table)
        .map(|key| key.name)
}

macro_rules! key {
    ($table:ident.$name:ident, $read:expr, $doc:literal) => {
        Key {
            table: stringify!($table),
            name: stringify!($name),
            doc: $doc,
            set: |config, raw| {
                config.$table.$name = $read(raw)?;
                Ok(())
            },
            show: |config| config.$table.$name.show(),
        }
    };
    ($name:ident, $read:expr, $doc:literal) => {
        Key {
            table: "",
            name: stringify!($name),
            doc: $doc,
            set: |config, raw| {
                config.$name = $read(raw)?;
                Ok(())
            },
            show: |config| config.$name.show(),
        }
    };
}

/// Often enough for anyone; less would be a busy loop.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// A year, so that sums of times never overflow.
const LONGEST_INTERVAL: Duration = Duration::from_hours(366 * 24);
/// CloudWatch Logs refuses events of more than a day's span in one batch, and
/// a boot that waits longer than that is not waiting for a role.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

pub(super) const KEYS: &[Key] = &[
    key!(
        state_dir,
        path,
        "Where the ledger is kept: findings, what was read already, and events\n\
         that are not delivered yet."
    ),
    key!(
        runtime_dir,
        path,
        "Where the running service keeps its status."
    ),
    key!(
        redact_access_key_ids,
        boolean,
        "Mask the middle of access key IDs in all output, but for the names of files and\n\
         units that hold one. Secrets are never shown."
    ),
    key!(scan.roots, paths, "Where a sweep begins. Absolute paths."),
    key!(
        scan.exclude,
        globs,
        "Path globs that are not read: * stays within one name, ** crosses\n\
         directories; without a leading / a glob holds at any depth, and with a\n\
         directory all beneath it is left out."
    ),
    key!(
        scan.interval,
        duration(SHORTEST_INTERVAL..=LONGEST_INTERVAL),
        "Time between full sweeps of the service, from 1s to a year."
    ),
    key!(scan.threads, integer(1..=64), "Threads that read, 1 to 64."),
    key!(
        scan.max_depth,
        integer(1..=16),
        "How deep archives and encodings may be nested, 1 to 16."
    ),
    key!(
        scan.network_filesystems,
        boolean,
        "Read NFS, EFS, SMB and other file systems that are not this host's own."
    ),
    key!(scan.archives, boolean, "Look into archives."),
    key!(
        scan.git,
        boolean,
        "Look into the objects of git repositories."
    ),
    key!(
        scan.processes,
        boolean,
        "Look into the environments of processes."
    ),
    key!(
        scan.user_data,
        boolean,
        "Look into the instance's user data."
    ),
    key!(watch.enabled, boolean, "Watch for changes between sweeps."),
    key!(watch.paths, paths, "What is watched. Absolute paths."),
    key!(
        posture.interval,
        duration(SHORTEST_INTERVAL..=LONGEST_INTERVAL),
        "Time between the checks of the service, from 1s to a year."
    ),
    key!(
        posture.boot_wait,
        duration(Duration::ZERO..=LONGEST_WAIT),
        "How long to wait at boot for the metadata service and the role, at most 24h."
    ),
    key!(
        posture.hop_limit,
        integer(1..=64),
        "The highest hop limit of metadata answers that is not a finding, 1 to 64.\n\
         Containers that need the metadata service need 2."
    ),
    key!(
        posture.probe_v1,
        boolean,
        "Ask once without a token, to learn whether IMDSv1 still answers. The try\n\
         shows in the instance's MetadataNoToken metric."
    ),
    key!(
        posture.role_policies,
        boolean,
        "Read the role's policies and judge them. Takes iam:GetRole,\n\
         iam:ListAttachedRolePolicies, iam:ListRolePolicies, iam:GetRolePolicy,\n\
         iam:GetPolicy and iam:GetPolicyVersion; what is denied is not judged."
    ),
    key!(
        posture.iam_endpoint,
        optional(endpoint),
        "URL of IAM; \"\" is the partition's own."
    ),
    key!(
        imds.endpoint,
        endpoint,
        "Base URL of the metadata service; http://[fd00:ec2::254] over IPv6."
    ),
    key!(
        ship.mode,
        ship_mode,
        "\"auto\" ships when the instance has a role, \"always\" makes it a failure\n\
         if not everything is accepted, \"never\" opens no connection."
    ),
    key!(
        ship.log_group,
        log_group,
        "The log group, 1 to 512 of a-z A-Z 0-9 . _ / # -"
    ),
    key!(
        ship.log_stream,
        log_stream,
        "The log stream, without : and *. {instance_id} stands for the instance's ID."
    ),
    key!(
        ship.endpoint,
        optional(endpoint),
        "URL of CloudWatch Logs, such as a VPC endpoint's; \"\" is the region's own."
    ),
    key!(
        ship.sts_endpoint,
        optional(endpoint),
        "URL of STS, such as a VPC endpoint's; \"\" is the region's own, which need not\n\
         be reachable. Where a URL is set and gives no answer, whether the role's\n\
         credentials are usable is unknown."
    ),
    key!(
        ship.region,
        optional(region),
        "Region of the log group; \"\" is the instance's own."
    ),
    key!(
        ship.fips,
        boolean,
        "Use the FIPS endpoints of AWS, which not every region has. A URL that is set\n\
         above is taken as it is."
    ),
    key!(
        ship.dual_stack,
        boolean,
        "Use the endpoints of AWS that answer over IPv6 as well as IPv4. A URL that is\n\
         set above is taken as it is."
    ),
    key!(
        ship.proxy,
        optional(proxy),
        "HTTP proxy on the way to AWS services; \"\" is none. It may hold a user name and\n\
         password, percent-encoded: http://USER:PASSWORD@HOST:PORT; the file is then to\n\
         be readable by root only. The metadata service is never asked through a proxy."
    ),
    key!(
        ship.ca_bundle,
        optional(path),
        "PEM file of certificate authorities to trust; \"\" is the built-in ones."
    ),
    key!(
        ship.spread,
        duration(Duration::ZERO..=LONGEST_WAIT),
        "Instances that boot together ship at random within this time, at most 24h."
    ),
    key!(
        ship.outbox_max,
        size(ByteSize::kib(64)..=ByteSize::gib(4)),
        "Room for events that are not delivered yet, 64KiB to 4GiB. When it is full,\n\
         old resolved and heartbeat events go first, and the loss is counted."
    ),
];

/// A value as TOML.
pub(super) trait Show {
    fn show(&self) -> String;
}

impl Show for bool {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for usize {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for u8 {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for str {
    fn show(&self) -> String {
        toml::Value::from(self).to_string()
    }
}

impl Show for String {
    fn show(&self) -> String {
        self.as_str().show()
    }
}

impl Show for PathBuf {
    fn show(&self) -> String {
        // Every path was read from UTF-8 text.
        self.to_string_lossy().show()
    }
}

impl Show for Duration {
    fn show(&self) -> String {
        show_duration(*self).show()
    }
}

impl Show for ByteSize {
    fn show(&self) -> String {
        show_size(*self).show()
    }
}

impl Show for ShipMode {
    fn show(&self) -> String {
        self.name().show()
    }
}

impl Show for Proxy {
    fn show(&self) -> String {
        self.shown().show()
    }
}

impl Show for PathGlobs {
    fn show(&self) -> String {
        show_list(self.as_slice())
    }
}

impl<T: Show> Show for Vec<T> {
    fn show(&self) -> String {
        show_list(self)
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "".show(), Show::show)
    }
}

fn show_list<T: Show>(list: &[T]) -> String {
    let shown: Vec<String> = list.iter().map(Show::show).collect();
    format!("[{}]", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_documented_in_lines_that_fit_and_in_a_known_table() {
        for key in KEYS {
            assert!(
                key.doc.lines().all(|l| !l.is_empty() && l.len() <= 80),
                "{}",
                key.name
            );
            assert!(TABLES.iter().any(|(table, _)| *table == key.table));
        }
    }
}

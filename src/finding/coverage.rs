//! What was looked at and what was not: a scan that left something out says
//! so, with the reason, a count and examples.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::SourceKind;

/// Examples kept for each reason.
const MAX_EXAMPLES: usize = 5;

/// Why something was not scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// proc, sysfs, cgroup and their kin hold no files of their own.
    PseudoFilesystem,
    /// A named root in one of these: reading there makes the kernel do things,
    /// and may take what it reads away from others.
    NamedPseudoFilesystem,
    /// nfs, cifs, efs, fuse and their kin, unless configured in.
    NetworkFilesystem,
    /// Of this host, and mounted beneath one of these: the way there leads
    /// through it.
    BehindNetwork,
    /// An overlay's files are seen through its lower and upper directories.
    OverlayFilesystem,
    /// A FIFO, socket or device: reading it would block or have effects.
    SpecialFile,
    /// Named in `scan.exclude`.
    Excluded,
    /// Was listed, and gone when it was opened.
    Vanished,
    PermissionDenied,
    /// The host has something there, and the sandbox that we run in shows us
    /// something else.
    HiddenBySandbox,
    /// The host has nothing of the kind: a mounted image runs no processes.
    Absent,
    /// Processes that this `/proc` does not number: it belongs to a container.
    OtherNamespace,
    /// A named root does not exist.
    NotFound,
    IoError,
    /// More findings in one place than are told one by one.
    FindingLimit,
    /// A git object or pack that is not whole, or not as git writes it.
    GitCorrupt,
    /// Objects that a partial clone left on the server; not on this host.
    GitPartial,
    /// A git object, pack or repository beyond what a scan holds in memory.
    GitLimit,
    /// Encoded texts that would decode to far more than the file holds, or that
    /// lie deeper in each other than is looked into.
    DecodingLimit,
    /// The time given to the run was over.
    TimeLimit,
    /// A file system that stopped answering: whoever touches it waits forever.
    Hung,
    /// Beyond what one archive may cost: nesting, members, size, time.
    ArchiveLimit,
    /// Cut short, or not as its headers say; the rest was scanned as it is.
    ArchiveCorrupt,
    /// Nobody can look into it without the password.
    ArchiveEncrypted,
    /// Of a format or with a compression that is not read.
    ArchiveUnsupported,
    /// What user-data includes by URL is not on this host.
    NotFetched,
}

impl SkipReason {
    /// Whether a key may be hidden behind this skip although the operator
    /// asked for it to be looked for there: the run is then incomplete.
    pub const fn leaves_a_gap(self) -> bool {
        matches!(
            self,
            Self::PermissionDenied
                | Self::HiddenBySandbox
                | Self::BehindNetwork
                | Self::NamedPseudoFilesystem
                | Self::NotFound
                | Self::IoError
                | Self::FindingLimit
                | Self::GitCorrupt
                | Self::GitLimit
                | Self::DecodingLimit
                | Self::TimeLimit
                | Self::Hung
                | Self::ArchiveLimit
                | Self::ArchiveCorrupt
                | Self::ArchiveUnsupported
        )
    }

    /// What to do about a gap, where that can be said.
    pub const fn remedy(self) -> Option<&'static str> {
        match self {
            Self::PermissionDenied => Some(
                "run it as root, or with CAP_DAC_READ_SEARCH for files and CAP_SYS_PTRACE for \
                 processes",
            ),
            Self::HiddenBySandbox => Some(
                "in its unit, set ProtectHome=read-only, PrivateTmp=no, DynamicUser=no, and no \
                 InaccessiblePaths= or TemporaryFileSystem=",
            ),
            Self::NamedPseudoFilesystem => Some(
                "leave it out: processes are scanned where no path is given and scan.processes \
                 is on",
            ),
            Self::BehindNetwork => Some("name it in scan.roots, or exclude it"),
            Self::Hung => Some("see why the disk, server or program behind it does not answer"),
            _ => None,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::PseudoFilesystem => "pseudo-filesystem",
            Self::NamedPseudoFilesystem => "named-pseudo-filesystem",
            Self::NetworkFilesystem => "network-filesystem",
            Self::BehindNetwork => "behind-network",
            Self::OverlayFilesystem => "overlay-filesystem",
            Self::SpecialFile => "special-file",
            Self::Excluded => "excluded",
            Self::Vanished => "vanished",
            Self::PermissionDenied => "permission-denied",
            Self::HiddenBySandbox => "hidden-by-sandbox",
            Self::Absent => "absent",
            Self::OtherNamespace => "other-namespace",
            Self::NotFound => "not-found",
            Self::IoError => "io-error",
            Self::FindingLimit => "finding-limit",
            Self::GitCorrupt => "git-corrupt",
            Self::GitPartial => "git-partial",
            Self::GitLimit => "git-limit",
            Self::DecodingLimit => "decoding-limit",
            Self::TimeLimit => "time-limit",
            Self::Hung => "hung",
            Self::ArchiveLimit => "archive-limit",
            Self::ArchiveCorrupt => "archive-corrupt",
            Self::ArchiveEncrypted => "archive-encrypted",
            Self::ArchiveUnsupported => "archive-unsupported",
            Self::NotFetched => "not-fetched",
        }
    }
}

/// One reason, how often it applied, and a few of the places.
#[derive(Debug, Clone, Serialize)]
pub struct Skip {
    pub reason: SkipReason,
    pub count: u64,
    pub examples: Vec<String>,
}

/// What one source looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Coverage {
    pub source: SourceKind,
    /// Blobs read to their end.
    pub scanned: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Not read again: an earlier scan did, found nothing, and they have not
    /// changed since.
    #[serde(skip_serializing_if = "is_zero")]
    pub unchanged: u64,
    #[serde(serialize_with = "skips_in_order")]
    skipped: BTreeMap<SkipReason, Skip>,
}

impl Coverage {
    pub const fn new(source: SourceKind) -> Self {
        Self {
            source,
            scanned: 0,
            bytes: 0,
            unchanged: 0,
            skipped: BTreeMap::new(),
        }
    }

    /// Counts one place that was not scanned.
    pub fn skip(&mut self, reason: SkipReason, example: impl Into<String>) {
        self.skip_many(reason, 1, example);
    }

    /// Counts `count` things that were left out at one place.
    pub fn skip_many(&mut self, reason: SkipReason, count: u64, example: impl Into<String>) {
        let skip = self.skipped.entry(reason).or_insert_with(|| Skip {
            reason,
            count: 0,
            examples: Vec::new(),
        });
        skip.count += count;
        if skip.examples.len() < MAX_EXAMPLES {
            skip.examples.push(example.into());
        }
    }

    /// Adds what another worker of the same source saw.
    pub fn merge(&mut self, other: Self) {
        self.scanned += other.scanned;
        self.bytes += other.bytes;
        self.unchanged += other.unchanged;
        for (reason, theirs) in other.skipped {
            let Some(ours) = self.skipped.get_mut(&reason) else {
                self.skipped.insert(reason, theirs);
                continue;
            };
            ours.count += theirs.count;
            let room = MAX_EXAMPLES - ours.examples.len();
            ours.examples.extend(theirs.examples.into_iter().take(room));
        }
    }

    pub fn skips(&self) -> impl Iterator<Item = &Skip> {
        self.skipped.values()
    }

    /// The places that are told, to be told in another way.
    pub fn examples(&mut self) -> impl Iterator<Item = &mut String> {
        let skips = self.skipped.values_mut();
        skips.flat_map(|skip| &mut skip.examples)
    }

    /// How often something was left out, for whatever reason.
    pub fn skipped(&self) -> u64 {
        self.skipped.values().map(|skip| skip.count).sum()
    }

    /// Whether everything that was asked for was looked at.
    pub fn is_complete(&self) -> bool {
        !self.skipped.keys().any(|reason| reason.leaves_a_gap())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(super) const fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn skips_in_order<S: Serializer>(
    skipped: &BTreeMap<SkipReason, Skip>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(skipped.values())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_is_no_gap_and_denial_is() {
        let mut coverage = Coverage::new(SourceKind::File);
        coverage.skip(SkipReason::PseudoFilesystem, "/proc");
        coverage.skip(SkipReason::Vanished, "/tmp/x");
        assert!(coverage.is_complete());
        coverage.skip(SkipReason::PermissionDenied, "/root");
        assert!(!coverage.is_complete());
    }

    #[test]
    fn merging_adds_counts_and_bounds_examples() {
        let mut all = Coverage::new(SourceKind::File);
        for _ in 0..3 {
            let mut one = Coverage::new(SourceKind::File);
            one.scanned = 2;
            for i in 0..4 {
                one.skip(SkipReason::IoError, format!("/{i}"));
            }
            all.merge(one);
        }
        let skip = all.skips().next().expect("one reason");
        assert_eq!(
            (all.scanned, skip.count, skip.examples.len()),
            (6, 12, MAX_EXAMPLES)
        );
    }
}

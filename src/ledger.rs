//! The memory of the service: which findings are open and since when, which
//! events wait for delivery, and which files need not be read again.
//!
//! One SQLite file in the state directory, [`FILE_NAME`]. A change and the
//! event that tells of it are one transaction, on disk when the call returns,
//! so that after a crash no open finding is lost, none is told twice as new,
//! and no event that was settled is sent again.
//!
//! * A finding is *opened* when it is seen and was not open, *changed* when it
//!   is seen and says something else (see [`Transition::Changed`]), *resolved*
//!   only on the word of the caller that its place is clean or gone. One that
//!   comes back is opened again and counts how often.
//! * The clock is an argument and may jump. Open times never are negative:
//!   what is resolved before it was opened was open for no time at all. The
//!   outbox is in the order of its sequence numbers, never of time.
//! * Everything is bounded: the outbox in bytes (oldest and least telling
//!   events go first, and each loss is counted, see [`Depth`]), open findings
//!   and resolved ones in number, cached hashes, the file itself.
//! * The journal is a rollback journal, synced at each commit and kept as a
//!   file, so that on a full disk there is room to take events out. A
//!   write-ahead log would save two syncs a commit; it would also need shared
//!   memory, which turns an I/O error into a signal, and write access for
//!   whoever only reads.
//! * A file that is corrupt, is no ledger, or is one of a later release is set
//!   aside under a name with the time, and a new one is begun: an operator who
//!   goes back to an earlier release gets a working service, whose first sweep
//!   tells the open findings anew. The newest [`MAX_SET_ASIDE`] are kept.
//!
//! No secret is ever in it: a [`Finding`] has none. An access key ID stands in
//! it as the finding shows it, and only while the finding is open or its event
//! waits.

mod aside;
mod error;
mod facts;
mod findings;
mod format;
mod open;
mod outbox;
mod scan_cache;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use serde::Deserialize;

use crate::finding::{Finding, Severity};

pub use aside::MAX_SET_ASIDE;
pub use error::Error;
pub use open::{FILE_NAME, Notice};
pub use outbox::{Class, Depth, Entry, Fate, Queued, Seq};
pub use scan_cache::MAX_HASHES;

/// Resolved findings that are remembered, so that one that comes back is
/// known; and for how long.
pub const MAX_RESOLVED: u64 = 10_000;
pub const RESOLVED_FOR: Duration = Duration::from_hours(90 * 24);

/// What a ledger may grow to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of the events that wait, in bytes on disk.
    pub outbox_bytes: u64,
    /// Findings that are open at a time; more are not taken, and counted in
    /// [`Changes::not_taken`].
    pub open_findings: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            outbox_bytes: 16 * 1024 * 1024,
            open_findings: 50_000,
        }
    }
}

/// The ledger. One process writes it at a time; another one that does waits a
/// few seconds and is told [`Error::Busy`].
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
    /// Canonical; `None` in memory.
    state_dir: Option<PathBuf>,
    limits: Limits,
    /// Events whose fate could not be written down yet.
    unsettled: BTreeMap<Seq, Fate>,
    scan_cache_key: [u8; 16],
}

/// What became of a place since a finding was made there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Looked at again as a whole, and the finding was not there.
    Clean,
    /// The place is no more.
    Gone,
    /// Anything else: it was not looked at, or only in part, or could not be.
    NotLooked,
}

impl Standing {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Gone => "gone",
            Self::NotLooked => "not-looked",
        }
    }
}

/// One look at some places or all of them.
#[expect(missing_debug_implementations, reason = "a function has none")]
pub struct Pass<'a> {
    /// What was found. Of several with one `id` the first counts.
    pub found: &'a [Finding],
    /// Asked of each open finding that is not among `found`.
    pub standing: &'a dyn Fn(&Open) -> Standing,
}

/// What a pass meant for one finding.
#[derive(Debug, Clone, Copy)]
pub enum Transition<'a> {
    Opened {
        finding: &'a Finding,
        /// How often it was resolved before.
        reopened: u64,
    },
    /// It is told again where the severity, confidence, rule, `same_account`,
    /// `canary`, `git_state`, or the owner or mode of the file differ. A line
    /// that moved or another process with the same environment is kept, and
    /// not told; what is not known any more stays as it was known.
    Changed {
        finding: &'a Finding,
        /// As it was.
        open: &'a Open,
        /// The JSON fields that differ, such as `file.mode`.
        fields: &'a [&'static str],
    },
    Resolved {
        open: &'a Open,
        /// Never [`Standing::NotLooked`].
        standing: Standing,
        /// Never before `open.first_seen`.
        resolved_at: Timestamp,
        open_for: Duration,
    },
}

/// What a pass changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    pub opened: u64,
    pub changed: u64,
    pub resolved: u64,
    /// New, and not taken for lack of room: neither remembered nor told. What
    /// they stand in must not be cached as read.
    pub not_taken: u64,
    /// Events that had to leave the outbox for this pass's, see [`Depth`].
    pub lost: u64,
}

/// A finding that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Of the finding.
    pub id: String,
    /// When it was opened, the last time.
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// How often it was resolved before.
    pub reopened: u64,
    pub facts: OpenFacts,
    /// The finding as it was last seen: the object of the JSON contract,
    /// without `schema` and `type`.
    pub json: String,
}

/// The part of a finding's JSON that decisions are made by.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OpenFacts {
    /// The public name; a later release may have written one that this one
    /// does not know.
    pub rule: String,
    pub severity: Severity,
    pub access_key_id: Option<String>,
    pub secret_fingerprint: Option<String>,
    pub location: Place,
}

/// Where an open finding was made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Place {
    /// The public name, as [`SourceKind::name`](crate::finding::SourceKind::name).
    pub source: String,
    pub path: Option<String>,
    pub member: Option<String>,
    pub commit: Option<String>,
    pub pid: Option<u32>,
    pub exe: Option<String>,
    pub unit: Option<String>,
    pub container: Option<String>,
}

/// How many findings are open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenCounts {
    pub findings: u64,
    /// Distinct ones.
    pub credentials: u64,
    /// Of these, those with a long-term access key ID (`AKIA`).
    pub static_credentials: u64,
    pub critical: u64,
    pub high: u64,
    pub medium: u64,
    pub low: u64,
    pub info: u64,
}

/// How fast findings were resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolutions {
    pub count: u64,
    pub mean: Option<Duration>,
    /// How long each was open, the one resolved last first; at most 100, which
    /// is what an embedded metric takes.
    pub newest: Vec<Duration>,
}

impl Ledger {
    /// Random, and the same as long as the ledger lives: for the keyed hash
    /// of the scan cache.
    pub const fn scan_cache_key(&self) -> [u8; 16] {
        self.scan_cache_key
    }
}

/// A time from the ledger.
fn timestamp(ms: i64) -> Result<Timestamp, Error> {
    Timestamp::from_millisecond(ms).map_err(|error| Error::Corrupt(error.to_string()))
}

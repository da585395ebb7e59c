//! Drives the sources through the detector and turns matches into findings,
//! within the run's time and with every omission counted.

mod allow;
mod crew;
mod examiner;
mod finding;
mod join;
mod memory;
mod names;
mod priority;
mod silence;
mod stages;
mod user_data;

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use crate::config::PathGlobs;
use crate::deadline::Deadline;
use crate::finding::{
    Coverage, Finding, Instance, Location, Pool, RoleKey, SourceKind, finding_id,
};
use crate::secret::Credentials;

pub use crate::source::tail::Tails;
pub use crate::source::user_data::Answer as UserData;
pub use allow::AllowList;
pub use memory::Recollection;
pub use names::{is_masked, may_be_named, may_lie_in};
pub use silence::Silences;
pub use stages::run;

/// Pairs that AWS can be asked about in a run.
const MAX_PAIRS: usize = 500;

/// What is scanned, and how.
#[derive(Debug)]
pub struct Settings {
    /// The host's `/` as seen from here.
    pub root: PathBuf,
    /// Files and directories, absolute on the host.
    pub roots: Vec<PathBuf>,
    pub exclude: PathGlobs,
    /// The ledger, which names what was found before; what lies beside it with
    /// its name in front is its own. It holds no secret.
    pub ledger: Option<PathBuf>,
    pub network_filesystems: bool,
    pub threads: usize,
    pub max_depth: usize,
    pub archives: bool,
    pub git: bool,
    pub processes: bool,
    /// `None` treats the copies of user-data like any other file.
    pub user_data: Option<UserData>,
    pub allow: Arc<AllowList>,
    pub instance: Instance,
    /// The credentials that the instance's role gives out now.
    pub role_key: Option<RoleKey>,
    /// Keep the pairs that were found, for AWS to be asked about them.
    pub keep_pairs: bool,
    /// Mask the middle of access key IDs in what is told.
    pub redact: bool,
    pub deadline: Deadline,
    /// What earlier scans read; `None` reads everything.
    pub memory: Option<Arc<Recollection>>,
    /// How far files that grow were read; `None` reads all of each.
    pub tails: Option<Arc<Mutex<Tails>>>,
    /// What earlier scans still wait for, which is not asked again.
    pub silences: Arc<Silences>,
}

impl Settings {
    fn is_excluded(&self, path: &Path) -> bool {
        let of_ledger = |ledger: &PathBuf| {
            let (name, beside) = (path.as_os_str().as_bytes(), ledger.as_os_str().as_bytes());
            name.starts_with(beside) && path.parent() == ledger.parent()
        };
        self.ledger.as_ref().is_some_and(of_ledger) || self.exclude.is_match(path)
    }
}

/// What a scan came to.
#[derive(Debug, Default)]
pub struct Scan {
    pub findings: Vec<Finding>,
    pub coverage: Vec<Coverage>,
    /// Findings that the allow list set aside.
    pub allowed: u64,
    /// By [`Finding::credential`]; empty unless they were to be kept.
    pub pairs: HashMap<(String, String), Credentials>,
    /// Which of the findings is told for all versions of a file in git, for
    /// all members of one name, or for a member and the archive's own bytes.
    versions: HashMap<VersionKey, u32>,
    titles: Pool<str>,
    /// Bytes of the names of their places.
    names: usize,
}

/// The id of a finding, in as little as it takes.
type VersionKey = [u8; 16];

fn version_key(finding: &Finding) -> VersionKey {
    key(&finding.id)
}

/// That of the same credential in the file that the member's archive is.
fn key_in_file(finding: &Finding) -> VersionKey {
    let (id, secret) = finding.credential();
    let file = Location {
        path: finding.location.path.clone(),
        ..Location::new(SourceKind::File)
    };
    key(&finding_id([id, secret], &file))
}

fn key(id: &str) -> VersionKey {
    u128::from_str_radix(id, 16)
        .unwrap_or_default()
        .to_be_bytes()
}

impl Scan {
    /// Other versions of a finding that was set aside are not told either.
    fn untold(&mut self, finding: &Finding) {
        if let Some(version) = self.versions.get_mut(&version_key(finding)) {
            *version = u32::MAX;
        }
    }

    fn keep_pair(&mut self, finding: &Finding, pair: Credentials) {
        if self.pairs.len() < MAX_PAIRS {
            let (id, fingerprint) = finding.credential();
            let credential = (id.to_owned(), fingerprint.to_owned());
            self.pairs.entry(credential).or_insert(pair);
        }
    }
}

/// How far a scan has come, for whoever watches it.
#[derive(Debug, Default)]
pub struct Progress {
    pub blobs: AtomicU64,
    pub bytes: AtomicU64,
    pub findings: AtomicU64,
}

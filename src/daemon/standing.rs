//! What has become of the place of an open finding that a pass did not see:
//! only where it was looked at again, or is no more, is the finding resolved.
//! Lost permissions, a scan that was cut short and a file system that is not
//! entered any more resolve nothing.

use std::io;
use std::path::{Path, PathBuf};

use crate::finding::{Coverage, PostureCheck, SourceKind, Verdict};
use crate::ledger::{OpenFacts, Standing};
use crate::scan::Recollection;
use crate::source::mounts::Mounts;

/// What a pass looked at.
#[derive(Default)]
pub(super) struct Looked<'a> {
    /// The files, if there was a walk.
    pub(super) files: Option<Files<'a>>,
    /// The processes, if they were all asked.
    pub(super) processes: Option<&'a Coverage>,
    /// The instance's user-data, if it was asked for.
    pub(super) user_data: Option<&'a Coverage>,
    /// The posture checks, if they were made.
    pub(super) checks: Option<&'a [PostureCheck]>,
}

pub(super) struct Files<'a> {
    pub(super) memory: &'a Recollection,
    pub(super) root: &'a Path,
    /// What was walked, absolute on the host; `None` for everything.
    pub(super) within: Option<&'a [PathBuf]>,
    /// What was looked at again since by somebody else.
    pub(super) overtaken: &'a [PathBuf],
    pub(super) mounts: Option<&'a Mounts>,
}

/// The standing of one open finding.
pub(super) fn of(open: &OpenFacts, looked: &Looked<'_>) -> Standing {
    let whole = |coverage: Option<&Coverage>| {
        if coverage.is_some_and(Coverage::is_complete) {
            Standing::Clean
        } else {
            Standing::NotLooked
        }
    };
    let source = open.location.source.as_str();
    if !open.rule.starts_with("aws.") {
        return checked(open, looked.checks);
    }
    if source == SourceKind::Process.name() {
        return whole(looked.processes);
    }
    if source == SourceKind::UserData.name() {
        return whole(looked.user_data);
    }
    match (&looked.files, &open.location.path) {
        (Some(files), Some(path)) => files.standing(path),
        _ => Standing::NotLooked,
    }
}

/// A check that cannot tell resolves nothing.
fn checked(open: &OpenFacts, checks: Option<&[PostureCheck]>) -> Standing {
    let check = checks
        .unwrap_or_default()
        .iter()
        .find(|check| check.check.name() == open.rule);
    match check.map(|check| check.verdict) {
        Some(Verdict::Pass | Verdict::NotApplicable | Verdict::Fail) => Standing::Clean,
        Some(Verdict::Unknown) | None => Standing::NotLooked,
    }
}

impl Files<'_> {
    fn standing(&self, path: &str) -> Standing {
        let is_in = |paths: &[PathBuf]| paths.iter().any(|part| Path::new(path).starts_with(part));
        if is_in(self.overtaken) || !self.within.is_none_or(is_in) {
            return Standing::NotLooked;
        }
        if self.memory.was_looked_through(path) {
            return Standing::Clean;
        }
        let path = Path::new(path);
        let here = self.root.join(path.strip_prefix("/").unwrap_or(path));
        // A look at a mount that is not entered may never return.
        let entered = self
            .mounts
            .is_some_and(|mounts| here.ancestors().all(|part| mounts.skip(part).is_none()));
        if !entered {
            return Standing::NotLooked;
        }
        match here.symlink_metadata() {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Standing::Gone
            }
            _ => Standing::NotLooked,
        }
    }
}

//! What has become of the place of an open finding that a pass did not see:
//! only where it was looked at again, or is no more, is the finding resolved.
//! Lost permissions, a scan that was cut short and a file system that is not
//! entered any more resolve nothing.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::finding::{Coverage, PostureCheck, Rule, SourceKind, Verdict};
use crate::ledger::{OpenFacts, Standing};
use crate::sanitize;
use crate::scan::Recollection;

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
    pub(super) checks: &'a [PostureCheck],
    /// Whether everybody was asked who takes a key in the role's place.
    pub(super) saw_all_shadows: bool,
}

pub(super) struct Files<'a> {
    pub(super) memory: &'a Recollection,
    /// Places that were not looked through because they are no more.
    pub(super) gone: &'a HashSet<String>,
    /// Whether these were looked into, and not only at.
    pub(super) archives: bool,
    pub(super) git: bool,
    /// What was walked, absolute on the host; `None` for everything.
    pub(super) within: Option<&'a [PathBuf]>,
    /// What was looked at again since by somebody else.
    pub(super) overtaken: &'a [PathBuf],
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
        return checked(open, looked);
    }
    if source == SourceKind::Process.name() {
        return whole(looked.processes);
    }
    if source == SourceKind::UserData.name() {
        return whole(looked.user_data);
    }
    match (&looked.files, &open.location.path) {
        (Some(files), Some(path)) => files.standing(source, path),
        _ => Standing::NotLooked,
    }
}

/// A check that cannot tell resolves nothing. One that failed told what it
/// saw, which is all of it unless there were places that it could not see.
fn checked(open: &OpenFacts, looked: &Looked<'_>) -> Standing {
    let mut checks = looked.checks.iter();
    let check = checks.find(|check| check.check.name() == open.rule);
    match check.map(|check| (check.verdict, check.check)) {
        Some((Verdict::Fail, Rule::RoleShadowed)) if !looked.saw_all_shadows => Standing::NotLooked,
        Some((Verdict::Pass | Verdict::NotApplicable | Verdict::Fail, _)) => Standing::Clean,
        Some((Verdict::Unknown, _)) | None => Standing::NotLooked,
    }
}

impl Files<'_> {
    fn standing(&self, source: &str, path: &str) -> Standing {
        let is_looked_at = self.within.is_none_or(|parts| lies_in(path, parts));
        if !is_looked_at || lies_in(path, self.overtaken) {
            return Standing::NotLooked;
        }
        if self.gone.contains(path) {
            return Standing::Gone;
        }
        let is_looked_into = (self.archives || source != SourceKind::Archive.name())
            && (self.git || source != SourceKind::Git.name());
        if is_looked_into && self.memory.was_looked_through(path) {
            Standing::Clean
        } else {
            Standing::NotLooked
        }
    }
}

/// Whether a place, as a finding shows it, is at or below one of `parts`.
pub(super) fn lies_in(place: &str, parts: &[PathBuf]) -> bool {
    let place = Path::new(place);
    parts.iter().any(|part| match part.to_str() {
        Some(part) => place.starts_with(part),
        None => place.starts_with(sanitize::bytes(part.as_os_str().as_encoded_bytes())),
    })
}

//! What has become of the place of an open finding that a pass did not see:
//! only where it was looked at again, or is no more, is the finding resolved.
//! Lost permissions, a scan that was cut short and a file system that is not
//! entered any more resolve nothing.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::finding::{Coverage, PostureCheck, Rule, SourceKind, Verdict};
use crate::ledger::{OpenFacts, Standing};
use crate::scan::{self, Recollection};

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
    /// What was walked, absolute on the host.
    pub(super) within: &'a [&'a Path],
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
        if !lies_in(path, self.within) || lies_in(path, self.overtaken) {
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
pub(super) fn lies_in(place: &str, parts: &[impl AsRef<Path>]) -> bool {
    let mut parts = parts.iter().map(AsRef::as_ref);
    parts.any(|part| scan::may_lie_in(place, part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Place;
    use jiff::Timestamp;

    fn open(rule: &str, source: SourceKind, path: &str) -> OpenFacts {
        OpenFacts {
            rule: rule.into(),
            severity: crate::finding::Severity::High,
            access_key_id: None,
            secret_fingerprint: None,
            location: Place {
                source: source.name().into(),
                path: Some(path.into()),
                member: None,
                commit: None,
                pid: None,
                exe: None,
                unit: None,
                container: None,
            },
        }
    }

    #[test]
    fn a_shadowing_is_over_only_if_everybody_was_asked() {
        let shadow = open("role.shadowed", SourceKind::Process, "environ");
        for (verdict, saw_all, standing) in [
            (Verdict::Fail, true, Standing::Clean),
            (Verdict::Fail, false, Standing::NotLooked),
            (Verdict::Pass, true, Standing::Clean),
            (Verdict::NotApplicable, false, Standing::Clean),
            (Verdict::Unknown, false, Standing::NotLooked),
        ] {
            let checks = [PostureCheck::new(Rule::RoleShadowed, verdict, "")];
            let looked = Looked {
                checks: &checks,
                saw_all_shadows: saw_all,
                ..Looked::default()
            };
            assert_eq!(of(&shadow, &looked), standing, "{verdict:?} {saw_all}");
        }
        assert_eq!(of(&shadow, &Looked::default()), Standing::NotLooked);
    }

    #[test]
    fn a_place_that_was_looked_at_but_not_into_is_not_clean() {
        use crate::source::Memory as _;
        let names = ["/srv/a.zip", "/srv/gone", "/opt/b"];
        let places = names.map(str::to_owned);
        let memory = Recollection::new([0; 16], Vec::new(), places, Timestamp::UNIX_EPOCH);
        for name in names {
            memory.looked_through(Path::new(name));
        }
        let gone = HashSet::from(["/srv/gone".to_owned(), "/opt/gone".to_owned()]);
        let within = [Path::new("/srv")];
        let standing = |source, path, archives| {
            let files = Files {
                memory: &memory,
                gone: &gone,
                archives,
                git: false,
                within: &within,
                overtaken: &[],
            };
            let looked = Looked {
                files: Some(files),
                ..Looked::default()
            };
            of(&open("aws.access-key-pair", source, path), &looked)
        };
        for (source, path, archives, expected) in [
            (SourceKind::File, "/srv/a.zip", false, Standing::Clean),
            (SourceKind::Archive, "/srv/a.zip", true, Standing::Clean),
            (
                SourceKind::Archive,
                "/srv/a.zip",
                false,
                Standing::NotLooked,
            ),
            (SourceKind::Git, "/srv/a.zip", true, Standing::NotLooked),
            (SourceKind::Git, "/srv/gone", true, Standing::Gone),
            (SourceKind::File, "/opt/b", true, Standing::NotLooked),
            (SourceKind::File, "/opt/gone", true, Standing::NotLooked),
            (SourceKind::Process, "/srv/gone", true, Standing::NotLooked),
        ] {
            assert_eq!(
                standing(source, path, archives),
                expected,
                "{source:?} {path}"
            );
        }
    }
}

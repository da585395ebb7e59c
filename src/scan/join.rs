//! Joins what was found in files with the units, containers and accounts that
//! take it from there, and with the processes that hold it: one statement in
//! place of one for each of them.

mod definitions;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use super::Settings;
use crate::finding::{Finding, Holder, SkipReason, SourceKind, Usage, User};
use crate::host::{Root, process};
use crate::source::mounts::Mounts;
use definitions::Definitions;

/// Joins the findings of a scan. The host's units, containers and accounts
/// are read only where a finding could be theirs.
pub(super) fn join(findings: &mut [Finding], settings: &Settings<'_>, mounts: &Mounts) {
    let holders = Holders::of(findings);
    let own = process::own_pid(&settings.root.join("proc"));
    let avoid = |directory: &Path| {
        matches!(
            mounts.skip(directory),
            Some(SkipReason::NetworkFilesystem | SkipReason::PseudoFilesystem)
        )
    };
    let root = Root {
        path: settings.root,
        avoid: &avoid,
    };
    let places: HashSet<&str> = findings.iter().filter_map(place).collect();
    let in_containers = findings.iter().any(|one| one.location.container.is_some());
    let needed = !places.is_empty() || in_containers;
    let definitions = if needed && !settings.deadline.is_over() {
        Definitions::read(root, mounts, &places)
    } else {
        Definitions::default()
    };
    for finding in findings {
        if finding.location.source == SourceKind::Process {
            if finding.location.pid == own {
                finding.title += ", rolecall's own";
            }
            let container = finding.location.container.as_deref();
            let users = container.and_then(|id| definitions.containers.get(id));
            finding.usage = Usage::new(None, users.into_iter().cloned().collect(), Vec::new());
            continue;
        }
        let (kind, users) = match place(finding) {
            Some(path) => definitions.users(root, path, finding.location.line),
            None => (None, Vec::new()),
        };
        for user in &users {
            let (field, value) = match user {
                User::Unit { unit } => (&mut finding.location.unit, unit),
                User::Container { container, .. } => (&mut finding.location.container, container),
                User::Account { .. } => continue,
            };
            field.get_or_insert_with(|| value.clone());
        }
        let mut held_by = holders.of_credential(finding);
        let location = &finding.location;
        held_by.sort_by_key(|holder| {
            let of_unit = holder.unit.is_some() && holder.unit == location.unit;
            let of_container = holder.container.is_some() && holder.container == location.container;
            (!(of_unit || of_container), holder.pid)
        });
        finding.usage = Usage::new(kind, users, held_by);
    }
    if definitions.omitted.count > 0 {
        // The files themselves are counted by the walk.
        log::warn!(
            "{} files that say who uses what was found were not read: {}",
            definitions.omitted.count,
            definitions.omitted.examples.join(", ")
        );
    }
}

/// The path on the host of a file with a finding.
fn place(finding: &Finding) -> Option<&str> {
    matches!(
        finding.location.source,
        SourceKind::File | SourceKind::Archive
    )
    .then_some(finding.location.path.as_deref())?
}

/// Processes by their ID.
type Processes = BTreeMap<u32, Holder>;

/// The processes that hold each credential.
#[derive(Default)]
struct Holders {
    secret: HashMap<String, Processes>,
    id: HashMap<String, Processes>,
    /// Of IDs whose secret was not found with them.
    lone_id: HashMap<String, Processes>,
}

impl Holders {
    fn of(findings: &[Finding]) -> Self {
        let mut holders = Self::default();
        for finding in findings {
            let location = &finding.location;
            let Some(pid) = location.pid else {
                continue;
            };
            let holder = Holder {
                pid,
                exe: location.exe.clone(),
                uid: location.uid,
                unit: location.unit.clone(),
                container: location.container.clone(),
            };
            let (id, secret) = finding.credential();
            let add = |map: &mut HashMap<String, Processes>, key: &str| {
                if !key.is_empty() {
                    let processes = map.entry(key.to_owned()).or_default();
                    processes.insert(pid, holder.clone());
                }
            };
            add(&mut holders.secret, secret);
            add(&mut holders.id, id);
            if secret.is_empty() {
                add(&mut holders.lone_id, id);
            }
        }
        holders
    }

    /// Those of the same secret; where one of two lacks it, of the same ID.
    fn of_credential(&self, finding: &Finding) -> Vec<Holder> {
        let (id, secret) = finding.credential();
        let same_id = if secret.is_empty() {
            &self.id
        } else {
            &self.lone_id
        };
        let mut processes = self.secret.get(secret).cloned().unwrap_or_default();
        if let Some(others) = same_id.get(id) {
            processes.extend(others.iter().map(|(pid, holder)| (*pid, holder.clone())));
        }
        processes.into_values().collect()
    }
}

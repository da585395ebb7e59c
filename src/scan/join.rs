//! Joins what was found in files with the units, containers and accounts that
//! take it from there, and with the processes that hold it: one statement in
//! place of one for each of them.

mod apart;
mod definitions;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Scan, Settings};
use crate::detect::Detector;
use crate::finding::{Finding, Holder, Pool, SkipReason, SourceKind, Usage, User};
use crate::host::{Root, process};
use crate::source::mounts::Mounts;
use apart::Whole;
use definitions::Definitions;

/// Files and directories looked up to learn who uses what: some seconds, where
/// a host has a few thousand. Any user's units can name any number of files.
const MAX_LOOK_UPS: u64 = 1_000_000;

/// Time for it where the run is over: what was found by then is of little use
/// to whoever does not learn whose it is.
const GRACE: Duration = Duration::from_secs(1);

/// What the findings of a scan are joined with.
#[derive(Default)]
pub(super) struct Joined {
    /// For each finding.
    users: Vec<Users>,
    whole: Whole,
}

impl Joined {
    /// Joins them, and adds them to the scan that they are of.
    pub(super) fn apply(self, mut findings: Vec<Finding>, scan: &mut Scan) {
        let mut aside = HashSet::new();
        for (at, whole) in self.whole.places {
            match whole {
                Some(whole) => findings[at] = whole,
                None => {
                    aside.insert(at);
                }
            }
        }
        for (finding, users) in findings.iter_mut().zip(self.users) {
            users.join(finding);
        }
        for (at, pair) in self.whole.pairs {
            scan.keep_pair(&findings[at], pair);
        }
        scan.allowed += aside.len() as u64;
        let told = findings.into_iter().enumerate();
        let told = told.filter(|(at, _)| !aside.contains(at));
        scan.findings = told.map(|(_, finding)| finding).collect();
    }
}

/// Who uses the place of a finding.
struct Users {
    usage: Option<Arc<Usage>>,
    unit: Option<Arc<str>>,
    container: Option<Arc<str>>,
    /// It is in a process, and that is ours.
    is_own: bool,
}

impl Users {
    fn join(self, finding: &mut Finding) {
        if self.is_own {
            finding.title = format!("{}, rolecall's own", finding.title).into();
        }
        finding.usage = self.usage;
        finding.location.unit = self.unit;
        finding.location.container = self.container;
    }
}

/// Tells of each finding of a scan who uses its place. The host's units,
/// containers and accounts are read only where a finding could be theirs.
/// `enters` is told each directory that is gone to.
pub(super) fn join(
    findings: &[Finding],
    settings: &Settings,
    mounts: &Mounts,
    detector: &Detector,
    enters: &(dyn Fn(&Path) + Sync),
) -> Joined {
    let proc = settings.root.join("proc");
    let own = process::own_pid(&proc);
    let looked_up = AtomicU64::new(0);
    let deadline = settings.deadline.not_before(Instant::now() + GRACE);
    let silent: Vec<PathBuf> = settings
        .silences
        .places()
        .iter()
        .map(|place| mounts.silent_part(place, &settings.root).to_owned())
        .collect();
    let avoid = |directory: &Path| {
        let is_too_far = looked_up.fetch_add(1, Ordering::Relaxed) >= MAX_LOOK_UPS;
        let is_silent = silent.iter().any(|place| directory.starts_with(place));
        if is_too_far || is_silent || deadline.is_over() {
            return Some(io::ErrorKind::TimedOut);
        }
        enters(directory);
        match mounts.in_the_way(directory, &settings.root)? {
            SkipReason::NetworkFilesystem => Some(io::ErrorKind::Unsupported),
            // On the way to a disk in memory, such as `/dev/shm`.
            SkipReason::PseudoFilesystem if mounts.lead_on(directory, &settings.root) => None,
            // Where nobody keeps anything, although accounts may live there.
            SkipReason::PseudoFilesystem => Some(io::ErrorKind::NotFound),
            _ => None,
        }
    };
    let root = Root {
        path: &settings.root,
        avoid: &avoid,
    };
    let places: HashSet<&str> = findings.iter().filter_map(place).collect();
    let in_processes = findings.iter().any(|one| one.location.pid.is_some());
    let definitions = if places.is_empty() && !in_processes {
        Definitions::default()
    } else {
        let with_keys = findings.iter().any(apart::is_half);
        let of_instance = |one: &&Finding| {
            let unit = one.location.unit.as_deref();
            unit.is_some_and(|unit| unit.contains('@')) && one.location.container.is_none()
        };
        let pids = findings.iter().filter(of_instance);
        let pids = pids.filter_map(|one| one.location.pid);
        let running = pids.filter_map(|pid| process::system_unit(&proc, pid));
        Definitions::read(root, mounts, &places, running.collect(), with_keys)
    };
    let mut names = Pool::default();
    let containers = containers(findings, &definitions, &proc, &mut names);
    let holders = Holders::of(findings, &containers);
    let whole = apart::make_whole(findings, &definitions.keys, root, settings, detector);
    let mut usages = Pool::default();
    let mut share = |usage: Usage| (usage != Usage::default()).then(|| usages.share(usage));
    let tell = |finding: &Finding| {
        if finding.location.source == SourceKind::Process {
            let pid = finding.location.pid;
            let container = pid.and_then(|pid| containers.get(&pid)?.clone());
            let user = container.as_deref();
            let user = user.and_then(|id| definitions.containers.get(id));
            let usage = Usage::new(None, user.map_or(&[], std::slice::from_ref), &[]);
            return Users {
                usage: share(usage),
                unit: finding.location.unit.clone(),
                container,
                is_own: finding.location.pid == own,
            };
        }
        let (kind, users) = match place(finding) {
            Some(path) => definitions.users(path, finding.location.line),
            None => (None, Cow::default()),
        };
        let unit = users.iter().find_map(User::unit);
        let container = users.iter().find_map(User::container);
        let is_near = |holder: &&Holder| {
            (unit.is_some() && holder.unit.as_deref() == unit)
                || (container.is_some() && holder.container.as_deref() == container)
        };
        let (mut held_by, others): (Vec<_>, Vec<_>) =
            holders.of_credential(finding).partition(is_near);
        held_by.extend(others);
        Users {
            usage: share(Usage::new(kind, &users, &held_by)),
            unit: unit.map(|unit| names.share(unit)),
            container: container.map(|container| names.share(container)),
            is_own: false,
        }
    };
    let now = |(at, finding)| {
        whole
            .places
            .get(&at)
            .and_then(Option::as_ref)
            .unwrap_or(finding)
    };
    let users = findings.iter().enumerate().map(now).map(tell).collect();
    if definitions.omitted.count > 0 {
        // The files themselves are counted by the walk.
        log::warn!(
            "{} files that say who uses what was found were not read: {}",
            definitions.omitted.count,
            definitions.omitted.examples.join(", ")
        );
    }
    Joined { users, whole }
}

/// The containers of processes, by their pids.
type Containers = HashMap<u32, Option<Arc<str>>>;

/// Those of the processes with findings: by the ID in their control group, or
/// by what the container is configured to have.
fn containers(
    findings: &[Finding],
    definitions: &Definitions,
    proc: &Path,
    names: &mut Pool<str>,
) -> Containers {
    let mut containers = Containers::new();
    for location in findings.iter().map(|finding| &finding.location) {
        let Some(pid) = location.pid else {
            continue;
        };
        containers.entry(pid).or_insert_with(|| {
            let by_configuration = || {
                let cgroups = process::cgroups(proc, pid);
                Some(names.share(definitions.container_in(&cgroups)?))
            };
            location.container.clone().or_else(by_configuration)
        });
    }
    containers
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
    /// Each in its container.
    fn of(findings: &[Finding], containers: &Containers) -> Self {
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
                container: containers.get(&pid).cloned().flatten(),
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
    fn of_credential(&self, finding: &Finding) -> impl Iterator<Item = &Holder> + use<'_> {
        let (id, secret) = finding.credential();
        let same_secret = self.secret.get(secret);
        let same_id = if secret.is_empty() {
            self.id.get(id)
        } else {
            self.lone_id.get(id)
        };
        let is_known = move |pid: &u32| same_secret.is_some_and(|known| known.contains_key(pid));
        let by_secret = same_secret.into_iter().flatten();
        let by_id = same_id.into_iter().flatten();
        by_secret
            .chain(by_id.filter(move |(pid, _)| !is_known(pid)))
            .map(|(_, holder)| holder)
    }
}

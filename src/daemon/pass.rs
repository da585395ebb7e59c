//! One look at the host: at everything, at a part of it, or at what changed.
//! Runs on a thread of its own and touches nothing of the service's.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{presence, standing};
use crate::config::{Config, Loaded};
use crate::deadline::Deadline;
use crate::finding::{Finding, Instance, RoleKey, SkipReason};
use crate::host::from_here;
use crate::scan::{self, AllowList, Progress, Recollection, Scan, Silences, Tails, UserData};
use crate::settings;
use crate::source::mounts::Mounts;

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// All that is configured; of the files, what changed since the last time.
    Everything,
    /// The environments and command lines of the processes.
    Processes,
    /// All that is watched; of the files, what changed since the last time.
    Watched,
    /// Files and directories that have just changed, absolute on the host.
    Changed(Vec<PathBuf>),
}

impl Scope {
    /// The parts of the host whose files are looked at, absolute on it.
    pub(super) fn within<'a>(&'a self, config: &'a Config) -> Vec<&'a Path> {
        match self {
            Self::Everything => vec![Path::new("/")],
            Self::Watched => config.watch.paths.iter().map(PathBuf::as_path).collect(),
            Self::Changed(paths) => paths.iter().map(PathBuf::as_path).collect(),
            Self::Processes => Vec::new(),
        }
    }
}

/// A look as the service asks for it.
pub(super) struct Order {
    pub(super) scope: Scope,
    pub(super) loaded: Arc<Loaded>,
    pub(super) root: PathBuf,
    pub(super) instance: Instance,
    pub(super) role_key: Option<RoleKey>,
    pub(super) user_data: UserData,
    /// What the posture checks found, for the allow list to know.
    pub(super) shadows: Vec<Finding>,
    pub(super) memory: Arc<Recollection>,
    pub(super) tails: Arc<Mutex<Tails>>,
    pub(super) silences: Arc<Silences>,
    pub(super) progress: Arc<Progress>,
    pub(super) stop: Arc<AtomicBool>,
}

/// What came of it.
pub(super) struct Look {
    pub(super) scope: Scope,
    /// What it was made under; another may be in force by now.
    pub(super) loaded: Arc<Loaded>,
    pub(super) scan: Scan,
    pub(super) memory: Arc<Recollection>,
    pub(super) started: Timestamp,
    pub(super) took: Duration,
    /// Entries of the allow list that matched nothing, after a look at
    /// everything.
    pub(super) unused: Vec<String>,
    /// Places of open findings that were not looked through because they are
    /// no more.
    pub(super) gone: HashSet<String>,
}

pub(super) fn look(mut order: Order) -> Look {
    // What a link leads to has not changed. One that does not answer is left
    // to the scan, which can give it up.
    if let Scope::Changed(paths) = &mut order.scope {
        let links = presence::links(&order.root, paths.clone());
        paths.retain(|path| !links.contains(path));
    }
    let began = Instant::now();
    let started = Timestamp::now();
    let loaded = Arc::clone(&order.loaded);
    let config = &loaded.config;
    let allow = Arc::new(AllowList::new(&config.allow, started));
    let mut settings = settings::scan(config, &order.root, &order.instance, &allow);
    settings.role_key = order.role_key;
    settings.user_data = config.scan.user_data.then_some(order.user_data);
    settings.deadline = Deadline::on(order.stop);
    settings.memory = Some(Arc::clone(&order.memory));
    settings.silences = Arc::clone(&order.silences);
    match &order.scope {
        Scope::Everything => {
            // What changes meanwhile is looked at as well, by another thread.
            if config.watch.enabled {
                settings.threads = (settings.threads - 1).max(1);
            }
        }
        Scope::Processes => {
            settings.roots = Vec::new();
            settings.user_data = None;
        }
        Scope::Watched => {
            settings.roots.clone_from(&config.watch.paths);
            settings.processes = false;
        }
        Scope::Changed(paths) => {
            settings.roots.clone_from(paths);
            settings.processes = false;
            settings.threads = 1;
            settings.tails = Some(order.tails);
        }
    }
    let scan = scan::run(settings, &order.progress);
    let unused = match order.scope {
        Scope::Everything => {
            allow.told(order.shadows, false);
            allow.unused().collect()
        }
        _ => Vec::new(),
    };
    let within = order.scope.within(config);
    let silent = order.silences.places();
    let gone = gone(&order.root, config, &within, &silent, &order.memory);
    Look {
        scope: order.scope,
        loaded: order.loaded,
        scan,
        started,
        took: began.elapsed(),
        unused,
        gone,
        memory: order.memory,
    }
}

/// Of the places of open findings, those that are no more, as far as that can
/// be told without a look at file systems that are not entered, or on which
/// something is `silent`.
fn gone(
    root: &Path,
    config: &Config,
    within: &[&Path],
    silent: &[PathBuf],
    memory: &Recollection,
) -> HashSet<String> {
    let Ok(mounts) = Mounts::read(Path::new("/proc"), config.scan.network_filesystems) else {
        return HashSet::new();
    };
    // As a walk goes: what is named is entered, whatever it is mounted on.
    let named = config.scan.roots.iter().chain(&config.watch.paths);
    let named: Vec<_> = named.map(|path| from_here(root, path)).collect();
    let silent: Vec<_> = silent
        .iter()
        .map(|place| mounts.silent_part(place, root))
        .collect();
    let is_asked = |place: &&String| {
        let here = from_here(root, Path::new(place));
        let ways = named.iter().map(PathBuf::as_path);
        let mut ways: Vec<_> = ways.filter(|named| here.starts_with(named)).collect();
        if ways.is_empty() {
            // A repository that a working tree led to.
            ways.push(root);
        }
        let answers = || !silent.iter().any(|silent| here.starts_with(silent));
        standing::lies_in(place, within)
            && answers()
            && ways.iter().any(|named| {
                // Some overlays are walked; to ask them does no harm.
                let reason = mounts.in_the_way(&here, named);
                reason.is_none_or(|reason| reason == SkipReason::OverlayFilesystem)
            })
    };
    let places = memory.not_looked_through().filter(is_asked).cloned();
    presence::gone(root, places.collect())
}

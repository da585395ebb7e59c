//! One look at the host: at everything, at a part of it, or at what changed.
//! Runs on a thread of its own and touches nothing of the service's.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::config::Loaded;
use crate::deadline::Deadline;
use crate::finding::Instance;
use crate::scan::{self, AllowList, Progress, Recollection, Scan, Tails, UserData};
use crate::settings;

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

/// A look as the service asks for it.
pub(super) struct Order {
    pub(super) scope: Scope,
    pub(super) loaded: Arc<Loaded>,
    pub(super) root: PathBuf,
    pub(super) instance: Instance,
    pub(super) role_access_key_id: Option<String>,
    pub(super) user_data: UserData,
    pub(super) memory: Arc<Recollection>,
    pub(super) tails: Arc<Mutex<Tails>>,
    pub(super) progress: Arc<Progress>,
    pub(super) stop: Arc<AtomicBool>,
}

/// What came of it.
pub(super) struct Look {
    pub(super) scope: Scope,
    pub(super) scan: Scan,
    pub(super) memory: Arc<Recollection>,
    pub(super) started: Timestamp,
    pub(super) took: Duration,
    /// Entries of the allow list that matched nothing, after a look at
    /// everything.
    pub(super) unused: Vec<String>,
}

pub(super) fn look(mut order: Order) -> Look {
    // What a link leads to has not changed.
    if let Scope::Changed(paths) = &mut order.scope {
        let here = |path: &PathBuf| order.root.join(path.strip_prefix("/").unwrap_or(path));
        paths.retain(|path| !here(path).is_symlink());
    }
    let began = Instant::now();
    let started = Timestamp::now();
    let config = &order.loaded.config;
    let allow = Arc::new(AllowList::new(&config.allow, started));
    let mut settings = settings::scan(config, &order.root, &order.instance, &allow);
    settings.role_access_key_id = order.role_access_key_id;
    settings.user_data = config.scan.user_data.then_some(order.user_data);
    settings.deadline = Deadline::on(order.stop);
    settings.memory = Some(Arc::clone(&order.memory));
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
        Scope::Everything => allow.unused().collect(),
        _ => Vec::new(),
    };
    Look {
        scope: order.scope,
        scan,
        started,
        took: began.elapsed(),
        unused,
        memory: order.memory,
    }
}

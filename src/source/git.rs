//! What git stores: every object of every repository that the walk of the
//! files comes across, each once. Objects are read from the store itself and
//! not by following references, so that stashes, notes, other branches and
//! what was amended away are all seen.
//!
//! The walk hands over each folder of objects whole. Whatever is in it that
//! git cannot have written is read as the plain file that it is, so that a
//! folder which merely looks like git's hides nothing. The git program is not
//! run, a repository's configuration is not read, and nothing is written.

mod alternates;
mod delta;
mod forest;
mod history;
mod index;
mod inflate;
mod loose;
mod odb;
mod pack;
mod refs;
mod seen;
mod state;
mod store;
mod text;
mod traverse;
mod worker;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::Visitor;
use super::files::{Files, lock};
use crate::finding::{Coverage, SourceKind};
use pack::Pack;
use store::Group;
use worker::Worker;

/// Repositories and packs outside of them that are remembered in a run.
const MAX_STORES: usize = 20_000;

/// What the walk of the files came across.
#[derive(Debug, Default)]
pub struct Repositories {
    stores: Mutex<Vec<PathBuf>>,
    /// Bundles, and packs that lie outside of a repository.
    packs: Mutex<Vec<PathBuf>>,
}

impl Repositories {
    /// Takes over a folder of git objects; false if `folder` is none. Such a
    /// folder has its name from git, and is beside HEAD and refs or has the
    /// folder for packs: other tools keep several stores in other places.
    pub fn take_store(&self, folder: &Path) -> bool {
        if folder.file_name().is_none_or(|name| name != "objects") {
            return false;
        }
        let has_packs =
            || fs::symlink_metadata(folder.join("pack")).is_ok_and(|meta| meta.is_dir());
        if !folder.parent().is_some_and(refs::GitDir::is_one) && !has_packs() {
            return false;
        }
        let mut stores = lock(&self.stores);
        // Beyond the bound it is read as plain files, and told by nobody; no
        // host has so many.
        let room = stores.len() < MAX_STORES;
        if room {
            stores.push(folder.to_owned());
        }
        room
    }

    /// Notes a bundle or a lone pack, which was also read as a plain file.
    pub(super) fn note_pack(&self, path: &Path) {
        let mut packs = lock(&self.packs);
        if packs.len() < MAX_STORES {
            packs.push(path.to_owned());
        }
    }
}

/// Whether a file that begins with `head` may be a bundle or a pack.
pub(super) fn begins_as_pack(head: &[u8]) -> bool {
    head.starts_with(b"# v2 git bundle\n")
        || head.starts_with(b"# v3 git bundle\n")
        || Pack::is_one(head)
}

/// Reads the objects of all `repositories`. Files in their stores that git
/// did not write are counted in `plain`.
pub fn read<'v>(
    files: &Files<'_>,
    repositories: &Repositories,
    visitors: &dyn Fn() -> Box<dyn Visitor + 'v>,
    plain: &mut Coverage,
) -> Coverage {
    let mut coverage = Coverage::new(SourceKind::Git);
    let stores = std::mem::take(&mut *lock(&repositories.stores));
    let mut packs = std::mem::take(&mut *lock(&repositories.packs));
    if stores.is_empty() && packs.is_empty() {
        return coverage;
    }
    let mut workers: Vec<Worker<'v>> = (0..files.threads.max(1))
        .map(|_| Worker::new(visitors()))
        .collect();
    let groups = alternates::groups(files, stores, &mut coverage);
    for stores in groups {
        read_unless_known(files, &stores, &mut workers, &mut coverage, |group| {
            group.read_stores(&stores);
        });
    }
    packs.sort_unstable();
    for path in packs {
        let pack = std::slice::from_ref(&path);
        read_unless_known(files, pack, &mut workers, &mut coverage, |group| {
            group.read_pack(&path);
        });
    }
    for worker in workers {
        coverage.merge(worker.coverage);
        plain.merge(worker.plain);
    }
    coverage
}

/// Reads what is at `paths`, a pack or stores that share objects, unless that
/// was done before and they have not changed.
fn read_unless_known<'v>(
    files: &Files<'_>,
    paths: &[PathBuf],
    workers: &mut [Worker<'v>],
    coverage: &mut Coverage,
    read: impl FnOnce(Group<'_, 'v>),
) {
    let Some(memory) = files.memory else {
        return read(Group::new(files, workers));
    };
    let state = state::of(paths);
    let looked_through = || {
        for path in paths {
            memory.looked_through(&files.on_host(state::told_at(path)));
        }
    };
    if state.as_ref().is_some_and(|state| memory.knows(state)) {
        coverage.unchanged += 1;
        return looked_through();
    }
    let count = |workers: &[Worker<'_>]| {
        let found: u64 = workers.iter().map(|worker| worker.visitor.found()).sum();
        let skipped = |worker: &Worker<'_>| worker.coverage.skipped() + worker.plain.skipped();
        (found, workers.iter().map(skipped).sum::<u64>())
    };
    let (found, skipped) = count(workers);
    read(Group::new(files, workers));
    let (found_now, skipped_now) = count(workers);
    if skipped_now == skipped {
        looked_through();
        if let (Some(state), true) = (state, found_now == found) {
            memory.learn(&state);
        }
    }
}

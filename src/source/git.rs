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
mod blocks;
mod commits;
mod delta;
mod forest;
mod history;
mod index;
mod inflate;
mod links;
mod loose;
mod members;
mod named;
mod odb;
mod pack;
mod refs;
mod seen;
mod staging;
mod state;
mod store;
mod stored;
mod text;
mod traverse;
mod tree;
mod worker;
mod worktree;

use std::path::PathBuf;

use super::Holder;
use super::files::{Files, Walked};
use super::repositories::{Found, Repositories};
use crate::finding::{Coverage, SourceKind};
use store::Group;
use worker::Worker;

/// Reads the objects of all `repositories`. Files in their stores that git
/// did not write, and what lies in archives, are counted in `walked`.
pub fn read<'v>(
    files: &Files<'_>,
    repositories: &Repositories,
    visitors: &dyn Fn() -> Box<dyn Holder + 'v>,
    walked: &mut Walked,
) -> Coverage {
    let mut coverage = Coverage::new(SourceKind::Git);
    let Found {
        mut stores,
        mut packs,
        links,
    } = repositories.take();
    let mut first = visitors();
    stores.extend(links::stores(files, &links, &mut *first, &mut coverage));
    if stores.is_empty() && packs.is_empty() {
        return coverage;
    }
    let groups = alternates::groups(files, stores, &mut *first, &mut coverage);
    let others = (1..files.threads.max(1)).map(|_| visitors());
    let mut workers: Vec<Worker<'v>> = [first]
        .into_iter()
        .chain(others)
        .map(|visitor| Worker::new(visitor, files.archives))
        .collect();
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
        walked.files.merge(worker.plain);
        if let Some(archives) = &mut walked.archives {
            archives.merge(worker.archives);
        }
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
    let Some(place) = paths.first() else {
        return;
    };
    for worker in &mut *workers {
        worker.visitor.enters(Some(place));
    }
    let Some(memory) = files.memory else {
        return read(Group::new(files, workers, place));
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
        let skipped = |worker: &Worker<'_>| {
            worker.coverage.skipped() + worker.plain.skipped() + worker.archives.skipped()
        };
        (found, workers.iter().map(skipped).sum::<u64>())
    };
    let (found, skipped) = count(workers);
    read(Group::new(files, workers, place));
    let (found_now, skipped_now) = count(workers);
    if skipped_now == skipped {
        looked_through();
        if let (Some(state), true) = (state, found_now == found) {
            memory.learn(&state);
        }
    }
}

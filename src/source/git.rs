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
mod members;
mod odb;
mod pack;
mod refs;
mod seen;
mod store;
mod text;
mod traverse;
mod worker;

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
    let Found { stores, mut packs } = repositories.take();
    if stores.is_empty() && packs.is_empty() {
        return coverage;
    }
    let mut workers: Vec<Worker<'v>> = (0..files.threads.max(1))
        .map(|_| Worker::new(visitors(), files.archives))
        .collect();
    let groups = alternates::groups(files, stores, &mut coverage);
    for group in groups {
        if let Some(place) = group.first() {
            Group::new(files, &mut workers, place).read_stores(&group);
        }
    }
    packs.sort_unstable();
    for path in packs {
        Group::new(files, &mut workers, &path).read_pack(&path);
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

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
mod store;
mod text;
mod traverse;
mod worker;

use super::Visitor;
use super::files::Files;
use super::repositories::{Found, Repositories};
use crate::finding::{Coverage, SourceKind};
use store::Group;
use worker::Worker;

/// Reads the objects of all `repositories`. Files in their stores that git
/// did not write are counted in `plain`.
pub fn read<'v>(
    files: &Files<'_>,
    repositories: &Repositories,
    visitors: &dyn Fn() -> Box<dyn Visitor + 'v>,
    plain: &mut Coverage,
) -> Coverage {
    let mut coverage = Coverage::new(SourceKind::Git);
    let Found { stores, mut packs } = repositories.take();
    if stores.is_empty() && packs.is_empty() {
        return coverage;
    }
    let mut workers: Vec<Worker<'v>> = (0..files.threads.max(1))
        .map(|_| Worker::new(visitors()))
        .collect();
    let groups = alternates::groups(files, stores, &mut coverage);
    for group in groups {
        Group::new(files, &mut workers).read_stores(&group);
    }
    packs.sort_unstable();
    for path in packs {
        Group::new(files, &mut workers).read_pack(&path);
    }
    for worker in workers {
        coverage.merge(worker.coverage);
        plain.merge(worker.plain);
    }
    coverage
}

//! What a way through a pack came to, and what a thread had before: an index
//! that is damaged leads astray, and the pack is read again without it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::index::Index;
use super::pack::Pack;
use super::traverse::Losses;
use super::worker::Worker;
use crate::finding::{Coverage, SkipReason, SourceKind};

/// What came of a way through a pack.
pub(super) struct Passed {
    pub(super) index: Index,
    losses: Losses,
    /// Deltas whose base is nowhere.
    missing: u64,
}

impl Passed {
    pub(super) const fn new(index: Index, losses: Losses, missing: u64) -> Self {
        Self {
            index,
            losses,
            missing,
        }
    }

    /// What is lost, and why.
    pub(super) fn lost(&self) -> impl Iterator<Item = (SkipReason, u64)> {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let lost = [
            // Of what changes a text that is nowhere only the changes are seen.
            (
                SkipReason::GitCorrupt,
                get(&self.losses.corrupt) + self.missing,
            ),
            (SkipReason::GitLimit, get(&self.losses.too_large)),
            (SkipReason::TimeLimit, self.is_over().into()),
        ];
        lost.into_iter().filter(|(_, count)| *count > 0)
    }

    /// Whether the index leads astray. That is asked where something was lost, and
    /// where something was `found`, of which all has to be known.
    pub(super) fn is_astray(&self, pack: &Pack, found: bool) -> bool {
        let is_asked = (found || self.lost().next().is_some()) && !self.is_over();
        match &self.index {
            Index::File(file) => is_asked && !file.is_sound(pack),
            Index::Table(_) => false,
        }
    }

    /// Whether all that the pack has was come to.
    pub(super) fn is_whole(&self) -> bool {
        self.losses.corrupt.load(Ordering::Relaxed) == 0 && !self.is_over()
    }

    fn is_over(&self) -> bool {
        self.losses.is_over.load(Ordering::Relaxed)
    }
}

/// What a thread had counted and found before it came to a pack.
pub(super) struct Before {
    hits: usize,
    coverage: Coverage,
    archives: Coverage,
}

impl Before {
    /// Lays it aside.
    pub(super) fn of(worker: &mut Worker<'_>) -> Self {
        let new = Coverage::new;
        Self {
            hits: worker.hits.len(),
            coverage: std::mem::replace(&mut worker.coverage, new(SourceKind::Git)),
            archives: std::mem::replace(&mut worker.archives, new(SourceKind::Archive)),
        }
    }

    /// Whether something was found since.
    pub(super) const fn is_outgrown_by(&self, worker: &Worker<'_>) -> bool {
        worker.hits.len() > self.hits
    }

    /// Forgets what was counted since, and parts of what could not be made. The
    /// objects that were found are found again, and each is told once.
    pub(super) fn forget(&self, worker: &mut Worker<'_>) {
        worker.coverage = Coverage::new(SourceKind::Git);
        worker.archives = Coverage::new(SourceKind::Archive);
        let mut left = self.hits;
        worker.hits.retain(|hit| {
            let is_of_before = left > 0;
            left = left.saturating_sub(1);
            is_of_before || hit.id.is_some()
        });
    }

    /// Adds what came since.
    pub(super) fn add_to(self, worker: &mut Worker<'_>) {
        let since = std::mem::replace(&mut worker.coverage, self.coverage);
        worker.coverage.merge(since);
        let since = std::mem::replace(&mut worker.archives, self.archives);
        worker.archives.merge(since);
    }
}

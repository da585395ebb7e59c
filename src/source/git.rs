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
mod ancestry;
mod bases;
mod blocks;
mod bundle;
mod commits;
mod delta;
mod forest;
mod history;
mod index;
mod inflate;
mod large;
mod links;
mod loose;
mod members;
mod named;
mod odb;
mod origin;
mod pack;
mod passes;
mod pieces;
mod refs;
mod remains;
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

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use super::files::{Files, Walked, lock, show};
use super::repositories::Repositories;
use super::{Holder, Visitor};
use crate::finding::{Coverage, SkipReason, SourceKind};
use crate::heap;
use alternates::Stores;
use store::Group;
use worker::Worker;

/// Bytes of objects after which the heap is looked through for what is not used:
/// what was found in between keeps it from shrinking on its own.
const LARGE: u64 = 16 * 1024 * 1024;

/// All that git stores, repository by repository. Any number of threads may read
/// it; one that is stuck with one of them leaves the others to the next thread.
#[derive(Debug)]
pub struct Objects {
    links: Mutex<Vec<PathBuf>>,
    stores: Stores,
    packs: Vec<PathBuf>,
    parts: OnceLock<Vec<Part>>,
    next: AtomicUsize,
    at_work: Mutex<Work>,
    read: Mutex<Read>,
}

/// What a thread does that can be given up.
#[derive(Debug, Default)]
struct Work {
    /// The part that it reads, and how many of its stores it leaves alone.
    part: Option<(usize, usize)>,
    /// Parts that it was stuck with: what they have besides is still to be read.
    again: Vec<(usize, usize)>,
    /// Where threads were stuck, which was told.
    stuck: Vec<PathBuf>,
}

/// What is read at once.
#[derive(Debug)]
enum Part {
    /// Stores that share objects.
    Stores(Vec<PathBuf>),
    Pack(PathBuf),
}

impl Part {
    fn paths(&self) -> &[PathBuf] {
        match self {
            Self::Stores(stores) => stores,
            Self::Pack(pack) => std::slice::from_ref(pack),
        }
    }
}

/// What was read.
#[derive(Debug)]
pub struct Read {
    pub objects: Coverage,
    /// Files in stores that git did not write, and what lies in archives.
    pub walked: Walked,
}

impl Objects {
    /// What the walk came across; `archives` says whether they are looked into.
    pub fn of(repositories: &Repositories, archives: bool) -> Self {
        let found = repositories.take();
        let stores = Stores::default();
        for store in found.stores {
            stores.add(store);
        }
        let mut packs = found.packs;
        packs.sort_unstable();
        let mut objects = Coverage::new(SourceKind::Git);
        if let (left @ 1.., example) = found.links_left {
            objects.skip_many(SkipReason::GitLimit, left, show(&example));
        }
        Self {
            links: Mutex::new(found.links),
            stores,
            packs,
            parts: OnceLock::new(),
            next: AtomicUsize::new(0),
            at_work: Mutex::default(),
            read: Mutex::new(Read {
                objects,
                walked: Walked::new(archives),
            }),
        }
    }

    /// Whether the walk came across nothing of git's.
    pub fn is_empty(&self) -> bool {
        self.packs.is_empty() && self.stores.is_empty() && lock(&self.links).is_empty()
    }

    /// Adds the stores that working trees and other stores name.
    pub fn follow(&self, files: &Files<'_>, visitor: &mut dyn Visitor) {
        while !visitor.is_given_up() {
            let mut coverage = Coverage::new(SourceKind::Git);
            let link = lock(&self.links).pop();
            if let Some(link) = link {
                visitor.enters(Some(&link));
                if visitor.is_over() {
                    let shown = files.show(&link);
                    coverage.skip(SkipReason::TimeLimit, shown);
                } else if let Some(store) = links::store(files, &link, visitor, &mut coverage) {
                    self.stores.add(store);
                }
            } else if let Some(store) = self.stores.next() {
                self.stores.follow(&store, files, visitor, &mut coverage);
            } else {
                return;
            }
            self.add(visitor, |read| read.objects.merge(coverage));
        }
    }

    /// Reads what no other thread has, once [`follow`](Self::follow) is done.
    pub fn read<'v>(&self, files: &Files<'_>, visitors: &dyn Fn() -> Box<dyn Holder + 'v>) {
        let parts = self.parts.get_or_init(|| {
            let groups = self.stores.groups().into_iter().map(Part::Stores);
            groups
                .chain(self.packs.iter().cloned().map(Part::Pack))
                .collect()
        });
        let mut workers: Vec<Worker<'v>> = Vec::new();
        while let Some((at, silent_before)) = self.next_part(parts.len()) {
            let part = &parts[at];
            while workers.len() < files.threads.max(1) {
                workers.push(Worker::new(visitors(), files.archives));
            }
            let mut coverage = Coverage::new(SourceKind::Git);
            let (paths, silent) = self.apart(part, files, silent_before, &mut coverage);
            lock(&self.at_work).part = Some((at, silent));
            read_unless_known(
                files,
                &paths,
                &mut workers,
                &mut coverage,
                |group| match part {
                    Part::Stores(_) => group.read_stores(&paths),
                    Part::Pack(pack) => group.read_pack(pack),
                },
            );
            let counted: Vec<_> = workers.iter_mut().map(Worker::counted).collect();
            if counted.iter().any(|(objects, _)| objects.bytes > LARGE) {
                heap::give_back();
            }
            self.add(&*workers[0].visitor, |read| {
                read.objects.merge(coverage);
                for (objects, walked) in counted {
                    read.objects.merge(objects);
                    read.walked.merge(walked);
                }
            });
            if workers[0].visitor.is_given_up() {
                return;
            }
        }
    }

    /// The next part, with how many of its stores were left alone when a thread
    /// was stuck with another one of them.
    fn next_part(&self, count: usize) -> Option<(usize, Option<usize>)> {
        if let Some((part, silent)) = lock(&self.at_work).again.pop() {
            return Some((part, Some(silent)));
        }
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        (next < count).then_some((next, None))
    }

    /// What of a part is read, and how many others are left alone and counted:
    /// all, where a thread was stuck with nobody knows what.
    fn apart(
        &self,
        part: &Part,
        files: &Files<'_>,
        silent_before: Option<usize>,
        coverage: &mut Coverage,
    ) -> (Vec<PathBuf>, usize) {
        let is_silent = |path: &PathBuf| files.silent.is_some_and(|silent| silent(path));
        let paths = part.paths().iter().cloned();
        let (mut silent, mut paths): (Vec<_>, Vec<_>) = paths.partition(is_silent);
        if silent_before.is_some_and(|before| silent.len() <= before) {
            silent.append(&mut paths);
        }
        let work = lock(&self.at_work);
        for path in &silent {
            if !work.stuck.iter().any(|place| place.starts_with(path)) {
                coverage.skip(SkipReason::Hung, files.show(path));
            }
        }
        (paths, silent.len())
    }

    /// Adds up what was seen. Of what a thread came back from too late, nothing
    /// counts: it was told as given up.
    fn add(&self, visitor: &(impl Visitor + ?Sized), add: impl FnOnce(&mut Read)) {
        let mut read = lock(&self.read);
        if !visitor.is_given_up() {
            add(&mut read);
        }
    }

    /// Tells `place`, where a thread is stuck, if that is given up.
    pub fn tell_hung(
        &self,
        place: &Path,
        files: &Files<'_>,
        give_up: impl FnOnce() -> bool,
    ) -> bool {
        let mut read = lock(&self.read);
        let is_given_up = give_up();
        if is_given_up {
            read.objects.skip(SkipReason::Hung, files.show(place));
            let mut work = lock(&self.at_work);
            let part = work.part.take();
            work.again.extend(part);
            work.stuck.push(place.to_owned());
        }
        is_given_up
    }

    /// What was read, once no thread goes on. What is left then was behind more
    /// that does not answer than anybody waits for.
    pub fn finish(&self, files: &Files<'_>) -> Read {
        let nothing = Read {
            objects: Coverage::new(SourceKind::Git),
            walked: Walked::new(files.archives.is_some()),
        };
        let mut read = std::mem::replace(&mut *lock(&self.read), nothing);
        for link in std::mem::take(&mut *lock(&self.links)) {
            read.objects.skip(SkipReason::Hung, files.show(&link));
        }
        let parts = self.parts.get().map_or(&[][..], Vec::as_slice);
        while let Some((at, _)) = self.next_part(parts.len()) {
            for path in parts[at].paths() {
                read.objects.skip(SkipReason::Hung, files.show(path));
            }
        }
        read
    }
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
    workers[0].visitor.enters(Some(place));
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

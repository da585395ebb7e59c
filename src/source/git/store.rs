//! The stores that share objects, read as one: loose objects first, then pack
//! after pack, and at the end the places of what was found.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use gix_hash::ObjectId;

use super::bundle;
use super::commits::Commits;
use super::forest::Forest;
use super::history::History;
use super::index::{Index, IndexFile};
use super::loose::{self, Store, is_unfinished};
use super::odb::{Indexed, Odb};
use super::origin::{ObjectOrigin, location};
use super::pack::Pack;
use super::passes::{Before, Passed};
use super::refs::GitDir;
use super::seen::{self, Seen};
use super::stored;
use super::traverse::{Ids, Losses, Traversal};
use super::worker::{Buffers, Hit, Worker};
use super::worktree::Worktrees;
use crate::finding::SkipReason;
use crate::heap;
use crate::source::files::{Files, lock, open_regular, reason, show};
use crate::source::repositories::is_git_dir;

/// Objects of one pack; its forest takes 20 bytes for each.
const MAX_OBJECTS: u32 = 4_000_000;

/// Objects of a pack without an index, whose ids are held as well.
const MAX_UNINDEXED: u32 = 500_000;

/// How often packs are looked for that git wrote meanwhile.
const MAX_ROUNDS: usize = 4;

/// Packs that stay open until the group is read.
const MAX_OPEN: usize = 200;

/// Objects a thread should at least have to do.
const WORTH_A_THREAD: usize = 256;

pub(super) struct Group<'a, 'v> {
    files: &'a Files<'a>,
    workers: &'a mut [Worker<'v>],
    /// The folders of objects.
    stores: Vec<PathBuf>,
    packs: Vec<Indexed>,
    /// Whether all of them are still open.
    is_whole: bool,
    seen: Seen,
}

impl<'a, 'v> Group<'a, 'v> {
    /// What lies in `place` and belongs together.
    pub(super) fn new(files: &'a Files<'a>, workers: &'a mut [Worker<'v>], place: &Path) -> Self {
        let shown = show(&files.on_host(place));
        for worker in &mut *workers {
            worker.hits.clear();
            worker.stored = 0;
            worker.unnamed.clear();
            worker.visitor.forget();
            worker.commits = Commits::default();
            worker.loose.clear();
            worker.shown.clone_from(&shown);
        }
        Self {
            files,
            workers,
            stores: Vec::new(),
            packs: Vec::new(),
            is_whole: true,
            seen: Seen::default(),
        }
    }

    /// Reads stores that share their objects.
    pub(super) fn read_stores(mut self, stores: &[PathBuf]) {
        self.stores = stores.to_vec();
        let (mut packs, mut is_changing) = (Vec::new(), false);
        let mut repositories = Vec::new();
        for objects in stores {
            if self.is_over(objects) {
                return;
            }
            self.enters(objects);
            let store = Store::open(self.files, objects, &mut self.workers[0]);
            let threads = self.workers.len();
            self.in_parallel(threads, |worker| store.work(worker));
            packs.append(&mut lock(&store.packs));
            is_changing |= store.is_changing.load(Ordering::Relaxed);
            if let Some(parent) = objects.parent().filter(|parent| is_git_dir(parent)) {
                let visitor = &mut *self.workers[0].visitor;
                repositories.push(GitDir::read(parent, self.files, visitor));
            }
        }
        for worker in &mut *self.workers {
            self.seen.add(std::mem::take(&mut worker.loose));
        }
        let mut tips = repositories.iter().flat_map(|one| &one.tips);
        let hash = tips.next().map_or(gix_hash::Kind::Sha1, ObjectId::kind);
        let mut read = HashSet::new();
        for _ in 0..MAX_ROUNDS {
            // The bases of deltas that are not in their own pack have to be read
            // before: git makes no index of such a pack.
            packs.sort_by_cached_key(|path| (!path.with_extension("idx").exists(), path.clone()));
            is_changing |= self.read_packs(&packs, hash);
            read.extend(packs.drain(..));
            // Git writes a new pack before it takes away what that has.
            if std::mem::take(&mut is_changing) {
                let now = self.stores.iter().flat_map(|store| loose::packs(store));
                let is_new = |path: &PathBuf| !read.contains(path) && !self.files.is_excluded(path);
                packs.extend(now.filter(is_new));
            }
            if packs.is_empty() {
                break;
            }
        }
        if repositories.is_empty() {
            let shown = stores.first().map(|store| show(&self.files.on_host(store)));
            repositories.push(GitDir {
                shown: shown.unwrap_or_default(),
                ..GitDir::default()
            });
        }
        self.tell(&repositories);
    }

    /// Reads packs; whether one of them is no more.
    fn read_packs(&mut self, packs: &[PathBuf], hash: gix_hash::Kind) -> bool {
        let mut is_changing = false;
        for path in packs {
            if self.is_over(path) {
                break;
            }
            self.enters(path);
            if path.with_extension("promisor").exists() {
                self.skip(SkipReason::GitPartial, 1, path);
            }
            if let Err(error) = self.pack(path, 0, hash) {
                is_changing |= error.kind() == io::ErrorKind::NotFound;
                self.fail(&error, path);
            }
        }
        is_changing
    }

    /// Reads a bundle, or a pack outside of a repository.
    pub(super) fn read_pack(mut self, path: &Path) {
        if self.is_over(path) {
            return;
        }
        let head = open_regular(path).and_then(|opened| match opened {
            Some((file, _)) => bundle::head(file),
            None => Err(io::ErrorKind::NotFound.into()),
        });
        let result = head.and_then(|(start, hash, tips)| {
            self.pack(path, start, hash)?;
            Ok(tips)
        });
        match result {
            Ok(tips) => {
                let repository = GitDir {
                    shown: show(&self.files.on_host(path)),
                    known: !tips.is_empty(),
                    tips,
                    ..GitDir::default()
                };
                self.tell(&[repository]);
            }
            Err(error) => self.fail(&error, path),
        }
    }

    /// Reads one pack; `hash` is that of its ids, if no index tells.
    fn pack(&mut self, path: &Path, start: u64, hash: gix_hash::Kind) -> io::Result<()> {
        let Some((file, _)) = open_regular(path)? else {
            return Ok(());
        };
        let index = IndexFile::open(&path.with_extension("idx")).ok();
        let index = index.filter(|_| start == 0);
        let hash = index.as_ref().map_or(hash, |index| index.hash);
        let pack = Pack::open(path.to_owned(), file, start, hash)?;
        // An index of another pack, or of a part of it, would hide the rest.
        let index = index.filter(|index| index.count == pack.count);
        let limit = if index.is_some() {
            MAX_OBJECTS
        } else {
            MAX_UNINDEXED
        };
        if pack.count > limit {
            self.skip(SkipReason::GitLimit, u64::from(pack.count), path);
            return Ok(());
        }
        let offsets = index.as_ref().map(IndexFile::offsets).transpose();
        let (index, offsets) = match offsets {
            Ok(offsets) => (index.map(Index::File), offsets),
            Err(_) => (None, None),
        };
        let offsets = match offsets {
            Some(offsets) => offsets,
            None => self.offsets_by_reading(&pack),
        };
        self.objects(pack, index, offsets);
        Ok(())
    }

    fn offsets_by_reading(&mut self, pack: &Pack) -> Vec<u64> {
        let is_over = || self.workers[0].visitor.is_over();
        let read = pack.offsets_by_reading(MAX_UNINDEXED as usize, &is_over);
        if let Some((reason, left)) = read.lost.filter(|(_, left)| *left > 0) {
            self.skip(reason, left, &pack.path);
        }
        read.offsets
    }

    fn objects(&mut self, pack: Pack, index: Option<Index>, offsets: Vec<u64>) {
        let before: Vec<_> = self.workers.iter_mut().map(Before::of).collect();
        let mut passed = self.pass(&pack, index, offsets);
        let mut both = before.iter().zip(&*self.workers);
        let found = both.any(|(before, worker)| before.is_outgrown_by(worker));
        let is_astray = |passed: &Passed| passed.is_astray(&pack, found);
        if pack.count <= MAX_UNINDEXED && passed.as_ref().is_some_and(is_astray) {
            passed = self.pass_again(&pack, &before).or(passed);
        }
        for (worker, before) in self.workers.iter_mut().zip(before) {
            before.add_to(worker);
        }
        let Some(passed) = passed else {
            return;
        };
        for (reason, count) in passed.lost() {
            self.skip(reason, count, &pack.path);
        }
        let is_whole = passed.is_whole();
        let index = passed.index;
        if let Index::File(file) = &index {
            self.name(file);
        }
        let store = self
            .stores
            .iter()
            .find(|store| pack.path.starts_with(store));
        let store = store.map(PathBuf::as_path);
        for worker in &mut *self.workers {
            worker.stored_in(|| stored::facts(self.files, pack.file(), store));
        }
        if is_whole {
            self.add_seen(&index);
        }
        if self.packs.len() < MAX_OPEN {
            self.packs.push(Indexed {
                pack,
                index: Some(index),
            });
        } else {
            self.is_whole = false;
        }
    }

    /// Goes through a pack; `None` if it has too many objects for that.
    fn pass(&mut self, pack: &Pack, mut index: Option<Index>, offsets: Vec<u64>) -> Option<Passed> {
        let mut known = self.known(index.as_ref(), &offsets);
        let blocks = &mut self.workers[0].buffers.blocks;
        let mut forest = Forest::build(pack, index.as_ref(), offsets, blocks);
        // An index that leads twice to one object hides another.
        if index.is_some() && forest.len() < pack.count as usize {
            if pack.count > MAX_UNINDEXED {
                self.skip(SkipReason::GitLimit, u64::from(pack.count), &pack.path);
                return None;
            }
            (index, known) = (None, Vec::new());
            let offsets = self.offsets_by_reading(pack);
            let blocks = &mut self.workers[0].buffers.blocks;
            forest = Forest::build(pack, None, offsets, blocks);
        }
        for offset in known {
            forest.mark_known(offset);
        }
        let waiting = Mutex::new(std::mem::take(&mut forest.waiting));
        let ids = Mutex::new(Vec::new());
        let losses = Losses::default();
        losses.corrupt.store(forest.bad, Ordering::Relaxed);
        let number = u32::try_from(self.packs.len()).unwrap_or(u32::MAX);
        let traversal = Traversal::new(
            pack,
            number,
            &forest,
            &losses,
            match &index {
                Some(Index::File(file)) => Ids::Index(file),
                _ => Ids::Made(&ids),
            },
            &waiting,
        );
        let threads = 1 + forest.len() / WORTH_A_THREAD;
        self.in_parallel(threads, |worker| traversal.work(worker));
        let missing = self.below_other_packs(&traversal);
        let index = index.unwrap_or_else(|| {
            let mut ids = std::mem::take(&mut *lock(&ids));
            ids.sort_unstable();
            Index::Table(ids)
        });
        Some(Passed::new(index, losses, missing))
    }

    /// Goes through a pack without its index, if the pack itself is whole.
    fn pass_again(&mut self, pack: &Pack, before: &[Before]) -> Option<Passed> {
        let is_over = || self.workers[0].visitor.is_over();
        let read = pack.offsets_by_reading(MAX_UNINDEXED as usize, &is_over);
        if read.lost.is_some() {
            return None;
        }
        for (worker, before) in self.workers.iter_mut().zip(before) {
            before.forget(worker);
        }
        self.skip(SkipReason::GitCorrupt, 1, &pack.path.with_extension("idx"));
        self.pass(pack, None, read.offsets)
    }

    /// Gives what was found in the pack of this index its ids.
    fn name(&mut self, index: &IndexFile) {
        let unnamed = self.workers.iter().flat_map(|worker| &worker.unnamed);
        let wanted: HashSet<u64> = unnamed.map(|(offset, _)| *offset).collect();
        if wanted.is_empty() {
            return;
        }
        let ids = index.ids_at(&wanted);
        for worker in &mut *self.workers {
            let named = worker.unnamed.drain(..).map(|(offset, hit)| Hit {
                id: ids.get(&offset).copied(),
                ..hit
            });
            worker.hits.extend(named);
        }
    }

    /// Reads the deltas whose base is not in their own pack; how many have none
    /// elsewhere either.
    fn below_other_packs(&mut self, traversal: &Traversal<'_>) -> u64 {
        let bases: Vec<ObjectId> = lock(traversal.waiting).keys().copied().collect();
        let mut missing = 0;
        if bases.is_empty() {
            return missing;
        }
        let mut odb = Odb::new(std::mem::take(&mut self.packs), self.stores.clone());
        for base in bases {
            if let Some((kind, bytes)) = odb.find(&base) {
                // What waits for one that is made here is read with that.
                let nodes = lock(traversal.waiting).remove(&base).unwrap_or_default();
                let bytes = Rc::unwrap_or_clone(bytes);
                traversal.work_below(&mut self.workers[0], kind, bytes, nodes);
            }
        }
        self.packs = odb.packs;
        for nodes in std::mem::take(&mut *lock(traversal.waiting)).into_values() {
            traversal.work_without_base(&mut self.workers[0], &nodes);
            let sizes = nodes.iter().map(|node| traversal.forest.size(*node));
            missing += sizes.sum::<u64>();
        }
        missing
    }

    /// The offsets of objects that were read already.
    fn known(&self, index: Option<&Index>, offsets: &[u64]) -> Vec<u64> {
        let Some(Index::File(file)) = index else {
            return Vec::new();
        };
        let mut known = Vec::new();
        if !self.seen.is_empty() {
            let mut at = 0;
            // A failure in the middle only means that more is read again.
            let _ = file.each_id(|id| {
                if self.seen.contains(id) {
                    known.push(offsets[at]);
                }
                at += 1;
            });
        }
        known
    }

    fn add_seen(&mut self, index: &Index) {
        let mut ids = Vec::new();
        match index {
            Index::File(file) => {
                let _ = file.each_id(|id| ids.push(seen::short(id)));
            }
            Index::Table(table) => ids.extend(table.iter().map(|(id, _)| seen::short(id))),
        }
        self.seen.add(ids);
    }

    /// Tells all that was found, each with its place.
    fn tell(mut self, repositories: &[GitDir]) {
        if self.workers.iter().all(|worker| worker.hits.is_empty()) {
            return;
        }
        let mut hits: Vec<(usize, Hit)> = Vec::new();
        let mut commits = Vec::new();
        for (number, worker) in self.workers.iter_mut().enumerate() {
            hits.extend(worker.hits.drain(..).map(|hit| (number, hit)));
            commits.push(std::mem::take(&mut worker.commits));
            worker.buffers = Buffers::new();
        }
        hits.sort_by_key(|(_, hit)| hit.id);
        hits.dedup_by(|(_, hit), (_, before)| hit.id.is_some() && hit.id == before.id);
        self.tell_unsound();
        drop(self.seen);
        // The walk through a history takes as much as the way through its packs.
        heap::give_back();
        let mut odb = Odb::new(self.packs, self.stores);
        odb.is_whole = self.is_whole;
        let is_over = || self.workers[0].visitor.is_over();
        let wanted = hits.iter().filter_map(|(_, hit)| hit.id);
        let mut worktrees = Worktrees::default();
        let trees = &mut worktrees;
        let places = History::resolve(&mut odb, repositories, wanted, commits, trees, &is_over);
        let mut told: Vec<_> = hits
            .into_iter()
            .map(|(worker, hit)| {
                let place = hit.id.and_then(|id| Some((id, places.get(&id)?.clone())));
                let place =
                    place.map(|(id, place)| worktrees.place(place, id, repositories, &is_over));
                let place = place.unwrap_or_default();
                (worker, hit, place)
            })
            .collect();
        if is_over() {
            let shown = repositories.first().map(|first| first.shown.clone());
            let coverage = &mut self.workers[0].coverage;
            coverage.skip(SkipReason::TimeLimit, shown.unwrap_or_default());
        }
        // Of several versions of a file the first is the one that is described.
        told.sort_by_key(|(_, _, place)| {
            let order = place.commit.map(|first| first.order);
            (order.is_none(), order)
        });
        let shown: Vec<Arc<str>> = repositories
            .iter()
            .map(|repository| repository.shown.as_str().into())
            .collect();
        for (worker, hit, place) in told {
            let repository = &shown[place.repository.unwrap_or(0)];
            let Worker {
                visitor, coverage, ..
            } = &mut self.workers[worker];
            let object = location(repository, &hit, &place);
            for (inside, held) in hit.held {
                let mut location = object.clone();
                location.member = match (location.member, inside) {
                    (Some(outer), Some(inside)) => Some(format!("{outer}!{inside}").into()),
                    (outer, inside) => outer.or(inside),
                };
                let facts = hit.stored.as_deref();
                visitor.tell(held, &ObjectOrigin { location, facts }, coverage);
            }
        }
    }

    /// Counts indexes that are not as git wrote them: where they lead astray, a
    /// place may stay unknown.
    fn tell_unsound(&mut self) {
        let is_unsound = |pack: &&Indexed| match &pack.index {
            Some(Index::File(file)) => !file.is_sound(&pack.pack),
            _ => false,
        };
        let unsound = self.packs.iter().filter(is_unsound);
        let paths: Vec<_> = unsound
            .map(|pack| pack.pack.path.with_extension("idx"))
            .collect();
        for path in paths {
            self.is_whole = false;
            self.skip(SkipReason::GitCorrupt, 1, &path);
        }
    }

    fn in_parallel(&mut self, threads: usize, work: impl Fn(&mut Worker<'v>) + Sync) {
        let threads = threads.clamp(1, self.workers.len());
        let (first, rest) = self.workers[..threads].split_at_mut(1);
        std::thread::scope(|scope| {
            for worker in rest {
                scope.spawn(|| {
                    worker.visitor.takes_part();
                    work(worker);
                });
            }
            work(&mut first[0]);
        });
    }

    /// Says which place would be to blame if nobody came back from it.
    fn enters(&mut self, place: &Path) {
        self.workers[0].visitor.enters(Some(place));
    }

    fn is_over(&mut self, place: &Path) -> bool {
        let is_over = self.workers[0].visitor.is_over();
        if is_over {
            self.skip(SkipReason::TimeLimit, 1, place);
        }
        is_over
    }

    fn fail(&mut self, error: &io::Error, path: &Path) {
        let reason = match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => SkipReason::GitCorrupt,
            io::ErrorKind::FileTooLarge => SkipReason::GitLimit,
            _ => reason(error),
        };
        self.skip(reason, 1, path);
    }

    fn skip(&mut self, reason: SkipReason, count: u64, path: &Path) {
        if reason == SkipReason::GitCorrupt && is_unfinished(path) {
            return;
        }
        let place = show(&self.files.on_host(path));
        self.workers[0].coverage.skip_many(reason, count, place);
    }
}

//! Where in a history an object is: one walk for all objects in which
//! something was found, and none if there are none.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::io::BufReader;
use std::path::Path;

use gix_hash::{ObjectId, oid};
use gix_object::Kind;
use smallvec::SmallVec;

use super::commits::Commits;
use super::odb::Odb;
use super::refs::GitDir;
use super::seen::short;
use super::staging;
use super::text::{self, Commit};
use super::tree::{self, Entry};
use super::worktree::Worktrees;
use crate::finding::GitState;
use crate::source::files::open_regular;
use crate::sparing::Sparing;

/// Commits of one repository that are looked at.
const MAX_COMMITS: usize = 200_000;

/// Parents of the commits that are waited for, in all.
const MAX_PARENTS: usize = 2 * MAX_COMMITS;

/// Trees of one repository that are looked into.
const MAX_TREES: usize = 1_000_000;

/// Bytes of the paths of one index that are looked for in the working tree.
const MAX_STAGED: usize = 1024 * 1024;

/// Entries of an index between two questions whether the run is over.
const ASKED_EVERY: u64 = 4096;

/// Folders within folders.
const MAX_DEPTH: usize = 256;

/// Bytes kept of a path: no host has longer ones, and a folder's name is
/// repeated in the paths of all that is in it.
pub(super) const MAX_PATH: usize = 4096;

/// Where an object is.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// Which repository has it, of those that share the objects.
    pub(super) repository: Option<usize>,
    /// As the tree spells it.
    pub(super) path: Option<Vec<u8>>,
    /// The first commit that has it, and when that was authored.
    pub(super) commit: Option<(ObjectId, Option<i64>)>,
    pub(super) state: Option<GitState>,
}

/// Wanted objects that were come across, each with the first of its paths.
type Found = HashMap<ObjectId, Vec<u8>>;

/// The walk.
pub(super) struct History<'a> {
    odb: &'a mut Odb,
    /// Those that were read, by thread.
    commits: Vec<Commits>,
    worktrees: &'a mut Worktrees,
    is_over: &'a dyn Fn() -> bool,
    places: HashMap<ObjectId, Place>,
    /// Objects without a commit yet.
    missing: usize,
    /// Whether all that is referred to was walked: only what was not come
    /// across then is referred to from nowhere.
    complete: bool,
    /// Trees that were looked into.
    trees: ShortIds,
    /// A bit for the first 16 bits of each wanted id: nearly all entries of
    /// nearly all trees are passed over with it.
    filter: Box<[bool]>,
}

/// What is kept of a commit: a history may have 100,000s.
struct Dated {
    id: ObjectId,
    tree: ObjectId,
    authored: Option<i64>,
    committed: i64,
}

impl Dated {
    fn new(id: ObjectId, commit: &Commit) -> Self {
        Self {
            id,
            tree: commit.tree,
            authored: commit.authored,
            committed: commit.committed,
        }
    }
}

/// A commit whose parents the walk has not all gone to.
struct Open {
    dated: Dated,
    parents: SmallVec<[ObjectId; 2]>,
    /// How many of them it has gone to.
    seen: usize,
}

impl<'a> History<'a> {
    /// Finds the places of the objects in `wanted`. What the bounds or the
    /// end of the run cut off stays without a place.
    pub(super) fn resolve(
        odb: &'a mut Odb,
        repositories: &[GitDir],
        wanted: impl Iterator<Item = ObjectId>,
        mut commits: Vec<Commits>,
        worktrees: &'a mut Worktrees,
        is_over: &'a dyn Fn() -> bool,
    ) -> HashMap<ObjectId, Place> {
        let places: HashMap<_, _> = wanted.map(|id| (id, Place::default())).collect();
        let mut filter = vec![false; 1 << 16].into_boxed_slice();
        for id in places.keys() {
            filter[first_bits(id)] = true;
        }
        commits.iter_mut().for_each(Commits::sort);
        let complete = odb.is_whole && repositories.iter().all(|repository| repository.known);
        let mut history = Self {
            odb,
            commits,
            worktrees,
            is_over,
            missing: places.len(),
            places,
            complete,
            trees: ShortIds::default(),
            filter,
        };
        let mut reached = ShortIds::default();
        for (number, repository) in repositories.iter().enumerate() {
            history.checked_out(number, repository);
            let commits = history.reachable(repository, &mut reached);
            history.look_into(commits, Some(number), Some(GitState::InHistoryOnly));
        }
        if history.missing > 0 {
            let state = history.complete.then_some(GitState::Unreachable);
            let left = history.unreachable(&reached);
            history.look_into(left, None, state);
        }
        for place in history.places.values_mut() {
            place.state = match place.state {
                None if history.complete => Some(GitState::Unreachable),
                // A commit may have it that was not come to.
                Some(GitState::InIndexOnly) if !history.complete => None,
                state => state,
            };
        }
        history.places
    }

    /// What the trees of HEAD and the indexes hold, and is checked out.
    fn checked_out(&mut self, number: usize, repository: &GitDir) {
        for head in &repository.heads {
            let worktree = head.worktree.as_deref();
            let commit = head.commit.and_then(|id| self.odb.peel(id));
            if let Some(commit) = commit.and_then(|id| self.commit(id)) {
                for (id, path) in self.trees_alone(&[commit.tree]) {
                    let state = GitState::InHistoryOnly;
                    self.is_checked_out(number, worktree, id, path, state);
                }
            }
            for index in &head.indexes {
                for (id, path) in self.staged(index) {
                    let state = GitState::InIndexOnly;
                    self.is_checked_out(number, worktree, id, path, state);
                }
            }
        }
    }

    /// A wanted object that HEAD or the index has at `path`; where the working
    /// tree has something else there, it is in `state`.
    fn is_checked_out(
        &mut self,
        number: usize,
        worktree: Option<&Path>,
        id: ObjectId,
        path: Vec<u8>,
        state: GitState,
    ) {
        let Some(place) = self.places.get_mut(&id) else {
            return;
        };
        // Where the working tree is that a git file refers from, only that
        // file says.
        let is_there = worktree
            .and_then(|worktree| self.worktrees.holds(worktree, &path, id, self.is_over))
            .unwrap_or(true);
        let is_known = place.state == Some(GitState::InWorkingTree);
        let is_better = is_there && !is_known && place.repository.is_none_or(|of| of == number);
        if is_better || place.path.is_none() {
            place.path = Some(path);
            place.repository = Some(number);
        }
        place.state = match place.state {
            _ if is_there => Some(GitState::InWorkingTree),
            known => known.or(Some(state)),
        };
    }

    /// The wanted objects in an index, each with all of its paths.
    fn staged(&mut self, index: &Path) -> Vec<(ObjectId, Vec<u8>)> {
        let mut found = Vec::new();
        let Some(hash) = self.places.keys().next().map(ObjectId::kind) else {
            return found;
        };
        let (mut left, mut seen) = (MAX_STAGED, 0_u64);
        let mut take = |id: &oid, path: &[u8]| {
            seen += 1;
            let is_wanted = self.filter[first_bits(id)] && self.places.contains_key(id);
            if is_wanted && !path.is_empty() && path.len() <= left {
                left -= path.len();
                found.push((id.to_owned(), path.to_owned()));
            }
            !seen.is_multiple_of(ASKED_EVERY) || !(self.is_over)()
        };
        if let Ok(Some((file, state))) = open_regular(index) {
            let file = Sparing::new(&file, state.size);
            let reader = BufReader::with_capacity(64 * 1024, file.reader(0));
            // What is damaged says nothing more, not even what is in no index.
            self.complete &= staging::entries(reader, hash, &mut take).is_ok();
        }
        found
    }

    /// The wanted objects in trees that are looked into on their own: the walk
    /// through the commits has to see them again.
    fn trees_alone(&mut self, trees: &[ObjectId]) -> Found {
        let known = std::mem::take(&mut self.trees);
        let mut found = Found::new();
        for tree in trees {
            self.tree(*tree, &mut Vec::new(), 0, &mut found);
        }
        self.trees = known;
        found
    }

    /// The commits that a repository refers to. What it refers to without one
    /// is placed.
    fn reachable(&mut self, repository: &GitDir, reached: &mut ShortIds) -> Vec<Dated> {
        let mut commits = Vec::new();
        let mut next = Vec::new();
        let mut trees = Vec::new();
        for tip in &repository.tips {
            // Annotated tags may point to tags.
            let mut id = *tip;
            for _ in 0..16 {
                if self.known(id).is_some() {
                    next.push(id);
                    break;
                }
                if self.places.contains_key(&id) && reached.insert(short(&id)) {
                    self.is_tag(id);
                }
                match self.odb.find(&id) {
                    Some((Kind::Tag, bytes)) => match text::tag(&bytes) {
                        Some((_, target)) => id = target,
                        None => break,
                    },
                    Some((Kind::Commit, _)) => {
                        next.push(id);
                        break;
                    }
                    Some((Kind::Tree, _)) => {
                        trees.push(id);
                        break;
                    }
                    Some((Kind::Blob, _)) => {
                        self.is_referred_to(id, None);
                        break;
                    }
                    None => break,
                }
            }
        }
        for (id, path) in self.trees_alone(&trees) {
            self.is_referred_to(id, Some(path));
        }
        // Parents come out before their children. What is committed in one
        // second is then still in order, and so is what a wrong clock dates.
        let mut times: HashMap<u64, i64, BuildHasherDefault<Same>> = HashMap::default();
        let mut path: Vec<Open> = Vec::new();
        let mut waiting = 0;
        loop {
            let parent = path.last_mut().and_then(|open| {
                let parent = open.parents.get(open.seen).copied();
                open.seen += 1;
                parent
            });
            let id = match parent {
                Some(id) => id,
                None => match path.pop() {
                    Some(Open {
                        mut dated, parents, ..
                    }) => {
                        waiting -= parents.len();
                        let known = parents.iter().filter_map(|id| times.get(&short(id)));
                        let latest = known.max().copied().unwrap_or(dated.committed);
                        dated.committed = dated.committed.max(latest);
                        times.insert(short(&dated.id), dated.committed);
                        commits.push(dated);
                        continue;
                    }
                    None => match next.pop() {
                        Some(id) => id,
                        None => break,
                    },
                },
            };
            if times.len() >= MAX_COMMITS || waiting > MAX_PARENTS || (self.is_over)() {
                self.complete = false;
                commits.extend(path.into_iter().map(|open| open.dated));
                break;
            }
            // A shallow clone ends where a parent is not there.
            if !times.contains_key(&short(&id))
                && let Some(commit) = self.commit(id)
            {
                times.insert(short(&id), i64::MIN);
                reached.insert(short(&id));
                waiting += commit.parents.len();
                path.push(Open {
                    dated: Dated::new(id, &commit),
                    parents: commit.parents,
                    seen: 0,
                });
            }
        }
        commits
    }

    /// The commits that were read and that nothing refers to.
    fn unreachable(&mut self, reached: &ShortIds) -> Vec<Dated> {
        let mut left = Vec::new();
        let loose = self.commits.iter().flat_map(Commits::loose_left);
        for id in loose.filter(|id| !reached.contains(&short(id))) {
            if left.len() >= MAX_COMMITS || (self.is_over)() {
                break;
            }
            let commit = self
                .odb
                .find(&id)
                .and_then(|(_, bytes)| text::commit(&bytes));
            left.extend(commit.map(|commit| Dated::new(id, &commit)));
        }
        for (pack, offset) in self.commits.iter().flat_map(Commits::packed_left) {
            if left.len() >= MAX_COMMITS || (self.is_over)() {
                break;
            }
            let pack = pack as usize;
            let Some(hash) = self.odb.packs.get(pack).map(|found| found.pack.hash) else {
                continue;
            };
            let Ok((kind, bytes)) = self.odb.in_pack(pack, offset) else {
                continue;
            };
            if let Ok(id) = gix_object::compute_hash(hash, kind, &bytes)
                && !reached.contains(&short(&id))
                && let Some(commit) = text::commit(&bytes)
            {
                left.push(Dated::new(id, &commit));
            }
        }
        // Packs and lists begin with what is new.
        left.reverse();
        left
    }

    /// Looks into commits, the oldest first, until every object has one.
    fn look_into(
        &mut self,
        mut commits: Vec<Dated>,
        repository: Option<usize>,
        state: Option<GitState>,
    ) {
        commits.sort_by_key(|dated| dated.committed);
        for dated in commits {
            if self.missing == 0 {
                return;
            }
            let mut below = Found::new();
            self.tree(dated.tree, &mut Vec::new(), 0, &mut below);
            let below = below.into_iter().map(|(id, path)| (id, Some(path)));
            for (id, path) in std::iter::once((dated.id, None)).chain(below) {
                let Some(place) = self.places.get_mut(&id) else {
                    continue;
                };
                if place.commit.is_some() {
                    continue;
                }
                self.missing -= 1;
                place.commit = Some((dated.id, dated.authored));
                place.path = place.path.take().or(path);
                place.repository = place.repository.or(repository);
                let of_index = place.state == Some(GitState::InIndexOnly);
                if of_index && state == Some(GitState::InHistoryOnly) {
                    place.state = state;
                }
                place.state = place.state.or(state);
            }
        }
    }

    /// What a reference holds without a commit.
    fn is_referred_to(&mut self, id: ObjectId, path: Option<Vec<u8>>) {
        if let Some(place) = self.places.get_mut(&id) {
            place.path = place.path.take().or(path);
            place.state = place.state.or(Some(GitState::InHistoryOnly));
        }
    }

    /// A tag that is referred to.
    fn is_tag(&mut self, id: ObjectId) {
        let Some((Kind::Tag, bytes)) = self.odb.find(&id) else {
            return;
        };
        let target = text::tag(&bytes).and_then(|(_, target)| self.odb.peel(target));
        let authored = target
            .and_then(|id| self.commit(id))
            .and_then(|c| c.authored);
        if let Some(place) = self.places.get_mut(&id) {
            place.state = Some(GitState::InHistoryOnly);
            if place.commit.is_none() {
                self.missing -= 1;
                place.commit = target.map(|id| (id, authored));
            }
        }
    }

    /// Collects the wanted objects in a tree and those below it. Each tree is
    /// looked into once, so that a tree of trees of trees stays affordable.
    fn tree(&mut self, id: ObjectId, path: &mut Vec<u8>, depth: usize, found: &mut Found) {
        if self.trees.len() >= MAX_TREES || depth > MAX_DEPTH || (self.is_over)() {
            self.complete = false;
            return;
        }
        if !self.trees.insert(short(&id)) {
            return;
        }
        let Some((Kind::Tree, bytes)) = self.odb.find(&id) else {
            return;
        };
        let length = path.len();
        for Entry { is_tree, name, id } in tree::entries(&bytes, id.as_bytes().len()) {
            if is_tree {
                if self.trees.contains(&short(id)) {
                    continue;
                }
                spell(path, name);
                self.tree(id.to_owned(), path, depth + 1, found);
            } else if self.filter[first_bits(id)] && self.places.contains_key(id) {
                spell(path, name);
                // A tree may have one object by a thousand names.
                let first = found.entry(id.to_owned());
                first.or_insert_with(|| path.clone());
            } else {
                continue;
            }
            path.truncate(length);
        }
    }

    /// A commit that was read and kept.
    fn known(&mut self, id: ObjectId) -> Option<Commit> {
        let place = self.odb.place(&id);
        self.commits.iter_mut().find_map(|commits| match place {
            Some((pack, offset)) => commits.packed(pack, offset),
            None => commits.loose(id),
        })
    }

    fn commit(&mut self, id: ObjectId) -> Option<Commit> {
        if let Some(commit) = self.known(id) {
            return Some(commit);
        }
        match self.odb.find(&id)? {
            (Kind::Commit, bytes) => text::commit(&bytes),
            _ => None,
        }
    }
}

/// Adds a name to a path.
fn spell(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path.truncate(MAX_PATH);
}

fn first_bits(id: &oid) -> usize {
    usize::from(u16::from_be_bytes([id.as_bytes()[0], id.as_bytes()[1]]))
}

/// Ids are as good as random: hashing them again would gain nothing.
type ShortIds = HashSet<u64, BuildHasherDefault<Same>>;

#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

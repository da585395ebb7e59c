//! Where in a history an object is: one walk for all objects in which
//! something was found, and none if there are none.

use std::collections::HashMap;
use std::io::BufReader;
use std::path::Path;

use gix_hash::{ObjectId, oid};
use gix_object::Kind;

use super::ancestry::Ancestry;
use super::commits::Commits;
use super::odb::Odb;
use super::refs::GitDir;
use super::seen::{ShortIds, short};
use super::staging;
use super::text::{self, Commit};
use super::tree::{self, Entry};
use super::worktree::Worktrees;
use crate::finding::GitState;
use crate::source::files::open_regular;
use crate::sparing::Sparing;

/// Trees of one repository that are looked into: what a table of a mebi of
/// places holds before it doubles.
const MAX_TREES: usize = 7 << 17;

/// Commits that are looked for among those that nothing refers to.
const MAX_UNREACHABLE: usize = 200_000;

/// Bytes of the paths of one index that are looked for in the working tree.
const MAX_STAGED: usize = 1024 * 1024;

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
    /// The first commit that has it.
    pub(super) commit: Option<First>,
    pub(super) state: Option<GitState>,
}

/// A commit that has an object, and no other one before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct First {
    /// Its place among the commits of the walk: what it comes from is before it.
    pub(super) order: usize,
    pub(super) id: ObjectId,
    pub(super) authored: Option<i64>,
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
    /// Whether all that is referred to was walked: only what was not come
    /// across then is referred to from nowhere.
    complete: bool,
    /// Commits that were looked into.
    commits_seen: usize,
    /// Trees that were looked into.
    trees: ShortIds,
    /// A bit for the first 16 bits of each wanted id: nearly all entries of
    /// nearly all trees are passed over with it.
    filter: Box<[bool]>,
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
            places,
            complete,
            commits_seen: 0,
            trees: ShortIds::default(),
            filter,
        };
        let (mut reached, mut is_cut) = (ShortIds::default(), false);
        for (number, repository) in repositories.iter().enumerate() {
            history.checked_out(number, repository);
            let tips = history.tips(repository, &mut reached);
            let commits = history.ancestry(tips, &mut reached);
            // Commits upon those of a walk that was cut may not be the first either.
            let state = Some(GitState::InHistoryOnly);
            history.look_into(&commits, !is_cut, Some(number), state);
            is_cut |= !commits.is_whole();
        }
        // What the walk did not come to may be referred to.
        let has_commit = |place: &Place| place.commit.is_some();
        if !is_cut && !history.places.values().all(has_commit) {
            let state = history.complete.then_some(GitState::Unreachable);
            let left = history.unreachable(&reached);
            let commits = history.ancestry(left, &mut reached);
            history.look_into(&commits, true, None, state);
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
        let mut left = MAX_STAGED;
        let mut take = |id: &oid, path: &[u8]| {
            let is_wanted = self.filter[first_bits(id)] && self.places.contains_key(id);
            if is_wanted && !path.is_empty() && path.len() <= left {
                left -= path.len();
                found.push((id.to_owned(), path.to_owned()));
            }
        };
        if let Ok(Some((file, state))) = open_regular(index) {
            let file = Sparing::new(&file, state.size);
            let reader = BufReader::with_capacity(64 * 1024, file.reader(0));
            // What is damaged says nothing more, not even what is in no index.
            self.complete &= staging::entries(reader, hash, self.is_over, &mut take).is_ok();
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

    /// The commits that a repository refers to by name. What it refers to without
    /// one is placed.
    fn tips(&mut self, repository: &GitDir, reached: &mut ShortIds) -> Vec<ObjectId> {
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
        next
    }

    /// The commits of a walk from `tips` on.
    fn ancestry(&mut self, tips: Vec<ObjectId>, reached: &mut ShortIds) -> Ancestry {
        let is_over = self.is_over;
        let ancestry = Ancestry::of(tips, reached, is_over, |id| self.commit(id));
        self.complete &= ancestry.is_whole();
        ancestry
    }

    /// The commits that were read and that nothing refers to.
    fn unreachable(&mut self, reached: &ShortIds) -> Vec<ObjectId> {
        let loose = self.commits.iter().flat_map(Commits::loose_left);
        let is_new = |id: &ObjectId| !reached.contains(&short(id));
        let mut left: Vec<_> = loose.filter(is_new).take(MAX_UNREACHABLE).collect();
        for (pack, offset) in self.commits.iter().flat_map(Commits::packed_left) {
            if left.len() >= MAX_UNREACHABLE || (self.is_over)() {
                break;
            }
            let pack = pack as usize;
            let Some(hash) = self.odb.packs.get(pack).map(|found| found.pack.hash) else {
                continue;
            };
            let Ok((kind, bytes)) = self.odb.in_pack(pack, offset) else {
                continue;
            };
            let id = gix_object::compute_hash(hash, kind, &bytes);
            left.extend(id.ok().filter(is_new));
        }
        left
    }

    /// Looks into commits, the oldest first, until every object has one. Where
    /// the walk to them was cut, and where they may have others before them that
    /// have an object (not `are_first`), its commit is not known, but its path is.
    fn look_into(
        &mut self,
        commits: &Ancestry,
        are_first: bool,
        repository: Option<usize>,
        state: Option<GitState>,
    ) {
        let without_commit = |place: &Place| place.commit.is_none();
        let unplaced = |place: &Place| without_commit(place) && place.path.is_none();
        let mut missing = self.count(without_commit);
        for id in commits.commits() {
            if missing == 0 {
                return;
            }
            missing = missing.saturating_sub(self.look_into_one(id, are_first, repository, state));
        }
        let mut missing = self.count(unplaced);
        for id in commits.cut() {
            if missing == 0 {
                return;
            }
            missing = missing.saturating_sub(self.look_into_one(id, false, repository, state));
        }
    }

    fn count(&self, is_missing: impl Fn(&Place) -> bool) -> usize {
        self.places
            .values()
            .filter(|place| is_missing(place))
            .count()
    }

    /// Looks into a commit; what `is_first` to have its objects is their commit.
    /// How many were placed.
    fn look_into_one(
        &mut self,
        commit: ObjectId,
        is_first: bool,
        repository: Option<usize>,
        state: Option<GitState>,
    ) -> usize {
        let Some(Commit { tree, authored, .. }) = self.commit(commit) else {
            return 0;
        };
        self.commits_seen += 1;
        let first = First {
            order: self.commits_seen,
            id: commit,
            authored,
        };
        let mut below = Found::new();
        self.tree(tree, &mut Vec::new(), 0, &mut below);
        let below = below.into_iter().map(|(id, path)| (id, Some(path)));
        let mut count = 0;
        for (id, path) in std::iter::once((commit, None)).chain(below) {
            let Some(place) = self.places.get_mut(&id) else {
                continue;
            };
            let is_known = is_first || id == commit;
            if place.commit.is_some() || (!is_known && place.path.is_some()) {
                continue;
            }
            count += 1;
            if is_known {
                place.commit = Some(first);
            }
            place.path = place.path.take().or(path);
            place.repository = place.repository.or(repository);
            let of_index = place.state == Some(GitState::InIndexOnly);
            if of_index && state == Some(GitState::InHistoryOnly) {
                place.state = state;
            }
            place.state = place.state.or(state);
        }
        count
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
            let first = |id| First {
                order: 0,
                id,
                authored,
            };
            place.commit = place.commit.or(target.map(first));
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

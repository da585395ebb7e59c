//! The commits that were read, for the walk through the history: what they say
//! need not be read twice, and nothing refers to those that it does not ask for.

use gix_hash::ObjectId;

use super::text::{self, Commit};

/// Commits remembered a thread.
const MAX: usize = 500_000;

/// Those of them of which it is kept what they say; the others are read again.
const MAX_HEADS: usize = 16 * 1024;

/// What was read by one thread.
#[derive(Debug, Default)]
pub(super) struct Commits {
    loose: Vec<Met<ObjectId>>,
    /// By pack, and where in it they begin.
    packed: Vec<Met<(u32, u64)>>,
    heads: Vec<Commit>,
}

#[derive(Debug)]
struct Met<P> {
    place: P,
    /// A number of `heads`; beyond them if it was not kept.
    head: u32,
    is_asked_for: bool,
}

impl Commits {
    pub(super) fn add_loose(&mut self, id: ObjectId, bytes: &[u8]) {
        let head = self.head(bytes);
        self.loose.extend(head.map(|head| Met::new(id, head)));
    }

    pub(super) fn add_packed(&mut self, pack: u32, offset: u64, bytes: &[u8]) {
        let head = self.head(bytes);
        let place = (pack, offset);
        self.packed.extend(head.map(|head| Met::new(place, head)));
    }

    /// Where it is kept what a commit says; `None` if no more are remembered.
    fn head(&mut self, bytes: &[u8]) -> Option<u32> {
        if self.loose.len() + self.packed.len() >= MAX {
            return None;
        }
        let kept = self.heads.len();
        if kept < MAX_HEADS
            && let Some(commit) = text::commit(bytes)
        {
            self.heads.push(commit);
            return u32::try_from(kept).ok();
        }
        Some(u32::MAX)
    }

    /// Prepares for questions.
    pub(super) fn sort(&mut self) {
        self.loose.sort_unstable_by_key(|met| met.place);
        self.packed.sort_unstable_by_key(|met| met.place);
    }

    /// What a loose commit says, if that is kept.
    pub(super) fn loose(&mut self, id: ObjectId) -> Option<Commit> {
        let head = ask(&mut self.loose, id)?;
        self.heads.get(head).cloned()
    }

    /// What a commit in a pack says, if that is kept.
    pub(super) fn packed(&mut self, pack: usize, offset: u64) -> Option<Commit> {
        let pack = u32::try_from(pack).ok()?;
        let head = ask(&mut self.packed, (pack, offset))?;
        self.heads.get(head).cloned()
    }

    /// The loose ones that were not asked for.
    pub(super) fn loose_left(&self) -> impl Iterator<Item = ObjectId> {
        left(&self.loose)
    }

    /// The others that were not: the pack, and where in it they begin.
    pub(super) fn packed_left(&self) -> impl Iterator<Item = (u32, u64)> {
        left(&self.packed)
    }
}

impl<P> Met<P> {
    fn new(place: P, head: u32) -> Self {
        Self {
            place,
            head,
            is_asked_for: false,
        }
    }
}

fn ask<P: Copy + Ord>(sorted: &mut [Met<P>], place: P) -> Option<usize> {
    let at = sorted.binary_search_by_key(&place, |met| met.place).ok()?;
    sorted[at].is_asked_for = true;
    usize::try_from(sorted[at].head).ok()
}

fn left<P: Copy>(met: &[Met<P>]) -> impl Iterator<Item = P> {
    met.iter()
        .filter(|met| !met.is_asked_for)
        .map(|met| met.place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> ObjectId {
        ObjectId::Sha1([number; 20])
    }

    fn text(tree: u8) -> String {
        format!("tree {}\nauthor A <a> 1 +0000\n\nx\n", id(tree))
    }

    #[test]
    fn what_a_commit_says_is_told_by_its_place_and_what_is_not_asked_for_is_left() {
        let mut commits = Commits::default();
        for number in [3, 1, 2] {
            commits.add_loose(id(number), text(number).as_bytes());
            commits.add_packed(0, number.into(), text(number + 10).as_bytes());
            commits.add_packed(1, number.into(), text(number + 20).as_bytes());
        }
        commits.sort();
        let tree = |commit: Option<Commit>| commit.map(|commit| commit.tree);
        assert_eq!(tree(commits.loose(id(2))), Some(id(2)));
        assert_eq!(tree(commits.packed(0, 3)), Some(id(13)));
        assert_eq!(tree(commits.packed(1, 1)), Some(id(21)));
        assert_eq!(tree(commits.packed(1, 4)), None);
        assert_eq!(tree(commits.loose(id(4))), None);
        assert!(commits.loose_left().eq([id(1), id(3)]));
        assert!(commits.packed_left().eq([(0, 1), (0, 2), (1, 2), (1, 3)]));
    }

    #[test]
    fn of_more_commits_than_are_kept_it_is_known_where_they_are() {
        let mut commits = Commits::default();
        commits.add_packed(0, 0, b"no commit");
        for number in 1..=MAX_HEADS as u64 + 1 {
            commits.add_packed(0, number, text(1).as_bytes());
        }
        commits.sort();
        assert!(commits.packed(0, MAX_HEADS as u64).is_some());
        for place in [0, MAX_HEADS as u64 + 1] {
            assert!(commits.packed_left().any(|left| left == (0, place)));
            assert!(commits.packed(0, place).is_none());
            assert!(commits.packed_left().all(|left| left != (0, place)));
        }
    }
}

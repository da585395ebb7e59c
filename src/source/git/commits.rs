//! The commits that were read, for the walk through the history: what they say
//! need not be read twice, and nothing refers to those that it does not ask for.

use gix_hash::ObjectId;

use super::text::{self, Commit};

/// Commits remembered a thread, of 16 bytes each.
const MAX: usize = 250_000;

/// Bytes a thread keeps of what they say: some 17,000 commits. The others are
/// read again.
const MAX_HEADS: usize = 1024 * 1024;

/// What was read by one thread.
#[derive(Debug, Default)]
pub(super) struct Commits {
    loose: Vec<Met<ObjectId>>,
    /// By pack, and where in it they begin.
    packed: Vec<Met<InPack>>,
    heads: Heads,
}

#[derive(Debug)]
struct Met<P> {
    place: P,
    /// Where in the heads it begins, beyond them if it was not kept; and whether it
    /// was [`ASKED_FOR`].
    head: u32,
}

const ASKED_FOR: u32 = 1 << 31;

/// The number of a pack, and where in it a commit begins, in two halves.
type InPack = [u32; 3];

impl Commits {
    pub(super) fn add_loose(&mut self, id: ObjectId, bytes: &[u8]) {
        let head = self.head(bytes);
        self.loose.extend(head.map(|head| Met::new(id, head)));
    }

    pub(super) fn add_packed(&mut self, pack: u32, offset: u64, bytes: &[u8]) {
        let head = self.head(bytes);
        let place = in_pack(pack, offset);
        self.packed.extend(head.map(|head| Met::new(place, head)));
    }

    /// Where it is kept what a commit says; `None` if no more are remembered.
    fn head(&mut self, bytes: &[u8]) -> Option<u32> {
        if self.loose.len() + self.packed.len() >= MAX {
            return None;
        }
        Some(self.heads.add(bytes).unwrap_or(ASKED_FOR - 1))
    }

    /// Prepares for questions.
    pub(super) fn sort(&mut self) {
        self.loose.sort_unstable_by_key(|met| met.place);
        self.packed.sort_unstable_by_key(|met| met.place);
        self.packed.shrink_to_fit();
        self.heads.0.shrink_to_fit();
    }

    /// What a loose commit says, if that is kept.
    pub(super) fn loose(&mut self, id: ObjectId) -> Option<Commit> {
        self.heads.get(ask(&mut self.loose, id)?)
    }

    /// What a commit in a pack says, if that is kept.
    pub(super) fn packed(&mut self, pack: usize, offset: u64) -> Option<Commit> {
        let pack = u32::try_from(pack).ok()?;
        self.heads
            .get(ask(&mut self.packed, in_pack(pack, offset))?)
    }

    /// The loose ones that were not asked for.
    pub(super) fn loose_left(&self) -> impl Iterator<Item = ObjectId> {
        left(&self.loose)
    }

    /// The others that were not: the pack, and where in it they begin.
    pub(super) fn packed_left(&self) -> impl Iterator<Item = (u32, u64)> {
        let places = left(&self.packed);
        places.map(|[pack, high, low]| (pack, u64::from(high) << 32 | u64::from(low)))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "each half is taken")]
const fn in_pack(pack: u32, offset: u64) -> InPack {
    [pack, (offset >> 32) as u32, offset as u32]
}

impl<P> Met<P> {
    const fn new(place: P, head: u32) -> Self {
        Self { place, head }
    }
}

fn ask<P: Copy + Ord>(sorted: &mut [Met<P>], place: P) -> Option<u32> {
    let at = sorted.binary_search_by_key(&place, |met| met.place).ok()?;
    let head = sorted[at].head & !ASKED_FOR;
    sorted[at].head |= ASKED_FOR;
    Some(head)
}

fn left<P: Copy>(met: &[Met<P>]) -> impl Iterator<Item = P> {
    met.iter()
        .filter(|met| met.head & ASKED_FOR == 0)
        .map(|met| met.place)
}

/// What commits say, one behind the other, in half the bytes of a [`Commit`]:
/// both times, how long an id is, how many there are, and those of the tree
/// and of the parents.
#[derive(Debug, Default)]
struct Heads(Vec<u8>);

/// Stands for a time that is not told.
const UNKNOWN: i64 = i64::MIN;

impl Heads {
    /// Where the head of this commit begins; `None` if it is not kept.
    fn add(&mut self, commit: &[u8]) -> Option<u32> {
        let at = u32::try_from(self.0.len()).ok()?;
        if self.0.len() >= MAX_HEADS {
            return None;
        }
        let commit = text::commit(commit)?;
        let length = commit.tree.as_bytes().len();
        if commit
            .parents
            .iter()
            .any(|id| id.as_bytes().len() != length)
        {
            return None;
        }
        let shape = [length, 1 + commit.parents.len()].map(u8::try_from);
        let [Ok(length), Ok(count)] = shape else {
            return None;
        };
        for time in [commit.authored.unwrap_or(UNKNOWN), commit.committed] {
            self.0.extend(time.to_le_bytes());
        }
        self.0.extend([length, count]);
        for id in std::iter::once(&commit.tree).chain(&commit.parents) {
            self.0.extend(id.as_bytes());
        }
        Some(at)
    }

    fn get(&self, at: u32) -> Option<Commit> {
        let head = self.0.get(usize::try_from(at).ok()?..)?;
        let (authored, head) = head.split_first_chunk()?;
        let (committed, head) = head.split_first_chunk()?;
        let ([length, count], ids) = head.split_first_chunk()?;
        let ids = ids.chunks(usize::from(*length)).take(usize::from(*count));
        let mut ids = ids.flat_map(ObjectId::try_from);
        Some(Commit {
            tree: ids.next()?,
            parents: ids.collect(),
            authored: Some(i64::from_le_bytes(*authored)).filter(|time| *time != UNKNOWN),
            committed: i64::from_le_bytes(*committed),
        })
    }
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
        commits.add_packed(1, 3 << 32 | 7, text(30).as_bytes());
        commits.sort();
        let tree = |commit: Option<Commit>| commit.map(|commit| commit.tree);
        assert_eq!(tree(commits.loose(id(2))), Some(id(2)));
        assert_eq!(tree(commits.packed(0, 3)), Some(id(13)));
        assert_eq!(tree(commits.packed(1, 1)), Some(id(21)));
        assert_eq!(tree(commits.packed(1, 4)), None);
        assert_eq!(tree(commits.loose(id(4))), None);
        assert!(commits.loose_left().eq([id(1), id(3)]));
        let far = (1, 3 << 32 | 7);
        assert!(
            commits
                .packed_left()
                .eq([(0, 1), (0, 2), (1, 2), (1, 3), far])
        );
        assert_eq!(tree(commits.packed(1, far.1)), Some(id(30)));
    }

    #[test]
    fn of_more_commits_than_are_kept_it_is_known_where_they_are() {
        let mut commits = Commits::default();
        commits.add_packed(0, 0, b"no commit");
        let mut last = 1;
        while commits.heads.0.len() < MAX_HEADS {
            commits.add_packed(0, last, text(1).as_bytes());
            last += 1;
        }
        commits.add_packed(0, last, text(1).as_bytes());
        commits.sort();
        assert!(commits.packed(0, last - 1).is_some());
        for place in [0, last] {
            assert!(commits.packed_left().any(|left| left == (0, place)));
            assert!(commits.packed(0, place).is_none());
            assert!(commits.packed_left().all(|left| left != (0, place)));
        }
    }
    #[test]
    fn all_that_a_commit_says_is_kept() {
        let ids: [ObjectId; 2] = [id(5), ObjectId::Sha256([6; 32])];
        let people = [
            "author A <a> 7 +0000\ncommitter C <c> 9 +0000\n",
            "author A <a> -7 +0000\n",
            "committer C <c> 0 +0000\n",
            "",
        ];
        let mut heads = Heads::default();
        let mut kept = Vec::new();
        for (id, parents) in ids
            .iter()
            .flat_map(|id| [0, 1, 2, 254].map(|count| (id, count)))
        {
            for people in people {
                let parents = format!("parent {id}\n").repeat(parents);
                let text = format!("tree {id}\n{parents}{people}\nx\n");
                let at = heads.add(text.as_bytes()).expect("kept");
                kept.push((at, text::commit(text.as_bytes())));
            }
        }
        for (at, commit) in kept {
            assert_eq!(format!("{:?}", heads.get(at)), format!("{commit:?}"));
        }
        // Of no kind, or too many.
        let odd = format!("tree {}\nparent {}\n\n", ids[0], ids[1]);
        let many = format!(
            "tree {0}\n{1}\n",
            ids[0],
            format!("parent {}\n", ids[0]).repeat(255)
        );
        for text in [odd, many] {
            assert_eq!(heads.add(text.as_bytes()), None);
        }
        assert!(heads.get(u32::MAX).is_none());
    }
}

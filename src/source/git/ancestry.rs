//! Commits in the order in which they were made: those that nothing comes
//! before first. A history may have 100,000s, so little is kept of each.

use gix_hash::ObjectId;
use hashbrown::HashTable;

use super::seen::{ShortIds, short};
use super::text::Commit;

/// Commits of one repository that are looked at.
const MAX_COMMITS: usize = 200_000;

/// Parents that wait to be gone to.
const MAX_PARENTS: usize = 2 * MAX_COMMITS;

/// Commits and all that they come from.
pub(super) struct Ancestry {
    ids: Ids,
    closed: Vec<u32>,
    cut: Vec<u32>,
}

/// Ids by their number, one behind the other: all have the length of the first.
#[derive(Default)]
struct Ids {
    length: usize,
    bytes: Vec<u8>,
}

/// The walk to them.
#[derive(Default)]
struct Walk {
    /// Commits by their number, which is the order in which they are told of.
    ids: Ids,
    /// By the start of their ids.
    numbers: HashTable<u32>,
    /// When each was committed, or its latest parent, if that was later: what
    /// a wrong clock dates, and what is committed in one second, is then still
    /// in order.
    times: Vec<i64>,
    path: Vec<Open>,
    /// Those of the commits on the path that are not gone to.
    parents: Vec<u32>,
    /// Those whose parents were gone to.
    closed: Vec<u32>,
}

/// A commit whose parents the walk has not all gone to.
struct Open {
    number: u32,
    /// Where its parents begin.
    parents: u32,
}

/// Of a commit that was not gone to.
const UNKNOWN: i64 = i64::MIN;

impl Ancestry {
    /// Goes to `tips` and all that they come from, but for what was `reached`
    /// before. `commit` reads one; a shallow clone ends where there is none.
    pub(super) fn of(
        mut tips: Vec<ObjectId>,
        reached: &mut ShortIds,
        is_over: &dyn Fn() -> bool,
        mut commit: impl FnMut(ObjectId) -> Option<Commit>,
    ) -> Self {
        let mut walk = Walk::default();
        while let Some(number) = walk.next(&mut tips) {
            let Some(id) = walk.ids.get(number) else {
                continue;
            };
            if reached.contains(&short(&id)) {
                walk.came_by(number);
                continue;
            }
            let visited = walk.closed.len() + walk.path.len();
            if visited >= MAX_COMMITS || walk.parents.len() > MAX_PARENTS || is_over() {
                walk.path.push(Open { number, parents: 0 });
                break;
            }
            if let Some(commit) = commit(id) {
                reached.insert(short(&id));
                walk.open(number, &commit);
            }
        }
        walk.finish()
    }

    /// Parents come before their children, and among others the oldest.
    pub(super) fn commits(&self) -> impl Iterator<Item = ObjectId> {
        self.closed
            .iter()
            .filter_map(|number| self.ids.get(*number))
    }

    /// Those whose parents were not all gone to, the oldest first: what is in
    /// them may have been in others before.
    pub(super) fn cut(&self) -> impl Iterator<Item = ObjectId> {
        let cut = self.cut.iter().rev();
        cut.filter_map(|number| self.ids.get(*number))
    }

    pub(super) const fn is_whole(&self) -> bool {
        self.cut.is_empty()
    }
}

impl Walk {
    /// The commit to go to, once what has no parents left is closed.
    fn next(&mut self, tips: &mut Vec<ObjectId>) -> Option<u32> {
        while let Some(open) = self.path.last() {
            if self.parents.len() > open.parents as usize {
                return self.parents.pop();
            }
            let number = open.number;
            self.path.pop();
            self.closed.push(number);
            self.came_by(number);
        }
        let tip = std::iter::from_fn(|| tips.pop());
        tip.into_iter().find_map(|tip| self.number(tip))
    }

    /// The commit on top of the path has this parent.
    fn came_by(&mut self, parent: u32) {
        if let Some(child) = self.path.last() {
            let child = child.number as usize;
            self.times[child] = self.times[child].max(self.times[parent as usize]);
        }
    }

    fn open(&mut self, number: u32, commit: &Commit) {
        // Bounded, as they all are.
        let before = u32::try_from(self.parents.len()).unwrap_or(u32::MAX);
        self.times[number as usize] = commit.committed;
        // The first is gone to first.
        for parent in commit.parents.iter().rev() {
            let parent = self.number(*parent);
            self.parents.extend(parent);
        }
        self.path.push(Open {
            number,
            parents: before,
        });
    }

    /// `None` for an id of another length than the first one has.
    fn number(&mut self, id: ObjectId) -> Option<u32> {
        let Self { ids, numbers, .. } = self;
        let start = |number: &u32| ids.get(*number).map_or(0, |id| short(&id));
        let wanted = short(&id);
        if let Some(number) = numbers.find(wanted, |number| start(number) == wanted) {
            return Some(*number);
        }
        let number = u32::try_from(self.times.len()).ok()?;
        numbers.reserve(1, start);
        if !ids.push(id) {
            return None;
        }
        numbers.insert_unique(wanted, number, |_| wanted);
        self.times.push(UNKNOWN);
        Some(number)
    }

    fn finish(self) -> Ancestry {
        let Self {
            ids,
            numbers,
            times,
            path,
            mut closed,
            ..
        } = self;
        drop(numbers);
        closed.sort_by_key(|number| times[*number as usize]);
        Ancestry {
            ids,
            closed,
            cut: path.into_iter().map(|open| open.number).collect(),
        }
    }
}

impl Ids {
    fn get(&self, number: u32) -> Option<ObjectId> {
        let start = self.length * number as usize;
        let bytes = self.bytes.get(start..start + self.length)?;
        ObjectId::try_from(bytes).ok()
    }

    fn push(&mut self, id: ObjectId) -> bool {
        let bytes = id.as_bytes();
        if self.bytes.is_empty() {
            self.length = bytes.len();
        }
        let fits = bytes.len() == self.length;
        if fits {
            self.bytes.extend_from_slice(bytes);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> ObjectId {
        let mut bytes = [0; 20];
        // Spread, since tables of ids take them as hashes.
        bytes[..8].copy_from_slice(&(u64::from(number) << 32 | u64::from(number)).to_be_bytes());
        ObjectId::Sha1(bytes)
    }

    /// The numbers of `ids`.
    fn numbers(ids: impl Iterator<Item = ObjectId>) -> Vec<u32> {
        ids.filter_map(|id| Some(u32::from_be_bytes(*id.as_bytes().first_chunk()?)))
            .collect()
    }

    fn commit(committed: i64, parents: &[u32]) -> Commit {
        Commit {
            tree: id(0),
            parents: parents.iter().map(|parent| id(*parent)).collect(),
            authored: None,
            committed,
        }
    }

    /// Walks through a history of commits with their time and parents.
    fn walk(tips: &[u32], history: &[(u32, i64, &[u32])], reached: &mut ShortIds) -> Ancestry {
        let tips = tips.iter().map(|tip| id(*tip)).collect();
        Ancestry::of(tips, reached, &|| false, |wanted| {
            let mut known = history.iter();
            let (_, time, parents) = known.find(|(number, ..)| id(*number) == wanted)?;
            Some(commit(*time, parents))
        })
    }

    #[test]
    fn parents_come_first_whatever_the_clock_said() {
        // One second for all, and a parent that is dated behind its children.
        for times in [[5; 6], [1, 9, 2, 3, 4, 5]] {
            let history: [(u32, i64, &[u32]); 6] = [
                (1, times[0], &[]),
                (2, times[1], &[1]),
                (3, times[2], &[2]),
                (4, times[3], &[2]),
                (5, times[4], &[3, 4]),
                (6, times[5], &[5]),
            ];
            for tips in [&[6][..], &[1, 6], &[6, 3, 1], &[4, 6, 6]] {
                let walked = walk(tips, &history, &mut ShortIds::default());
                assert!(walked.is_whole());
                let order = numbers(walked.commits());
                assert_eq!(order.len(), 6, "{order:?}");
                for (child, _, parents) in history {
                    let at = |wanted| order.iter().position(|number| *number == wanted);
                    for parent in parents {
                        assert!(at(*parent) < at(child), "{order:?} of {tips:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_oldest_of_what_does_not_come_from_another_is_first() {
        let history: [(u32, i64, &[u32]); 4] =
            [(1, 7, &[]), (2, 8, &[1]), (3, 3, &[]), (4, 9, &[])];
        let walked = walk(&[4, 2, 3], &history, &mut ShortIds::default());
        assert_eq!(numbers(walked.commits()), [3, 1, 2, 4]);
    }

    #[test]
    fn what_was_reached_is_left_out_and_what_is_not_there_ends_the_walk() {
        let history: [(u32, i64, &[u32]); 3] = [(2, 2, &[1]), (3, 3, &[2, 9]), (4, 4, &[3])];
        let mut reached = ShortIds::default();
        assert_eq!(
            numbers(walk(&[3], &history, &mut reached).commits()),
            [2, 3]
        );
        let walked = walk(&[4, 3], &history, &mut reached);
        assert_eq!(numbers(walked.commits()), [4]);
        assert!(walked.is_whole());
    }

    #[test]
    fn of_a_history_that_is_too_long_the_start_is_not_made_up() {
        let last = u32::try_from(MAX_COMMITS).expect("a number") + 10;
        let parent = |wanted: ObjectId| numbers([wanted].into_iter())[0].checked_sub(1);
        let read = |wanted| {
            let parents: Vec<u32> = parent(wanted).into_iter().collect();
            Some(commit(1, &parents))
        };
        let walked = Ancestry::of(vec![id(last)], &mut ShortIds::default(), &|| false, read);
        assert!(!walked.is_whole());
        assert_eq!(walked.commits().count(), 0);
        assert_eq!(walked.cut().last(), Some(id(last)));
        let over = Ancestry::of(vec![id(3)], &mut ShortIds::default(), &|| true, read);
        assert_eq!(over.commits().count(), 0);
        assert!(over.cut().eq([id(3)]));
    }
}

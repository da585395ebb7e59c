//! When a changed path is looked at: once it is quiet, soon in any case, and
//! ever more seldom if it never is.
//!
//! Pure: the clock is an argument, and while nothing is noted nothing is due.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A path that did not change for so long is due.
pub const QUIET: Duration = Duration::from_secs(1);

/// A path is due so long after the first change, quiet or not.
pub const LONGEST: Duration = Duration::from_secs(5);

/// What a look at a quiet path costs it: the time between two looks in the
/// long run.
const COST: Duration = Duration::from_secs(10);

/// The same for a path that is never quiet: doubles up to this.
const MAX_COST: Duration = Duration::from_mins(2);

/// What a path may spend at once, before its looks are spaced out.
const CREDIT: Duration = Duration::from_mins(1);

/// Changed paths of one directory, beyond which they are the directory.
const MAX_SIBLINGS: usize = 512;

/// Paths held in all.
const MAX_PATHS: usize = 8192;

/// Paths handed out at one time, so that none waits long for the others.
pub const MAX_DUE: usize = 256;

/// The changed paths.
#[derive(Debug)]
pub struct Settle {
    /// The watched paths: nothing is collapsed beyond them.
    roots: Vec<PathBuf>,
    /// In the order of `Path`, in which what is below a directory follows it.
    paths: BTreeMap<PathBuf, State>,
    /// Paths noted since crowded directories were looked for.
    noted: usize,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// The first and the last change since it was handed out.
    pending: Option<(Instant, Instant)>,
    /// It stands for all that is below.
    collapsed: bool,
    /// Not handed out before. Each look moves this on by its cost, from no
    /// earlier than `CREDIT` ago.
    not_before: Option<Instant>,
    cost: Duration,
}

impl State {
    const NEW: Self = Self {
        pending: None,
        collapsed: false,
        not_before: None,
        cost: COST,
    };

    fn due(&self) -> Option<Instant> {
        let (first, last) = self.pending?;
        let settled = (last + QUIET).min(first + LONGEST);
        Some(self.not_before.map_or(settled, |at| at.max(settled)))
    }

    fn note(&mut self, first: Instant, last: Instant) {
        let (old_first, old_last) = self.pending.unwrap_or((first, last));
        self.pending = Some((old_first.min(first), old_last.max(last)));
    }

    fn take(&mut self, now: Instant) {
        let quiet = self.pending.is_none_or(|(_, last)| last + QUIET <= now);
        if quiet {
            self.cost = COST;
        }
        let earliest = now.checked_sub(CREDIT).unwrap_or(now);
        let from = self.not_before.map_or(earliest, |at| at.max(earliest));
        self.not_before = Some(from + self.cost);
        if !quiet {
            self.cost = (self.cost * 2).min(MAX_COST);
        }
        self.pending = None;
        self.collapsed = false;
    }

    /// Whether its past matters no more.
    fn is_spent(&self, now: Instant) -> bool {
        self.pending.is_none() && self.not_before.is_none_or(|at| at + CREDIT <= now)
    }
}

impl Settle {
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self {
            roots,
            paths: BTreeMap::new(),
            noted: 0,
        }
    }

    /// Something happened at a path, or below it.
    pub fn note(&mut self, path: &Path, now: Instant) {
        // A directory that is about to be looked at covers what is in it, and
        // so does a crowded one.
        for above in path.ancestors() {
            if let Some(state) = self.paths.get_mut(above)
                && let Some(due) = state.due()
                && (above == path || state.collapsed || due <= now + LONGEST)
            {
                state.note(now, now);
                return;
            }
        }
        let state = self.paths.entry(path.to_owned()).or_insert(State::NEW);
        state.note(now, now);
        self.noted += 1;
        if self.noted >= MAX_SIBLINGS {
            self.noted = 0;
            self.forget(now);
            self.collapse_crowded();
        }
        if self.paths.len() > MAX_PATHS {
            self.paths.retain(|_, state| state.pending.is_some());
            self.shrink();
        }
    }

    /// The paths to look at now, the longest due first, [`MAX_DUE`] at most.
    /// A directory among them stands for all that is below it.
    pub fn take_due(&mut self, now: Instant) -> Vec<PathBuf> {
        self.forget(now);
        let mut due: Vec<(Instant, PathBuf)> = self
            .paths
            .iter()
            .filter_map(|(path, state)| Some((state.due()?, path)))
            .filter(|(at, _)| *at <= now)
            .map(|(at, path)| (at, path.clone()))
            .collect();
        due.sort_unstable();
        due.truncate(MAX_DUE);
        for (_, path) in &due {
            if let Some(state) = self.paths.get_mut(path) {
                state.take(now);
            }
        }
        due.into_iter().map(|(_, path)| path).collect()
    }

    /// When there is something to take; in the past if there is already.
    pub fn next_due(&self) -> Option<Instant> {
        self.paths.values().filter_map(State::due).min()
    }

    fn forget(&mut self, now: Instant) {
        self.paths.retain(|_, state| !state.is_spent(now));
    }

    /// Puts directories in the place of more than [`MAX_SIBLINGS`] of their
    /// entries.
    fn collapse_crowded(&mut self) {
        let mut entries: HashMap<&Path, usize> = HashMap::new();
        for (path, state) in &self.paths {
            if state.pending.is_some()
                && let Some(parent) = path.parent()
            {
                *entries.entry(parent).or_default() += 1;
            }
        }
        let crowded: Vec<PathBuf> = entries
            .into_iter()
            .filter(|(_, count)| *count > MAX_SIBLINGS)
            .map(|(path, _)| path.to_owned())
            .collect();
        for directory in crowded {
            self.collapse(&directory);
        }
    }

    /// Halves the number of paths below the watched path that has the most,
    /// and so on, until there is room.
    fn shrink(&mut self) {
        while self.paths.len() > MAX_PATHS / 2 {
            let count = |root: &PathBuf| self.below(root).count();
            let most = self.roots.iter().max_by_key(|root| count(root)).cloned();
            let Some(root) = most.filter(|root| count(root) > 1) else {
                // Outside of all that is watched: not ours to keep.
                let roots = &self.roots;
                self.paths
                    .retain(|path, _| roots.iter().any(|root| path.starts_with(root)));
                return;
            };
            let depth = |path: &Path| path.components().count();
            let deepest = self.below(&root).map(|(path, _)| depth(path)).max();
            let parents: Vec<PathBuf> = self
                .below(&root)
                .filter(|(path, _)| Some(depth(path)) == deepest)
                .filter_map(|(path, _)| path.parent())
                .filter(|parent| parent.starts_with(&root))
                .map(Path::to_owned)
                .collect();
            for parent in parents {
                self.collapse(&parent);
            }
        }
    }

    fn below(&self, directory: &Path) -> impl Iterator<Item = (&PathBuf, &State)> {
        self.paths
            .range::<Path, _>((Bound::Included(directory), Bound::Unbounded))
            .take_while(move |(path, _)| path.starts_with(directory))
    }

    /// Puts a directory in the place of all that is below it.
    fn collapse(&mut self, directory: &Path) {
        let below: Vec<PathBuf> = self
            .below(directory)
            .map(|(path, _)| path)
            .filter(|path| *path != directory)
            .cloned()
            .collect();
        let mut state = self.paths.get(directory).copied().unwrap_or(State::NEW);
        for path in below {
            if let Some((first, last)) = self.paths.remove(&path).and_then(|gone| gone.pending) {
                state.note(first, last);
            }
        }
        state.collapsed = true;
        self.paths.insert(directory.to_owned(), state);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TICK: Duration = Duration::from_millis(100);

    fn settle() -> Settle {
        Settle::new(vec!["/srv".into(), "/etc".into()])
    }

    /// Notes `path` every tick for `time` and tells when it was handed out,
    /// counted from `start`.
    fn looks(settle: &mut Settle, start: Instant, time: Duration, path: &Path) -> Vec<Duration> {
        let mut looks = Vec::new();
        let mut passed = Duration::ZERO;
        while passed < time {
            settle.note(path, start + passed);
            if settle
                .take_due(start + passed)
                .iter()
                .any(|due| path.starts_with(due))
            {
                looks.push(passed);
            }
            passed += TICK;
        }
        looks
    }

    #[test]
    fn a_written_file_is_due_once_when_it_is_quiet() {
        let (mut settle, start) = (settle(), Instant::now());
        assert_eq!(settle.next_due(), None);
        for tick in 0..10 {
            settle.note(Path::new("/etc/key"), start + TICK * tick);
        }
        let due = start + TICK * 9 + QUIET;
        assert_eq!(settle.next_due(), Some(due));
        assert!(settle.take_due(start + TICK * 8 + QUIET).is_empty());
        assert_eq!(settle.take_due(due), [PathBuf::from("/etc/key")]);
        assert_eq!(settle.next_due(), None);
        assert!(settle.take_due(due + MAX_COST).is_empty());
        assert!(settle.paths.is_empty(), "the past is forgotten");
    }

    #[test]
    fn a_file_that_is_never_quiet_is_looked_at_more_and_more_seldom() {
        let (mut settle, start) = (settle(), Instant::now());
        let looks = looks(&mut settle, start, 1000 * SECOND, Path::new("/srv/log"));
        assert_eq!(looks[0], LONGEST);
        let gaps: Vec<Duration> = looks
            .windows(2)
            .map(|pair| pair[1].saturating_sub(pair[0]))
            .collect();
        assert!(gaps.is_sorted(), "{gaps:?}");
        assert!(*gaps.last().unwrap() >= MAX_COST, "{gaps:?}");
        assert!(*gaps.last().unwrap() <= MAX_COST + LONGEST, "{gaps:?}");
    }

    #[test]
    fn steps_taken_by_hand_are_each_seen_within_seconds() {
        let (mut settle, start) = (settle(), Instant::now());
        let mut now = start;
        for _ in 0..6 {
            settle.note(Path::new("/etc/key"), now);
            assert_eq!(settle.next_due(), Some(now + QUIET));
            now += QUIET;
            assert_eq!(settle.take_due(now).len(), 1);
        }
    }

    #[test]
    fn a_log_that_became_quiet_is_looked_at_soon_again() {
        let (mut settle, start) = (settle(), Instant::now());
        let log = Path::new("/srv/log");
        looks(&mut settle, start, 1000 * SECOND, log);
        let end = start + 1000 * SECOND + MAX_COST + LONGEST;
        settle.take_due(end);
        settle.take_due(end + MAX_COST + CREDIT);
        settle.note(log, end + MAX_COST + CREDIT);
        assert_eq!(settle.next_due(), Some(end + MAX_COST + CREDIT + QUIET));
    }

    #[test]
    fn a_busy_directory_becomes_one_path_and_delays_no_other() {
        let (mut settle, start) = (settle(), Instant::now());
        for n in 0..100_000_u32 {
            settle.note(&PathBuf::from(format!("/srv/busy/{n}")), start);
        }
        settle.note(Path::new("/etc/key"), start);
        settle.note(Path::new("/srv/key"), start);
        assert!(settle.paths.len() <= 2 * MAX_SIBLINGS + 2);
        let due = settle.take_due(start + QUIET);
        for path in ["/srv/busy", "/etc/key", "/srv/key"] {
            assert!(due.contains(&PathBuf::from(path)), "{path}: {due:?}");
        }
    }

    #[test]
    fn a_flood_in_one_watched_path_leaves_the_paths_of_another_alone() {
        let (mut settle, start) = (settle(), Instant::now());
        settle.note(Path::new("/etc/app/key"), start);
        for n in 0..100_000_u32 {
            let path = format!("/srv/{}/{}/{n}", n % 4999, n % 13);
            settle.note(&PathBuf::from(path), start);
            assert!(settle.paths.len() <= MAX_PATHS);
        }
        let mut due = Vec::new();
        loop {
            let more = settle.take_due(start + QUIET);
            if more.is_empty() {
                break;
            }
            due.extend(more);
        }
        assert!(due.contains(&PathBuf::from("/etc/app/key")));
        for n in [0, 1, 50_000, 99_999] {
            let path = PathBuf::from(format!("/srv/{}/{}/{n}", n % 4999, n % 13));
            assert!(due.iter().any(|due| path.starts_with(due)), "{n}");
        }
    }

    /// A path in one of few directories, often the same.
    fn path() -> impl Strategy<Value = PathBuf> {
        prop_oneof![
            (0..4_u8, 0..3_u8).prop_map(|(a, b)| format!("/srv/{a}/{b}").into()),
            (0..3_u8).prop_map(|a| format!("/srv/{a}").into()),
            (0..3000_u16).prop_map(|n| format!("/etc/many/{n}").into()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_change_is_looked_at_afterwards_and_in_time(
            steps in prop::collection::vec((path(), 0..400_u64), 1..2000)
        ) {
            let (mut settle, start) = (settle(), Instant::now());
            let mut now = start;
            // The last change of each path that nobody has looked at.
            let mut open: BTreeMap<PathBuf, Instant> = BTreeMap::new();
            let mut looked: BTreeMap<PathBuf, u32> = BTreeMap::new();
            let mut look = |settle: &mut Settle, open: &mut BTreeMap<PathBuf, Instant>, now| {
                for due in settle.take_due(now) {
                    *looked.entry(due.clone()).or_default() += 1;
                    open.retain(|path, _| !path.starts_with(&due));
                }
            };
            for (path, wait) in steps {
                settle.note(&path, now);
                open.entry(path).or_insert(now);
                now += Duration::from_millis(wait);
                while settle.next_due().is_some_and(|due| due <= now) {
                    look(&mut settle, &mut open, now);
                }
                for (path, since) in &open {
                    prop_assert!(now - *since <= MAX_COST + CREDIT, "{path:?} starves");
                }
            }
            while let Some(due) = settle.next_due() {
                now = now.max(due);
                look(&mut settle, &mut open, now);
            }
            prop_assert!(open.is_empty(), "never looked at: {open:?}");
            let passed = u32::try_from((now - start).as_secs()).unwrap();
            let most = 8 + passed / 10;
            for (path, looks) in looked {
                prop_assert!(looks <= most, "{path:?}: {looks} looks in {passed} s");
            }
        }
    }
}

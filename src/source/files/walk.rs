//! The way through the directories: what waits for a thread, shared by as
//! many as there are.
//!
//! Entries are taken one by one, the last first, so that a thread that never
//! comes back from one has nothing else in its hands.

use std::ffi::OsString;
use std::fs::{DirEntry, FileType, ReadDir};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::lock;

/// Entries of a directory that wait at a time: the others of a million stay in
/// the file system until these are done.
const BATCH: usize = 4096;

/// Directories that are taken in part at a time; each is held open.
const MAX_OPEN: usize = 64;

/// What a thread does next.
#[derive(Debug)]
pub(super) struct Entry {
    /// What it is in: shared, since 100,000s of entries may wait and paths can
    /// be long.
    directory: Arc<Path>,
    /// Empty for a root.
    name: OsString,
    pub(super) kind: FileType,
    /// What is left of a directory that was taken in part.
    pub(super) rest: Option<ReadDir>,
}

impl Entry {
    pub(super) fn new(path: &Path, kind: FileType) -> Self {
        Self {
            directory: path.into(),
            name: OsString::new(),
            kind,
            rest: None,
        }
    }

    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name == name
    }

    pub(super) fn path(&self) -> PathBuf {
        if self.name.is_empty() {
            self.directory.to_path_buf()
        } else {
            self.directory.join(&self.name)
        }
    }
}

/// What waits, and who is at work.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Entry>,
    /// Entries among them that are the rest of a directory.
    rests: usize,
    /// Threads that have an entry in their hands.
    at_work: usize,
    /// Threads that wait for an entry.
    idle: usize,
    /// Places at and beneath which nothing is touched any more, each with how
    /// many entries beneath it were left.
    silent: Vec<(PathBuf, u64)>,
    /// File systems of which something does not answer.
    faulty: Vec<PathBuf>,
    is_over: bool,
}

impl State {
    /// Leaves `place` alone: one file may be all that does not answer. From the
    /// second one on it is the file system, `mount`.
    fn silence(&mut self, place: &Path, mount: &Path) {
        // Everything is beneath what nobody named.
        if place == Path::new("") {
            return;
        }
        let is_first = !self.faulty.iter().any(|known| known == mount);
        let silent = if is_first { place } else { mount };
        if is_first {
            self.faulty.push(mount.to_owned());
        }
        self.silent.push((silent.to_owned(), 0));
    }

    /// Whether nothing is touched there; what is left so is counted.
    fn leaves(&mut self, path: &Path) -> bool {
        let silent = self.silent.iter_mut();
        let mut silent = silent.filter(|(silent, _)| path.starts_with(silent));
        let first = silent.next();
        let is_left = first.is_some();
        if let Some((_, left)) = first.filter(|(silent, _)| path != silent) {
            *left += 1;
        }
        is_left
    }
}

impl Queue {
    /// Adds entries, which another thread may take at once.
    pub(super) fn extend(&self, entries: Vec<Entry>) {
        if !entries.is_empty() {
            let mut state = lock(&self.state);
            state.rests += entries.iter().filter(|entry| entry.rest.is_some()).count();
            state.waiting.extend(entries);
            if state.idle > 0 {
                self.changed.notify_all();
            }
        }
    }

    /// The next entry, once there is one; `None` when all is done.
    pub(super) fn next(&self) -> Option<Entry> {
        let mut state = lock(&self.state);
        loop {
            if state.is_over {
                return None;
            }
            if let Some(entry) = state.waiting.pop() {
                state.rests -= usize::from(entry.rest.is_some());
                if !state.silent.is_empty() && state.leaves(&entry.path()) {
                    continue;
                }
                state.at_work += 1;
                return Some(entry);
            }
            if state.at_work == 0 {
                return None;
            }
            state.idle += 1;
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// How many entries of a directory are taken at a time.
    pub(super) fn batch(&self) -> usize {
        if lock(&self.state).rests < MAX_OPEN {
            BATCH
        } else {
            usize::MAX
        }
    }

    /// Drops what is beneath another entry and to which a walk from there
    /// `comes`: it would be read twice.
    pub fn keep_outermost(&self, comes: impl Fn(&Path, &Path) -> bool) {
        let waiting = &mut lock(&self.state).waiting;
        waiting.sort_by_cached_key(Entry::path);
        let mut kept: Vec<PathBuf> = Vec::new();
        waiting.retain(|entry| {
            let path = entry.path();
            let mut outer = kept.iter().filter(|outer| path.starts_with(outer));
            let is_outermost = !outer.any(|outer| path == *outer || comes(&path, outer));
            if is_outermost {
                kept.push(path);
            }
            is_outermost
        });
    }

    /// A thread is done with its entry, unless it was given up meanwhile.
    pub(super) fn done(&self, is_given_up: impl FnOnce() -> bool) {
        let mut state = lock(&self.state);
        if !is_given_up() {
            state.at_work -= 1;
            self.wake(&state);
        }
    }

    /// A thread does not come back from `place`, its entry on the file system
    /// `mount`, unless `gives_up` finds that it just did.
    pub fn give_up(&self, place: &Path, mount: &Path, gives_up: impl FnOnce() -> bool) {
        let mut state = lock(&self.state);
        if gives_up() {
            state.at_work -= 1;
            state.silence(place, mount);
            self.wake(&state);
        }
    }

    /// A thread of an earlier walk still waits for `place`.
    pub fn pass_over(&self, place: &Path, mount: &Path) {
        lock(&self.state).silence(place, mount);
    }

    /// Whether nothing at or beneath it is touched any more.
    pub fn is_silent(&self, path: &Path) -> bool {
        let state = lock(&self.state);
        let mut silent = state.silent.iter();
        silent.any(|(silent, _)| path.starts_with(silent))
    }

    /// Whether it is on a file system of which something does not answer, or
    /// has what does not answer in it.
    pub fn is_doubtful(&self, path: &Path) -> bool {
        let state = lock(&self.state);
        let mut faulty = state.faulty.iter();
        faulty.any(|mount| path.starts_with(mount) || mount.starts_with(path))
    }

    /// Entries that were left beneath places where nothing is touched any more.
    pub fn left_in_silence(&self) -> Vec<(PathBuf, u64)> {
        let state = lock(&self.state);
        let left = state.silent.iter().filter(|(_, left)| *left > 0);
        left.cloned().collect()
    }

    /// An entry that nobody took, although the run is not over.
    pub fn left(&self) -> Option<PathBuf> {
        let state = lock(&self.state);
        let entry = state.waiting.last().filter(|_| !state.is_over);
        entry.map(Entry::path)
    }

    /// The run is over: how many entries are left.
    pub(super) fn end(&self) -> u64 {
        let mut state = lock(&self.state);
        let left = if state.is_over {
            0
        } else {
            state.waiting.len() as u64
        };
        state.is_over = true;
        self.changed.notify_all();
        left
    }

    fn wake(&self, state: &State) {
        if state.at_work == 0 && state.waiting.is_empty() {
            self.changed.notify_all();
        }
    }
}

/// The next entries of a directory, at most `batch`, with what is left of it as
/// the one that is taken last; `fail` is told what cannot be listed.
pub(super) fn list(
    directory: &Path,
    kind: FileType,
    mut list: ReadDir,
    batch: usize,
    fail: &mut dyn FnMut(&io::Error, &Path),
) -> Vec<Entry> {
    let mut entries = Vec::new();
    let shared: Arc<Path> = directory.into();
    let named = |entry: DirEntry| match entry.file_type() {
        Ok(kind) => Ok(Entry {
            directory: Arc::clone(&shared),
            name: entry.file_name(),
            kind,
            rest: None,
        }),
        Err(error) => Err((error, entry.path())),
    };
    let mut taken = 0;
    for entry in list.by_ref().take(batch) {
        taken += 1;
        match entry.map(named) {
            Ok(Ok(entry)) => entries.push(entry),
            Ok(Err((error, path))) => fail(&error, &path),
            Err(error) => fail(&error, directory),
        }
    }
    if taken == batch {
        let rest = Entry {
            rest: Some(list),
            ..Entry::new(directory, kind)
        };
        entries.insert(0, rest);
    }
    entries
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_directory_is_listed_in_parts_and_only_so_many_are_held_open() {
        let dir = tempfile::tempdir().unwrap();
        for name in 0..5 {
            fs::write(dir.path().join(name.to_string()), "").unwrap();
        }
        let kind = dir.path().metadata().unwrap().file_type();
        let part = |list: ReadDir| super::list(dir.path(), kind, list, 2, &mut |_, _| panic!());
        let queue = Queue::default();
        let mut seen = Vec::new();
        queue.extend(part(fs::read_dir(dir.path()).unwrap()));
        while let Some(entry) = queue.next() {
            assert!(lock(&queue.state).waiting.len() <= 2);
            match entry.rest {
                Some(rest) => queue.extend(part(rest)),
                None => seen.push(entry.path()),
            }
            queue.done(|| false);
        }
        seen.sort();
        let expected = (0..5).map(|name| dir.path().join(name.to_string()));
        assert_eq!(seen, expected.collect::<Vec<_>>());

        for _ in 0..MAX_OPEN {
            assert_eq!(queue.batch(), BATCH);
            queue.extend(part(fs::read_dir(dir.path()).unwrap()));
        }
        assert_eq!(queue.batch(), usize::MAX);
        while queue.next().is_some_and(|entry| entry.rest.is_none()) {}
        assert_eq!(queue.batch(), BATCH);
    }
}

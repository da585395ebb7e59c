//! Which object stores belong together: a store names others, in a file, that
//! it takes objects from.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::named::Named;
use crate::finding::{Coverage, SkipReason};
use crate::source::Visitor;
use crate::source::files::{Files, lock, open_regular, show};
use crate::sparing::Sparing;

/// The list, in a store.
const LIST: &str = "info/alternates";

/// Bytes read of one list, stores that it may name, and stores in one group.
const MAX_LIST: u64 = 1024 * 1024;
const MAX_NAMED: usize = 1000;
const MAX_STORES: usize = 40_000;

/// The stores that are known, and which of them share objects.
#[derive(Debug, Default)]
pub(super) struct Stores(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    stores: Vec<PathBuf>,
    known: HashMap<PathBuf, usize>,
    pairs: Vec<(usize, usize)>,
    /// The first of them whose list nobody has read.
    next: usize,
}

impl State {
    /// Its place among them; `None` where there are too many.
    fn add(&mut self, store: PathBuf) -> Option<usize> {
        if let Some(known) = self.known.get(&store) {
            return Some(*known);
        }
        let at = self.stores.len();
        (at < MAX_STORES).then(|| {
            self.known.insert(store.clone(), at);
            self.stores.push(store);
            at
        })
    }
}

impl Stores {
    pub(super) fn add(&self, store: PathBuf) {
        lock(&self.0).add(store);
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.0).stores.is_empty()
    }

    /// A store whose list no other thread has read.
    pub(super) fn next(&self) -> Option<PathBuf> {
        let mut state = lock(&self.0);
        let store = state.stores.get(state.next).cloned()?;
        state.next += 1;
        Some(store)
    }

    /// Adds the stores that one takes objects from.
    pub(super) fn follow(
        &self,
        store: &Path,
        files: &Files<'_>,
        visitor: &mut dyn Visitor,
        coverage: &mut Coverage,
    ) {
        let list = store.join(LIST);
        let shown = || show(&files.on_host(&list));
        if files.silent.is_some_and(|silent| silent(&list)) {
            // Told with its store.
            return;
        }
        visitor.enters(Some(&list));
        let named = named_by(&list);
        let left = named.len().saturating_sub(MAX_NAMED) as u64;
        if left > 0 {
            coverage.skip_many(SkipReason::GitLimit, left, shown());
        }
        for path in named.into_iter().take(MAX_NAMED) {
            if visitor.is_over() {
                return coverage.skip(SkipReason::TimeLimit, shown());
            }
            let found = match Named::resolve(files, store, &path, visitor) {
                Named::At(path) if !path.is_dir() => Err(SkipReason::NotFound),
                Named::At(path) => Ok(path),
                Named::Gone(_, reason) | Named::Barred(reason) => Err(reason),
            };
            match found {
                Ok(target) => {
                    let mut state = lock(&self.0);
                    let pair = state.add(store.to_owned()).zip(state.add(target));
                    state.pairs.extend(pair);
                }
                Err(reason) => coverage.skip(reason, format!("{}: {}", shown(), show(&path))),
            }
        }
    }

    /// The stores, in groups that share objects; each store is in one group.
    pub(super) fn groups(&self) -> Vec<Vec<PathBuf>> {
        let state = std::mem::take(&mut *lock(&self.0));
        // Each store's group is that of its representative.
        let mut group: Vec<usize> = (0..state.stores.len()).collect();
        for (one, other) in state.pairs {
            let (one, other) = (find(&group, one), find(&group, other));
            group[one.max(other)] = one.min(other);
        }
        let mut groups: Vec<Vec<PathBuf>> = vec![Vec::new(); state.stores.len()];
        for (at, store) in state.stores.into_iter().enumerate() {
            groups[find(&group, at)].push(store);
        }
        groups.retain(|stores| !stores.is_empty());
        // Threads found them in any order.
        for stores in &mut groups {
            stores.sort_unstable();
        }
        groups.sort_unstable();
        groups
    }
}

fn find(group: &[usize], mut at: usize) -> usize {
    while group[at] != at {
        at = group[at];
    }
    at
}

/// The paths in a list.
fn named_by(path: &Path) -> Vec<PathBuf> {
    let mut list = Vec::new();
    if let Ok(Some((file, state))) = open_regular(path) {
        // What cannot be read names nothing; the file itself is read, and
        // told, with the others of the store.
        let _ = Sparing::new(&file, state.size).read_to(MAX_LIST, &mut list);
    }
    list.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty() && line[0] != b'#')
        .map(|line| unquoted(line).unwrap_or_else(|| line.to_owned()))
        .map(|path| PathBuf::from(OsString::from_vec(path)))
        .collect()
}

/// A path in quotes, with escapes as in C; `None` where git takes a line as it
/// is. What follows the quotes means nothing.
fn unquoted(line: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = line.strip_prefix(b"\"")?.iter().copied();
    let mut path = Vec::new();
    loop {
        let byte = match bytes.next()? {
            b'"' => return Some(path),
            b'\\' => match bytes.next()? {
                b'a' => 0x07,
                b'b' => 0x08,
                b't' => b'\t',
                b'n' => b'\n',
                b'v' => 0x0b,
                b'f' => 0x0c,
                b'r' => b'\r',
                same @ (b'\\' | b'"') => same,
                first @ b'0'..=b'3' => {
                    let mut digit = || bytes.next().filter(|byte| (b'0'..=b'7').contains(byte));
                    let (second, third) = (digit()?, digit()?);
                    (first - b'0') << 6 | (second - b'0') << 3 | (third - b'0')
                }
                _ => return None,
            },
            plain => plain,
        };
        path.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_quotes_is_taken_as_git_takes_it() {
        for (line, path) in [
            (r#""/a b""#, Some("/a b")),
            (r#""/\303\244\t\"\\" more"#, Some("/ä\t\"\\")),
            (r#""""#, Some("")),
            ("/plain", None),
            (r#""/without end"#, None),
            (r#""/\400""#, None),
            (r#""/\38""#, None),
            (r#""/\x""#, None),
            (r#""\"#, None),
        ] {
            let expected = path.map(|path| path.as_bytes().to_vec());
            assert_eq!(unquoted(line.as_bytes()), expected, "{line}");
        }
    }
}

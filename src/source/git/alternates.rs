//! Which object stores belong together: a store names others, in a file, that
//! it takes objects from.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::named::Named;
use crate::finding::{Coverage, SkipReason};
use crate::source::Holder;
use crate::source::files::{Files, open_regular, show};
use crate::sparing::Sparing;

/// The list, in a store.
const LIST: &str = "info/alternates";

/// Bytes read of one list, stores that it may name, and stores in one group.
const MAX_LIST: u64 = 1024 * 1024;
const MAX_NAMED: usize = 1000;
const MAX_STORES: usize = 40_000;

/// The stores, in groups that share objects; each store is in one group.
pub(super) fn groups(
    files: &Files<'_>,
    mut stores: Vec<PathBuf>,
    visitor: &mut dyn Holder,
    coverage: &mut Coverage,
) -> Vec<Vec<PathBuf>> {
    stores.sort_unstable();
    stores.dedup();
    let mut known: HashMap<PathBuf, usize> = stores.iter().cloned().zip(0..).collect();
    // Each store's group is that of its representative.
    let mut group: Vec<usize> = (0..stores.len()).collect();
    let mut next = 0;
    while let Some(store) = stores.get(next).cloned() {
        let list = store.join(LIST);
        if files.silent.is_some_and(|silent| silent(&list)) {
            coverage.skip(SkipReason::Hung, show(&files.on_host(&list)));
            next += 1;
            continue;
        }
        let named = named_by(&list);
        if named.len() > MAX_NAMED {
            let left = (named.len() - MAX_NAMED) as u64;
            coverage.skip_many(SkipReason::GitLimit, left, show(&files.on_host(&list)));
        }
        for path in named.into_iter().take(MAX_NAMED) {
            visitor.enters(Some(&list));
            if visitor.is_over() {
                coverage.skip(SkipReason::TimeLimit, show(&files.on_host(&list)));
                break;
            }
            let Some(target) = resolve(files, &store, &path, coverage) else {
                continue;
            };
            let other = known.get(&target).copied().or_else(|| {
                (stores.len() < MAX_STORES).then(|| {
                    known.insert(target.clone(), stores.len());
                    group.push(stores.len());
                    stores.push(target);
                    stores.len() - 1
                })
            });
            if let Some(other) = other {
                let (one, other) = (find(&group, next), find(&group, other));
                group[one.max(other)] = one.min(other);
            }
        }
        next += 1;
    }
    let mut groups: Vec<Vec<PathBuf>> = vec![Vec::new(); stores.len()];
    for (at, store) in stores.into_iter().enumerate() {
        groups[find(&group, at)].push(store);
    }
    groups.retain(|stores| !stores.is_empty());
    groups
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
        .map(|line| PathBuf::from(std::ffi::OsStr::from_bytes(line)))
        .collect()
}

/// Where a named store is, if it is on this host and may be read.
fn resolve(
    files: &Files<'_>,
    store: &Path,
    named: &Path,
    coverage: &mut Coverage,
) -> Option<PathBuf> {
    let found = match Named::resolve(files, store, named) {
        Named::At(path) if !path.is_dir() => Err(SkipReason::NotFound),
        Named::At(path) => Ok(path),
        Named::Gone(_, reason) | Named::Barred(reason) => Err(reason),
    };
    found
        .map_err(|reason| {
            let list = show(&files.on_host(&store.join(LIST)));
            coverage.skip(reason, format!("{list}: {}", show(named)));
        })
        .ok()
}

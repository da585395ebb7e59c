//! Paths that a git directory names: another store, its working tree. Whoever
//! owns the directory can name any path, so that only those are gone to that a
//! walk of the host comes to as well.

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::finding::SkipReason;
use crate::source::Visitor;
use crate::source::files::{Files, open_regular, reason};
use crate::sparing::Sparing;

/// Directories on the way to what is named. Links are followed one by one, and
/// each costs all that is above it.
const MAX_PARTS: usize = 128;

/// What a named path is.
#[derive(Debug)]
pub(super) enum Named {
    /// There, and where links lead to.
    At(PathBuf),
    /// Not there, or nobody may see it.
    Gone(PathBuf, SkipReason),
    /// Not to be touched.
    Barred(SkipReason),
}

impl Named {
    /// What `path` is, as `from` names it; the walk came to `from`, whatever
    /// that lies on.
    pub(super) fn resolve(
        files: &Files<'_>,
        from: &Path,
        path: &Path,
        visitor: &mut dyn Visitor,
    ) -> Self {
        let path = cleaned(&match path.strip_prefix("/") {
            Ok(inside) => files.root.join(inside),
            Err(_) => from.join(path),
        });
        let own = files.mounts.mount_of(from).unwrap_or(files.root);
        let barred = |path: &Path| {
            if !path.starts_with(files.root) {
                return Some(SkipReason::NotFound);
            }
            if path.components().count() > MAX_PARTS {
                return Some(SkipReason::GitLimit);
            }
            if path.ancestors().any(|path| files.is_excluded(path)) {
                return Some(SkipReason::Excluded);
            }
            if files.silent.is_some_and(|silent| silent(path)) {
                return Some(SkipReason::Hung);
            }
            let start = if path.starts_with(own) {
                own
            } else {
                files.root
            };
            files.mounts.in_the_way(path, start)
        };
        // Before the first look at it, which on a hung mount would be the last.
        if let Some(reason) = barred(&path) {
            return Self::Barred(reason);
        }
        visitor.enters(Some(&path));
        match path.canonicalize() {
            Ok(target) => barred(&target).map_or(Self::At(target), Self::Barred),
            Err(error) => match reason(&error) {
                SkipReason::Vanished => Self::Gone(path, SkipReason::NotFound),
                reason => Self::Gone(path, reason),
            },
        }
    }
}

/// A path without `..`, as long as no link is on the way.
fn cleaned(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                cleaned.pop();
            }
            part => cleaned.push(part),
        }
    }
    cleaned
}

/// Up to `most` bytes of a file of a git directory, such as one that names a path.
pub(super) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (file, state) = open_regular(path)?.ok_or(io::ErrorKind::NotFound)?;
    let mut text = Vec::new();
    Sparing::new(&file, state.size).read_to(most, &mut text)?;
    Ok(text)
}

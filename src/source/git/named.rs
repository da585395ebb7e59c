//! Paths that a git directory names: another store, its working tree. Whoever
//! owns the directory can name any path, so that only those are gone to that a
//! walk of the host comes to as well.

use std::io;
use std::path::{Path, PathBuf};

use crate::finding::SkipReason;
use crate::host::{from_here, resolve};
use crate::source::Visitor;
use crate::source::files::{Files, open_regular, reason};
use crate::sparing::Sparing;

/// Directories on the way to what is named: each costs all that is above it.
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
        let path = if path.is_absolute() {
            path.to_owned()
        } else {
            files.on_host(from).join(path)
        };
        let there = from_here(files.root, &path);
        if path.components().count() > MAX_PARTS {
            return Self::Barred(SkipReason::GitLimit);
        }
        let own = files.mounts.mount_of(from).unwrap_or(files.root);
        let barred = |path: &Path| {
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
        let mut in_the_way = None;
        // Of each part before the first look at it, which on a hung mount would
        // be the last. What the kernel makes up always answers.
        let mut avoid = |here: &Path| {
            let is_harmless = |reason: &SkipReason| {
                matches!(
                    reason,
                    SkipReason::PseudoFilesystem | SkipReason::OverlayFilesystem
                )
            };
            in_the_way = barred(here).filter(|reason| !is_harmless(reason));
            visitor.enters(Some(here));
            in_the_way.map(|_| io::ErrorKind::Other)
        };
        let resolved = resolve(files.root, &path, &mut avoid);
        match (resolved, in_the_way) {
            (_, Some(reason)) => Self::Barred(reason),
            (Ok(target), None) => {
                let target = from_here(files.root, &target);
                barred(&target).map_or(Self::At(target), Self::Barred)
            }
            (Err(error), None) => match reason(&error) {
                SkipReason::Vanished => Self::Gone(there, SkipReason::NotFound),
                reason => Self::Gone(there, reason),
            },
        }
    }
}

/// Up to `most` bytes of a file of a git directory, such as one that names a path.
pub(super) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (file, state) = open_regular(path)?.ok_or(io::ErrorKind::NotFound)?;
    let mut text = Vec::new();
    Sparing::new(&file, state.size).read_to(most, &mut text)?;
    Ok(text)
}

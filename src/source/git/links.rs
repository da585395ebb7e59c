//! Working trees whose git directory is elsewhere, as a file in its place
//! says: those that `git worktree` adds, and submodules.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::named::{Named, read};
use crate::finding::{Coverage, SkipReason};
use crate::source::Visitor;
use crate::source::files::{Files, show};
use crate::source::repositories::is_git_dir;

/// Bytes read of a file that names a path.
const MAX_FILE: u64 = 8 * 1024;

/// The store with the objects of the working tree that has the file `link`.
/// Where its git directory is not on this host there is nothing to be read.
pub(super) fn store(
    files: &Files<'_>,
    link: &Path,
    visitor: &mut dyn Visitor,
    coverage: &mut Coverage,
) -> Option<PathBuf> {
    let text = read(link, MAX_FILE).ok()?;
    let named = Path::new(OsStr::from_bytes(
        text.strip_prefix(b"gitdir:")?.trim_ascii(),
    ));
    let mut follow = |from: &Path, named: &Path| match Named::resolve(files, from, named, visitor) {
        Named::At(path) => Some(path),
        Named::Gone(_, SkipReason::NotFound) | Named::Barred(SkipReason::NotFound) => None,
        Named::Gone(_, reason) | Named::Barred(reason) => {
            let place = show(&files.on_host(link));
            coverage.skip(reason, format!("{place}: {}", show(named)));
            None
        }
    };
    let mut directory = follow(link.parent()?, named)?;
    if !is_git_dir(&directory) {
        // It shares all but its HEAD and its index with others.
        let common = read(&directory.join("commondir"), MAX_FILE).ok()?;
        let common = Path::new(OsStr::from_bytes(common.trim_ascii()));
        directory = follow(&directory, common).filter(|directory| is_git_dir(directory))?;
    }
    Some(directory.join("objects"))
}

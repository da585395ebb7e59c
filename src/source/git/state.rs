//! In which state the files of a repository's stores are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::refs::GitDir;
use crate::source::FileState;
use crate::source::repositories::is_git_dir;

/// Files of one group of stores; a larger one is read each time.
const MAX_FILES: usize = 1_000_000;

/// Folders within folders; git has two.
const MAX_DEPTH: usize = 8;

/// The states of all files at and below `paths`; `None` where they cannot be
/// told.
pub(super) fn of(paths: &[PathBuf]) -> Option<Vec<FileState>> {
    let mut states = Vec::new();
    for path in paths {
        collect(path, 0, &mut states).ok()?;
    }
    // Directories are listed in no order that lasts.
    states.sort_unstable_by_key(|state| (state.device, state.inode));
    Some(states)
}

fn collect(path: &Path, depth: usize, states: &mut Vec<FileState>) -> io::Result<()> {
    let stat = rustix::fs::lstat(path)?;
    states.push((&stat).into());
    if states.len() > MAX_FILES || depth > MAX_DEPTH {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), depth + 1, states)?;
        }
    }
    Ok(())
}

/// The place that findings in the store or pack at `path` name.
pub(super) fn told_at(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if path.is_dir() && is_git_dir(parent) => GitDir::place(parent),
        _ => path,
    }
}

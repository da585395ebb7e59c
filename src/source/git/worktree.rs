//! Whether an object is still a file of a working tree.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use gix_hash::ObjectId;
use gix_object::Kind;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::history::{MAX_PATH, Place};
use super::refs::GitDir;
use crate::finding::GitState;
use crate::sparing::Sparing;

/// The largest file of a working tree that is compared with an object.
const MAX_COMPARED: u64 = 64 * 1024 * 1024;

/// A file that was never committed, or is checked out from elsewhere, may
/// still be there.
pub(super) fn place(mut place: Place, id: ObjectId, repositories: &[GitDir]) -> Place {
    let Some(path) = &place.path else {
        return place;
    };
    if place.state == Some(GitState::InWorkingTree) {
        return place;
    }
    let mut worktrees = repositories
        .iter()
        .flat_map(|repository| &repository.heads)
        .filter_map(|(_, worktree)| worktree.as_deref());
    if worktrees.any(|worktree| holds(worktree, path, id) == Some(true)) {
        place.state = Some(GitState::InWorkingTree);
    }
    place
}

/// Whether the file at `path` of a working tree is that very object; `None` if
/// that cannot be told.
pub(super) fn holds(worktree: &Path, path: &[u8], id: ObjectId) -> Option<bool> {
    if path.len() >= MAX_PATH {
        return None;
    }
    // Names in trees come from strangers: no link is followed.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let folder = match File::open(worktree) {
        Ok(folder) => folder,
        // Git forgets a linked tree that is gone when it is told to prune.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(false),
        Err(_) => return None,
    };
    let path = std::ffi::OsStr::from_bytes(path);
    let file = match rustix::fs::openat2(&folder, path, flags, Mode::empty(), resolve) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Some(false),
        // Among others, before Linux 5.6.
        Err(_) => return None,
    };
    let meta = file.metadata().ok()?;
    if !meta.is_file() {
        return Some(false);
    }
    if meta.len() > MAX_COMPARED {
        return None;
    }
    let mut hasher = gix_hash::hasher(id.kind());
    hasher.update(&gix_object::encode::loose_header(Kind::Blob, meta.len()));
    let content = Sparing::new(&file, meta.len());
    let mut content = content.reader(0).take(meta.len());
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match content.read(&mut buffer).ok()? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Some(hasher.try_finalize().is_ok_and(|found| found == id))
}

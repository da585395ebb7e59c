//! Whether an object is still a file of a working tree.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

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

/// Bytes kept of what is known of files, with their paths.
const MAX_KNOWN: usize = 1024 * 1024;

/// What the files of working trees are: each is read once, however many
/// versions of it are asked for.
#[derive(Default)]
pub(super) struct Worktrees {
    known: HashMap<PathBuf, HashMap<Vec<u8>, File>>,
    /// Bytes that this takes.
    size: usize,
}

#[derive(Clone, Copy)]
enum File {
    Absent,
    Object(ObjectId),
    /// That cannot be told.
    Unknown,
}

impl Worktrees {
    /// A file that was never committed, or is checked out from elsewhere, may
    /// still be there.
    pub(super) fn place(
        &mut self,
        mut place: Place,
        id: ObjectId,
        repositories: &[GitDir],
        is_over: &dyn Fn() -> bool,
    ) -> Place {
        let Some(path) = &place.path else {
            return place;
        };
        if place.state == Some(GitState::InWorkingTree) {
            return place;
        }
        let mut worktrees = repositories
            .iter()
            .flat_map(|repository| &repository.heads)
            .filter_map(|head| head.worktree.as_deref());
        if worktrees.any(|worktree| self.holds(worktree, path, id, is_over) == Some(true)) {
            place.state = Some(GitState::InWorkingTree);
        }
        place
    }

    /// Whether the file at `path` of a working tree is that very object; `None`
    /// if that cannot be told, at the end of the run among others.
    pub(super) fn holds(
        &mut self,
        worktree: &Path,
        path: &[u8],
        id: ObjectId,
        is_over: &dyn Fn() -> bool,
    ) -> Option<bool> {
        let known = self.known.get(worktree).and_then(|files| files.get(path));
        let file = known.copied().unwrap_or_else(|| {
            let file = read(worktree, path, id.kind(), is_over);
            if self.size < MAX_KNOWN {
                self.size += path.len() + size_of::<(Vec<u8>, File)>();
                let files = self.known.entry(worktree.to_owned()).or_default();
                files.insert(path.to_owned(), file);
            }
            file
        });
        match file {
            File::Absent => Some(false),
            File::Object(found) => Some(found == id),
            File::Unknown => None,
        }
    }
}

/// What the file at `path` of a working tree is.
fn read(worktree: &Path, path: &[u8], hash: gix_hash::Kind, is_over: &dyn Fn() -> bool) -> File {
    if path.len() >= MAX_PATH || is_over() {
        return File::Unknown;
    }
    // Names in trees come from strangers: no link is followed.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let folder = match fs::File::open(worktree) {
        Ok(folder) => folder,
        // Git forgets a linked tree that is gone when it is told to prune.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return File::Absent,
        Err(_) => return File::Unknown,
    };
    let path = std::ffi::OsStr::from_bytes(path);
    let file = match rustix::fs::openat2(&folder, path, flags, Mode::empty(), resolve) {
        Ok(file) => fs::File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return File::Absent,
        // Among others, before Linux 5.6.
        Err(_) => return File::Unknown,
    };
    match file.metadata() {
        Ok(meta) if !meta.is_file() => File::Absent,
        Ok(meta) if meta.len() <= MAX_COMPARED => {
            let id = object(&file, meta.len(), hash, is_over);
            id.map_or(File::Unknown, File::Object)
        }
        _ => File::Unknown,
    }
}

/// The id that a file of `size` bytes has as an object.
fn object(
    file: &fs::File,
    size: u64,
    hash: gix_hash::Kind,
    is_over: &dyn Fn() -> bool,
) -> Option<ObjectId> {
    let mut hasher = gix_hash::hasher(hash);
    hasher.update(&gix_object::encode::loose_header(Kind::Blob, size));
    let content = Sparing::new(file, size);
    let mut content = content.reader(0).take(size);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match content.read(&mut buffer).ok()? {
            0 => return hasher.try_finalize().ok(),
            _ if is_over() => return None,
            count => hasher.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ObjectId {
        gix_object::compute_hash(gix_hash::Kind::Sha1, Kind::Blob, text.as_bytes()).expect("an id")
    }

    #[test]
    fn a_file_is_read_once_and_not_at_the_end_of_the_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, name) = (folder.path(), &b"file"[..]);
        fs::write(path.join("file"), "one").expect("a file");
        let mut worktrees = Worktrees::default();
        let is = |worktrees: &mut Worktrees, name: &[u8], text, is_over: bool| {
            worktrees.holds(path, name, id(text), &|| is_over)
        };
        assert_eq!(is(&mut worktrees, name, "one", false), Some(true));
        fs::write(path.join("file"), "two").expect("a file");
        assert_eq!(is(&mut worktrees, name, "two", false), Some(false));
        assert_eq!(is(&mut worktrees, name, "one", true), Some(true));
        assert_eq!(is(&mut worktrees, b"other", "one", false), Some(false));

        let mut later = Worktrees::default();
        assert_eq!(is(&mut later, name, "two", true), None);
        assert_eq!(
            is(&mut Worktrees::default(), name, "two", false),
            Some(true)
        );
    }
}

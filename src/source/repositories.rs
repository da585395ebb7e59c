//! What the walk of the files comes across of git's, to be read when it is
//! over.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The folder of objects in a git directory.
pub(super) const OBJECTS: &str = "objects";

/// Repositories and packs outside of them that are remembered in a run.
const MAX_STORES: usize = 20_000;

/// The stores and packs that were found.
#[derive(Debug, Default)]
pub struct Repositories(Mutex<Found>);

#[derive(Debug, Default)]
pub(super) struct Found {
    /// Folders of objects.
    pub(super) stores: Vec<PathBuf>,
    /// Bundles, and packs that lie outside of a repository.
    pub(super) packs: Vec<PathBuf>,
    /// What leads to the objects of a git directory that has none itself, as
    /// those of linked working trees and submodules.
    pub(super) links: Vec<PathBuf>,
    /// How many more there are of these, and one of them.
    pub(super) links_left: (u64, PathBuf),
}

impl Repositories {
    /// Takes over a folder of git objects; false if `folder` is none. Such a
    /// folder has its name from git, and is beside HEAD and refs or has the
    /// folder for packs: other tools keep several stores in other places.
    pub(super) fn take_store(&self, folder: &Path) -> bool {
        if folder.file_name().is_none_or(|name| name != OBJECTS) {
            return false;
        }
        if !folder.parent().is_some_and(is_git_dir) && !is_dir(&folder.join("pack")) {
            return false;
        }
        let mut found = self.lock();
        // Beyond the bound it is read as plain files, and told by nobody; no
        // host has so many.
        let room = found.stores.len() < MAX_STORES;
        if room {
            found.stores.push(folder.to_owned());
        }
        room
    }

    /// Notes a bundle or a lone pack, which was also read as a plain file.
    pub(super) fn note_pack(&self, path: &Path) {
        let mut found = self.lock();
        if found.packs.len() < MAX_STORES {
            found.packs.push(path.to_owned());
        }
    }

    /// Notes what is named as that which leads from one git directory to another.
    pub(super) fn note_link(&self, path: &Path) {
        let mut found = self.lock();
        if found.links.len() < MAX_STORES {
            found.links.push(path.to_owned());
        } else {
            found.links_left.0 += 1;
            path.clone_into(&mut found.links_left.1);
        }
    }

    pub(super) fn take(&self) -> Found {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        // A list is as good after a panic of another thread as before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `path` is a git directory, as git itself tells.
pub(super) fn is_git_dir(path: &Path) -> bool {
    let head = fs::symlink_metadata(path.join("HEAD"));
    is_dir(&path.join(OBJECTS))
        && is_dir(&path.join("refs"))
        && head.is_ok_and(|meta| !meta.is_dir())
}

fn is_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// Whether a file that begins with `head` may be a bundle or a pack.
pub(super) fn begins_as_pack(head: &[u8]) -> bool {
    head.starts_with(b"# v2 git bundle\n")
        || head.starts_with(b"# v3 git bundle\n")
        || is_pack(head)
}

/// Whether `head` is how a pack begins.
pub(super) fn is_pack(head: &[u8]) -> bool {
    head.starts_with(b"PACK\0\0\0\x02") || head.starts_with(b"PACK\0\0\0\x03")
}

//! Git directories whose objects are elsewhere: those of working trees that
//! `git worktree` adds, of submodules, and what other tools put together of
//! links.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::named::{Named, read};
use crate::finding::{Coverage, SkipReason};
use crate::source::Visitor;
use crate::source::files::{Files, show};
use crate::source::repositories::{OBJECTS, is_git_dir};

/// Bytes read of a file that names a path.
const MAX_FILE: u64 = 8 * 1024;

/// Names the directory that has the objects of this one.
const COMMON: &str = "commondir";

/// The store to which `link` leads: a file or a link named `.git`, or what in a
/// git directory names another one. Where a working tree is left of which there
/// is no git directory on this host, nothing is to be read.
pub(super) fn store(
    files: &Files<'_>,
    link: &Path,
    visitor: &mut dyn Visitor,
    coverage: &mut Coverage,
) -> Option<PathBuf> {
    let mut way = Way {
        files,
        link,
        visitor,
        coverage,
    };
    let parent = link.parent()?;
    if link.file_name()? != ".git" {
        return way.objects(parent);
    }
    let mut at = link.to_owned();
    if link.is_symlink() {
        at = way.follow(parent, Path::new(".git"), SkipReason::Absent)?;
    }
    if at.is_file() {
        let text = read(&at, MAX_FILE).ok()?;
        let named = text.strip_prefix(b"gitdir:")?.trim_ascii();
        let named = Path::new(OsStr::from_bytes(named));
        at = way.follow(parent, named, SkipReason::Absent)?;
    }
    way.objects(&at)
}

/// The way from a link to a store.
struct Way<'a> {
    files: &'a Files<'a>,
    link: &'a Path,
    visitor: &'a mut dyn Visitor,
    coverage: &'a mut Coverage,
}

impl Way<'_> {
    /// The store of a git directory, its own or that of another one.
    fn objects(&mut self, directory: &Path) -> Option<PathBuf> {
        directory.join("HEAD").symlink_metadata().ok()?;
        if let Ok(common) = read(&directory.join(COMMON), MAX_FILE) {
            let common = Path::new(OsStr::from_bytes(common.trim_ascii()));
            let common = self.follow(directory, common, SkipReason::NotFound)?;
            return self.own_objects(&common);
        }
        self.own_objects(directory)
    }

    fn own_objects(&mut self, directory: &Path) -> Option<PathBuf> {
        if is_git_dir(directory) {
            return Some(directory.join(OBJECTS));
        }
        let objects = self.follow(directory, Path::new(OBJECTS), SkipReason::NotFound)?;
        objects.is_dir().then_some(objects)
    }

    /// What a directory names, unless it is not to be touched, or `gone`.
    fn follow(&mut self, from: &Path, named: &Path, gone: SkipReason) -> Option<PathBuf> {
        let reason = match Named::resolve(self.files, from, named, self.visitor) {
            Named::At(path) => return Some(path),
            Named::Gone(_, SkipReason::NotFound) | Named::Barred(SkipReason::NotFound) => gone,
            Named::Gone(_, reason) | Named::Barred(reason) => reason,
        };
        let place = self.files.show(self.link);
        self.coverage
            .skip(reason, format!("{place}: {}", show(named)));
        None
    }
}

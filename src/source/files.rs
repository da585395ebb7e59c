//! Regular files below a set of roots.
//!
//! The walk sees hidden and git-ignored files, follows no link, enters no
//! skipped mount, and opens nothing but regular files: without blocking, and
//! checked again after the opening.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ignore::{DirEntry, WalkBuilder, WalkState};
use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType, OFlags, StatxFlags, StatxTimestamp};

use super::git::Repositories;
use super::mounts::Mounts;
use super::{Blob, Origin, Visitor};
use crate::finding::{Coverage, FileFacts, Location, SkipReason, SourceKind};
use crate::sanitize;

/// What is walked, and how.
pub struct Files<'a> {
    /// The host's `/` as seen from here; stripped from reported paths.
    pub root: &'a Path,
    /// Files and directories, absolute on the host.
    pub roots: &'a [PathBuf],
    /// Whether a path on the host is left out.
    pub exclude: &'a (dyn Fn(&Path) -> bool + Sync),
    pub mounts: &'a Mounts,
    pub threads: usize,
    /// When this instance was first started; files born earlier came with the
    /// image.
    pub pending_time: Option<Timestamp>,
    /// Takes over what git stores in a form of its own; without it everything
    /// is read as plain files.
    pub git: Option<&'a Repositories>,
}

impl std::fmt::Debug for Files<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files")
            .field("roots", &self.roots)
            .finish_non_exhaustive()
    }
}

impl Files<'_> {
    /// Walks; each thread asks `visitors` for its own visitor.
    pub fn walk<'v>(&self, visitors: &(dyn Fn() -> Box<dyn Visitor + 'v> + Sync)) -> Coverage {
        let coverage = Mutex::new(Coverage::new(SourceKind::File));
        let starts = self.starts(&coverage);
        let Some((first, rest)) = starts.split_first() else {
            return into_inner(coverage);
        };
        let mut builder = WalkBuilder::new(first);
        for start in rest {
            builder.add(start);
        }
        builder
            .standard_filters(false)
            .follow_links(false)
            .threads(self.threads);
        builder.build_parallel().run(|| {
            let mut worker = Worker {
                files: self,
                visitor: visitors(),
                coverage: Coverage::new(SourceKind::File),
                total: &coverage,
            };
            Box::new(move |entry| worker.take(entry))
        });
        into_inner(coverage)
    }

    /// The roots as paths from here. Links are resolved, since whoever names
    /// a root means what it leads to, but not out of `self.root`.
    fn starts(&self, coverage: &Mutex<Coverage>) -> Vec<PathBuf> {
        let mut starts = Vec::new();
        for root in self.roots {
            let inside = root.strip_prefix("/").unwrap_or(root);
            let start = self.root.join(inside);
            match start.canonicalize() {
                Ok(path) if path.starts_with(self.root) => starts.push(path),
                Ok(_) => lock(coverage).skip(SkipReason::NotFound, show(root)),
                Err(error) => {
                    let reason = match reason(&error) {
                        SkipReason::Vanished => SkipReason::NotFound,
                        reason => reason,
                    };
                    lock(coverage).skip(reason, show(root));
                }
            }
        }
        starts.sort();
        // A root below another one would be read twice.
        let mut outermost: Vec<PathBuf> = Vec::new();
        for start in starts {
            if !outermost
                .last()
                .is_some_and(|outer| start.starts_with(outer))
            {
                outermost.push(start);
            }
        }
        outermost
    }

    /// Gives one opened file to a visitor.
    pub(super) fn visit(
        &self,
        path: &Path,
        file: &File,
        size: u64,
        visitor: &mut dyn Visitor,
        coverage: &mut Coverage,
    ) -> io::Result<()> {
        let origin = FileOrigin {
            path: &self.on_host(path),
            file,
            pending_time: self.pending_time,
        };
        let mut content = Content {
            file,
            left: (size > 0).then_some(size),
        };
        let blob = Blob {
            content: &mut content,
            origin: &origin,
        };
        visitor.visit(blob, coverage)
    }

    /// The path as the host knows it.
    pub(super) fn on_host<'p>(&self, path: &'p Path) -> std::borrow::Cow<'p, Path> {
        match path.strip_prefix(self.root) {
            Ok(inside) => Path::new("/").join(inside).into(),
            Err(_) => path.into(),
        }
    }
}

/// One thread of the walk.
struct Worker<'a, 'v> {
    files: &'a Files<'a>,
    visitor: Box<dyn Visitor + 'v>,
    coverage: Coverage,
    total: &'a Mutex<Coverage>,
}

impl Drop for Worker<'_, '_> {
    fn drop(&mut self) {
        let own = std::mem::replace(&mut self.coverage, Coverage::new(SourceKind::File));
        lock(self.total).merge(own);
    }
}

impl Worker<'_, '_> {
    fn take(&mut self, entry: Result<DirEntry, ignore::Error>) -> WalkState {
        if self.visitor.is_over() {
            let place = entry
                .as_ref()
                .map_or_else(|_| String::new(), |entry| self.show(entry.path()));
            self.coverage.skip(SkipReason::TimeLimit, place);
            return WalkState::Quit;
        }
        match entry {
            Ok(entry) => self.entry(&entry),
            Err(error) => {
                let place = path_of(&error).map_or_else(String::new, |path| self.show(path));
                let reason = error.io_error().map_or(SkipReason::IoError, reason);
                self.coverage.skip(reason, place);
                WalkState::Continue
            }
        }
    }

    fn entry(&mut self, entry: &DirEntry) -> WalkState {
        let path = entry.path();
        if (self.files.exclude)(&self.files.on_host(path)) {
            self.coverage.skip(SkipReason::Excluded, self.show(path));
            return WalkState::Skip;
        }
        let Some(kind) = entry.file_type() else {
            return WalkState::Continue;
        };
        if kind.is_dir() {
            // A root may lie on any file system: it was named.
            if entry.depth() > 0
                && let Some(reason) = self.files.mounts.skip(path)
            {
                self.coverage.skip(reason, self.show(path));
                return WalkState::Skip;
            }
            if self.files.git.is_some_and(|git| git.take_store(path)) {
                return WalkState::Skip;
            }
        } else if kind.is_file() {
            if let Err(error) = self.file(path) {
                self.coverage.skip(reason(&error), self.show(path));
            }
        } else if !kind.is_symlink() {
            // What a link leads to is scanned where it is.
            self.coverage.skip(SkipReason::SpecialFile, self.show(path));
        }
        WalkState::Continue
    }

    fn file(&mut self, path: &Path) -> io::Result<()> {
        let Some((file, size)) = open_regular(path)? else {
            self.coverage.skip(SkipReason::SpecialFile, self.show(path));
            return Ok(());
        };
        if let Some(git) = self.files.git {
            git.note_pack(path, &file, size);
        }
        self.files
            .visit(path, &file, size, &mut *self.visitor, &mut self.coverage)
    }

    fn show(&self, path: &Path) -> String {
        show(&self.files.on_host(path))
    }
}

/// Opens a regular file and tells its size; `None` for what is none.
pub(super) fn open_regular(path: &Path) -> io::Result<Option<(File, u64)>> {
    let file = open(path)?;
    let stat = rustix::fs::fstat(&file)?;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Ok(regular.then(|| (file, u64::try_from(stat.st_size).unwrap_or(0))))
}

/// Opens without blocking on what is no regular file, without following a
/// link and, where the kernel lets us, without a write to the access time.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    let open = |flags: OFlags| {
        OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
    };
    if rustix::process::geteuid().is_root() {
        match open(flags | OFlags::NOATIME) {
            // Not the owner, without the capability to act as one.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) => {}
            opened => return opened,
        }
    }
    open(flags)
}

/// A file up to the size that it had when it was opened, which saves the read
/// that would only say so. A size of 0 says nothing: files in proc have it.
struct Content<'a> {
    file: &'a File,
    left: Option<u64>,
}

impl io::Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == Some(0) {
            return Ok(0);
        }
        let count = io::Read::read(&mut self.file, buffer)?;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(count as u64);
        }
        Ok(count)
    }
}

struct FileOrigin<'a> {
    path: &'a Path,
    file: &'a File,
    pending_time: Option<Timestamp>,
}

impl Origin for FileOrigin<'_> {
    fn location(&self) -> Location {
        Location {
            path: Some(show(self.path)),
            ..Location::new(SourceKind::File)
        }
    }

    fn facts(&self) -> Option<FileFacts> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        let stat = rustix::fs::statx(self.file.as_fd(), "", AtFlags::EMPTY_PATH, wanted).ok()?;
        let born = (stat.stx_mask & StatxFlags::BTIME.bits() != 0)
            .then(|| timestamp(stat.stx_btime))
            .flatten();
        Some(FileFacts {
            uid: stat.stx_uid,
            mode: format!("{:04o}", stat.stx_mode & 0o7777),
            modified: timestamp(stat.stx_mtime).map(|time| time.to_string()),
            born: born.map(|time| time.to_string()),
            baked_into_image: born
                .zip(self.pending_time)
                .map(|(born, start)| born < start),
        })
    }
}

fn timestamp(time: StatxTimestamp) -> Option<Timestamp> {
    // Whole seconds: more would only be noise in a report.
    Timestamp::from_second(time.tv_sec).ok()
}

pub(super) fn reason(error: &io::Error) -> SkipReason {
    match error.kind() {
        io::ErrorKind::NotFound => SkipReason::Vanished,
        io::ErrorKind::PermissionDenied => SkipReason::PermissionDenied,
        // The visitor's own word that the run is over.
        io::ErrorKind::TimedOut if error.raw_os_error().is_none() => SkipReason::TimeLimit,
        // A link or a directory has taken the file's place.
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            SkipReason::Vanished
        }
        _ => SkipReason::IoError,
    }
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            path_of(err)
        }
        ignore::Error::Partial(errors) => errors.iter().find_map(path_of),
        _ => None,
    }
}

pub(super) fn show(path: &Path) -> String {
    sanitize::bytes(path.as_os_str().as_encoded_bytes())
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A count is as good after a panic of another thread as before.
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

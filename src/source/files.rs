//! Regular files below a set of roots.
//!
//! The walk sees hidden and git-ignored files, follows no link, enters no
//! skipped mount, and opens nothing but regular files: without blocking, and
//! checked again after the opening.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ignore::{DirEntry, WalkBuilder, WalkState};
use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType, OFlags, StatxFlags, StatxTimestamp};

use super::mounts::Mounts;
use super::{Blob, Origin, Visitor, archive};
use crate::finding::{Coverage, FileFacts, Location, SkipReason, SourceKind};
use crate::sanitize;

/// What is walked, and how.
pub struct Files<'a> {
    /// The host's `/` as seen from here; stripped from reported paths.
    pub root: &'a Path,
    /// Files and directories, absolute on the host.
    pub roots: &'a [PathBuf],
    /// Whether a path on the host is left out.
    pub exclude: Option<&'a (dyn Fn(&Path) -> bool + Sync)>,
    pub mounts: &'a Mounts,
    pub threads: usize,
    /// How archives are looked into; `None` leaves them as they are.
    pub archives: Option<archive::Settings>,
    /// When this instance was first started; files born earlier came with the
    /// image.
    pub pending_time: Option<Timestamp>,
}

impl std::fmt::Debug for Files<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files")
            .field("roots", &self.roots)
            .finish_non_exhaustive()
    }
}

/// What a walk saw.
#[derive(Debug)]
pub struct Walked {
    pub files: Coverage,
    /// What lay in archives, where they were looked into.
    pub archives: Option<Coverage>,
}

impl Files<'_> {
    /// Walks; each thread asks `visitors` for its own visitor.
    pub fn walk<'v>(&self, visitors: &(dyn Fn() -> Box<dyn Visitor + 'v> + Sync)) -> Walked {
        let files = Mutex::new(Coverage::new(SourceKind::File));
        let archives = Mutex::new(Coverage::new(SourceKind::Archive));
        self.walk_into(visitors, &files, &archives);
        Walked {
            files: into_inner(files),
            archives: self.archives.map(|_| into_inner(archives)),
        }
    }

    fn walk_into<'v>(
        &self,
        visitors: &(dyn Fn() -> Box<dyn Visitor + 'v> + Sync),
        coverage: &Mutex<Coverage>,
        archives: &Mutex<Coverage>,
    ) {
        let starts = self.starts(coverage);
        let Some((first, rest)) = starts.split_first() else {
            return;
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
                archives: Coverage::new(SourceKind::Archive),
                total: coverage,
                total_archives: archives,
            };
            Box::new(move |entry| worker.take(entry))
        });
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

    /// The path as the host knows it.
    fn on_host<'p>(&self, path: &'p Path) -> std::borrow::Cow<'p, Path> {
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
    archives: Coverage,
    total: &'a Mutex<Coverage>,
    total_archives: &'a Mutex<Coverage>,
}

impl Drop for Worker<'_, '_> {
    fn drop(&mut self) {
        let own = std::mem::replace(&mut self.coverage, Coverage::new(SourceKind::File));
        lock(self.total).merge(own);
        let own = std::mem::replace(&mut self.archives, Coverage::new(SourceKind::Archive));
        lock(self.total_archives).merge(own);
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
        if self
            .files
            .exclude
            .is_some_and(|exclude| exclude(&self.files.on_host(path)))
        {
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
        let file = open(path)?;
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            self.coverage.skip(SkipReason::SpecialFile, self.show(path));
            return Ok(());
        }
        let origin = FileOrigin {
            files: self.files,
            path,
            file: &file,
        };
        let size = u64::try_from(stat.st_size).ok().filter(|size| *size > 0);
        let mut content = Content {
            file: &file,
            left: size,
            archive: match self.files.archives {
                Some(_) => Watch::Start,
                None => Watch::Off,
            },
        };
        let blob = Blob {
            content: &mut content,
            origin: &origin,
        };
        self.visitor.visit(blob, &mut self.coverage)?;
        let (Some(settings), Some(size), Watch::Found) =
            (self.files.archives, size, content.archive)
        else {
            return Ok(());
        };
        let read_before = content.left == Some(0);
        let outer = archive::Outer {
            file: &file,
            size,
            origin: &origin,
            scanned: read_before,
        };
        let outcome = archive::read(outer, settings, &mut *self.visitor, &mut self.archives)?;
        if read_before {
            return Ok(());
        }
        if outcome == archive::Outcome::Read {
            self.coverage.bytes += size;
            return Ok(());
        }
        // It was counted when its archive was found.
        self.coverage.scanned -= 1;
        io::Seek::rewind(&mut &file)?;
        let mut content = Content {
            file: &file,
            left: Some(size),
            archive: Watch::Off,
        };
        let blob = Blob {
            content: &mut content,
            origin: &origin,
        };
        self.visitor.visit(blob, &mut self.coverage)
    }

    fn show(&self, path: &Path) -> String {
        show(&self.files.on_host(path))
    }
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
///
/// On the way it watches for archives, in the reader's own buffer, so that an
/// ordinary file costs neither a copy nor a system call for it. One that
/// begins as an archive ends here at once.
struct Content<'a> {
    file: &'a File,
    left: Option<u64>,
    archive: Watch,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    Off,
    Start,
    End,
    Found,
}

impl Content<'_> {
    fn is_archive(&self, chunk: &[u8], size: u64) -> bool {
        if archive::at_start(chunk) {
            return true;
        }
        let Ok(len) = u64::try_from(chunk.len()) else {
            return false;
        };
        if !archive::may_have_prefix(chunk, size) {
            return false;
        }
        if len == size {
            return archive::at_end(chunk);
        }
        let mut tail = [0; archive::TAIL];
        let from = size.saturating_sub(tail.len() as u64);
        self.file
            .read_at(&mut tail, from)
            .is_ok_and(|count| archive::at_end(&tail[..count]))
    }
}

impl io::Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == Some(0) || self.archive == Watch::Found {
            return Ok(0);
        }
        let count = io::Read::read(&mut self.file, buffer)?;
        let Some(before) = self.left else {
            return Ok(count);
        };
        let chunk = &buffer[..count];
        if self.archive == Watch::Start {
            if self.is_archive(chunk, before) {
                self.archive = Watch::Found;
                return Ok(0);
            }
            self.archive = Watch::End;
        }
        let left = before.saturating_sub(count as u64);
        self.left = Some(left);
        // A zip behind anything else; what is in front of it is read by now.
        if left == 0 && self.archive == Watch::End && archive::at_end(chunk) {
            self.archive = Watch::Found;
        }
        Ok(count)
    }
}

struct FileOrigin<'a> {
    files: &'a Files<'a>,
    /// From here, not as on the host.
    path: &'a Path,
    file: &'a File,
}

impl Origin for FileOrigin<'_> {
    fn location(&self) -> Location {
        Location {
            path: Some(show(&self.files.on_host(self.path))),
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
                .zip(self.files.pending_time)
                .map(|(born, start)| born < start),
        })
    }
}

fn timestamp(time: StatxTimestamp) -> Option<Timestamp> {
    // Whole seconds: more would only be noise in a report.
    Timestamp::from_second(time.tv_sec).ok()
}

fn reason(error: &io::Error) -> SkipReason {
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

fn show(path: &Path) -> String {
    sanitize::bytes(path.as_os_str().as_encoded_bytes())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
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

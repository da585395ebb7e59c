//! Regular files below a set of roots.
//!
//! The walk sees hidden and git-ignored files, follows no link, enters no
//! skipped mount, and opens nothing but regular files: without blocking, and
//! checked again after the opening.

mod content;
mod growth;
mod origin;
mod walk;

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use jiff::Timestamp;
use rustix::fs::{FileType, OFlags};

use super::mounts::Mounts;
use super::repositories::Repositories;
use super::tail::Tails;
use super::user_data::Copies;
use super::{Blob, FileState, Memory, Origin, Visitor, archive};
use crate::finding::{Coverage, SkipReason, SourceKind};
use crate::host::from_here;
use crate::sanitize;
use content::Content;
use growth::{Followed, Growth};
use origin::FileOrigin;
pub(super) use origin::facts;
use walk::Entry;

pub use walk::Queue;

/// What is walked, and how.
pub struct Files<'a> {
    /// The host's `/` as seen from here; stripped from reported paths.
    pub root: &'a Path,
    /// Where walks begin, on the host.
    pub roots: &'a [PathBuf],
    /// Whether a path on the host is left out.
    pub exclude: Option<&'a (dyn Fn(&Path) -> bool + Sync)>,
    /// Whether a path may lead to what does not answer, as far as is known.
    pub silent: Option<&'a (dyn Fn(&Path) -> bool + Sync)>,
    pub mounts: &'a Mounts,
    pub threads: usize,
    /// How archives are looked into; `None` leaves them as they are.
    pub archives: Option<archive::Settings>,
    /// What the walk comes across of git's is left here; `None` reads it as
    /// plain files.
    pub git: Option<&'a Repositories>,
    /// The copies of user-data that the walk comes across are left here.
    pub user_data: Option<&'a Copies>,
    /// What earlier walks read already; `None` reads everything.
    pub memory: Option<&'a dyn Memory>,
    /// How far files that grow were read; `None` reads all of each.
    pub tails: Option<&'a Mutex<Tails>>,
    /// When this instance was first started; files born earlier came with the
    /// image.
    pub pending_time: Option<Timestamp>,
}

impl std::fmt::Debug for Files<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files")
            .field("root", &self.root)
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

impl Walked {
    /// Nothing yet; `archives` says whether they are looked into.
    pub fn new(archives: bool) -> Self {
        Self {
            files: Coverage::new(SourceKind::File),
            archives: archives.then(|| Coverage::new(SourceKind::Archive)),
        }
    }

    pub fn merge(&mut self, other: Self) {
        self.files.merge(other.files);
        match (&mut self.archives, other.archives) {
            (Some(ours), Some(theirs)) => ours.merge(theirs),
            (ours, theirs) => *ours = ours.take().or(theirs),
        }
    }
}

impl Files<'_> {
    /// Puts a root, absolute on the host, into the queue. Links are resolved,
    /// since whoever names a root means what it leads to, but not out of
    /// `self.root`. In a file system that the kernel makes up nothing is read,
    /// whoever names it: some files have no end, and some are empty once read.
    pub fn add_root(&self, root: &Path, queue: &Queue, total: &Mutex<Walked>) {
        let inside = root.strip_prefix("/").unwrap_or(root);
        let entry = self.root.join(inside).canonicalize().and_then(|path| {
            if !path.starts_with(self.root) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let kind = path.symlink_metadata()?.file_type();
            Ok(Entry::new(&path, kind))
        });
        match entry {
            Ok(entry) => {
                let path = entry.path();
                let Some(mount) = self.mounts.made_up(&path) else {
                    queue.extend(vec![entry]);
                    return;
                };
                let beneath = self.mounts.beneath(mount);
                let beneath = beneath.filter(|place| place.starts_with(&path));
                let kind = |place: &Path| Some(place.symlink_metadata().ok()?.file_type());
                let beneath = beneath.filter_map(|place| Some(Entry::new(place, kind(place)?)));
                queue.extend(beneath.collect());
                let files = &mut lock(total).files;
                files.skip(SkipReason::NamedPseudoFilesystem, show(root));
            }
            Err(error) => {
                let reason = match reason(&error) {
                    SkipReason::Vanished => SkipReason::NotFound,
                    reason => reason,
                };
                lock(total).files.skip(reason, show(root));
            }
        }
    }

    /// Works on what is in the queue and comes into it, beside other threads.
    pub fn work(&self, queue: &Queue, visitor: &mut dyn Visitor, total: &Mutex<Walked>) {
        let mut worker = Worker {
            files: self,
            visitor,
            coverage: Coverage::new(SourceKind::File),
            archives: Coverage::new(SourceKind::Archive),
        };
        loop {
            worker.visitor.enters(None);
            let Some(entry) = queue.next() else { return };
            let path = entry.path();
            worker.visitor.enters(Some(&path));
            if worker.visitor.is_over() {
                if !worker.visitor.is_given_up() {
                    let left = 1 + queue.end();
                    let place = self.show(&path);
                    worker
                        .coverage
                        .skip_many(SkipReason::TimeLimit, left, place);
                }
            } else {
                worker.entry(entry, &path, queue);
            }
            worker.settle(queue, total);
            if worker.visitor.is_given_up() {
                return;
            }
        }
    }

    /// Gives a visitor the bytes of an opened file as they are.
    pub(super) fn visit(
        &self,
        path: &Path,
        file: &File,
        size: u64,
        visitor: &mut dyn Visitor,
        coverage: &mut Coverage,
    ) -> io::Result<()> {
        let holes = Cell::new(0);
        let origin = FileOrigin {
            files: self,
            path,
            file,
            lines_before: 0,
            holes: Some(&holes),
        };
        let blob = Blob {
            content: &mut Content::new(file, size, 0, false, &holes),
            origin: &origin,
        };
        visitor.visit(blob, coverage)
    }

    /// Where an opened file is.
    pub(super) fn origin<'o>(&'o self, path: &'o Path, file: &'o File) -> impl Origin + 'o {
        FileOrigin {
            files: self,
            path,
            file,
            lines_before: 0,
            holes: None,
        }
    }

    /// The path as the host knows it, for showing.
    pub fn show(&self, path: &Path) -> String {
        show(&self.on_host(path))
    }

    /// Whether the operator left this path out.
    pub(super) fn is_excluded(&self, path: &Path) -> bool {
        self.exclude
            .is_some_and(|exclude| exclude(&self.on_host(path)))
    }

    /// The path as the host knows it.
    pub(super) fn on_host<'p>(&self, path: &'p Path) -> std::borrow::Cow<'p, Path> {
        match path.strip_prefix(self.root) {
            // Asked for every file, and so without a copy where that can be.
            Ok(_) if self.root == Path::new("/") => path.into(),
            Ok(inside) => Path::new("/").join(inside).into(),
            Err(_) => path.into(),
        }
    }
}

/// One thread of the walk.
struct Worker<'a> {
    files: &'a Files<'a>,
    visitor: &'a mut dyn Visitor,
    coverage: Coverage,
    archives: Coverage,
}

impl Worker<'_> {
    fn entry(&mut self, entry: Entry, path: &Path, queue: &Queue) {
        if let Some(rest) = entry.rest {
            self.list(path, entry.kind, rest, queue);
        } else if self.files.is_excluded(path) {
            self.skip(SkipReason::Excluded, path);
        } else if entry.kind.is_dir() {
            self.directory(path, entry.kind, queue);
        } else if entry.kind.is_file() {
            if let Some(copies) = self.files.user_data {
                copies.note(path, &self.files.on_host(path));
            }
            self.note_link(path, &entry, "commondir");
            if self.is_unchanged(path) {
                self.coverage.unchanged += 1;
            } else if let Err(error) = self.file(path) {
                self.skip(reason(&error), path);
            }
        } else if entry.kind.is_symlink() {
            // What it leads to is scanned where it is.
            self.note_link(path, &entry, "objects");
        } else {
            self.skip(SkipReason::SpecialFile, path);
        }
    }

    /// Notes what leads from one git directory to another: what has the name of
    /// one, or this `name` in one.
    fn note_link(&self, path: &Path, entry: &Entry, name: &str) {
        let is_in_git_dir = || path.with_file_name("HEAD").symlink_metadata().is_ok();
        if let Some(git) = self.files.git
            && (entry.is_named(".git") || (entry.is_named(name) && is_in_git_dir()))
        {
            git.note_link(path);
        }
    }

    fn directory(&mut self, path: &Path, kind: fs::FileType, queue: &Queue) {
        if self.files.git.is_some_and(|git| git.take_store(path)) {
            return;
        }
        match fs::read_dir(path) {
            Ok(list) => self.list(path, kind, list, queue),
            Err(error) => self.skip(reason(&error), path),
        }
    }

    fn list(&mut self, path: &Path, kind: fs::FileType, list: fs::ReadDir, queue: &Queue) {
        let mut fail = |error: &io::Error, path: &Path| self.skip(reason(error), path);
        let mut entries = walk::list(path, kind, list, queue.batch(), &mut fail);
        if self.files.mounts.skips_in(path) {
            let mut beneath = Vec::new();
            entries.retain(|entry| {
                entry.rest.is_some() || !self.is_skipped_mount(&entry.path(), &mut beneath)
            });
            entries.append(&mut beneath);
        }
        queue.extend(entries);
    }

    /// Whether something is mounted there that is not touched, which is then
    /// counted; where the walk goes on `beneath` it is told. Not asked of a
    /// root, which may be anything: it was named.
    fn is_skipped_mount(&mut self, path: &Path, beneath: &mut Vec<Entry>) -> bool {
        let mounts = self.files.mounts;
        let reason = mounts.skip(path);
        let Some(reason) = reason.filter(|_| !self.files.is_excluded(path)) else {
            return false;
        };
        self.skip(reason, path);
        for path in mounts.beneath(path).map(Path::to_owned) {
            match path.symlink_metadata() {
                Ok(metadata) => beneath.push(Entry::new(&path, metadata.file_type())),
                Err(error) => self.skip(self::reason(&error), &path),
            }
        }
        for path in mounts.behind(path) {
            let mut roots = self.files.roots.iter();
            let is_walked = roots.any(|root| {
                let root = from_here(self.files.root, root);
                path.starts_with(&root) && mounts.come_to(path, &root)
            });
            if !is_walked && !self.files.is_excluded(path) {
                self.skip(SkipReason::BehindNetwork, path);
            }
        }
        true
    }

    /// Adds up what was seen of an entry. Of one that a thread came back from
    /// too late, nothing counts: it was told as given up.
    fn settle(&mut self, queue: &Queue, total: &Mutex<Walked>) {
        let files = std::mem::replace(&mut self.coverage, Coverage::new(SourceKind::File));
        let archives = std::mem::replace(&mut self.archives, Coverage::new(SourceKind::Archive));
        if !self.visitor.is_given_up() {
            let archives = self.files.archives.map(|_| archives);
            lock(total).merge(Walked { files, archives });
        }
        queue.done(|| self.visitor.is_given_up());
    }

    fn skip(&mut self, reason: SkipReason, path: &Path) {
        self.coverage.skip(reason, self.files.show(path));
    }

    /// Whether there is no need to open it.
    fn is_unchanged(&self, path: &Path) -> bool {
        let Some(memory) = self.files.memory else {
            return false;
        };
        let known = rustix::fs::lstat(path).is_ok_and(|stat| memory.knows(&[(&stat).into()]));
        if known {
            memory.looked_through(&self.files.on_host(path));
        }
        known
    }

    fn file(&mut self, path: &Path) -> io::Result<()> {
        let Some((file, state)) = open_regular(path)? else {
            self.skip(SkipReason::SpecialFile, path);
            return Ok(());
        };
        let Some(memory) = self.files.memory else {
            return self.read(path, &file, &state).map(|_| ());
        };
        let omitted = |worker: &Self| worker.coverage.skipped() + worker.archives.skipped();
        let (found, skipped) = (self.visitor.found(), omitted(self));
        let whole = self.read(path, &file, &state)?;
        if whole && omitted(self) == skipped {
            memory.looked_through(&self.files.on_host(path));
            if self.visitor.found() == found {
                memory.learn(&[state]);
            }
        }
        Ok(())
    }

    /// Reads a file as what it is. Whether all of it was: not what an earlier
    /// reading of a file that grows has seen, nor what is in a git pack.
    fn read(&mut self, path: &Path, file: &File, state: &FileState) -> io::Result<bool> {
        let files = self.files;
        let size = state.size;
        let mut growth = files.tails.map(|tails| Growth::begin(tails, file, state));
        let (offset, lines_before) = growth.as_ref().map_or((0, 0), Growth::start);
        let holes = Cell::new(0);
        let origin = FileOrigin {
            files,
            path,
            file,
            lines_before,
            holes: Some(&holes),
        };
        let mut content = Content::new(file, size, offset, files.archives.is_some(), &holes);
        let blob = Blob {
            content: &mut Followed {
                content: &mut content,
                growth: growth.as_mut(),
            },
            origin: &origin,
        };
        self.visitor.visit(blob, &mut self.coverage)?;
        if let Some(growth) = growth {
            // It counts the bytes, and of a hole it sees none.
            let may_grow = !content.is_archive() && !content.is_pack() && holes.get() == 0;
            growth.end(may_grow);
        }
        let git = files.git.filter(|_| content.is_pack());
        if let Some(git) = git {
            git.note_pack(path);
        }
        let whole = git.is_none() && offset == 0;
        let (Some(settings), true) = (files.archives, content.is_archive()) else {
            return Ok(whole);
        };
        let outer = archive::Outer {
            file,
            size,
            origin: &origin,
            scanned: content.is_read(),
        };
        let outcome = archive::read(outer, settings, self.visitor, &mut self.archives)?;
        if content.is_read() {
            return Ok(whole);
        }
        if outcome == archive::Outcome::Read {
            self.coverage.bytes += size;
            return Ok(whole);
        }
        // It was counted when its archive was found.
        self.coverage.scanned -= 1;
        files.visit(path, file, size, self.visitor, &mut self.coverage)?;
        Ok(whole)
    }
}

/// Opens a regular file and tells its state; `None` for what is none.
pub(super) fn open_regular(path: &Path) -> io::Result<Option<(File, FileState)>> {
    let file = open(path)?;
    let stat = rustix::fs::fstat(&file)?;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Ok(regular.then(|| (file, (&stat).into())))
}

/// Asked once: it would be one more system call for each file.
static IS_ROOT: LazyLock<bool> = LazyLock::new(|| rustix::process::geteuid().is_root());

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
    if *IS_ROOT {
        match open(flags | OFlags::NOATIME) {
            // Not the owner, without the capability to act as one.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) => {}
            opened => return opened,
        }
    }
    open(flags)
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

pub fn show(path: &Path) -> String {
    sanitize::bytes(path.as_os_str().as_encoded_bytes())
}

pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A count is as good after a panic of another thread as before.
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

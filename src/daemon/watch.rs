//! What changes below the watched paths, as it changes.
//!
//! Every directory at and below them is watched by inotify, on file systems
//! of this host, over no links, and every directory on the way to them for
//! the names that lead there. A directory is watched before it is listed, so
//! that nothing is missed between the two; whatever a new directory holds is
//! told as the directory.
//!
//! The crate `notify` is not used (8.2.1, measured with 100,000 directories):
//! it asks for the opening of files, so that a scan that reads them causes
//! events enough to overflow the queue that it then has to sweep for; it
//! looks through all paths for every directory that is deleted (`rm -rf` of
//! 10,000 took two minutes of CPU); its tables alone took 32 MB.

pub mod aside;
mod inotify;
mod steps;
mod tree;
mod walk;
mod ways;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::inotify::ReadFlags;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use crate::config::PathGlobs;
use crate::sanitize;
use crate::source::mounts::{Mounts, MountsError};
use inotify::{Event, Inotify};
use tree::{NONE, Tree};
use walk::Pending;
use ways::Ways;

pub use steps::{Hang, Steps};

/// Directories watched at the most. A watch holds an inode in the kernel's
/// memory, a kibibyte or so, beside what is held here.
pub const MAX_WATCHES: usize = 1 << 18;

/// How long events are left to gather before they are read: equal ones that
/// follow one another are one then, and a busy writer wakes us fifty times a
/// second and not at every write.
const GATHER: Duration = Duration::from_millis(20);

/// Notices given at one time, roughly.
const MAX_NOTICES: usize = 4096;

/// Overflows closer together than this slow the watching down.
const CALM: Duration = Duration::from_mins(1);

/// The first and the longest rest after repeated overflows.
const REST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(5));

/// What is watched.
#[derive(Debug)]
pub struct Settings {
    /// The host's `/` as seen from here, without links.
    pub root: PathBuf,
    /// The `proc` of this process, for the mount table and the limits.
    pub proc: PathBuf,
    /// Files and directories, absolute on the host; links in them are
    /// followed, but not out of the root. They need not exist yet.
    pub paths: Vec<PathBuf>,
    /// Paths of the host that are left out.
    pub exclude: PathGlobs,
    /// Directories of the host that are left alone: this program writes there
    /// itself, or they do not answer.
    pub left_alone: Vec<PathBuf>,
    /// Whether to enter network file systems. inotify tells what this host
    /// changes there, not what others do.
    pub network_filesystems: bool,
    /// See [`MAX_WATCHES`].
    pub max_watches: usize,
    /// Told of every step.
    pub steps: Arc<Steps>,
}

/// What there is to do. Paths are those of the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Notice {
    /// A file was written, put there or had its mode or owner changed; or a
    /// directory is new here with all that it holds, or holds another file
    /// system. It may be a link, or gone by now.
    Changed(PathBuf),
    /// A name was taken away, with all that was below it. Something new may
    /// have it by now.
    Removed(PathBuf),
    /// More happened than the kernel keeps (`fs.inotify.max_queued_events`).
    /// Everything is watched again by the time of this notice, and all that
    /// is watched needs a sweep.
    Overflow,
    /// Not everything could be watched; told once. The rest is left to the
    /// sweeps.
    LimitReached {
        /// The first directory that is not watched.
        path: PathBuf,
        /// Directories watched by us.
        watched: usize,
        /// How many there were to watch.
        needed: usize,
        /// The kernel's limit; `None` when it is [`Settings::max_watches`].
        max_user_watches: Option<u64>,
    },
    /// A watched path, or a directory below one, cannot be watched.
    Unwatchable { path: PathBuf, why: String },
}

/// Why nothing can be watched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "starting inotify: {0}; raise fs.inotify.max_user_instances, or the limit of open files"
    )]
    TooManyInstances(io::Error),
    #[error("starting inotify: {0}")]
    Inotify(io::Error),
    #[error("a directory does not answer")]
    Hung(Hang),
    #[error(transparent)]
    Mounts(#[from] MountsError),
    #[error("following the mount table {path}: {cause}")]
    MountTable { path: String, cause: io::Error },
}

/// The watches of one set of paths; ended when dropped.
#[derive(Debug)]
pub struct Watch {
    settings: Settings,
    inotify: Inotify,
    mounts: Mounts,
    mount_table: AsyncFd<File>,
    ways: Ways,
    tree: Tree,
    /// What is left to be looked at, the next one last.
    pending: Vec<Pending>,
    /// Watches to be ended before anything else is done.
    doomed: Vec<i32>,
    notices: Vec<Notice>,
    limit: walk::Limit,
    /// Places that were told to be unwatchable.
    complaints: BTreeSet<PathBuf>,
    /// Nothing is read before this.
    rest_until: Option<Instant>,
    overflow: Overflow,
}

/// How often the queue overflowed.
#[derive(Debug, Default)]
struct Overflow {
    /// The watches are being ended, and what the queue still holds is void.
    flushing: bool,
    last: Option<Instant>,
    rest: Duration,
}

impl Watch {
    /// Watches all that is there by now, which takes about a second for a
    /// hundred thousand directories and blocks; call it within a runtime, on
    /// a thread that may block. What lies there is not told: that is for a
    /// sweep that begins after the return. The notices tell what could not be
    /// watched, and what happened meanwhile.
    pub fn start(settings: Settings) -> Result<(Self, Vec<Notice>), Error> {
        let inotify = Inotify::new().map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::MFILE | Errno::NFILE) => Error::TooManyInstances(error),
            _ => Error::Inotify(error),
        })?;
        // Opened before the table is read: a change between is told.
        let path = settings.proc.join("self/mountinfo");
        let mount_table = File::open(&path)
            .and_then(|file| inotify::register(file, Interest::PRIORITY))
            .map_err(|cause| Error::MountTable {
                path: path.display().to_string(),
                cause,
            })?;
        let mounts = Mounts::read(&settings.proc, settings.network_filesystems)?;
        let mut watch = Self {
            settings,
            inotify,
            mounts,
            mount_table,
            ways: Ways::default(),
            tree: Tree::default(),
            pending: Vec::new(),
            doomed: Vec::new(),
            notices: Vec::new(),
            limit: walk::Limit::default(),
            complaints: BTreeSet::new(),
            rest_until: None,
            overflow: Overflow::default(),
        };
        watch.find_ways(false);
        while watch.work() {
            watch.drain();
        }
        let notices = std::mem::take(&mut watch.notices);
        Ok((watch, notices))
    }

    /// Waits for the next notices; at least one, each followed by as many as
    /// there are. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Vec<Notice> {
        loop {
            if let Some(until) = self.rest_until {
                sleep_until(until).await;
                self.rest_until = None;
            }
            // A queue that is never empty does not keep the mounts waiting.
            tokio::task::yield_now().await;
            tokio::select! {
                biased;
                () = self.mounts_changed() => self.read_mounts(),
                () = std::future::ready(()) => {}
            }
            self.drain();
            while self.work() && self.notices.len() < MAX_NOTICES {
                tokio::task::yield_now().await;
                self.drain();
            }
            if !self.notices.is_empty() {
                return std::mem::take(&mut self.notices);
            }
            if self.rest_until.is_some() {
                continue;
            }
            tokio::select! {
                // A queue that cannot be waited for is read after the pause.
                _ = self.inotify.wait() => {}
                () = self.mounts_changed() => self.read_mounts(),
            }
            self.rest_until = Some(Instant::now() + GATHER);
        }
    }

    /// Directories watched, those on the way included.
    pub fn watched(&self) -> usize {
        self.tree.len()
    }

    /// Reads what the queue holds, without waiting.
    fn drain(&mut self) {
        while self.notices.len() < MAX_NOTICES {
            match self.inotify.read() {
                Ok(events) if events.is_empty() => return,
                Ok(events) => events.into_iter().for_each(|event| self.take(event)),
                // What it held is lost.
                Err(_) => return self.overflowed(),
            }
        }
    }

    fn take(&mut self, event: Event) {
        if self.overflow.flushing {
            return;
        }
        if event.flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            return self.overflowed();
        }
        if event.flags.contains(ReadFlags::IGNORED) {
            // Deleted, or its file system is gone.
            self.tree.forget(event.wd, &mut self.doomed);
            return;
        }
        // What happens to a directory itself is told by the one above it.
        let Some(name) = event.name else { return };
        let Some(full) = self.tree.is_full(event.wd) else {
            return;
        };
        let Some(directory) = self.tree.path(event.wd) else {
            return;
        };
        let path = directory.join(&name);
        let on_the_way = self.ways.is_on_the_way(&path);
        if !full && !on_the_way || self.is_left_out(&path) {
            return;
        }
        let is_directory = event.flags.contains(ReadFlags::ISDIR);
        if event
            .flags
            .intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM)
        {
            if is_directory && let Some(wd) = self.tree.child(event.wd, &name) {
                self.tree.forget(wd, &mut self.doomed);
            }
            self.tell(Notice::Removed(on_host(&path)));
        } else if !is_directory {
            if full || self.ways.is_start(&path) {
                self.tell(Notice::Changed(on_host(&path)));
            }
        // A change of a directory's mode does not change its files or their
        // modes, but may have opened it to us.
        } else if full
            && (!event.flags.contains(ReadFlags::ATTRIB)
                || self.tree.child(event.wd, &name).is_none())
        {
            self.pending.push(Pending::Visit {
                parent: event.wd,
                name: name.as_os_str().into(),
                announce: true,
            });
        }
        if on_the_way
            && event.flags.intersects(
                ReadFlags::CREATE | ReadFlags::MOVED_TO | ReadFlags::DELETE | ReadFlags::MOVED_FROM,
            )
        {
            self.find_ways(true);
        }
    }

    /// Ends all watches and makes them anew: after lost events nobody knows
    /// what is where.
    fn overflowed(&mut self) {
        let now = Instant::now();
        let again = self
            .overflow
            .last
            .is_some_and(|last| now < last + CALM + self.overflow.rest);
        self.overflow.rest = if again {
            (self.overflow.rest * 2).clamp(REST.0, REST.1)
        } else {
            Duration::ZERO
        };
        self.overflow.last = Some(now);
        self.overflow.flushing = true;
        self.doomed = self.tree.clear();
        self.pending.clear();
        self.pending.push(Pending::Tell(Notice::Overflow));
        self.find_ways(false);
    }

    async fn mounts_changed(&self) {
        let ready = self.mount_table.ready(Interest::PRIORITY | Interest::ERROR);
        if let Ok(mut guard) = ready.await {
            guard.clear_ready();
        }
    }

    fn read_mounts(&mut self) {
        // An unreadable table leaves the old one in force.
        let Ok(new) = Mounts::read(&self.settings.proc, self.settings.network_filesystems) else {
            return;
        };
        let old = std::mem::replace(&mut self.mounts, new);
        let mut changed = false;
        for place in self.mounts.changed_since(&old) {
            let Ok(path) = place.strip_prefix(&self.settings.root) else {
                continue;
            };
            if path != Path::new("") && self.ways.standing(path) != ways::Standing::Outside {
                changed = true;
                if let Some(wd) = self.tree.find(path) {
                    self.tree.forget(wd, &mut self.doomed);
                }
                self.pending.extend(self.visit_of(path));
            }
        }
        if changed {
            self.find_ways(true);
        }
    }

    /// A visit of a directory in a watched one.
    fn visit_of(&self, path: &Path) -> Option<Pending> {
        let parent = self.tree.find(path.parent()?)?;
        let name = path.file_name()?;
        (self.tree.is_full(parent)?).then(|| Pending::Visit {
            parent,
            name: name.into(),
            announce: true,
        })
    }

    /// Finds out where the watched paths lead by now, ends the watches of
    /// where they led before, and goes there. What is watched already is
    /// passed over.
    fn find_ways(&mut self, announce: bool) {
        let settings = &self.settings;
        let enter = |place: &Path| settings.steps.enter(place);
        let (ways, refused) = Ways::find(&settings.root, &settings.paths, &self.mounts, &enter);
        for (path, why) in refused {
            self.complain(path, why);
        }
        for start in self.ways.left_by(&ways) {
            if let Some(wd) = self.tree.find(start) {
                self.tree.forget(wd, &mut self.doomed);
            }
        }
        if announce {
            let files = ways.files_since(&self.ways);
            self.notices
                .extend(files.map(|file| Notice::Changed(on_host(file))));
        }
        self.ways = ways;
        self.pending.push(Pending::Visit {
            parent: NONE,
            name: OsStr::new("").into(),
            announce,
        });
    }

    /// Excluded, or left alone.
    fn is_left_out(&self, path: &Path) -> bool {
        let path = on_host(path);
        self.settings.exclude.is_match(&path)
            || self
                .settings
                .left_alone
                .iter()
                .any(|part| path.starts_with(part))
    }

    fn tell(&mut self, notice: Notice) {
        if self.notices.last() != Some(&notice) {
            self.notices.push(notice);
        }
    }
}

/// A relative path as the host knows it.
fn on_host(path: &Path) -> PathBuf {
    Path::new("/").join(path)
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |path: &Path| {
            let text = sanitize::bytes(path.as_os_str().as_encoded_bytes());
            sanitize::line(&text).into_owned()
        };
        match self {
            Self::Changed(path) => write!(f, "{} changed", show(path)),
            Self::Removed(path) => write!(f, "{} was removed", show(path)),
            Self::Overflow => f.write_str(
                "more file events than fs.inotify.max_queued_events; sweeping what is watched",
            ),
            Self::LimitReached {
                path,
                watched,
                needed,
                max_user_watches,
            } => {
                write!(
                    f,
                    "{watched} of {needed} directories are watched, not {} and others, which the sweeps cover; ",
                    show(path)
                )?;
                match max_user_watches {
                    Some(limit) => write!(
                        f,
                        "raise fs.inotify.max_user_watches ({limit}) to more than {needed}"
                    ),
                    None => f.write_str("watch fewer paths"),
                }
            }
            Self::Unwatchable { path, why } => {
                write!(
                    f,
                    "{} cannot be watched: {}",
                    show(path),
                    sanitize::line(why)
                )
            }
        }
    }
}

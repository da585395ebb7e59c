//! The kernel's queue of events on directories.
//!
//! Opening, reading and closing without writing are not asked for: a scan
//! would otherwise wake the watcher for every file that it reads, and so
//! would a web server.

use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Names that come and go.
const NAMES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO);

/// What files hold and who may read them. A file that is written through a
/// descriptor that stays open tells of itself by `MODIFY` alone.
const CONTENTS: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE);

/// A directory itself and never what a link leads to; nothing of files that
/// have no name there any more.
const HOW: WatchFlags = WatchFlags::ONLYDIR
    .union(WatchFlags::DONT_FOLLOW)
    .union(WatchFlags::EXCL_UNLINK);

/// Room for some 500 events with names of usual length.
const BUFFER: usize = 16 * 1024;

/// Events taken at one time.
const MAX_EVENTS: usize = 4096;

/// What is asked of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interests {
    Names,
    NamesAndContents,
}

#[derive(Debug)]
pub(super) struct Event {
    /// The watch descriptor; -1 for the queue itself.
    pub(super) wd: i32,
    pub(super) flags: ReadFlags,
    /// Of the entry in the directory; `None` is the directory itself.
    pub(super) name: Option<OsString>,
}

/// Puts a descriptor under the eyes of the runtime.
#[expect(
    deprecated,
    reason = "its successor is unsafe for types that do not own their descriptor; File and OwnedFd do"
)]
pub(super) fn register<T: Into<OwnedFd> + AsRawFd>(
    fd: T,
    interest: Interest,
) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(fd, interest)
}

#[derive(Debug)]
pub(super) struct Inotify(AsyncFd<OwnedFd>);

impl Inotify {
    /// Needs a runtime with I/O. `EMFILE` is `fs.inotify.max_user_instances`,
    /// or the limit of descriptors.
    pub(super) fn new() -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Self(register(fd, Interest::READABLE)?))
    }

    /// Watches a directory, or changes what is asked of one that is watched.
    /// The descriptor belongs to the directory and not to its name.
    pub(super) fn add(&self, directory: &Path, interests: Interests) -> Result<i32, Errno> {
        let events = match interests {
            Interests::Names => NAMES,
            Interests::NamesAndContents => NAMES | CONTENTS,
        };
        inotify::add_watch(&self.0, directory, events | HOW)
    }

    /// Ends a watch. One that the kernel ended before is no error.
    pub(super) fn remove(&self, wd: i32) {
        let _ = inotify::remove_watch(&self.0, wd);
    }

    /// Waits until there is something to read.
    pub(super) async fn wait(&self) -> io::Result<()> {
        loop {
            let mut guard = self.0.readable().await?;
            if rustix::io::ioctl_fionread(&self.0)? > 0 {
                return Ok(());
            }
            guard.clear_ready();
        }
    }

    /// Takes what there is, at most a few thousand events, without waiting.
    pub(super) fn read(&self) -> io::Result<Vec<Event>> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(&self.0, &mut buffer);
        let mut events = Vec::new();
        while events.len() < MAX_EVENTS || !reader.is_buffer_empty() {
            match reader.next() {
                Ok(event) => events.push(Event {
                    wd: event.wd(),
                    flags: event.events(),
                    name: event
                        .file_name()
                        .map(|name| OsStr::from_bytes(name.to_bytes()).to_owned()),
                }),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(events)
    }
}

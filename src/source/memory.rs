//! What earlier scans leave behind, so that a later one reads only what has
//! changed since.

use std::path::Path;

use rustix::fs::Stat;

/// One state of a file. Writing to it, or putting another file in its place,
/// makes another state: the change time, unlike the modification time, cannot
/// be set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileState {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    /// Seconds since 1970.
    pub changed: i64,
    pub changed_nanoseconds: u64,
}

impl From<&Stat> for FileState {
    fn from(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            changed: stat.st_ctime,
            changed_nanoseconds: stat.st_ctime_nsec,
        }
    }
}

/// Asked by the threads of a walk, before something is opened and after it
/// was read. What consists of several files has the states of all of them.
pub trait Memory: Sync {
    /// Whether all of it was read in this state, and nothing was found in it
    /// or left out of it.
    fn knows(&self, states: &[FileState]) -> bool;

    /// All of it was just read in this state, and nothing was found in it or
    /// left out of it.
    fn learn(&self, states: &[FileState]);

    /// Nothing was left out of what is at `path`, on the host: all that is
    /// to be found there was told.
    fn looked_through(&self, path: &Path);
}

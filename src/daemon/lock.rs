//! One service a host.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};

use super::Error;

const FILE_NAME: &str = "rolecall.lock";

/// Longest process ID that is read out of somebody's lock.
const MAX_PID: u64 = 20;

/// Held as long as it lives; the kernel lets go of it however the process
/// ends, so a file that was left behind locks nobody out.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(runtime_dir: &Path) -> Result<Self, Error> {
        let path = runtime_dir.join(FILE_NAME);
        let failed = |cause: io::Error| Error::RuntimeDir {
            path: path.clone(),
            cause,
        };
        let mut file = open(&path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                let _ = file.take(MAX_PID).read_to_string(&mut pid);
                let pid = pid.trim().parse().ok();
                return Err(Error::Running { path, pid });
            }
            Err(error) => return Err(failed(error.into())),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(Self { _file: file })
    }
}

fn open(path: &PathBuf) -> io::Result<File> {
    // A FIFO in its place must not make the start wait for a writer.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_told_who_holds_the_lock_and_a_left_file_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path()).unwrap();
        let Err(Error::Running { pid, .. }) = Lock::take(dir.path()) else {
            panic!("two locks");
        };
        assert_eq!(pid, Some(std::process::id()));
        drop(first);
        assert!(dir.path().join(FILE_NAME).exists());
        Lock::take(dir.path()).unwrap();
    }
}

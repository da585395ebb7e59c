//! One service a host.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};

use super::Error;
use crate::host::process;

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
        let mut is_free = try_lock(&file).map_err(failed)?;
        if !is_free {
            let mut pid = String::new();
            let _ = (&file).take(MAX_PID).read_to_string(&mut pid);
            let pid = pid.trim().parse().ok();
            if pid.is_some_and(was_killed) && is_at(&file, &path) {
                std::fs::remove_file(&path).map_err(failed)?;
                file = open(&path).map_err(failed)?;
                is_free = try_lock(&file).map_err(failed)?;
            }
            if !is_free {
                return Err(Error::Running { path, pid });
            }
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(Self { _file: file })
    }
}

fn try_lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether a process has ended but for threads that wait for a disk or a server:
/// they keep what it had locked, and will never do anything again.
fn was_killed(pid: u32) -> bool {
    process::state(Path::new(&format!("/proc/{pid}"))) == Some('Z')
}

/// Whether nobody has put another file in its place.
fn is_at(file: &File, path: &Path) -> bool {
    let there = std::fs::symlink_metadata(path).ok();
    let place = |meta: Metadata| (meta.dev(), meta.ino());
    file.metadata().ok().map(place) == there.map(place)
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
    use std::process::{Command, Stdio};

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

    #[test]
    fn what_a_killed_one_cannot_let_go_of_locks_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        // What it leaves holds the lock as a thread would that waits for a disk.
        let script = "exec 9<>\"$0\"; flock 9; echo $$ >&9; sleep 60 >&- 2>&- & echo $!";
        let mut killed = Command::new("sh")
            .args(["-c", script])
            .arg(&path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut left = String::new();
        let mut told = killed.stdout.take().unwrap();
        told.read_to_string(&mut left).unwrap();
        assert!(!try_lock(&open(&path).unwrap()).unwrap());
        let held = Lock::take(dir.path()).unwrap();
        assert!(matches!(
            Lock::take(dir.path()),
            Err(Error::Running { pid: Some(pid), .. }) if pid == std::process::id()
        ));
        drop(held);
        let left = rustix::process::Pid::from_raw(left.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
        killed.wait().unwrap();
    }
}

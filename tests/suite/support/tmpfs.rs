//! A file system with limits, for what happens when they are reached.

use std::path::PathBuf;
use std::process::Command;

/// A small file system of its own.
pub(crate) struct Tmpfs {
    dir: tempfile::TempDir,
}

impl Tmpfs {
    /// `None`, and said, where it cannot be mounted.
    #[expect(clippy::print_stderr, reason = "a skipped test says why")]
    pub(crate) fn mount(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let tmpfs = Self { dir };
        if tmpfs.remount(options, &["-t", "tmpfs", "tmpfs"]) {
            return Some(tmpfs);
        }
        eprintln!("skipped: mounting a file system needs root");
        None
    }

    pub(crate) fn remount(&self, options: &str, rest: &[&str]) -> bool {
        Command::new("mount")
            .args(["-o", options])
            .args(rest)
            .arg(self.dir.path())
            .output()
            .is_ok_and(|output| output.status.success())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.dir.path())
            .status();
    }
}

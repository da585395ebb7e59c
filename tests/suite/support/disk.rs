//! A disk whose power can be cut: an ext4 of its own, which then has what was
//! synced and no more.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::daemon::wait;

/// The time between two commits of the kernel's own accord, out of the way.
const OPTIONS: &str = "loop,commit=600";

/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_LOGFLUSH` or `_NOLOGFLUSH`: files
/// that were not synced are there and empty, or as if nothing had been done.
const SHUTDOWN: &str = "
import fcntl, os, struct, sys
directory = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(directory, 0x8004587d, struct.pack('I', int(sys.argv[2])))
";

pub(crate) struct Disk {
    image: tempfile::NamedTempFile,
    place: PathBuf,
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

impl Disk {
    /// Mounts an empty one at `place`, as a directory of its owner's; `None`,
    /// and said, where that is not possible.
    #[expect(clippy::print_stderr, reason = "a skipped test says why")]
    pub(crate) fn mount(place: &Path) -> Option<Self> {
        let image = tempfile::NamedTempFile::new_in("/dev/shm");
        let image = image.or_else(|_| tempfile::NamedTempFile::new()).unwrap();
        image.as_file().set_len(16 << 20).unwrap();
        fs::create_dir(place).unwrap();
        let disk = Self {
            image,
            place: place.to_owned(),
        };
        let mut mke2fs = Command::new("mke2fs");
        mke2fs.args(["-q", "-F", "-t", "ext4"]);
        if succeeds(mke2fs.arg(disk.image.path())) && disk.attach() {
            fs::set_permissions(place, Permissions::from_mode(0o700)).unwrap();
            rustix::fs::syncfs(File::open(place).unwrap()).unwrap();
            return Some(disk);
        }
        eprintln!("skipped: a disk of its own needs root, mke2fs and a loop device");
        None
    }

    fn attach(&self) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-t", "ext4", "-o", OPTIONS]);
        succeeds(mount.arg(self.image.path()).arg(&self.place))
    }

    /// Cuts the power and gives it back. Nobody uses the disk any more.
    pub(crate) fn cut_power(&self) {
        let unsynced = self.place.join("unsynced");
        fs::write(&unsynced, "text").unwrap();
        let flags = ["1", "2"][fastrand::usize(..2)];
        let mut python = Command::new("python3");
        python.args(["-c", SHUTDOWN]).arg(&self.place).arg(flags);
        assert!(succeeds(&mut python), "the power is cut");
        let mut umount = Command::new("umount");
        umount.arg(&self.place);
        wait("a disk in nobody's use", || {
            succeeds(&mut umount).then_some(())
        });
        assert!(self.attach(), "the disk is whole");
        assert_ne!(fs::read(&unsynced).unwrap_or_default(), b"text");
        let _ = fs::remove_file(unsynced);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.place).status();
    }
}

//! The mount table of a process: what stands at which place.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use procfs_core::FromBufRead as _;
use procfs_core::process::{MountInfo, MountInfos};

/// What stands at a place: a directory of a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    device: String,
    directory: PathBuf,
    fs_type: String,
}

impl Seen {
    /// What is seen at `place`, through the mount that it is on.
    pub fn at(table: &BTreeMap<PathBuf, Self>, place: &Path) -> Option<Self> {
        let (mount, seen) = place
            .ancestors()
            .find_map(|mount| table.get_key_value(mount))?;
        let inside = place.strip_prefix(mount).ok()?;
        Some(Self {
            // Without a slash at its end, which an empty path would leave.
            directory: seen
                .directory
                .components()
                .chain(inside.components())
                .collect(),
            ..seen.clone()
        })
    }

    pub fn is_same_place(&self, other: &Self) -> bool {
        (&self.device, &self.directory) == (&other.device, &other.directory)
    }

    /// Whether both are of one file system.
    pub fn is_of_same(&self, other: &Self) -> bool {
        self.device == other.device
    }

    pub fn is_tmpfs(&self) -> bool {
        self.fs_type == "tmpfs"
    }

    pub fn is_overlay(&self) -> bool {
        self.fs_type == "overlay"
    }

    /// Whether systemd laid it there to hide what is below: an inaccessible
    /// node or the private directory for temporary files of a unit.
    pub fn is_of_sandbox(&self) -> bool {
        let mut parts = self.directory.iter();
        parts.any(|part| part.as_bytes().starts_with(b"systemd-private-"))
            || self.directory.starts_with("/systemd/inaccessible")
    }
}

/// What is on top at each mount point.
pub fn table(text: &[u8]) -> procfs_core::ProcResult<BTreeMap<PathBuf, Seen>> {
    let mut table = BTreeMap::new();
    for mount in parse(text)? {
        let seen = Seen {
            device: mount.majmin,
            directory: unescape(Path::new(&mount.root)),
            fs_type: mount.fs_type,
        };
        table.insert(unescape(&mount.mount_point), seen);
    }
    Ok(table)
}

/// Names may hold any bytes, and the parser takes text: so all that is not
/// ASCII is written as the table itself writes blanks.
pub(super) fn parse(text: &[u8]) -> procfs_core::ProcResult<Vec<MountInfo>> {
    let mut escaped = Vec::with_capacity(text.len());
    for byte in text {
        if byte.is_ascii() {
            escaped.push(*byte);
        } else {
            escaped.extend(format!("\\{byte:03o}").bytes());
        }
    }
    Ok(visible(MountInfos::from_buf_read(&escaped[..])?.0))
}

/// Those that a path leads to: what is mounted over a place covers what was
/// mounted there and beneath it before, and the table has it all.
fn visible(mounts: Vec<MountInfo>) -> Vec<MountInfo> {
    let root = Path::new("/");
    let known: HashSet<i32> = mounts.iter().map(|mount| mount.mnt_id).collect();
    let mut on: HashMap<i32, Vec<&MountInfo>> = HashMap::new();
    let mut left = Vec::new();
    for mount in &mounts {
        if mount.pid == mount.mnt_id || !known.contains(&mount.pid) {
            left.push(mount);
        } else {
            on.entry(mount.pid).or_default().push(mount);
        }
    }
    uncovered(&mut left);
    let mut seen = HashSet::new();
    while let Some(mount) = left.pop() {
        let mut above = on.remove(&mount.mnt_id).unwrap_or_default();
        let is_same = |one: &&MountInfo| one.mount_point == mount.mount_point;
        if mount.mount_point == root && mount.fs_type != "rootfs" {
            // Paths begin at the root, whatever is mounted over it.
            above.retain(|one| !is_same(one));
        } else if above.iter().any(is_same) {
            above.retain(is_same);
            left.extend(above);
            continue;
        }
        seen.insert(mount.mnt_id);
        uncovered(&mut above);
        left.extend(above);
    }
    let visible = mounts.into_iter();
    visible
        .filter(|mount| seen.contains(&mount.mnt_id))
        .collect()
}

/// Takes away what lies beneath another one that is mounted on the same.
fn uncovered(mounts: &mut Vec<&MountInfo>) {
    let places: HashSet<(i32, &Path)> = mounts
        .iter()
        .map(|one| (one.pid, one.mount_point.as_path()))
        .collect();
    mounts.retain(|one| {
        let mut above = one.mount_point.ancestors().skip(1);
        !above.any(|place| places.contains(&(one.pid, place)))
    });
}

/// The table writes blanks and backslashes in names as three octal digits.
pub(super) fn unescape(path: &Path) -> PathBuf {
    let escaped = path.as_os_str().as_bytes();
    let mut plain = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        let digits = tail
            .get(..3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(decoded) if *byte == b'\\' => {
                plain.push(decoded);
                rest = &tail[3..];
            }
            _ => plain.push(*byte),
        }
    }
    OsString::from_vec(plain).into()
}

//! Which mounted file systems hold files of this host.
//!
//! Decided by the type in `/proc/self/mountinfo` and never by a path's name.
//! The mount points are only compared as text: a `stat` on a hung network
//! mount does not return.

mod table;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use crate::finding::SkipReason;
use crate::host::from_here;
use table::{parse, unescape};

pub use table::{Seen, table};

/// File systems that the kernel makes up.
const PSEUDO: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fuse.lxcfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sysfs",
    "tracefs",
];

/// Of these, those that hold files all the same, or mount what does as soon as
/// somebody goes there.
const WITH_FILES: &[&str] = &["autofs", "devtmpfs", "hugetlbfs", "rootfs"];

/// File systems whose files are on another machine, or behind a program that
/// may hang.
const NETWORK: &[&str] = &[
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "efs",
    "fuse",
    "gfs2",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "smb3",
    "smbfs",
    "virtiofs",
];

/// Types under `fuse.` that are local disks.
const LOCAL_FUSE: &[&str] = &["fuse.ntfs-3g", "fuse.ntfs", "fuse.exfat", "fuseblk"];

/// What the kernel takes for no group: `(gid_t)-1`.
const NO_GROUP: u32 = u32::MAX;

/// The mount points that a walk does not enter.
#[derive(Debug, Default, Clone)]
pub struct Mounts {
    skipped: HashMap<PathBuf, SkipReason>,
    /// Of them, those without files of their own.
    made_up: HashSet<PathBuf>,
    /// The directories that these are in.
    around_skipped: HashSet<PathBuf>,
    may_hang: bool,
    /// What is on top at each mount point: the mount's number, its device and
    /// the directory of the device that is seen.
    tops: BTreeMap<PathBuf, (i32, String, String)>,
    /// Where a `/proc` shows others' processes to one group only, by its ID.
    hidden_from_others: HashMap<PathBuf, u32>,
    overlays: Vec<Overlay>,
}

/// An overlay and the directories that its files lie in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    pub mount_point: PathBuf,
    pub upper: Option<PathBuf>,
    pub lower: Vec<PathBuf>,
}

/// A mount table that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("reading the mount table {path}: {cause}")]
pub struct MountsError {
    path: String,
    cause: String,
}

impl Mounts {
    /// Reads `proc/self/mountinfo`.
    pub fn read(proc: &Path, network_filesystems: bool) -> Result<Self, MountsError> {
        let path = proc.join("self/mountinfo");
        let error = |cause: String| MountsError {
            path: path.display().to_string(),
            cause,
        };
        let text = std::fs::read(&path).map_err(|cause| error(cause.to_string()))?;
        Self::parse(&text, network_filesystems).map_err(|cause| error(cause.to_string()))
    }

    /// Of the text of such a table.
    pub(super) fn parse(text: &[u8], network_filesystems: bool) -> procfs_core::ProcResult<Self> {
        let mut skipped = HashMap::new();
        let mut made_up = HashSet::new();
        let mut may_hang = false;
        let mut tops = BTreeMap::new();
        let mut hidden_from_others = HashMap::new();
        let mut overlays = Vec::new();
        for mount in parse(text)? {
            let place = unescape(&mount.mount_point);
            may_hang |= is_network(&mount.fs_type) || LOCAL_FUSE.contains(&&*mount.fs_type);
            if mount.fs_type == "proc"
                && let Some(group) = sees_all(&mount.super_options)
            {
                hidden_from_others.insert(place.clone(), group);
            }
            if mount.fs_type == "overlay" {
                overlays.push(overlay(&place, &mount.super_options));
            }
            if PSEUDO.contains(&&*mount.fs_type) && !WITH_FILES.contains(&&*mount.fs_type) {
                made_up.insert(place.clone());
            } else {
                made_up.remove(&place);
            }
            tops.insert(place.clone(), (mount.mnt_id, mount.majmin, mount.root));
            match reason(&mount.fs_type, network_filesystems) {
                Some(reason) => skipped.insert(place, reason),
                None => skipped.remove(&place),
            };
        }
        let around = skipped.keys().filter_map(|place| place.parent());
        Ok(Self {
            around_skipped: around.map(Path::to_owned).collect(),
            skipped,
            made_up,
            may_hang,
            tops,
            hidden_from_others,
            overlays,
        })
    }

    /// Whether a server or a program stands behind any of the file systems,
    /// skipped or not.
    pub const fn may_hang(&self) -> bool {
        self.may_hang
    }

    /// The overlays whose files are seen in them alone: one that covers a
    /// directory that they lie in, or that has what is in none of them, since
    /// one is gone or covered. This looks at the directories below `root`,
    /// which may never answer, if `may_ask` lets it.
    pub fn lonely_overlays(&self, root: &Path, may_ask: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
        let is_lonely = |overlay: &&Overlay| {
            let directories = overlay.lower.iter().chain(&overlay.upper);
            // Runtimes name them from a directory that the table does not tell.
            if directories.clone().any(|path| !path.is_absolute()) {
                return false;
            }
            // The table of a host that is mounted here has its own paths.
            let here = directories.clone().map(|path| from_here(root, path));
            let here: Vec<PathBuf> = here.collect();
            let mount_point = &overlay.mount_point;
            let mut asked = directories.clone().chain(&here).chain([mount_point]);
            if !asked.all(|path| may_ask(path)) {
                return false;
            }
            let found = here.iter().zip(directories).filter_map(|(here, path)| {
                let found = here.canonicalize();
                found.or_else(|_| path.canonicalize()).ok()
            });
            let found: Vec<PathBuf> = found.collect();
            found.iter().any(|path| path.starts_with(mount_point)) || has_more(mount_point, &found)
        };
        let lonely = self.overlays.iter().filter(is_lonely);
        lonely.map(|overlay| overlay.mount_point.clone()).collect()
    }

    /// Takes in the overlays mounted at these places.
    pub fn walk_overlays(&mut self, places: &[PathBuf]) {
        for place in places {
            if self.skip(place) == Some(SkipReason::OverlayFilesystem) {
                self.skipped.remove(place);
            }
        }
    }

    /// The mount point that `path` is below, or is.
    pub fn mount_of<'p>(&self, path: &'p Path) -> Option<&'p Path> {
        path.ancestors()
            .find(|place| self.tops.contains_key(*place))
    }

    /// What is left alone where `place`, in the host with this root, does not
    /// answer: the file system that it is on, or it alone, if the root is on
    /// the same.
    pub fn silent_part<'p>(&self, place: &'p Path, root: &Path) -> &'p Path {
        self.mount_of(place)
            .filter(|mount| mount.starts_with(root) && *mount != root)
            .unwrap_or(place)
    }

    /// The places where something else is mounted than in `earlier`, or
    /// nothing any more; what is above comes first.
    pub fn changed_since<'a>(&'a self, earlier: &'a Self) -> BTreeSet<&'a Path> {
        let places = self.tops.keys().chain(earlier.tops.keys());
        places
            .filter(|place| self.tops.get(*place) != earlier.tops.get(*place))
            .map(PathBuf::as_path)
            .collect()
    }

    pub fn overlays(&self) -> &[Overlay] {
        &self.overlays
    }

    /// The group that sees every process in the `proc` mounted here, where
    /// the others see their own only.
    pub fn group_that_sees(&self, proc: &Path) -> Option<u32> {
        self.hidden_from_others.get(proc).copied()
    }

    /// Why a walk must not touch `path`, if it is a mount point of a skipped
    /// type.
    pub fn skip(&self, path: &Path) -> Option<SkipReason> {
        self.skipped.get(path).copied()
    }

    /// The mount point that `path` is on, if what is mounted there is made up by
    /// the kernel and holds no files of its own.
    pub fn made_up(&self, path: &Path) -> Option<&Path> {
        let mut parts = path.ancestors();
        let (mount, _) = parts.find_map(|part| self.tops.get_key_value(part))?;
        self.made_up.get(mount).map(PathBuf::as_path)
    }

    /// The mount points below `place`, one that is skipped, at which a walk
    /// goes on: the file system is one that the kernel makes up, and `/dev/shm`
    /// is a disk in memory; or it is an overlay.
    pub fn beneath<'a>(&'a self, place: &'a Path) -> impl Iterator<Item = &'a Path> {
        let leads_on = self.leads_on(place);
        let below = self.below(place).filter(move |_| leads_on);
        below.filter(move |mount| {
            let between = mount.ancestors().skip(1).take_while(|part| *part != place);
            between
                .filter(|part| self.tops.contains_key(*part))
                .all(|part| self.leads_on(part))
        })
    }

    /// The mount points below `place`, one that is skipped, to which nobody
    /// goes: the way leads through what may not answer.
    pub fn behind<'a>(&'a self, place: &'a Path) -> impl Iterator<Item = &'a Path> {
        let leads_on = self.leads_on(place);
        self.below(place).filter(move |_| !leads_on)
    }

    /// The mount points below `place` that are not skipped themselves.
    fn below<'a>(&'a self, place: &'a Path) -> impl Iterator<Item = &'a Path> {
        let from = (Bound::Excluded(place), Bound::Unbounded);
        let mounts = self.tops.range::<Path, _>(from);
        let mounts = mounts.map(|(mount, _)| mount.as_path());
        let mounts = mounts.take_while(move |mount| mount.starts_with(place));
        mounts.filter(move |mount| self.skip(mount).is_none())
    }

    /// Whether a walk that begins at `start` comes to `path`.
    pub fn come_to(&self, path: &Path, start: &Path) -> bool {
        self.in_the_way(path, start).is_none()
    }

    /// Whether a walk that begins at `start` comes to something that is mounted
    /// beneath `directory`, which itself is not looked into.
    pub fn lead_on(&self, directory: &Path, start: &Path) -> bool {
        let mut beneath = self
            .tops
            .keys()
            .filter(|mount| mount.starts_with(directory));
        beneath.any(|mount| self.come_to(mount, start))
    }

    /// Why a walk that begins at `start` does not come to `path`, if so.
    pub fn in_the_way(&self, path: &Path, start: &Path) -> Option<SkipReason> {
        let mut is_beneath = false;
        let mut parts = path.ancestors().take_while(|part| *part != start);
        parts.find_map(|part| {
            let is_passed = is_beneath && self.leads_on(part);
            is_beneath |= self.tops.contains_key(part);
            self.skip(part).filter(|_| !is_passed)
        })
    }

    /// Whether a walk passes this over and goes on beneath it.
    fn leads_on(&self, place: &Path) -> bool {
        matches!(
            self.skip(place),
            Some(SkipReason::PseudoFilesystem | SkipReason::OverlayFilesystem)
        )
    }

    /// Whether any such mount point is in `directory`. Files can be mount
    /// points too, and are too many to be asked for one by one.
    pub fn skips_in(&self, directory: &Path) -> bool {
        self.around_skipped.contains(directory)
    }
}

/// Whether a directory has entries, of the first that are listed, that none of
/// the others has.
fn has_more(directory: &Path, others: &[PathBuf]) -> bool {
    const ASKED: usize = 64;
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name()).take(ASKED);
    names.any(|name| {
        let mut others = others.iter();
        !others.any(|other| other.join(&name).symlink_metadata().is_ok())
    })
}

fn overlay(mount_point: &Path, options: &HashMap<String, Option<String>>) -> Overlay {
    let option = |name: &str| options.get(name)?.as_deref();
    let path = |path: &str| unescape(Path::new(path));
    Overlay {
        mount_point: mount_point.to_owned(),
        upper: option("upperdir").map(path),
        lower: option("lowerdir")
            .into_iter()
            .flat_map(|lower| lower.split(':'))
            .map(path)
            .collect(),
    }
}

/// The group for which `hidepid` makes an exception; `None` where nothing is
/// hidden. See proc(5).
fn sees_all(options: &HashMap<String, Option<String>>) -> Option<u32> {
    let group = || options.get("gid")?.as_deref()?.parse().ok();
    match options.get("hidepid")?.as_deref()? {
        "2" | "invisible" => Some(group().unwrap_or(0)),
        // Whoever may not trace it does not see it, of whatever group.
        "4" | "ptraceable" => Some(NO_GROUP),
        _ => None,
    }
}

fn reason(fs_type: &str, network_filesystems: bool) -> Option<SkipReason> {
    if PSEUDO.contains(&fs_type) {
        Some(SkipReason::PseudoFilesystem)
    } else if fs_type == "overlay" || fs_type == "aufs" {
        Some(SkipReason::OverlayFilesystem)
    } else if is_network(fs_type) && !network_filesystems {
        Some(SkipReason::NetworkFilesystem)
    } else {
        None
    }
}

fn is_network(fs_type: &str) -> bool {
    let is_fuse = fs_type.starts_with("fuse.") && fs_type != "fuse.lxcfs";
    NETWORK.contains(&fs_type) || (is_fuse && !LOCAL_FUSE.contains(&fs_type))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    const TABLE: &[u8] = b"\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:30 / /mnt/with\\040blank rw shared:1 - nfs4 host:/x rw
31 27 0:31 / /run rw - tmpfs tmpfs rw
32 27 0:32 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw,lowerdir=/l:/m,upperdir=/u,workdir=/w
33 27 0:33 / /mnt/s3 rw - fuse.s3fs s3fs rw
34 27 0:34 / /mnt/ntfs rw - fuseblk /dev/sdb rw
35 27 0:35 / /srv rw - autofs systemd-1 rw
36 35 259:1 / /srv rw - xfs /dev/sdc rw
";

    fn skip(path: &str, network: bool) -> Option<SkipReason> {
        Mounts::parse(TABLE, network).unwrap().skip(Path::new(path))
    }

    #[test]
    fn what_the_kernel_makes_up_is_known_for_all_that_is_in_it() {
        let table = b"\
27 1 254:0 / / rw - rootfs rootfs rw
22 27 0:21 / /proc rw - proc proc rw
23 27 0:22 / /dev rw - devtmpfs dev rw
24 27 0:23 / /sys rw - sysfs sysfs rw
25 24 0:24 / /sys/fs/group rw - tmpfs tmpfs rw
26 25 0:25 / /sys/fs/group/one rw - cgroup cgroup rw
28 27 0:26 / /nfs rw - autofs auto rw
";
        let mounts = Mounts::parse(table, false).unwrap();
        for (path, mount) in [
            ("/proc/self/environ", Some("/proc")),
            ("/proc", Some("/proc")),
            ("/sys/fs", Some("/sys")),
            ("/sys/fs/group", None),
            ("/sys/fs/group/one/x", Some("/sys/fs/group/one")),
            ("/procs", None),
            ("/dev/key", None),
            ("/nfs", None),
        ] {
            assert_eq!(
                mounts.made_up(Path::new(path)),
                mount.map(Path::new),
                "{path}"
            );
        }
    }

    #[test]
    fn mounts_are_skipped_by_type() {
        assert_eq!(skip("/proc", false), Some(SkipReason::PseudoFilesystem));
        assert_eq!(
            skip("/mnt/with blank", false),
            Some(SkipReason::NetworkFilesystem)
        );
        assert_eq!(skip("/mnt/s3", false), Some(SkipReason::NetworkFilesystem));
        assert_eq!(
            skip("/var/lib/docker/overlay2/x/merged", false),
            Some(SkipReason::OverlayFilesystem)
        );
        for local in ["/", "/run", "/mnt/ntfs", "/elsewhere"] {
            assert_eq!(skip(local, false), None, "{local}");
        }
    }

    #[test]
    fn a_name_that_is_no_text_spoils_no_table() {
        let table = b"22 27 0:21 / /mnt/\xff\xc3 rw - nfs x rw\n";
        let mounts = Mounts::parse(table, false).unwrap();
        let place = Path::new(std::ffi::OsStr::from_bytes(b"/mnt/\xff\xc3"));
        assert_eq!(mounts.skip(place), Some(SkipReason::NetworkFilesystem));
    }

    #[test]
    fn network_file_systems_can_be_asked_for() {
        assert_eq!(skip("/mnt/s3", true), None);
        assert_eq!(skip("/proc", true), Some(SkipReason::PseudoFilesystem));
    }

    #[test]
    fn overlays_are_known_with_their_directories() {
        let mounts = Mounts::parse(TABLE, false).unwrap();
        let overlay = Overlay {
            mount_point: "/var/lib/docker/overlay2/x/merged".into(),
            upper: Some("/u".into()),
            lower: vec!["/l".into(), "/m".into()],
        };
        assert_eq!(mounts.overlays(), [overlay]);
    }

    #[test]
    fn a_proc_that_hides_processes_is_known() {
        let group = |options: &str| {
            let table = format!("22 27 0:21 / /proc rw - proc proc rw{options}\n");
            let mounts = Mounts::parse(table.as_bytes(), false).unwrap();
            mounts.group_that_sees(Path::new("/proc"))
        };
        assert_eq!(group(""), None);
        assert_eq!(group(",hidepid=1"), None);
        assert_eq!(group(",hidepid=invisible"), Some(0));
        assert_eq!(group(",hidepid=2,gid=27"), Some(27));
        assert_eq!(group(",hidepid=ptraceable,gid=27"), Some(NO_GROUP));
    }

    #[test]
    fn a_walk_goes_on_beneath_what_the_kernel_makes_up_and_nothing_else() {
        let table = b"\
27 1 254:0 / / rw - ext4 /dev/vda rw
24 27 0:5 / /dev rw - devtmpfs devtmpfs rw
25 24 0:25 / /dev/shm rw - tmpfs tmpfs rw
26 25 0:26 / /dev/shm/inner rw - tmpfs tmpfs rw
28 24 0:27 / /dev/mqueue rw - mqueue mqueue rw
29 27 0:28 / /mnt rw - nfs4 host:/x rw
30 29 0:29 / /mnt/local rw - tmpfs tmpfs rw
31 29 0:31 / /mnt/far rw - nfs4 host:/y rw
32 31 0:32 / /mnt/far/local rw - tmpfs tmpfs rw
";
        let mounts = Mounts::parse(table, false).unwrap();
        let beneath = |place: &str| -> Vec<PathBuf> {
            let beneath = mounts.beneath(Path::new(place));
            beneath.map(Path::to_owned).collect()
        };
        assert_eq!(beneath("/dev"), [Path::new("/dev/shm")]);
        assert!(beneath("/mnt").is_empty());
        let behind: Vec<_> = mounts.behind(Path::new("/mnt")).collect();
        assert_eq!(behind, ["/mnt/far/local", "/mnt/local"].map(Path::new));
        let come_to = |path: &str| mounts.come_to(Path::new(path), Path::new("/"));
        for path in ["/dev/shm/a", "/dev/shm/inner/a", "/srv/a"] {
            assert!(come_to(path), "{path}");
        }
        for path in ["/dev/a", "/dev/mqueue/a", "/mnt/a", "/mnt/local/a"] {
            assert!(!come_to(path), "{path}");
        }
    }

    #[test]
    fn of_the_file_system_with_the_root_only_the_place_is_left_alone() {
        let mounts = Mounts::parse(TABLE, false).unwrap();
        for (place, root, silent) in [
            ("/mnt/s3/a/b", "/", "/mnt/s3"),
            ("/mnt/s3/a/b", "/mnt", "/mnt/s3"),
            ("/mnt/s3/a/b", "/mnt/s3", "/mnt/s3/a/b"),
            // The root is a directory in it.
            ("/mnt/s3/a/b", "/mnt/s3/a", "/mnt/s3/a/b"),
            ("/etc/a", "/", "/etc/a"),
            ("/etc/a", "/etc", "/etc/a"),
        ] {
            let told = mounts.silent_part(Path::new(place), Path::new(root));
            assert_eq!(told, Path::new(silent), "{place} in {root}");
        }
    }

    #[test]
    fn what_is_mounted_on_top_decides() {
        assert_eq!(skip("/srv", false), None);
    }

    #[test]
    fn what_is_mounted_over_a_place_covers_what_is_beneath_it() {
        let table = b"\
27 1 254:0 / / rw - ext4 /dev/vda rw
30 27 0:30 / /data/efs rw - nfs4 host:/x rw
31 27 259:1 / /data rw - xfs /dev/sdc rw
32 31 0:32 / /data/far rw - nfs4 host:/y rw
33 32 0:33 / /data/far rw - tmpfs t rw
34 32 0:34 / /data/far/gone rw - nfs4 host:/z rw
40 27 0:40 / / rw - tmpfs t rw
";
        let mounts = Mounts::parse(table, false).unwrap();
        for path in ["/", "/data", "/data/efs", "/data/far", "/data/far/gone"] {
            assert_eq!(mounts.skip(Path::new(path)), None, "{path}");
        }
        let places: Vec<_> = mounts.tops.keys().map(|place| place.to_str()).collect();
        assert_eq!(places, [Some("/"), Some("/data"), Some("/data/far")]);
        assert_eq!(mounts.tops[Path::new("/")].0, 27);
    }

    #[test]
    fn mounting_over_a_place_and_taking_a_mount_away_are_changes() {
        let mounts = |text: &[u8]| Mounts::parse(text, false).unwrap();
        let table = mounts(TABLE);
        assert!(table.changed_since(&mounts(TABLE)).is_empty());
        let over = [TABLE, b"40 27 0:40 / /mnt/s3 rw - tmpfs t rw\n"].concat();
        assert_eq!(
            mounts(&over).changed_since(&table),
            BTreeSet::from([Path::new("/mnt/s3")])
        );
        let without = TABLE.strip_suffix(b"36 35 259:1 / /srv rw - xfs /dev/sdc rw\n");
        assert_eq!(
            mounts(without.unwrap()).changed_since(&table),
            BTreeSet::from([Path::new("/srv")])
        );
    }
}

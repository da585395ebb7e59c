//! What a sandbox hides from us: places at which we see something else than
//! the host's first process does.
//!
//! systemd gives a unit a mount namespace of its own: `ProtectHome=` and
//! `InaccessiblePaths=` lay an empty directory over places, `PrivateTmp=` a
//! private one, `TemporaryFileSystem=` a new file system. A walk finds nothing
//! there and would not know that it missed something.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::mounts::{self, Mounts, Seen};
use crate::host::from_here;
use crate::host::process::{self, FIRST_NAMESPACE};

/// Where `ProtectHome=tmpfs` lays an empty file system.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// Made anew for a unit with `PrivateDevices=`. A walk does not enter the
/// host's own; where that is a tmpfs, as in a container, it holds devices.
const DEVICES: &str = "/dev";

/// Processes that are asked for their view of the host.
const MAX_ASKED: usize = 1000;

/// Places, the outermost only, at which the host has something that is hidden
/// from this process; `proc` is a `/proc`.
pub fn places(proc: &Path, network_filesystems: bool) -> Vec<PathBuf> {
    let table = |process: &str| fs::read(proc.join(process).join("mountinfo"));
    let Ok(ours) = table("self") else {
        return Vec::new();
    };
    // Where it cannot be read, what we see ourselves has to do; so, too, where
    // the first process in sight is one of our own sandbox.
    let is_ours = |theirs: &Vec<u8>| *theirs == ours && !sees_all_processes(proc);
    let theirs = table("1").ok().filter(|theirs| !is_ours(theirs));
    let theirs = theirs.unwrap_or_default();
    let mut places = hidden(&ours, &theirs, network_filesystems);
    if !places.is_empty()
        && !theirs.is_empty()
        && let Some(root) = root_of_host(proc, &theirs)
    {
        places.retain(|place| !is_empty(&root, place));
    }
    places
}

/// Whether the processes in view are those of the host.
fn sees_all_processes(proc: &Path) -> bool {
    process::namespace(proc).is_none_or(|namespace| namespace == Path::new(FIRST_NAMESPACE))
}

/// The host's root as a process sees it that has the mounts of the first one,
/// which itself seldom lets anyone look.
fn root_of_host(proc: &Path, theirs: &[u8]) -> Option<PathBuf> {
    let processes = fs::read_dir(proc).ok()?.flatten().map(|entry| entry.path());
    processes
        .filter(|process| process.join("mountinfo").exists())
        .take(MAX_ASKED)
        .find(|process| {
            let same = fs::read(process.join("mountinfo")).is_ok_and(|table| table == theirs);
            same && fs::metadata(process.join("root/.")).is_ok()
        })
        .map(|process| process.join("root"))
}

/// Whether the host has nothing to read there: empty directories, such as those
/// of `/run/credentials`, which systemd hides from every sandbox, and what is
/// no file or an empty one, as what a container has in place of `/proc/kmsg`.
fn is_empty(root: &Path, place: &Path) -> bool {
    holds_nothing(&from_here(root, place), 1)
}

fn holds_nothing(there: &Path, levels: u8) -> bool {
    match fs::symlink_metadata(there) {
        Ok(meta) if meta.is_dir() => fs::read_dir(there).is_ok_and(|mut entries| {
            entries.all(|entry| {
                levels > 0 && entry.is_ok_and(|entry| holds_nothing(&entry.path(), levels - 1))
            })
        }),
        Ok(meta) => !meta.is_file() || meta.len() == 0,
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

/// The places that two mount tables, ours and that of the first process, show
/// to be hidden.
fn hidden(ours: &[u8], theirs: &[u8], network_filesystems: bool) -> Vec<PathBuf> {
    let mounts_of_host = Mounts::parse(theirs, network_filesystems).unwrap_or_default();
    let table = |text: &[u8]| mounts::table(text).unwrap_or_default();
    let (ours, theirs) = (table(ours), table(theirs));
    let root = |table: &BTreeMap<PathBuf, Seen>| table.get(Path::new("/")).cloned();
    // Who is in a container may have memory of its own anywhere.
    let is_container = root(&ours).is_some_and(|root| root.is_overlay());
    // Another root is a container or a chroot, and another host to us.
    let comparable = root(&ours).is_some_and(|root_of_ours| {
        root(&theirs).is_some_and(|root| root.is_same_place(&root_of_ours))
    });
    let is_hidden = |place: &&PathBuf| {
        let Some(seen) = Seen::at(&ours, place) else {
            return false;
        };
        if *place == Path::new(DEVICES) {
            return false;
        }
        if !comparable {
            let is_home = HOMES.iter().any(|home| *place == Path::new(home));
            return seen.is_of_sandbox() || (is_home && seen.is_tmpfs() && !is_container);
        }
        // Another disk or server is there for its own sake.
        let lays_over = seen.is_tmpfs() || theirs.values().any(|known| known.is_of_same(&seen));
        let there = Seen::at(&theirs, place);
        there.is_some_and(|there| !seen.is_same_place(&there))
            && lays_over
            && mounts_of_host.come_to(place, Path::new("/"))
    };
    let mounted = ours.keys().chain(theirs.keys().filter(|_| comparable));
    let mut places: Vec<PathBuf> = mounted.filter(is_hidden).cloned().collect();
    places.sort();
    places.dedup_by(|place, outer| place.starts_with(outer));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
24 22 0:5 / /dev rw - devtmpfs devtmpfs rw
25 24 0:25 / /dev/shm rw - tmpfs tmpfs rw
26 22 0:26 / /run rw - tmpfs tmpfs rw
27 26 0:27 / /run/user/1000 rw - tmpfs tmpfs rw
28 22 254:16 / /data rw - xfs /dev/vdb rw
29 22 0:29 / /mnt/efs rw - nfs4 host:/ rw
";

    fn found(ours: &str, theirs: &str) -> Vec<String> {
        let places = hidden(ours.as_bytes(), theirs.as_bytes(), false);
        places
            .iter()
            .map(|place| place.display().to_string())
            .collect()
    }

    /// The places hidden by mounts that come on top of the host's.
    fn with(mounts: &str) -> Vec<String> {
        found(&format!("{HOST}{mounts}"), HOST)
    }

    #[test]
    fn a_plain_host_and_a_container_hide_nothing() {
        let container = "30 1 0:30 / / rw - overlay overlay rw,lowerdir=/l\n\
                         31 30 254:0 /var/lib/docker/x/hosts /etc/hosts rw - ext4 /dev/vda rw\n\
                         32 30 0:32 / /run rw - tmpfs tmpfs rw\n";
        assert_eq!(found(HOST, HOST), [""; 0]);
        assert_eq!(found(container, container), [""; 0]);
        // With the host's processes in view, or not.
        assert_eq!(found(container, HOST), [""; 0]);
        assert_eq!(found(container, ""), [""; 0]);
        let memory = format!("{container}33 30 0:33 / /root rw - tmpfs tmpfs rw\n");
        assert_eq!(found(&memory, ""), [""; 0]);
        assert_eq!(found(HOST, ""), [""; 0]);
        assert_eq!(found("", ""), [""; 0]);
    }

    #[test]
    fn what_systemd_lays_over_a_place_is_told() {
        let node = "40 22 0:26 /systemd/inaccessible/dir";
        let homes = format!("{node} /home ro - tmpfs t rw\n{node} /root ro - tmpfs t rw\n");
        let tmp = "41 22 254:0 /tmp/systemd-private-1-a.service-x/tmp /tmp rw - ext4 /dev/vda rw\n";
        let on_tmpfs = "42 22 0:50 /systemd-private-1-a.service-x/tmp /tmp rw - tmpfs t rw\n";
        let empty = "43 22 0:51 / /home ro - tmpfs tmpfs ro\n44 43 254:0 /home/x /home/x rw - ext4 /dev/vda rw\n";
        let file = "45 22 0:26 /systemd/inaccessible/reg /etc/shadow ro - tmpfs t rw\n";
        for (mounts, places) in [
            (homes.as_str(), &["/home", "/root"][..]),
            (tmp, &["/tmp"]),
            (on_tmpfs, &["/tmp"]),
            (empty, &["/home"]),
            (file, &["/etc/shadow"]),
        ] {
            assert_eq!(with(mounts), places, "{mounts}");
            // As well where the first process cannot be looked at.
            assert_eq!(found(&format!("{HOST}{mounts}"), ""), places, "{mounts}");
        }
        let other = "46 22 0:52 / /srv ro - tmpfs tmpfs ro\n";
        assert_eq!(with(other), ["/srv"]);
    }

    #[test]
    fn a_mount_of_the_host_that_we_do_not_have_is_told() {
        let ours = HOST.replace("28 22 254:16 / /data rw - xfs /dev/vdb rw\n", "");
        assert_eq!(found(&ours, HOST), ["/data"]);
        // Where a walk goes on beneath what the kernel makes up, too.
        let ours = HOST.replace("25 24 0:25 /", "25 24 0:61 /");
        assert_eq!(found(&ours, HOST), ["/dev/shm"]);
    }

    #[test]
    fn a_sandbox_whose_first_process_is_its_own_is_seen() {
        let proc = tempfile::tempdir().unwrap();
        let node = "40 22 0:26 /systemd/inaccessible/dir /home ro - tmpfs t rw\n";
        let table = format!("{HOST}{node}");
        for process in ["self", "1/ns"] {
            fs::create_dir_all(proc.path().join(process)).unwrap();
        }
        for process in ["self", "1"] {
            fs::write(proc.path().join(process).join("mountinfo"), &table).unwrap();
        }
        let namespace = proc.path().join("1/ns/pid");
        for (pid, hidden) in [("pid:[4026532000]", &["/home"][..]), (FIRST_NAMESPACE, &[])] {
            let _ = fs::remove_file(&namespace);
            std::os::unix::fs::symlink(pid, &namespace).unwrap();
            let hidden: Vec<&Path> = hidden.iter().map(Path::new).collect();
            assert_eq!(places(proc.path(), false), hidden, "{pid}");
        }
    }

    #[test]
    fn nothing_to_read_is_nothing_hidden() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for directory in ["empty", "nested/empty", "full"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        fs::write(root.join("full/file"), "text").unwrap();
        fs::write(root.join("empty file"), "").unwrap();
        std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        for (place, expected) in [
            ("/empty", true),
            ("/nested", true),
            ("/empty file", true),
            ("/socket", true),
            ("/not there", true),
            ("/full", false),
            ("/full/file", false),
        ] {
            assert_eq!(is_empty(root, Path::new(place)), expected, "{place}");
        }
    }

    #[test]
    fn private_devices_hide_no_files_in_a_container_either() {
        let container = HOST.replace(
            "0:5 / /dev rw - devtmpfs devtmpfs",
            "0:70 / /dev rw - tmpfs tmpfs",
        );
        let ours = format!(
            "{container}57 24 0:71 / /dev rw - tmpfs tmpfs rw\n58 57 0:25 / /dev/shm rw - tmpfs tmpfs rw\n"
        );
        assert_eq!(found(&ours, &container), [""; 0]);
    }

    #[test]
    fn what_is_the_same_or_would_not_be_walked_is_not_told() {
        for mounts in [
            // ProtectSystem=, PrivateDevices=, ProtectKernelTunables=.
            "50 22 254:0 /usr /usr ro - ext4 /dev/vda rw\n",
            "51 22 254:0 / / ro - ext4 /dev/vda rw\n",
            "52 22 0:60 / /dev rw - tmpfs tmpfs rw\n53 52 0:25 / /dev/shm rw - tmpfs tmpfs rw\n",
            "54 23 0:21 /sys /proc/sys ro - proc proc rw\n",
            "55 22 0:62 / /mnt/efs rw - tmpfs tmpfs rw\n",
            // A disk of our own.
            "56 22 254:32 / /mnt/disk rw - ext4 /dev/vdc rw\n",
        ] {
            assert_eq!(with(mounts), [""; 0], "{mounts}");
        }
    }
}

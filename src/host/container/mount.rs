//! What is mounted into a container, and whether that says who uses it.

use std::path::{Path, PathBuf};

use super::{Container, Listing};

/// Mounts of one container that are looked at; pods have dozens.
const MAX_MOUNTS: usize = 1_000;

/// Where the kubelet keeps the volumes of containers.
const PODS: &str = "/var/lib/kubelet/pods";

/// Directories that are mounted by what watches, backs up or manages the host:
/// of a key in them that says nothing.
const BROAD: &[&str] = &[
    "/",
    "/bin",
    "/boot",
    "/etc",
    "/home",
    "/lib",
    "/lib32",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local",
    "/usr/sbin",
    "/usr/share",
    "/usr/src",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/lib/rancher",
    "/var/lib/rancher/k3s",
    "/var/lib/rancher/k3s/storage",
    "/var/lib/rancher/rke2",
    "/var/log",
    "/var/log/journal",
    "/var/run",
    "/var/spool",
    "/var/tmp",
];

/// The same with all that is below: the kernel's, and where runtimes keep all
/// containers, their logs and what they make for each, such as its
/// `resolv.conf`.
const NOBODYS: &[&str] = &[
    "/dev",
    "/proc",
    "/sys",
    "/run/containerd",
    "/run/containers",
    "/run/crio",
    "/run/docker",
    "/run/k3s",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/kubelet",
    "/var/lib/rancher/k3s/agent",
    "/var/lib/rancher/rke2/agent",
    "/var/log/containers",
    "/var/log/pods",
    "/var/snap/docker",
];

/// The sources of a container's mounts, by what they say.
#[derive(Default)]
pub(super) struct Mounts {
    /// Among the volumes of a runtime.
    own: Vec<PathBuf>,
    /// Files and directories of the host, however much they hold.
    sources: Vec<PathBuf>,
    /// Those of them that hold what the container uses.
    telling: Vec<PathBuf>,
}

impl Container {
    pub(super) fn mount(&mut self, mounts: Mounts) {
        self.directories.extend(mounts.own);
        self.files.extend(mounts.sources);
        self.mounted.extend(mounts.telling);
    }
}

impl Listing<'_, '_> {
    /// Takes down where a runtime keeps its containers.
    pub(super) fn add_store(&mut self, store: &Path) {
        let store = self.resolved(store);
        self.stores.extend(store);
    }

    /// What the configuration in `place` mounts; the volumes of its runtime lie
    /// in `volumes`.
    pub(super) fn mounts<'s>(
        &mut self,
        sources: impl Iterator<Item = &'s str>,
        volumes: Option<&Path>,
        place: &Path,
    ) -> Mounts {
        let mut mounts = Mounts::default();
        for (source, index) in sources.zip(0..) {
            if index == MAX_MOUNTS {
                self.omitted.add(place, "too many mounts");
                break;
            }
            let Some(path) = self.resolved(source) else {
                continue;
            };
            let is_below = |directory: &Path| path.starts_with(directory) && path != directory;
            if volumes.is_some_and(is_below) || is_below(Path::new(PODS)) {
                mounts.own.push(path);
                continue;
            }
            if self.is_telling(&path) {
                mounts.telling.push(path.clone());
            }
            mounts.sources.push(path);
        }
        mounts
    }

    fn is_telling(&self, path: &Path) -> bool {
        let is_broad = BROAD.iter().any(|broad| path == Path::new(broad));
        let is_in = |directory: &Path| path.starts_with(directory);
        let is_nobodys = NOBODYS.iter().any(|nobodys| is_in(Path::new(nobodys)));
        !is_broad && !is_nobodys && !self.stores.iter().any(|store| is_in(store))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::super::tests::{Tree, paths};
    use super::*;
    use crate::host::Omitted;

    const CONFIG: &str = "data/docker/containers/x/config.v2.json";
    const DAEMON: (&str, &str) = ("etc/docker/daemon.json", r#"{"data-root": "/data/docker"}"#);

    fn one(tree: &Tree) -> Container {
        let [container] = tree.list(&mut Omitted::default()).try_into().unwrap();
        container
    }

    fn mounting(sources: &[&str]) -> String {
        let mounts: Vec<_> = sources
            .iter()
            .zip(0..)
            .map(|(source, n)| format!(r#""/{n}":{{"Type":"bind","Source":"{source}"}}"#))
            .collect();
        format!(r#"{{"Name":"/x","MountPoints":{{{}}}}}"#, mounts.join(","))
    }

    #[test]
    fn a_mounted_directory_is_told_and_one_that_holds_everything_is_not() {
        let telling = ["/etc/shop", "/home/u/.aws", "/srv/shop"];
        let broad = [
            "/",
            "/data/docker/overlay2/abc",
            "/data/docker/volumes",
            "/dev/shm/x",
            "/etc",
            "/home",
            "/proc/1",
            "/run",
            "/var/lib/docker/containers",
            "/var/lib/kubelet/pods",
            "/var/log/pods",
        ];
        let none = ["", "srv/shop", "/srv/a\\u0000b", "/gone"];
        let by_link = ["/opt/link", "/var/run", "/srv/shop/../../var/log"];
        let sources = [&telling[..], &broad, &none, &by_link].concat();
        let config = mounting(&sources);
        let tree = Tree::new(&[DAEMON, (CONFIG, &config)]);
        let at = |path: &str| tree.0.path().join(path.trim_start_matches('/'));
        for directory in telling.iter().chain(&broad).chain(&["/opt", "/srv/linked"]) {
            fs::create_dir_all(at(directory)).unwrap();
        }
        symlink("/srv/linked", at("opt/link")).unwrap();
        symlink("../run", at("var/run")).unwrap();
        let mut container = one(&tree);
        container.mounted.sort();
        let told = ["/etc/shop", "/home/u/.aws", "/srv/linked", "/srv/shop"];
        assert_eq!(container.mounted, paths(&told));
        let own = "/data/docker/containers/x";
        assert_eq!(container.directories, paths(&[own]));
    }

    #[test]
    fn a_bundle_mounts_directories_and_pods_have_their_volumes() {
        let volume = "var/lib/kubelet/pods/p/volumes/kubernetes.io~secret/aws";
        let bundle = "run/containerd/io.containerd.runtime.v2.task/k8s.io/x";
        let config = format!(
            r#"{{"mounts":[{{"type":"proc","source":"proc"}},
                {{"type":"bind","source":"/var/lib/kubelet/pods"}},
                {{"type":"bind","source":"/{volume}"}},
                {{"type":"bind","source":"/{bundle}/resolv.conf"}},
                {{"type":"bind","source":"/srv/job"}}]}}"#
        );
        let tree = Tree::new(&[
            (&format!("{bundle}/config.json"), &config),
            (&format!("{bundle}/resolv.conf"), ""),
            (&format!("{volume}/credentials"), ""),
            ("srv/job/key.env", ""),
        ]);
        let container = one(&tree);
        assert_eq!(container.mounted, paths(&["/srv/job"]));
        let own = [format!("/{bundle}"), format!("/{volume}")];
        assert_eq!(container.directories, own.map(PathBuf::from));
    }

    #[test]
    fn of_very_many_mounts_the_first_are_looked_at() {
        let sources = r#"{"source":"/srv/a"},"#.repeat(20_000);
        let bundle = "run/containerd/io.containerd.runtime.v2.task/k8s.io/x/config.json";
        let config = format!(r#"{{"mounts":[{sources}{{"source":"/srv/b"}}]}}"#);
        let tree = Tree::new(&[(bundle, &config), ("srv/a", ""), ("srv/b", "")]);
        let mut omitted = Omitted::default();
        let [container] = tree.list(&mut omitted).try_into().unwrap();
        assert_eq!(container.mounted.len(), MAX_MOUNTS);
        assert_eq!(omitted.count, 1, "{omitted:?}");
    }
}

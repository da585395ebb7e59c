//! The containers of a host, running or not, as docker, containerd, podman
//! and CRI-O keep them on disk.

mod compose;
mod docker;
mod dockerd;
mod mount;
mod oci;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::account::Account;
use super::{Omitted, Root};
use crate::sanitize;

/// Containers told of one host.
const MAX_CONTAINERS: usize = 5_000;

/// Characters of a name that are told; those of docker and of registries are
/// shorter.
const MAX_NAME: usize = 256;

/// Layers of one image; overlay takes 500 at most.
const MAX_LAYERS: usize = 500;

/// One container. Texts are safe for a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// 64 hexadecimal digits, as a rule.
    pub id: String,
    pub name: Option<String>,
    pub image: Option<String>,
    /// The files that say how it is run: environment, command.
    pub configuration: Vec<PathBuf>,
    /// Files of the host that it was made from or that are mounted into it.
    pub files: Vec<PathBuf>,
    /// What of the host is mounted into it and holds what it uses: a directory
    /// with all that is below, unless everybody's things are in there.
    pub mounted: Vec<PathBuf>,
    /// Directories that are the container's own: its layer, logs and volumes.
    pub directories: Vec<PathBuf>,
    /// Layers of its image and the image's configuration, which other
    /// containers may share.
    pub image_files: Vec<PathBuf>,
    /// The control group that the system's configuration of it names: a path
    /// from the root, or a scope of systemd.
    pub cgroup: Option<String>,
    /// Of the account whose it is, if not the system's.
    home: Option<PathBuf>,
}

impl Container {
    /// The ID as it is shown, and as processes have it: the first 12 digits.
    pub fn short_id(&self) -> &str {
        let end = self.id.char_indices().nth(12).map(|(at, _)| at);
        let is_hex = self.id.len() == 64 && self.id.bytes().all(|byte| byte.is_ascii_hexdigit());
        &self.id[..end.filter(|_| is_hex).unwrap_or(self.id.len())]
    }
}

/// The containers of a host; `accounts` may have their own.
pub fn list(root: Root<'_>, accounts: &[Account], omitted: &mut Omitted) -> Vec<Container> {
    let mut listing = Listing::new(root, omitted);
    listing.docker();
    listing.containerd();
    listing.podman();
    for account in accounts {
        // Without one there is nothing of theirs.
        let Ok(home) = root.resolve(&account.home) else {
            continue;
        };
        listing.home = Some(home);
        listing.compose = compose::Compose::default();
        let docker = account.home.join(docker::ROOTLESS);
        listing.add_store(&docker);
        listing.docker_in(&docker);
        listing.storage(&account.home.join(oci::ROOTLESS));
    }
    listing.containers.into_values().collect()
}

struct Listing<'a, 'o> {
    root: Root<'a>,
    containers: BTreeMap<String, Container>,
    /// Of the account whose containers are at hand, if they are not the
    /// system's: what they say of other files is no reason to tell those with
    /// them.
    home: Option<PathBuf>,
    /// Where the runtimes so far keep their containers.
    stores: Vec<PathBuf>,
    compose: compose::Compose,
    omitted: &'o mut Omitted,
}

impl<'a, 'o> Listing<'a, 'o> {
    fn new(root: Root<'a>, omitted: &'o mut Omitted) -> Self {
        Self {
            root,
            containers: BTreeMap::new(),
            home: None,
            stores: Vec::new(),
            compose: compose::Compose::default(),
            omitted,
        }
    }

    fn names(&mut self, directory: &Path) -> Vec<String> {
        let names = self.root.list(directory, self.omitted);
        names
            .into_iter()
            .flat_map(std::ffi::OsString::into_string)
            .collect()
    }

    fn json<T: serde::de::DeserializeOwned>(&mut self, path: &Path) -> Option<T> {
        let parsed = self.root.read(path).and_then(|text| {
            // The parser's own message may quote what it parsed.
            serde_json::from_slice(&text)
                .map_err(|_| std::io::Error::other("not the JSON that was expected"))
        });
        parsed
            .map_err(|error| self.omitted.add_error(path, &error))
            .ok()
    }

    /// The container of an ID; `None` where there are too many, and where it is
    /// somebody else's.
    fn container(&mut self, id: &str, place: &Path) -> Option<&mut Container> {
        if self.containers.len() >= MAX_CONTAINERS && !self.containers.contains_key(id) {
            self.omitted.add(place, "too many containers");
            return None;
        }
        let home = &self.home;
        let container = self.containers.entry(id.to_owned());
        let container = container.or_insert_with(|| Container {
            id: shown(id),
            home: home.clone(),
            ..Container::default()
        });
        (container.home == *home).then_some(container)
    }

    fn resolved(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        let path = path.as_ref();
        let path = path.is_absolute().then(|| self.root.resolve(path).ok())??;
        let is_theirs = self.home.as_ref().is_none_or(|home| path.starts_with(home));
        is_theirs.then_some(path)
    }

    /// The layers below one of docker's or podman's: its file `lower` names
    /// links beside it, separated by colons.
    fn layers(&self, layer: &Path) -> Vec<PathBuf> {
        let Ok(lower) = self.root.read(&layer.join("lower")) else {
            return Vec::new();
        };
        let links = String::from_utf8_lossy(&lower).into_owned();
        let beside = layer.parent().unwrap_or(layer);
        let layers = links.trim().split(':').take(MAX_LAYERS);
        layers
            .filter(|link| !link.is_empty())
            .filter_map(|link| self.resolved(beside.join(link)))
            .collect()
    }
}

/// What may be the name of a file, of a layer or an image, and leads nowhere
/// else.
fn name(text: &str) -> Option<&str> {
    (!text.is_empty() && !text.contains(['/', '.'])).then_some(text)
}

fn shown(text: &str) -> String {
    let end = text.char_indices().nth(MAX_NAME).map(|(at, _)| at);
    sanitize::line(&text[..end.unwrap_or(text.len())]).into_owned()
}

fn told(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| shown(text))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    pub(super) struct Tree(pub(super) tempfile::TempDir);

    impl Tree {
        pub(super) fn new(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = dir.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(dir)
        }

        pub(super) fn root(&self) -> Root<'_> {
            Root {
                path: self.0.path(),
                avoid: &|_| None,
            }
        }

        pub(super) fn list(&self, omitted: &mut Omitted) -> Vec<Container> {
            list(self.root(), &[], omitted)
        }
    }

    #[test]
    fn what_an_account_says_of_others_files_counts_for_nothing() {
        let id = "0123456789abcdef".repeat(4);
        let docker = "home/u/.local/share/docker";
        let config = format!(
            r#"{{"Name":"/{}","MountPoints":{{
                "/a":{{"Source":"/srv/app/key.env"}},"/b":{{"Source":"/home/u/own.env"}}}}}}"#,
            "x".repeat(1_000_000)
        );
        let tree = Tree::new(&[
            (&format!("{docker}/containers/{id}/config.v2.json"), &config),
            (
                &format!("{docker}/image/overlay2/layerdb/mounts/{id}/mount-id"),
                "all",
            ),
            (&format!("{docker}/overlay2/x"), ""),
            ("home/u/own.env", ""),
            ("srv/app/key.env", ""),
        ]);
        let all = tree.0.path().join(docker).join("overlay2/all");
        std::os::unix::fs::symlink("/", all).unwrap();
        let account = Account {
            name: "u".into(),
            uid: 1000,
            gid: 1000,
            home: "/home/u".into(),
            has_login: true,
        };
        let [container] = list(tree.root(), &[account], &mut Omitted::default())
            .try_into()
            .unwrap();
        assert_eq!(container.files, paths(&["/home/u/own.env"]));
        let own = format!("/{docker}/containers/{id}");
        assert_eq!(container.directories, paths(&[&own]));
        assert_eq!(container.name.map(|name| name.len()), Some(MAX_NAME));
    }

    pub(super) fn paths(paths: &[&str]) -> Vec<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn docker_names_a_container_its_image_its_layer_and_its_compose_files() {
        let id = "0123456789abcdef".repeat(4);
        let tree = Tree::new(&[
            ("etc/docker/daemon.json", r#"{"data-root": "/data/docker"}"#),
            (
                &format!("data/docker/containers/{id}/config.v2.json"),
                r#"{"ID":"x","Name":"/web","Driver":"overlay2","Image":"sha256:0f","Config":{"Image":"nginx:1","Env":["A=1"],"Labels":{
                    "com.docker.compose.project.config_files":"/srv/app/compose.yml,/srv/gone.yml"}},
                    "MountPoints":{"/run/s":{"Type":"bind","Source":"/srv/app/key.env"},
                    "/data":{"Type":"volume","Source":"","Name":"0a1b"}}}"#,
            ),
            (
                &format!("data/docker/image/overlay2/layerdb/mounts/{id}/mount-id"),
                "abc",
            ),
            ("data/docker/overlay2/abc/diff/app/.env", ""),
            ("data/docker/overlay2/abc/lower", "l/X:l/GONE"),
            ("data/docker/overlay2/base/diff/etc/passwd", ""),
            ("data/docker/overlay2/l/none", ""),
            ("data/docker/image/overlay2/imagedb/content/sha256/0f", ""),
            ("data/docker/volumes/0a1b/_data/x", ""),
            ("srv/app/compose.yml", ""),
            ("srv/app/key.env", ""),
        ]);
        let link = tree.0.path().join("data/docker/overlay2/l/X");
        std::os::unix::fs::symlink("../base/diff", link).unwrap();
        let mut omitted = Omitted::default();
        let [container] = tree.list(&mut omitted).try_into().unwrap();
        assert_eq!(
            container.image_files,
            paths(&[
                "/data/docker/overlay2/base/diff",
                "/data/docker/image/overlay2/imagedb/content/sha256/0f"
            ])
        );
        assert_eq!(container.short_id(), "0123456789ab");
        assert_eq!(container.name.as_deref(), Some("web"));
        assert_eq!(container.image.as_deref(), Some("nginx:1"));
        let directory = format!("/data/docker/containers/{id}");
        assert_eq!(
            container.configuration,
            paths(&[&format!("{directory}/config.v2.json")])
        );
        assert_eq!(
            container.files,
            paths(&["/srv/app/compose.yml", "/srv/app/key.env"])
        );
        assert_eq!(
            container.directories,
            paths(&[
                &directory,
                "/data/docker/overlay2/abc",
                "/data/docker/volumes/0a1b/_data"
            ])
        );
        assert_eq!(omitted, Omitted::default());
    }

    #[test]
    fn bundles_of_containerd_and_podman_are_containers_too() {
        let (pod, box_) = ("a".repeat(64), "b".repeat(64));
        let tree = Tree::new(&[
            (
                &format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{pod}/config.json"),
                r#"{"process":{"env":["A=1"]},"annotations":{
                    "io.kubernetes.cri.container-name":"api",
                    "io.kubernetes.cri.image-name":"registry/api:2"}}"#,
            ),
            (
                "var/lib/containers/storage/overlay-containers/containers.json",
                &format!(
                    r#"[{{"id":"{box_}","names":["box"],"layer":"l1",
                        "metadata":"{{\"image-name\":\"box:2\",\"name\":\"b\"}}"}}]"#
                ),
            ),
            (
                &format!(
                    "var/lib/containers/storage/overlay-containers/{box_}/userdata/config.json"
                ),
                r#"{"annotations":null}"#,
            ),
            ("var/lib/containers/storage/overlay/l1/diff/x", ""),
        ]);
        let containers = tree.list(&mut Omitted::default());
        let told: Vec<_> = containers
            .iter()
            .map(|one| {
                (
                    one.name.as_deref(),
                    one.image.as_deref(),
                    one.configuration.len(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (Some("api"), Some("registry/api:2"), 1),
                (Some("box"), Some("box:2"), 1)
            ]
        );
        assert!(
            containers[1]
                .directories
                .contains(&"/var/lib/containers/storage/overlay/l1".into())
        );
    }

    #[test]
    fn a_project_has_an_environment_and_a_container_may_have_no_mounts() {
        let id = "0123456789abcdef".repeat(4);
        let tree = Tree::new(&[
            (
                &format!("var/lib/docker/containers/{id}/config.v2.json"),
                r#"{"Name":"/web","Config":{"Labels":{
                    "com.docker.compose.project.working_dir":"/srv/app"}},"MountPoints":null}"#,
            ),
            ("srv/app/.env", ""),
        ]);
        let mut omitted = Omitted::default();
        let [container] = tree.list(&mut omitted).try_into().unwrap();
        assert_eq!(container.files, paths(&["/srv/app/.env"]));
        assert_eq!(omitted, Omitted::default());
    }

    #[test]
    fn podman_has_volumes_and_containers_that_go_when_they_end() {
        let id = "c".repeat(64);
        let storage = "var/lib/containers/storage";
        let containers = format!("{storage}/overlay-containers");
        let tree = Tree::new(&[
            (
                &format!("{containers}/volatile-containers.json"),
                &format!(r#"[{{"id":"{id}","names":["job"],"layer":"l2","image":"0f"}}]"#),
            ),
            (
                &format!("{containers}/{id}/userdata/config.json"),
                r#"{"mounts":[{"source":"/var/lib/containers/storage/volumes/v/_data"},
                    {"source":"/srv/job.env"}]}"#,
            ),
            (&format!("{storage}/overlay/l2/diff/x"), ""),
            (&format!("{storage}/overlay-images/0f/=config"), ""),
            (&format!("{storage}/volumes/v/_data/x"), ""),
            ("srv/job.env", ""),
        ]);
        let [container] = tree.list(&mut Omitted::default()).try_into().unwrap();
        assert_eq!(container.name.as_deref(), Some("job"));
        assert_eq!(container.files, paths(&["/srv/job.env"]));
        let image = format!("/{storage}/overlay-images/0f");
        assert_eq!(container.image_files, paths(&[&image]));
        let own = [
            format!("/{storage}/overlay/l2"),
            format!("/{containers}/{id}"),
            format!("/{storage}/volumes/v/_data"),
        ];
        assert_eq!(container.directories, own.map(PathBuf::from));
    }

    #[test]
    fn what_is_half_written_is_counted_and_never_quoted() {
        let tree = Tree::new(&[
            (
                "var/lib/docker/containers/x/config.v2.json",
                r#"{"Name": 5"#,
            ),
            (
                "var/lib/docker/containers/y/config.v2.json",
                r#"{"Name": "/y", "Driver": "../..", "Image": "sha256:../../x"}"#,
            ),
            (
                "var/lib/docker/image/overlay2/layerdb/mounts/y/mount-id",
                "../../../etc",
            ),
        ]);
        let mut omitted = Omitted::default();
        let [container] = tree.list(&mut omitted).try_into().unwrap();
        assert_eq!(
            (container.short_id(), container.directories.len()),
            ("y", 1)
        );
        assert_eq!(container.image_files, paths(&[]));
        assert_eq!(omitted.count, 1);
        assert!(omitted.examples[0].ends_with("not the JSON that was expected"));
    }
}

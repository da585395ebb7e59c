//! The containers of a host, running or not, as docker, containerd, podman
//! and CRI-O keep them on disk.
//!
//! Sources: docker's `container.go` and `layerdb` (moby), the OCI runtime
//! specification for `config.json`, containers/storage for `containers.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::account::Account;
use super::{Omitted, Root};
use crate::sanitize;

/// Containers told of one host.
const MAX_CONTAINERS: usize = 5_000;

/// Layers of one image; overlay takes 500 at most.
const MAX_LAYERS: usize = 500;

/// Where docker keeps its data unless `daemon.json` says otherwise; the
/// second is Ubuntu's snap.
const DOCKER: &[&str] = &["/var/lib/docker", "/var/snap/docker/common/var-lib-docker"];

/// Below a home directory, for a user's own docker and podman.
const ROOTLESS_DOCKER: &str = ".local/share/docker";
const ROOTLESS_PODMAN: &str = ".local/share/containers/storage";

const DAEMON: &[&str] = &[
    "/etc/docker/daemon.json",
    "/var/snap/docker/current/config/daemon.json",
];

/// OCI bundles of running containers, by namespace.
const CONTAINERD: &[&str] = &[
    "/run/containerd/io.containerd.runtime.v2.task",
    "/run/k3s/containerd/io.containerd.runtime.v2.task",
];

/// Where the kubelet keeps the volumes of containers.
const PODS: &str = "/var/lib/kubelet/pods";

/// Podman's and CRI-O's.
const STORAGE: &[&str] = &["/var/lib/containers/storage", "/run/containers/storage"];

/// Where containers/storage lists them; in the second, those that are removed
/// when they end.
const STORED: &[&str] = &["containers.json", "volatile-containers.json"];

/// Labels in which compose writes down the files that it took a container's
/// settings from.
const COMPOSE: &[&str] = &[
    "com.docker.compose.project.config_files",
    "com.docker.compose.project.environment_file",
];

/// The label with the directory of a project, and what compose reads there
/// unless it is told otherwise.
const COMPOSE_DIRECTORY: &str = "com.docker.compose.project.working_dir";
const COMPOSE_ENVIRONMENT: &str = ".env";
const COMPOSE_ENVIRONMENT_FILE: &str = "com.docker.compose.project.environment_file";

/// Annotations with the name of a container, and of its image.
const NAMES: &[&str] = &[
    "io.kubernetes.cri.container-name",
    "io.kubernetes.container.name",
    "nerdctl/name",
];
const IMAGES: &[&str] = &[
    "io.kubernetes.cri.image-name",
    "io.kubernetes.cri-o.ImageName",
];

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
    /// Directories that are the container's own: its layer, logs and volumes.
    pub directories: Vec<PathBuf>,
    /// Layers of its image, which other containers may share.
    pub layers: Vec<PathBuf>,
}

impl Container {
    /// The ID as it is shown, and as processes have it: the first 12 digits.
    pub fn short_id(&self) -> &str {
        let end = self.id.char_indices().nth(12).map(|(at, _)| at);
        let is_hex = self.id.len() == 64 && self.id.bytes().all(|byte| byte.is_ascii_hexdigit());
        &self.id[..end.filter(|_| is_hex).unwrap_or(self.id.len())]
    }
}

impl Container {
    /// A mounted directory is the container's own if it lies among `volumes`;
    /// one of the host's may hold everything.
    fn mount(&mut self, sources: Vec<PathBuf>, volumes: &[PathBuf]) {
        let is_own = |path: &PathBuf| volumes.iter().any(|volumes| path.starts_with(volumes));
        let (own, others): (Vec<_>, Vec<_>) = sources.into_iter().partition(is_own);
        self.directories.extend(own);
        self.files.extend(others);
    }
}

/// The containers of a host; `accounts` may have their own.
pub fn list(root: Root<'_>, accounts: &[Account], omitted: &mut Omitted) -> Vec<Container> {
    let mut listing = Listing {
        root,
        containers: BTreeMap::new(),
        omitted,
    };
    let homes = |below: &'static str| accounts.iter().map(move |account| account.home.join(below));
    let mut docker: Vec<PathBuf> = DOCKER.iter().map(PathBuf::from).collect();
    docker.extend(homes(ROOTLESS_DOCKER));
    for daemon in DAEMON {
        docker.extend(listing.data_root(Path::new(daemon)));
    }
    docker.sort();
    docker.dedup();
    for data in docker {
        listing.docker(&data);
    }
    for tasks in CONTAINERD {
        for namespace in listing.names(Path::new(tasks)) {
            let namespace = Path::new(tasks).join(namespace);
            for id in listing.names(&namespace) {
                let bundle = namespace.join(&id);
                listing.bundle(&id, &bundle.join("config.json"), &bundle, &[PODS.into()]);
            }
        }
    }
    let storage = STORAGE.iter().map(PathBuf::from);
    for storage in storage.chain(homes(ROOTLESS_PODMAN)) {
        listing.storage(&storage);
    }
    listing.containers.into_values().collect()
}

/// `config.v2.json` of docker, as far as it is of use here. Environment and
/// command are left where they are.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerConfig {
    #[serde(default)]
    name: String,
    #[serde(default)]
    config: DockerImage,
    mount_points: Option<BTreeMap<String, MountPoint>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    #[serde(default)]
    image: String,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MountPoint {
    #[serde(default)]
    source: String,
}

#[derive(Deserialize)]
struct Daemon {
    #[serde(rename = "data-root", alias = "graph")]
    data_root: Option<PathBuf>,
}

/// `config.json` of an OCI bundle.
#[derive(Deserialize)]
struct Bundle {
    annotations: Option<BTreeMap<String, String>>,
    mounts: Option<Vec<BundleMount>>,
}

#[derive(Deserialize)]
struct BundleMount {
    #[serde(default)]
    source: String,
}

/// An entry of `containers.json` of containers/storage.
#[derive(Deserialize)]
struct Stored {
    id: String,
    names: Option<Vec<String>>,
    layer: Option<String>,
}

struct Listing<'a, 'o> {
    root: Root<'a>,
    containers: BTreeMap<String, Container>,
    omitted: &'o mut Omitted,
}

impl Listing<'_, '_> {
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

    fn data_root(&mut self, daemon: &Path) -> Option<PathBuf> {
        self.json::<Daemon>(daemon)?
            .data_root
            .filter(|path| path.is_absolute())
    }

    /// The container of an ID; `None` where there are too many.
    fn container(&mut self, id: &str, place: &Path) -> Option<&mut Container> {
        if self.containers.len() >= MAX_CONTAINERS && !self.containers.contains_key(id) {
            self.omitted.add(place, "too many containers");
            return None;
        }
        let container = self.containers.entry(id.to_owned()).or_default();
        container.id = shown(id);
        Some(container)
    }

    fn resolved(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        let path = path.as_ref();
        path.is_absolute().then(|| self.root.resolve(path).ok())?
    }

    fn docker(&mut self, data: &Path) {
        let containers = data.join("containers");
        for id in self.names(&containers) {
            let directory = containers.join(&id);
            let path = directory.join("config.v2.json");
            let Some(config) = self.json::<DockerConfig>(&path) else {
                continue;
            };
            let mount = data.join("image/overlay2/layerdb/mounts").join(&id);
            let layer = self.root.read(&mount.join("mount-id")).ok();
            let layer = layer
                .and_then(|layer| String::from_utf8(layer.to_vec()).ok())
                .filter(|layer| !layer.contains(['/', '.']))
                .and_then(|layer| self.resolved(data.join("overlay2").join(layer.trim())));
            let labels = config.config.labels.unwrap_or_default();
            let composed = COMPOSE.iter().filter_map(|label| labels.get(*label));
            let composed = composed.flat_map(|files| files.split(','));
            let is_told = labels.get(COMPOSE_ENVIRONMENT_FILE);
            let is_told = is_told.is_some_and(|files| !files.is_empty());
            let directory_of_project = labels.get(COMPOSE_DIRECTORY).filter(|_| !is_told);
            let environment =
                directory_of_project.map(|path| Path::new(path).join(COMPOSE_ENVIRONMENT));
            let mounts = config.mount_points.unwrap_or_default();
            let mounted = mounts.values().map(|mount| mount.source.as_str());
            let layers = layer.as_deref().map(|layer| self.layers(layer));
            let named = composed.chain(mounted).map(PathBuf::from);
            let files: Vec<_> = named
                .chain(environment)
                .filter_map(|path| self.resolved(path))
                .collect();
            let volumes: Vec<_> = self.resolved(data.join("volumes")).into_iter().collect();
            let configuration = self.resolved(&path);
            let directory = self.resolved(&directory);
            let Some(container) = self.container(&id, &path) else {
                return;
            };
            container.name = told(config.name.trim_start_matches('/'));
            container.image = told(&config.config.image);
            container.configuration.extend(configuration);
            container
                .directories
                .extend(directory.into_iter().chain(layer));
            container.layers.extend(layers.into_iter().flatten());
            container.mount(files, &volumes);
        }
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

    /// A container by its OCI bundle; its volumes lie in `volumes`.
    fn bundle(&mut self, id: &str, path: &Path, directory: &Path, volumes: &[PathBuf]) {
        let Some(bundle) = self.json::<Bundle>(path) else {
            return;
        };
        let annotations = bundle.annotations.unwrap_or_default();
        let first = |keys: &[&str]| keys.iter().find_map(|key| told(annotations.get(*key)?));
        let (name, image) = (first(NAMES), first(IMAGES));
        let mounts = bundle.mounts.unwrap_or_default();
        let sources = mounts.iter().map(|mount| mount.source.as_str());
        let files: Vec<_> = sources.filter_map(|path| self.resolved(path)).collect();
        let configuration = self.resolved(path);
        let directory = self.resolved(directory);
        let Some(container) = self.container(id, path) else {
            return;
        };
        container.name = container.name.take().or(name);
        container.image = container.image.take().or(image);
        container.configuration.extend(configuration);
        container.directories.extend(directory);
        container.mount(files, volumes);
    }

    fn storage(&mut self, storage: &Path) {
        let (containers, layers) = (storage.join("overlay-containers"), storage.join("overlay"));
        for list in STORED {
            self.stored(&containers.join(list), &layers);
        }
        let volumes = self.resolved(storage.join("volumes"));
        let volumes: Vec<_> = volumes.into_iter().chain([PODS.into()]).collect();
        for id in self.names(&containers) {
            let directory = containers.join(&id);
            let path = directory.join("userdata/config.json");
            self.bundle(&id, &path, &directory, &volumes);
        }
    }

    fn stored(&mut self, path: &Path, layers: &Path) {
        let stored: Vec<Stored> = self.json(path).unwrap_or_default();
        for stored in stored {
            let layer = stored.layer.filter(|layer| !layer.contains(['/', '.']));
            let layer = layer.and_then(|layer| self.resolved(layers.join(layer)));
            let layers = layer.as_deref().map(|layer| self.layers(layer));
            let name = stored.names.unwrap_or_default().into_iter().next();
            let Some(container) = self.container(&stored.id, path) else {
                return;
            };
            container.name = name.and_then(|name| told(&name));
            container.layers.extend(layers.into_iter().flatten());
            container.directories.extend(layer);
        }
    }
}

fn shown(text: &str) -> String {
    sanitize::line(text).into_owned()
}

fn told(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| shown(text))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = dir.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(dir)
        }

        fn list(&self, omitted: &mut Omitted) -> Vec<Container> {
            let root = Root {
                path: self.0.path(),
                avoid: &|_| None,
            };
            list(root, &[], omitted)
        }
    }

    fn paths(paths: &[&str]) -> Vec<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn docker_names_a_container_its_image_its_layer_and_its_compose_files() {
        let id = "0123456789abcdef".repeat(4);
        let tree = Tree::new(&[
            ("etc/docker/daemon.json", r#"{"data-root": "/data/docker"}"#),
            (
                &format!("data/docker/containers/{id}/config.v2.json"),
                r#"{"ID":"x","Name":"/web","Config":{"Image":"nginx:1","Env":["A=1"],"Labels":{
                    "com.docker.compose.project.config_files":"/srv/app/compose.yml,/srv/gone.yml"}},
                    "MountPoints":{"/run/s":{"Type":"bind","Source":"/srv/app/key.env"}}}"#,
            ),
            (
                &format!("data/docker/image/overlay2/layerdb/mounts/{id}/mount-id"),
                "abc",
            ),
            ("data/docker/overlay2/abc/diff/app/.env", ""),
            ("data/docker/overlay2/abc/lower", "l/X:l/GONE"),
            ("data/docker/overlay2/base/diff/etc/passwd", ""),
            ("data/docker/overlay2/l/none", ""),
            ("srv/app/compose.yml", ""),
            ("srv/app/key.env", ""),
        ]);
        let link = tree.0.path().join("data/docker/overlay2/l/X");
        std::os::unix::fs::symlink("../base/diff", link).unwrap();
        let mut omitted = Omitted::default();
        let [container] = tree.list(&mut omitted).try_into().unwrap();
        assert_eq!(
            container.layers,
            paths(&["/data/docker/overlay2/base/diff"])
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
            paths(&[&directory, "/data/docker/overlay2/abc"])
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
                &format!(r#"[{{"id":"{box_}","names":["box"],"layer":"l1"}}]"#),
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
                (Some("box"), None, 1)
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
                &format!(r#"[{{"id":"{id}","names":["job"],"layer":"l2"}}]"#),
            ),
            (
                &format!("{containers}/{id}/userdata/config.json"),
                r#"{"mounts":[{"source":"/var/lib/containers/storage/volumes/v/_data"},
                    {"source":"/srv/job.env"}]}"#,
            ),
            (&format!("{storage}/overlay/l2/diff/x"), ""),
            (&format!("{storage}/volumes/v/_data/x"), ""),
            ("srv/job.env", ""),
        ]);
        let [container] = tree.list(&mut Omitted::default()).try_into().unwrap();
        assert_eq!(container.name.as_deref(), Some("job"));
        assert_eq!(container.files, paths(&["/srv/job.env"]));
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
                r#"{"Name": "/y"}"#,
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
        assert_eq!(omitted.count, 1);
        assert!(omitted.examples[0].ends_with("not the JSON that was expected"));
    }
}

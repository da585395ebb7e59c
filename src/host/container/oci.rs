//! Containers of an OCI runtime: containerd's, podman's, CRI-O's.
//!
//! Sources: the OCI runtime specification for `config.json`,
//! containers/storage for `containers.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::{Listing, told};

/// OCI bundles of running containers, by namespace.
const CONTAINERD: &[&str] = &[
    "/run/containerd/io.containerd.runtime.v2.task",
    "/run/k3s/containerd/io.containerd.runtime.v2.task",
];

/// Podman's and CRI-O's.
const STORAGE: &[&str] = &["/var/lib/containers/storage", "/run/containers/storage"];

/// The same below a home directory, for a user's own podman.
pub(super) const ROOTLESS: &str = ".local/share/containers/storage";

/// Where containers/storage lists them; in the second, those that are removed
/// when they end.
const STORED: &[&str] = &["containers.json", "volatile-containers.json"];

/// Where it keeps layers, and manifests and configurations of images.
const LAYERS: &str = "overlay";
const IMAGE_FILES: &str = "overlay-images";

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

/// `config.json` of an OCI bundle.
#[derive(Deserialize)]
struct Bundle {
    annotations: Option<BTreeMap<String, String>>,
    mounts: Option<Vec<BundleMount>>,
    linux: Option<BundleLinux>,
}

#[derive(Deserialize)]
struct BundleLinux {
    #[serde(rename = "cgroupsPath")]
    cgroups_path: Option<String>,
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
    image: Option<String>,
    /// JSON.
    metadata: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "image-name")]
    image: Option<String>,
}

impl Listing<'_, '_> {
    /// Takes in the running containers of containerd.
    pub(super) fn containerd(&mut self) {
        for tasks in CONTAINERD {
            for namespace in self.names(Path::new(tasks)) {
                let namespace = Path::new(tasks).join(namespace);
                for id in self.names(&namespace) {
                    let bundle = namespace.join(&id);
                    self.bundle(&id, &bundle.join("config.json"), &bundle, None);
                }
            }
        }
    }

    /// Takes in those of podman and CRI-O.
    pub(super) fn podman(&mut self) {
        for storage in STORAGE {
            self.storage(Path::new(storage));
        }
    }

    /// A container by its OCI bundle; its volumes lie in `volumes`.
    fn bundle(&mut self, id: &str, path: &Path, directory: &Path, volumes: Option<&Path>) {
        let Some(bundle) = self.json::<Bundle>(path) else {
            return;
        };
        let annotations = bundle.annotations.unwrap_or_default();
        let first = |keys: &[&str]| keys.iter().find_map(|key| told(annotations.get(*key)?));
        let (name, image) = (first(NAMES), first(IMAGES));
        let mounts = bundle.mounts.unwrap_or_default();
        let sources = mounts.iter().map(|mount| mount.source.as_str());
        let mounted = self.mounts(sources, volumes, path);
        let linux = bundle.linux.filter(|_| self.home.is_none());
        let cgroup = linux.and_then(|linux| cgroup(&linux.cgroups_path?));
        let configuration = self.resolved(path);
        let directory = self.resolved(directory);
        let Some(container) = self.container(id, path) else {
            return;
        };
        container.name = container.name.take().or(name);
        container.image = container.image.take().or(image);
        container.cgroup = container.cgroup.take().or(cgroup);
        container.configuration.extend(configuration);
        container.directories.extend(directory);
        container.mount(mounted);
    }

    pub(super) fn storage(&mut self, storage: &Path) {
        self.add_store(storage);
        let containers = storage.join("overlay-containers");
        for list in STORED {
            self.stored(&containers.join(list), storage);
        }
        let volumes = self.resolved(storage.join("volumes"));
        for id in self.names(&containers) {
            let directory = containers.join(&id);
            let path = directory.join("userdata/config.json");
            self.bundle(&id, &path, &directory, volumes.as_deref());
        }
    }

    fn stored(&mut self, path: &Path, storage: &Path) {
        let stored: Vec<Stored> = self.json(path).unwrap_or_default();
        for stored in stored {
            let resolved = |folder: &str, name: Option<String>| {
                let place = storage.join(folder).join(super::name(&name?)?);
                self.resolved(place)
            };
            let layer = resolved(LAYERS, stored.layer);
            let image_files = resolved(IMAGE_FILES, stored.image);
            let layers = layer.as_deref().map(|layer| self.layers(layer));
            let name = stored.names.unwrap_or_default().into_iter().next();
            let metadata = stored.metadata.unwrap_or_default();
            let metadata = serde_json::from_str::<Metadata>(&metadata).ok();
            let image = metadata.and_then(|metadata| told(&metadata.image?));
            let Some(container) = self.container(&stored.id, path) else {
                continue;
            };
            container.name = name.and_then(|name| told(&name));
            container.image = image.or(container.image.take());
            container.image_files.extend(layers.into_iter().flatten());
            container.image_files.extend(image_files);
            container.directories.extend(layer);
        }
    }
}

/// A `cgroupsPath` as processes tell it: a path, or `slice:prefix:name`, which
/// systemd makes a scope of.
fn cgroup(path: &str) -> Option<String> {
    let mut parts = path.splitn(3, ':').skip(1);
    let cgroup = match (parts.next(), parts.next()) {
        (Some(""), Some(name)) => format!("{name}.scope"),
        (Some(prefix), Some(name)) => format!("{prefix}-{name}.scope"),
        _ => path.to_owned(),
    };
    // The root has everything.
    let name = Path::new(&cgroup).file_name();
    name.is_some().then_some(cgroup)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_group_is_named_as_a_path_or_as_a_scope() {
        let told = |path: &str| cgroup(path).unwrap_or_default();
        assert_eq!(told("/default/web"), "/default/web");
        assert_eq!(told("system.slice:nerdctl:web"), "nerdctl-web.scope");
        assert_eq!(told("machine.slice::web"), "web.scope");
        assert_eq!((cgroup("/"), cgroup("//"), cgroup("")), (None, None, None));
    }
}

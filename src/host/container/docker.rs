//! Docker's containers.
//!
//! Sources: `container.go` and `layerdb` of moby.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::{Listing, told};

/// Where a user's own docker keeps its data, below the home directory.
pub(super) const ROOTLESS: &str = ".local/share/docker";

/// What keeps layers, where a container does not say it.
const DRIVER: &str = "overlay2";

/// What the IDs of images begin with.
const DIGEST: &str = "sha256:";

/// `config.v2.json` of docker, as far as it is of use here. Environment and
/// command are left where they are.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerConfig {
    #[serde(default)]
    name: String,
    /// `sha256:` and the ID of the image.
    image: Option<String>,
    /// What keeps the layers.
    driver: Option<String>,
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
    /// Of a volume.
    #[serde(default)]
    name: String,
}

impl MountPoint {
    /// What is mounted; of some volumes docker keeps the name alone.
    fn source(&self, data: &Path) -> Option<String> {
        if !self.source.is_empty() {
            return Some(self.source.clone());
        }
        let leads_out = self.name.contains('/') || matches!(&*self.name, "" | "." | "..");
        let volume = data.join("volumes").join(&self.name).join("_data");
        let volume = (!leads_out).then_some(volume)?;
        volume.to_str().map(ToOwned::to_owned)
    }
}

impl Listing<'_, '_> {
    /// Takes in docker's containers.
    pub(super) fn docker(&mut self) {
        let places = self.docker_data();
        for data in &places {
            self.add_store(data);
        }
        for data in places {
            self.docker_in(&data);
        }
    }

    pub(super) fn docker_in(&mut self, data: &Path) {
        let containers = data.join("containers");
        for id in self.names(&containers) {
            let directory = containers.join(&id);
            let path = directory.join("config.v2.json");
            let Some(config) = self.json::<DockerConfig>(&path) else {
                continue;
            };
            let driver = config.driver.as_deref().and_then(super::name);
            let driver = driver.unwrap_or(DRIVER);
            let images = data.join("image").join(driver);
            let mount = images.join("layerdb/mounts").join(&id);
            let layer = self.root.read(&mount.join("mount-id")).ok();
            let layer = layer
                .and_then(|layer| String::from_utf8(layer.to_vec()).ok())
                .and_then(|layer| {
                    let layer = super::name(layer.trim())?;
                    self.resolved(data.join(driver).join(layer))
                });
            let image = config.image.as_deref().and_then(|image| {
                let image = super::name(image.strip_prefix(DIGEST)?)?;
                self.resolved(images.join("imagedb/content/sha256").join(image))
            });
            let labels = config.config.labels.unwrap_or_default();
            let composed = self.composed(&labels);
            let mounts = config.mount_points.unwrap_or_default();
            let mounted = mounts.values().filter_map(|mount| mount.source(data));
            let mounted: Vec<_> = mounted.collect();
            let mounted = mounted.iter().map(String::as_str);
            let layers = layer.as_deref().map(|layer| self.layers(layer));
            let volumes = self.resolved(data.join("volumes"));
            let mounts = self.mounts(mounted, volumes.as_deref(), &path);
            let configuration = self.resolved(&path);
            let directory = self.resolved(&directory);
            let Some(container) = self.container(&id, &path) else {
                continue;
            };
            container.name = told(config.name.trim_start_matches('/'));
            container.image = told(&config.config.image);
            container.configuration.extend(configuration);
            container
                .directories
                .extend(directory.into_iter().chain(layer));
            container.image_files.extend(layers.into_iter().flatten());
            container.image_files.extend(image);
            container.files.extend(composed);
            container.mount(mounts);
        }
    }
}

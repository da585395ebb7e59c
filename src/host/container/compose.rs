//! What compose took a container's settings from: its labels say which files
//! describe the project, and these name files with variables.
//!
//! Sources: `pkg/api/labels.go` of compose, the compose specification for
//! `env_file`.

mod env_file;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Listing;
use env_file::EnvFile;

const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
const ENVIRONMENT_FILE: &str = "com.docker.compose.project.environment_file";
const SERVICE: &str = "com.docker.compose.service";

/// The label with the directory of a project, and what compose reads there
/// unless it is told otherwise.
const DIRECTORY: &str = "com.docker.compose.project.working_dir";
const ENVIRONMENT: &str = ".env";

/// Files of each kind looked at for one container; projects have a few.
const MAX_FILES: usize = 100;

/// Bytes of all compose files of one owner; YAML costs time.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The compose files that were read so far.
#[derive(Default)]
pub(super) struct Compose {
    read: HashMap<PathBuf, Arc<[EnvFile]>>,
    bytes: usize,
}

impl Listing<'_, '_> {
    /// The files behind the labels of a container.
    pub(super) fn composed(&mut self, labels: &BTreeMap<String, String>) -> Vec<PathBuf> {
        let named = |label: &str| {
            let files = labels.get(label).map(String::as_str).unwrap_or_default();
            let files = files.split(',').filter(|file| !file.is_empty());
            files.take(MAX_FILES)
        };
        let directory = labels.get(DIRECTORY).map(Path::new);
        // Old ones are named from the directory.
        let in_directory = |file: &str| directory.unwrap_or(Path::new("")).join(file);
        let config_files: Vec<_> = named(CONFIG_FILES).map(in_directory).collect();
        let beside = config_files.first().and_then(|file| file.parent());
        let directory = directory.or(beside).unwrap_or(Path::new(""));
        let mut told: Vec<_> = named(ENVIRONMENT_FILE).map(in_directory).collect();
        if told.is_empty() {
            told.push(directory.join(ENVIRONMENT));
        }
        let service = labels.get(SERVICE);
        let mut env_files = Vec::new();
        for path in &config_files {
            let known = self.env_files(path);
            let of_service = known
                .iter()
                .filter(|file| service.is_none_or(|service| file.service == *service));
            let left = MAX_FILES - env_files.len();
            let paths = of_service.map(|file| directory.join(&file.path));
            env_files.extend(paths.take(left));
        }
        let files = config_files.into_iter().chain(told).chain(env_files);
        files.filter_map(|path| self.resolved(path)).collect()
    }

    /// Those that a compose file names, which many containers have in common.
    fn env_files(&mut self, path: &Path) -> Arc<[EnvFile]> {
        let Some(path) = self.resolved(path) else {
            return [].into();
        };
        if let Some(known) = self.compose.read.get(&path) {
            return Arc::clone(known);
        }
        let mut known: Arc<[EnvFile]> = [].into();
        if self.compose.bytes >= MAX_BYTES {
            self.omitted.add(&path, "too many compose files");
            return known;
        }
        match self.root.read(&path) {
            Ok(text) => {
                self.compose.bytes += text.len();
                let text = std::str::from_utf8(&text).unwrap_or_default();
                known = env_file::named(text).into();
            }
            Err(error) => self.omitted.add_error(&path, &error),
        }
        self.compose.read.insert(path, Arc::clone(&known));
        known
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Tree, paths};
    use super::*;
    use crate::host::Omitted;

    fn container(labels: &str) -> (&'static str, String) {
        let config = format!(r#"{{"Name":"/web","Config":{{"Labels":{{{labels}}}}}}}"#);
        ("var/lib/docker/containers/x/config.v2.json", config)
    }

    fn files(tree: &Tree) -> Vec<PathBuf> {
        let mut omitted = Omitted::default();
        let [container] = tree.list(&mut omitted).try_into().unwrap();
        assert_eq!(omitted, Omitted::default());
        container.files
    }

    #[test]
    fn a_service_has_the_files_that_its_project_names_for_it() {
        let (path, config) = container(
            r#""com.docker.compose.project.config_files":"/srv/app/compose.yml,/srv/more.yml",
            "com.docker.compose.project.working_dir":"/srv/app",
            "com.docker.compose.service":"web""#,
        );
        let tree = Tree::new(&[
            (path, &config),
            (
                "srv/app/compose.yml",
                "services:\n  web:\n    env_file: [keys/web.env, gone.env]\n\
                 \x20 db:\n    env_file: keys/db.env\n",
            ),
            ("srv/more.yml", "services: {web: {env_file: /etc/web.env}}"),
            ("srv/app/.env", ""),
            ("srv/app/keys/web.env", ""),
            ("srv/app/keys/db.env", ""),
            ("etc/web.env", ""),
        ]);
        let wanted = [
            "/srv/app/compose.yml",
            "/srv/more.yml",
            "/srv/app/.env",
            "/srv/app/keys/web.env",
            "/etc/web.env",
        ];
        assert_eq!(files(&tree), paths(&wanted));
    }

    #[test]
    fn old_projects_name_their_files_from_their_directory_or_have_none() {
        for (labels, compose) in [
            (
                r#""com.docker.compose.project.config_files":"compose.yml",
                "com.docker.compose.project.working_dir":"/srv/app""#,
                "compose.yml",
            ),
            (
                r#""com.docker.compose.project.config_files":"/srv/app/compose.yml""#,
                "/srv/app/compose.yml",
            ),
        ] {
            let (path, config) = container(labels);
            let text = "services: {web: {env_file: ./a.env}}";
            let tree = Tree::new(&[
                (path, &config),
                ("srv/app/compose.yml", text),
                ("srv/app/.env", ""),
                ("srv/app/a.env", ""),
            ]);
            let wanted = ["/srv/app/compose.yml", "/srv/app/.env", "/srv/app/a.env"];
            assert_eq!(files(&tree), paths(&wanted), "{compose}");
        }
    }

    #[test]
    fn of_very_many_compose_files_the_first_are_read() {
        let text = format!(
            "#{}\nservices: {{a: {{env_file: b}}}}",
            "x".repeat(1_000_000)
        );
        let names: Vec<_> = (0..8).map(|n| format!("/srv/{n}.yml")).collect();
        let (path, config) = container(&format!(
            r#""com.docker.compose.project.config_files":"{}""#,
            names.join(",")
        ));
        let mut all = vec![(path, config.as_str()), ("srv/b", "")];
        all.extend(names.iter().map(|name| (&name[1..], text.as_str())));
        let mut omitted = Omitted::default();
        let [container] = Tree::new(&all).list(&mut omitted).try_into().unwrap();
        assert_eq!(omitted.count, 3, "{omitted:?}");
        let mut files = container.files;
        files.retain(|path| path == Path::new("/srv/b"));
        assert_eq!(files.len(), 5);
    }
}

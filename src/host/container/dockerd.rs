//! Where docker's daemon keeps its data: dockerd(8).

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Listing;
use crate::host::unit::{Manager, Units};
use crate::host::{Omitted, process};
use crate::secret::Secret;

/// Where it keeps it unless it is told otherwise; the second is Ubuntu's snap.
const DATA: &[&str] = &["/var/lib/docker", "/var/snap/docker/common/var-lib-docker"];

const CONFIGURATION: &[&str] = &[
    "/etc/docker/daemon.json",
    "/var/snap/docker/current/config/daemon.json",
];

const UNIT: &str = "docker.service";
const PROGRAM: &str = "dockerd";

/// Options with the directory, and with another file of configuration.
const DATA_OPTIONS: &[&str] = &["--data-root", "--graph", "-g"];
const CONFIGURATION_OPTIONS: &[&str] = &["--config-file"];

#[derive(Deserialize)]
struct Daemon {
    #[serde(rename = "data-root", alias = "graph")]
    data_root: Option<PathBuf>,
}

impl Listing<'_, '_> {
    /// The directories of the system's docker: the usual ones, and those that
    /// its configuration, its unit or a running one name.
    pub(super) fn docker_data(&mut self) -> Vec<PathBuf> {
        let commands = self.docker_commands();
        let told = |options| {
            let commands = commands.iter();
            commands.filter_map(move |command| option(command, options))
        };
        let mut configuration: Vec<PathBuf> = CONFIGURATION.iter().map(PathBuf::from).collect();
        configuration.extend(told(CONFIGURATION_OPTIONS));
        configuration.sort();
        configuration.dedup();
        let mut data: Vec<PathBuf> = DATA.iter().map(PathBuf::from).collect();
        data.extend(told(DATA_OPTIONS));
        for path in configuration {
            data.extend(self.data_root(&path));
        }
        data.sort();
        data.dedup();
        data
    }

    fn data_root(&mut self, configuration: &Path) -> Option<PathBuf> {
        self.json::<Daemon>(configuration)?
            .data_root
            .filter(|path| path.is_absolute())
    }

    /// What the daemon is started with, and was.
    fn docker_commands(&self) -> Vec<Vec<Secret>> {
        // What is not read of the units is counted where all of them are.
        let omitted = &mut Omitted::default();
        let units = Units::read(self.root, Manager::System, omitted);
        let unit = units.unit(UNIT, omitted);
        let of_unit = unit.map(|unit| unit.command(self.root, omitted));
        let running = process::of_system(&self.root.path.join("proc"), PROGRAM);
        let of_running = running.iter().filter_map(|one| one.arguments().ok());
        of_unit.into_iter().chain(of_running).collect()
    }
}

/// The absolute path that the last of these options has, as `--option PATH`,
/// `--option=PATH` or `-oPATH`.
fn option(command: &[Secret], options: &[&str]) -> Option<PathBuf> {
    let value = |at: usize| {
        let word = command[at].expose_str()?;
        let rest = options
            .iter()
            .find_map(|option| word.strip_prefix(option))?;
        match rest {
            "" => command.get(at + 1)?.expose_str(),
            _ => rest.strip_prefix('=').or(Some(rest)),
        }
    };
    let mut paths = (0..command.len()).filter_map(value).map(PathBuf::from);
    paths.rfind(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Tree, paths};
    use super::*;

    #[test]
    fn an_option_stands_before_its_path_or_with_it() {
        let told = |line: &str| {
            let words: Vec<_> = line.split(' ').map(Secret::new).collect();
            option(&words, DATA_OPTIONS).map(|path| path.to_str().unwrap().to_owned())
        };
        assert_eq!(
            told("dockerd --data-root /a -H fd://").as_deref(),
            Some("/a")
        );
        assert_eq!(told("dockerd --data-root=/a -g /b").as_deref(), Some("/b"));
        assert_eq!(told("dockerd -g/a").as_deref(), Some("/a"));
        for line in [
            "dockerd --data-root",
            "dockerd --data-root a",
            "dockerd --data-rooted=/a",
            "dockerd /a",
        ] {
            assert_eq!(told(line), None, "{line}");
        }
    }

    #[test]
    fn a_unit_a_running_daemon_and_a_file_that_they_name_have_their_directories() {
        let running = |uid: u32| format!("Name:\tdockerd\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n");
        let container = format!("0::/docker/{}\n", "a".repeat(64));
        let tree = Tree::new(&[
            (
                "usr/lib/systemd/system/docker.service",
                "[Service]\nEnvironmentFile=-/etc/sysconfig/docker\n\
                 ExecStart=/usr/bin/dockerd -H fd:// $OPTIONS\n",
            ),
            (
                "etc/sysconfig/docker",
                "OPTIONS='--data-root /of-unit --config-file /etc/d'\n",
            ),
            ("etc/d", r#"{"data-root": "/of-file"}"#),
            ("proc/7/comm", "dockerd\n"),
            ("proc/7/status", &running(0)),
            ("proc/7/cmdline", "dockerd\0--data-root=/of-process\0"),
            ("proc/8/comm", "dockerd\n"),
            ("proc/8/status", &running(1000)),
            ("proc/8/cmdline", "dockerd\0--data-root=/of-somebody\0"),
            ("proc/9/comm", "dockerd\n"),
            ("proc/9/status", &running(0)),
            ("proc/9/cgroup", &container),
            ("proc/9/cmdline", "dockerd\0--data-root=/of-container\0"),
            ("proc/10/comm", "other\n"),
            ("proc/10/status", &running(0)),
            ("proc/10/cmdline", "dockerd\0--data-root=/of-other\0"),
        ]);
        let mut omitted = Omitted::default();
        let mut listing = Listing::new(tree.root(), &mut omitted);
        let told = listing.docker_data();
        let [first, second] = DATA else { panic!() };
        let wanted = ["/of-file", "/of-process", "/of-unit", first, second];
        assert_eq!(told, paths(&wanted));
    }
}

//! What the manager hands to all of its units: systemd-system.conf(5).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Manager;
use super::facts::Facts;
use super::merge::assignments;
use super::syntax::{Specifiers, settings};
use crate::host::{Assignment, Omitted, Place, Root, keep_last};

/// Where its configuration is, first wins.
const DIRECTORIES: [&str; 4] = [
    "/etc/systemd",
    "/run/systemd",
    "/usr/local/lib/systemd",
    "/usr/lib/systemd",
];

/// `DefaultEnvironment=` of the system's manager: each of its services is
/// started with it, unless its unit says otherwise.
pub fn default_environment(root: Root<'_>, omitted: &mut Omitted) -> Vec<Assignment> {
    let host = Facts::read(root, omitted);
    let specifiers = Specifiers {
        unit: "",
        manager: Manager::System,
        host: &host,
    };
    let mut environment = Vec::new();
    for path in files(root, omitted) {
        let text = match root.read(&path) {
            Ok(text) => text,
            Err(error) => {
                omitted.add_error(&path, &error);
                continue;
            }
        };
        for setting in settings(&text) {
            if setting.section != b"Manager" || setting.key.as_slice() != b"DefaultEnvironment" {
                continue;
            }
            if setting.value.is_empty() {
                environment.clear();
            }
            let place = Place {
                path: path.clone(),
                line: setting.line,
            };
            environment.extend(assignments(&setting.value, &specifiers, &place));
        }
    }
    keep_last(&mut environment);
    environment
}

/// The file and its drop-ins, in the order in which they count.
fn files(root: Root<'_>, omitted: &mut Omitted) -> Vec<PathBuf> {
    let main = DIRECTORIES
        .iter()
        .map(|directory| Path::new(directory).join("system.conf"))
        .find(|path| root.resolve(path).is_ok());
    let mut drop_ins: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for directory in DIRECTORIES {
        let directory = Path::new(directory).join("system.conf.d");
        for name in root.list(&directory, omitted) {
            let path = directory.join(&name);
            if path.extension().is_some_and(|end| end == "conf") {
                drop_ins.entry(name).or_insert(path);
            }
        }
    }
    main.into_iter().chain(drop_ins.into_values()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_ins_come_behind_the_file_and_the_first_directory_wins() {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            (
                "etc/systemd/system.conf",
                "[Manager]\nDefaultEnvironment=A=1 B=2\n",
            ),
            (
                "usr/lib/systemd/system.conf.d/10-x.conf",
                "[Manager]\nDefaultEnvironment=B=hidden\n",
            ),
            (
                "etc/systemd/system.conf.d/10-x.conf",
                "[Manager]\nDefaultEnvironment=\"B=3 4\"\n[Other]\nDefaultEnvironment=A=no\n",
            ),
            (
                "etc/systemd/system.conf.d/README",
                "[Manager]\nDefaultEnvironment=C=no\n",
            ),
        ] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut omitted = Omitted::default();
        let root = Root {
            path: root.path(),
            avoid: &|_| None,
        };
        let environment = default_environment(root, &mut omitted);
        let told: Vec<_> = environment
            .iter()
            .map(|one| (one.name.as_str(), one.value.expose(), one.place.line))
            .collect();
        assert_eq!(told, [("A", &b"1"[..], 2), ("B", b"3 4", 2)]);
        assert_eq!(omitted, Omitted::default());
    }
}

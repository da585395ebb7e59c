//! What the files of a unit say together.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::syntax::{Setting, Specifiers, settings, words};
use super::{CREDENTIAL_STORES, EnvironmentFile, Unit};
use crate::host::{Assignment, Omitted, Place, Root, assign, is_variable, keep_last};
use crate::secret::Secret;

/// Sections that say how processes are started.
const SECTIONS: &[&[u8]] = &[b"Service", b"Socket", b"Mount", b"Swap"];

/// Bytes of all files of one unit.
const MAX_BYTES: usize = 1024 * 1024;

/// Reads the unit file and its drop-ins, in this order. `None` where the unit
/// file is empty, which masks the unit, or cannot be read.
pub(super) fn unit(
    root: Root<'_>,
    specifiers: &Specifiers<'_>,
    files: &[PathBuf],
    omitted: &mut Omitted,
) -> Option<Unit> {
    let mut unit = Unit {
        name: specifiers.unit.to_owned(),
        files: Vec::new(),
        user: None,
        environment: Vec::new(),
        environment_files: Vec::new(),
        credentials: Vec::new(),
        imported_credentials: Vec::new(),
        pass_environment: Vec::new(),
        working_directory: None,
        arguments: BTreeMap::new(),
        unset_environment: Vec::new(),
    };
    let mut left = MAX_BYTES;
    for path in files {
        let is_drop_in = !unit.files.is_empty();
        let mask = Path::new("/dev/null");
        let link = path.parent().zip(path.file_name()?.to_str());
        if link.is_some_and(|(folder, name)| root.link(folder, name).is_some_and(|to| to == mask)) {
            continue;
        }
        let read = root
            .resolve(path)
            .and_then(|resolved| Ok((root.read(&resolved)?, resolved)));
        match read {
            Ok((text, resolved)) => {
                if text.is_empty() && !is_drop_in {
                    return None;
                }
                let Some(rest) = left.checked_sub(text.len()) else {
                    omitted.add_error(path, &io::ErrorKind::FileTooLarge.into());
                    break;
                };
                left = rest;
                for setting in settings(&text) {
                    if SECTIONS.contains(&setting.section) {
                        unit.take(&setting, &resolved, specifiers);
                    }
                }
                unit.files.push(resolved);
            }
            Err(error) => {
                omitted.add_error(path, &error);
                if !is_drop_in {
                    return None;
                }
            }
        }
    }
    keep_last(&mut unit.environment);
    Some(unit)
}

/// The assignments of an `Environment=` or `DefaultEnvironment=`.
pub(super) fn assignments(
    value: &[u8],
    specifiers: &Specifiers<'_>,
    place: &Place,
) -> impl Iterator<Item = Assignment> {
    words(value).filter_map(|word| {
        let word = specifiers.expand(&word);
        let equals = word.iter().position(|byte| *byte == b'=')?;
        is_variable(&word[..equals]).then(|| Assignment {
            name: String::from_utf8_lossy(&word[..equals]).into_owned(),
            value: Secret::new(&word[equals + 1..]),
            place: place.clone(),
        })
    })
}

impl Unit {
    fn take(&mut self, setting: &Setting<'_>, path: &Path, specifiers: &Specifiers<'_>) {
        let value = setting.value.as_slice();
        let place = || Place {
            path: path.to_owned(),
            line: setting.line,
        };
        let expanded = |text: &[u8]| {
            let expanded = specifiers.expand(text);
            String::from_utf8_lossy(&expanded).into_owned()
        };
        match (setting.key.as_slice(), value) {
            (b"Environment", b"") => self.environment.clear(),
            (b"Environment", _) => {
                for one in assignments(value, specifiers, &place()) {
                    assign(&mut self.environment, one);
                }
            }
            (b"EnvironmentFile", b"") => self.environment_files.clear(),
            (b"EnvironmentFile", _) => {
                let path = value.strip_prefix(b"-");
                let pattern = expanded(path.unwrap_or(value));
                if pattern.starts_with('/') {
                    self.environment_files.push(EnvironmentFile {
                        pattern,
                        optional: path.is_some(),
                        place: place(),
                    });
                }
            }
            (b"LoadCredential", b"") => self.credentials.clear(),
            (b"LoadCredential", _) => {
                // Behind the name that the unit knows it by.
                let value = expanded(value);
                let path = Path::new(value.split_once(':').map_or(&*value, |(_, path)| path));
                if path.is_absolute() {
                    self.credentials.push(path.to_owned());
                } else {
                    let stores = CREDENTIAL_STORES.map(Path::new);
                    self.credentials
                        .extend(stores.map(|store| store.join(path)));
                }
            }
            (b"ImportCredential", b"") => self.imported_credentials.clear(),
            (b"ImportCredential", _) => {
                // Before the name that the unit knows it by.
                let value = expanded(value);
                let pattern = value.split(':').next().unwrap_or_default();
                if !pattern.is_empty() && !pattern.contains('/') {
                    self.imported_credentials.push(pattern.to_owned());
                }
            }
            (b"PassEnvironment", b"") => self.pass_environment.clear(),
            (b"PassEnvironment", _) => {
                let names = words(value).map(|word| expanded(&word));
                self.pass_environment.extend(names);
            }
            (b"UnsetEnvironment", b"") => self.unset_environment.clear(),
            (b"UnsetEnvironment", _) => {
                let unset = words(value);
                self.unset_environment
                    .extend(unset.map(|word| Secret::new(specifiers.expand(&word).as_slice())));
            }
            (b"User", _) => self.user = Some(expanded(value)).filter(|user| !user.is_empty()),
            (b"WorkingDirectory", _) => {
                let directory = expanded(value.strip_prefix(b"-").unwrap_or(value));
                self.working_directory = Some(PathBuf::from(directory)).filter(|d| d.is_absolute());
            }
            (key, value) if key.starts_with(b"Exec") => {
                let arguments = self.arguments.entry(key.to_vec()).or_default();
                if value.is_empty() {
                    arguments.clear();
                }
                let words = words(value);
                arguments
                    .extend(words.map(|word| Secret::new(specifiers.expand(&word).as_slice())));
            }
            _ => {}
        }
    }
}

//! What a host says of itself in the files of its service managers, read from
//! a root that may be another machine's. It knows nothing of keys.

pub mod account;
pub mod container;
pub mod crontab;
pub mod environment_file;
pub mod php_fpm;
pub mod process;
pub mod unit;

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::sanitize;
use crate::secret::Secret;
use crate::sparing::Sparing;

/// Links followed on the way to one file, as many as the kernel follows.
const MAX_LINKS: usize = 40;

/// Bytes of one configuration file.
const MAX_BYTES: u64 = 1024 * 1024;

/// Entries of one directory.
const MAX_ENTRIES: usize = 20_000;

/// Examples kept of what was left out.
const MAX_EXAMPLES: usize = 5;

/// Where a path of the host with this root is, seen from here.
pub fn from_here(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// A regular file, of which the last part of the path is no link; anything else
/// is [`io::ErrorKind::InvalidInput`].
fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        let kind = io::ErrorKind::InvalidInput;
        Err(io::Error::new(kind, "not a regular file"))
    }
}

/// The path on a host without links; links lead where they do on that host, and
/// never out of its `root`. `avoid` is asked of each part of the way, as seen
/// from here, before that is touched.
///
/// # Errors
///
/// Those of `lstat(2)` and `readlink(2)`; that of `avoid`, `ELOOP` for too many
/// links.
pub fn resolve(
    root: &Path,
    path: &Path,
    avoid: &mut dyn FnMut(&Path) -> Option<io::ErrorKind>,
) -> io::Result<PathBuf> {
    let mut left = Vec::new();
    push_reversed(&mut left, path);
    let mut at = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = left.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        at.push(&name);
        let here = from_here(root, &at);
        if let Some(reason) = avoid(&here) {
            return Err(reason.into());
        }
        if !fs::symlink_metadata(&here)?.is_symlink() {
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(rustix::io::Errno::LOOP.into());
        }
        let target = fs::read_link(&here)?;
        at.pop();
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        push_reversed(&mut left, &target);
    }
    Ok(at)
}

/// The root of a host. Paths are the host's; a link leads where it leads on
/// that host, and never out of the root.
#[derive(Clone, Copy)]
pub struct Root<'a> {
    /// The host's `/` as seen from here.
    pub path: &'a Path,
    /// Why a directory, as seen from here, must not be touched, if so: a look
    /// at a mount that hangs does not return.
    pub avoid: &'a (dyn Fn(&Path) -> Option<io::ErrorKind> + Sync),
}

impl std::fmt::Debug for Root<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Root")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Root<'_> {
    /// The path on the host without links.
    ///
    /// # Errors
    ///
    /// Those of `lstat(2)` and `readlink(2)`; that of
    /// [`avoid`](Self::avoid), `ELOOP` for too many links.
    pub fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        resolve(self.path, path, &mut |here| (self.avoid)(here))
    }

    /// The content of a regular file, wiped when dropped: it may hold keys.
    ///
    /// # Errors
    ///
    /// Those of [`resolve`](Self::resolve) and of reading;
    /// [`io::ErrorKind::InvalidInput`] for what is no regular file,
    /// [`io::ErrorKind::FileTooLarge`] for one above 1 MiB.
    pub fn read(&self, path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
        let file = open_regular(&self.here(&self.resolve(path)?))?;
        let file = Sparing::new(&file, file.metadata()?.len());
        let mut content = Zeroizing::new(Vec::new());
        file.read_to(MAX_BYTES + 1, &mut content)?;
        if content.len() as u64 > MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(content)
    }

    /// The names in a directory, sorted. One that is not there has none.
    pub fn list(&self, directory: &Path, omitted: &mut Omitted) -> Vec<OsString> {
        let listed = self
            .resolve(directory)
            .and_then(|resolved| fs::read_dir(self.here(&resolved)));
        let entries = match listed {
            Ok(entries) => entries,
            Err(error) => {
                omitted.add_error(directory, &error);
                return Vec::new();
            }
        };
        let mut names = Vec::new();
        for entry in entries.flatten() {
            if names.len() == MAX_ENTRIES {
                omitted.add(directory, "too many entries");
                break;
            }
            names.push(entry.file_name());
        }
        names.sort();
        names
    }

    /// The files that a glob(7) stands for on the host, without links, in the
    /// order of their names.
    fn glob(&self, pattern: &str, omitted: &mut Omitted) -> Vec<PathBuf> {
        let mut found = vec![PathBuf::from("/")];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            if !part.contains(['*', '?', '[']) {
                for path in &mut found {
                    path.push(part);
                }
                continue;
            }
            let Ok(glob) = globset::Glob::new(part) else {
                return Vec::new();
            };
            let glob = glob.compile_matcher();
            let hidden = part.starts_with('.');
            let matches = |name: &OsString| {
                let is_hidden = name.as_encoded_bytes().starts_with(b".");
                is_hidden == hidden && glob.is_match(name)
            };
            let mut next = Vec::new();
            for folder in found {
                let names = self.list(&folder, omitted).into_iter().filter(matches);
                next.extend(names.map(|name| folder.join(name)));
                if next.len() > MAX_ENTRIES {
                    omitted.add(&folder, "too many files match");
                    next.truncate(MAX_ENTRIES);
                    break;
                }
            }
            found = next;
        }
        let resolved = found.into_iter().filter_map(|path| {
            let resolved = self.resolve(&path);
            resolved
                .map_err(|error| omitted.add_error(&path, &error))
                .ok()
        });
        resolved.collect()
    }

    /// Where a link leads, as it is written; `None` for what is no link.
    fn link(&self, directory: &Path, name: &str) -> Option<PathBuf> {
        let directory = self.resolve(directory).ok()?;
        fs::read_link(self.here(&directory.join(name))).ok()
    }

    fn here(&self, path: &Path) -> PathBuf {
        from_here(self.path, path)
    }
}

fn push_reversed(left: &mut Vec<OsString>, path: &Path) {
    let names = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    left.extend(names);
}

/// What was not read although it is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Omitted {
    pub count: u64,
    /// The first few, safe for a terminal, each with its reason.
    pub examples: Vec<String>,
}

impl Omitted {
    fn add(&mut self, path: &Path, why: &str) {
        self.count += 1;
        if self.examples.len() < MAX_EXAMPLES {
            let path = sanitize::bytes(path.as_os_str().as_encoded_bytes());
            // What a unit names may be more than a path by mistake, and hold
            // what should not be told.
            let path = path.split([' ', '=']).next().unwrap_or_default();
            self.examples
                .push(format!("{}: {why}", sanitize::line(path)));
        }
    }

    /// What is not there was not left out.
    pub fn add_error(&mut self, path: &Path, error: &io::Error) {
        let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
        if !absent.contains(&error.kind()) {
            self.add(path, &error.to_string());
        }
    }
}

/// A line of a file on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub path: PathBuf,
    /// From 1.
    pub line: u64,
}

/// A variable and where it gets its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub name: String,
    pub value: Secret,
    pub place: Place,
}

/// Assignments that are kept of one unit or file; services have dozens.
const MAX_ASSIGNMENTS: usize = 4096;

/// Adds an assignment. Of very many the last ones of the first names are kept:
/// anybody can write as many for a unit of their own.
fn assign(environment: &mut Vec<Assignment>, one: Assignment) {
    if environment.len() >= 2 * MAX_ASSIGNMENTS {
        keep_last(environment);
        environment.truncate(MAX_ASSIGNMENTS);
    }
    environment.push(one);
}

/// Of assignments to one name the last is of effect.
fn keep_last(environment: &mut Vec<Assignment>) {
    let mut seen = HashSet::new();
    let is_last: Vec<bool> = environment
        .iter()
        .rev()
        .map(|one| seen.insert(one.name.clone()))
        .collect();
    let mut is_last = is_last.into_iter().rev();
    environment.retain(|_| is_last.next() == Some(true));
}

/// Whether systemd takes `name` for the name of a variable.
fn is_variable(name: &[u8]) -> bool {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    !name.is_empty() && !name[0].is_ascii_digit() && name.iter().all(word)
}

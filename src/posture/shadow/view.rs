//! The files of the host as one process or account sees them: below its own
//! root, and only those that it may read.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::ini::Ini;
use super::resolve::Files;
use crate::host::account::{self, Account};
use crate::host::process::Credentials;
use crate::host::{Root, from_here};
use crate::sanitize;

/// What tells two views apart: mount namespace, device and inode of the root.
pub(super) type ViewId = (PathBuf, u64, u64);

type Parsed = Result<Option<Rc<Ini>>, io::ErrorKind>;

/// Files that were read once, for all who see the same ones.
#[derive(Default)]
pub(super) struct Cache {
    files: RefCell<HashMap<(ViewId, PathBuf), Parsed>>,
    accounts: RefCell<HashMap<ViewId, Rc<Vec<Account>>>>,
}

/// One view.
pub(super) struct View<'c> {
    pub(super) cache: &'c Cache,
    pub(super) id: ViewId,
    /// Its `/` as seen from here.
    pub(super) root: PathBuf,
    /// Who reads.
    pub(super) reader: Credentials,
}

impl View<'_> {
    fn root(&self) -> Root<'_> {
        Root {
            path: &self.root,
            avoid: &|_| None,
        }
    }

    /// Whether there is something at `path`.
    pub(super) fn exists(&self, path: &Path) -> bool {
        self.root().resolve(path).is_ok()
    }

    /// The bytes of a file, if it is one that can be read.
    pub(super) fn read(&self, path: &Path) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        self.root().read(path).ok()
    }

    /// A file as seen from here, for a look at a part of it.
    pub(super) fn locate(&self, path: &Path) -> Option<PathBuf> {
        let resolved = self.root().resolve(path).ok()?;
        Some(from_here(&self.root, &resolved))
    }

    /// The names in a directory.
    pub(super) fn list(&self, path: &Path) -> Vec<PathBuf> {
        let mut omitted = crate::host::Omitted::default();
        let names = self.root().list(path, &mut omitted);
        names.into_iter().map(|name| path.join(name)).collect()
    }

    /// The home of an account as this view's passwd(5) has it.
    pub(super) fn home(&self, uid: u32) -> Option<PathBuf> {
        let known = self.cache.accounts.borrow().get(&self.id).cloned();
        let accounts = known.unwrap_or_else(|| {
            // Where it cannot be read, the homes are those that `HOME` names.
            let read = Rc::new(account::list(&self.root()).unwrap_or_default());
            let mut accounts = self.cache.accounts.borrow_mut();
            accounts.insert(self.id.clone(), Rc::clone(&read));
            read
        });
        let account = accounts.iter().find(|account| account.uid == uid);
        account.map(|account| account.home.clone())
    }

    fn parsed(&self, path: &Path) -> Parsed {
        let key = (self.id.clone(), path.to_owned());
        if let Some(known) = self.cache.files.borrow().get(&key) {
            return known.clone();
        }
        let parsed = match self.root().read(path) {
            Ok(text) => Ok(Some(Rc::new(Ini::parse(&text)))),
            Err(error) => match (error.kind(), self.root().resolve(path)) {
                (io::ErrorKind::NotFound | io::ErrorKind::NotADirectory, _) => Ok(None),
                // A directory, which is no file to anybody.
                (io::ErrorKind::InvalidInput, Ok(at)) if self.is_directory(&at) => Ok(None),
                (kind, _) => Err(kind),
            },
        };
        let mut files = self.cache.files.borrow_mut();
        files.insert(key, parsed.clone());
        parsed
    }

    fn is_directory(&self, resolved: &Path) -> bool {
        fs::symlink_metadata(from_here(&self.root, resolved)).is_ok_and(|stat| stat.is_dir())
    }

    /// Whether the modes of the file and of the directories above it let the
    /// reader in. Access control lists are not looked at.
    fn may_read(&self, path: &Path) -> bool {
        const READ: u32 = 4;
        const SEARCH: u32 = 1;
        if self.reader.uid == 0 {
            return true;
        }
        let Some(here) = self.locate(path) else {
            return false;
        };
        let allows = |path: &Path, wanted: u32| {
            fs::symlink_metadata(path).is_ok_and(|stat| {
                let shift = if stat.uid() == self.reader.uid {
                    6
                } else if self.reader.gids.contains(&stat.gid()) {
                    3
                } else {
                    0
                };
                stat.mode() >> shift & wanted != 0
            })
        };
        allows(&here, READ)
            && here
                .ancestors()
                .skip(1)
                .take_while(|above| above.starts_with(&self.root) && *above != self.root)
                .all(|above| allows(above, SEARCH))
    }
}

impl Files for View<'_> {
    fn ini(&self, path: &Path) -> Result<Option<Rc<Ini>>, String> {
        match self.parsed(path) {
            Ok(Some(_)) if !self.may_read(path) => Ok(None),
            Ok(found) => Ok(found),
            // What is kept from rolecall is kept from its own user's programs.
            Err(io::ErrorKind::PermissionDenied)
                if self.reader.uid == rustix::process::geteuid().as_raw() =>
            {
                Ok(None)
            }
            Err(kind) => {
                let path = sanitize::bytes(path.as_os_str().as_encoded_bytes());
                let path = sanitize::line(&path);
                Err(match kind {
                    io::ErrorKind::InvalidInput => format!("{path} is no regular file"),
                    kind => format!("{path} cannot be read: {kind}"),
                })
            }
        }
    }
}

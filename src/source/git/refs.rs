//! What a repository refers to: branches, tags, notes, stashes, and the HEAD
//! of each working tree. Of its configuration only the place of its working
//! tree is read.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use gix_hash::ObjectId;

use super::named::{self, Named};
use super::staging;
use crate::source::Visitor;
use crate::source::files::{Files, show};

/// Bytes read of one file of references.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// References of one repository.
const MAX_REFS: usize = 500_000;

/// Folders below `refs`.
const MAX_DEPTH: usize = 32;

/// A git directory.
#[derive(Debug, Default)]
pub(super) struct GitDir {
    /// As it is told: the working tree, if it has one beside it.
    pub(super) shown: String,
    /// What is referred to: commits and tags, seldom blobs and trees.
    pub(super) tips: Vec<ObjectId>,
    pub(super) heads: Vec<Head>,
    /// Whether all references could be read: not where they are kept in a
    /// form that we do not know, or are too many.
    pub(super) known: bool,
}

/// What is checked out.
#[derive(Debug)]
pub(super) struct Head {
    /// What HEAD names, if anything.
    pub(super) commit: Option<ObjectId>,
    /// Where it is; `None` where nothing in the git directory says so.
    pub(super) worktree: Option<PathBuf>,
    /// Its index, behind the part of that which others share.
    pub(super) indexes: Vec<PathBuf>,
}

/// The working tree beside a git directory.
fn worktree(path: &Path) -> Option<&Path> {
    path.parent()
        .filter(|_| path.file_name().is_some_and(|name| name == ".git"))
}

impl GitDir {
    /// Where a git directory is told to be: its working tree, if it has one.
    pub(super) fn place(path: &Path) -> &Path {
        worktree(path).unwrap_or(path)
    }

    pub(super) fn read(path: &Path, files: &Files<'_>, visitor: &mut dyn Visitor) -> Self {
        let worktree = worktree(path);
        let shown = show(&files.on_host(worktree.unwrap_or(path)));
        let mut refs = Refs {
            directory: path,
            packed: Vec::new(),
            tips: Vec::new(),
            is_whole: true,
        };
        refs.read_packed();
        refs.collect(&path.join("refs"), 0);
        refs.stashes();
        let worktree = match configured_worktree(path) {
            Some(named) => Worktree::at(&named, path, files, visitor),
            None => match worktree {
                Some(worktree) => Worktree::At(worktree.to_owned()),
                None if is_of_submodule(path) => Worktree::Barred,
                None => Worktree::Unknown,
            },
        };
        let mut heads = Vec::new();
        heads.extend(refs.checked_out(path, worktree, &|| visitor.is_over()));
        for linked in folders(&path.join("worktrees")) {
            refs.collect(&linked.join("refs"), 0);
            let worktree = worktree_of(&linked, files, visitor);
            heads.extend(refs.checked_out(&linked, worktree, &|| visitor.is_over()));
        }
        refs.take_packed();
        refs.tips.sort_unstable();
        refs.tips.dedup();
        Self {
            shown,
            tips: refs.tips,
            heads,
            known: refs.is_whole && !path.join("reftable").exists(),
        }
    }
}

struct Refs<'a> {
    directory: &'a Path,
    packed: Vec<Packed>,
    tips: Vec<ObjectId>,
    is_whole: bool,
}

/// A line of `packed-refs`.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Packed {
    name: Vec<u8>,
    id: ObjectId,
    /// Whether the file of that name says something else, as it does from the
    /// next change of the reference on.
    is_overridden: bool,
}

impl Refs<'_> {
    fn read_packed(&mut self) {
        let text = read(&self.directory.join("packed-refs")).unwrap_or_default();
        let mut lines = text.split(|byte| *byte == b'\n');
        for line in lines.by_ref().take(MAX_REFS) {
            // Lines with `^` tell what the tag above points to.
            let mut words = line.splitn(2, |byte| *byte == b' ');
            let id = words.next().and_then(|id| ObjectId::from_hex(id).ok());
            if let (Some(id), Some(name)) = (id, words.next()) {
                self.packed.push(Packed {
                    name: name.to_owned(),
                    id,
                    is_overridden: false,
                });
            }
        }
        self.is_whole &= lines.next().is_none_or(<[u8]>::is_empty);
        self.packed.sort_unstable();
    }

    /// The references in files below a folder.
    fn collect(&mut self, folder: &Path, depth: usize) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if self.tips.len() + self.packed.len() >= MAX_REFS {
                self.is_whole = false;
                return;
            }
            let path = entry.path();
            if kind.is_dir() && depth < MAX_DEPTH {
                self.collect(&path, depth + 1);
            } else if kind.is_file() {
                let text = read(&path).unwrap_or_default();
                let text = text.trim_ascii();
                let id = ObjectId::from_hex(text);
                // What is damaged says nothing, not even that this is over.
                if id.is_ok() || text.starts_with(b"ref:") {
                    self.override_packed(&path);
                }
                self.tips.extend(id);
            } else if kind.is_symlink()
                && fs::read_link(&path).is_ok_and(|name| name.starts_with("refs"))
            {
                self.override_packed(&path);
            }
        }
    }

    /// Those of one working tree stand in no list.
    fn override_packed(&mut self, path: &Path) {
        let name = path.strip_prefix(self.directory).unwrap_or(path);
        if let Some(at) = self.in_packed(name.as_os_str().as_bytes()) {
            self.packed[at].is_overridden = true;
        }
    }

    fn in_packed(&self, name: &[u8]) -> Option<usize> {
        let by_name = |packed: &Packed| packed.name.as_slice().cmp(name);
        self.packed.binary_search_by(by_name).ok()
    }

    fn take_packed(&mut self) {
        let valid = self.packed.iter().filter(|packed| !packed.is_overridden);
        self.tips.extend(valid.map(|packed| packed.id));
    }

    /// All but the latest stash stand in the log of their reference only.
    fn stashes(&mut self) {
        let log = read(&self.directory.join("logs/refs/stash")).unwrap_or_default();
        for line in log.split(|byte| *byte == b'\n').take(MAX_REFS) {
            let new = line.split(|byte| *byte == b' ').nth(1);
            self.tips
                .extend(new.and_then(|id| ObjectId::from_hex(id).ok()));
        }
    }

    /// What the HEAD in `folder` names, if it is checked out: a bare repository
    /// has no index.
    fn checked_out(
        &mut self,
        folder: &Path,
        worktree: Worktree,
        is_over: &dyn Fn() -> bool,
    ) -> Option<Head> {
        let commit = self.head(folder);
        self.tips.extend(commit);
        // The tree of a merge that waits for somebody to solve its conflicts.
        let merged = read(&folder.join("AUTO_MERGE")).unwrap_or_default();
        self.tips.extend(ObjectId::from_hex(merged.trim_ascii()));
        let worktree = match worktree {
            Worktree::At(path) => Some(path),
            Worktree::Unknown => None,
            Worktree::Barred => return None,
        };
        let index = folder.join("index");
        index.exists().then(|| {
            let shared = staging::shared(&index, is_over);
            let indexes = shared.into_iter().chain([index]).collect();
            Head {
                commit,
                worktree,
                indexes,
            }
        })
    }

    /// What the HEAD in `folder` names.
    fn head(&self, folder: &Path) -> Option<ObjectId> {
        let mut text = read(&folder.join("HEAD")).ok()?;
        for _ in 0..5 {
            let line = text.trim_ascii();
            let Some(name) = line.strip_prefix(b"ref:") else {
                return ObjectId::from_hex(line).ok();
            };
            let name = name.trim_ascii();
            // A name leads nowhere but below `refs`.
            if !name.starts_with(b"refs/") || name.windows(2).any(|pair| pair == b"..") {
                return None;
            }
            let path = Path::new(std::ffi::OsStr::from_bytes(name));
            let own = read(&folder.join(path)).or_else(|_| read(&self.directory.join(path)));
            let Ok(next) = own else {
                let packed = self.in_packed(name).map(|at| &self.packed[at]);
                let packed = packed.filter(|packed| !packed.is_overridden);
                return packed.map(|packed| packed.id);
            };
            text = next;
        }
        None
    }
}

/// Where a working tree is.
enum Worktree {
    At(PathBuf),
    Unknown,
    /// There is none, or it must not be touched: as if nothing were checked out.
    Barred,
}

impl Worktree {
    /// That at a path which the git directory `from` names.
    fn at(named: &Path, from: &Path, files: &Files<'_>, visitor: &mut dyn Visitor) -> Self {
        match Named::resolve(files, from, named, visitor) {
            Named::At(path) | Named::Gone(path, _) => Self::At(path),
            Named::Barred(_) => Self::Barred,
        }
    }
}

/// The working tree of a linked git directory: where its `.git` file is.
fn worktree_of(linked: &Path, files: &Files<'_>, visitor: &mut dyn Visitor) -> Worktree {
    let Ok(text) = read(&linked.join("gitdir")) else {
        return Worktree::Unknown;
    };
    let dot_git = Path::new(std::ffi::OsStr::from_bytes(text.trim_ascii()));
    match dot_git.parent() {
        Some(worktree) => Worktree::at(worktree, linked, files, visitor),
        None => Worktree::Unknown,
    }
}

/// Whether a git directory is one of a submodule, which knows its working tree
/// for as long as it has one.
fn is_of_submodule(path: &Path) -> bool {
    let mut above = path.ancestors().skip(1);
    above.any(|above| above.ends_with(".git/modules"))
}

/// The working tree that the configuration of a git directory names, or that of
/// its own working tree, to which git moves it for a sparse checkout.
fn configured_worktree(path: &Path) -> Option<PathBuf> {
    let text = read(&path.join("config")).ok()?;
    let has_own = value(&text, b"extensions", b"worktreeconfig");
    let own = has_own.filter(|value| is_true(value));
    let own = own.and_then(|_| read(&path.join("config.worktree")).ok());
    let own = own
        .as_deref()
        .and_then(|own| value(own, b"core", b"worktree"));
    let named = own.or_else(|| value(&text, b"core", b"worktree"))?;
    // Of what has to be quoted nothing is known.
    let is_plain = !named.iter().any(|byte| b"\"\\;#".contains(byte));
    is_plain.then(|| PathBuf::from(std::ffi::OsStr::from_bytes(named)))
}

/// The last value of a name in a section of a configuration.
fn value<'a>(text: &'a [u8], section: &[u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut is_inside = false;
    let mut last = None;
    for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        if let Some(head) = line.strip_prefix(b"[") {
            let head = head.strip_suffix(b"]").unwrap_or_default();
            is_inside = head.eq_ignore_ascii_case(section);
        } else if is_inside
            && let Some(at) = line.iter().position(|byte| *byte == b'=')
            && line[..at].trim_ascii().eq_ignore_ascii_case(name)
        {
            last = Some(line[at + 1..].trim_ascii());
        }
    }
    last
}

fn is_true(value: &[u8]) -> bool {
    let words: [&[u8]; 4] = [b"true", b"yes", b"on", b"1"];
    words.iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    named::read(path, MAX_FILE)
}

//! The watched directories, as few bytes each as it takes to tell a path: a
//! host may have a hundred thousand of them.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Stands for the parent of the topmost directory.
pub(super) const NONE: i32 = -1;

#[derive(Debug)]
struct Node {
    parent: i32,
    name: Arc<OsStr>,
    /// Whether files in it matter, or only what leads to a watched path.
    full: bool,
}

/// Directories by watch descriptor and by name. The topmost one is the root,
/// and paths are relative to it.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: HashMap<i32, Node>,
    children: BTreeMap<(i32, Arc<OsStr>), i32>,
}

/// What [`Tree::place`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// It is where it was, watched as it was.
    Known,
    New,
}

impl Tree {
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn is_full(&self, wd: i32) -> Option<bool> {
        self.nodes.get(&wd).map(|node| node.full)
    }

    pub(super) fn child(&self, parent: i32, name: &OsStr) -> Option<i32> {
        self.children.get(&(parent, name.into())).copied()
    }

    /// The directory at a relative path.
    pub(super) fn find(&self, path: &Path) -> Option<i32> {
        let top = self.child(NONE, OsStr::new(""))?;
        path.iter().try_fold(top, |at, name| self.child(at, name))
    }

    /// The relative path of a directory.
    pub(super) fn path(&self, wd: i32) -> Option<PathBuf> {
        let mut names = Vec::new();
        let mut at = wd;
        while at != NONE {
            let node = self.nodes.get(&at)?;
            names.push(&node.name);
            at = node.parent;
        }
        Some(names.iter().rev().map(|name| &***name).collect())
    }

    /// Where a directory is known to be, unless that is at `name` in `parent`.
    pub(super) fn elsewhere(&self, wd: i32, parent: i32, name: &OsStr) -> Option<PathBuf> {
        let node = self.nodes.get(&wd)?;
        (node.parent != parent || *node.name != *name).then(|| self.path(wd))?
    }

    /// Whether `below` is `wd` or beneath it.
    pub(super) fn leads_to(&self, wd: i32, below: i32) -> bool {
        let mut at = below;
        while at != wd {
            match self.nodes.get(&at) {
                Some(node) => at = node.parent,
                None => return false,
            }
        }
        true
    }

    /// Takes down that a directory is at `name` in `parent`, wherever it was
    /// before. `parent` must be known, or [`NONE`], and not be beneath it.
    /// What was known in its place is added to `gone`.
    pub(super) fn place(
        &mut self,
        wd: i32,
        parent: i32,
        name: Arc<OsStr>,
        full: bool,
        gone: &mut Vec<i32>,
    ) -> Placed {
        if let Some(other) = self.child(parent, &name)
            && other != wd
        {
            self.forget(other, gone);
        }
        if let Some(node) = self.nodes.get_mut(&wd) {
            if node.parent == parent && node.name == name && node.full == full {
                return Placed::Known;
            }
            self.children.remove(&(node.parent, node.name.clone()));
        }
        self.children.insert((parent, name.clone()), wd);
        let node = Node { parent, name, full };
        self.nodes.insert(wd, node);
        Placed::New
    }

    /// Forgets a directory and all beneath it, and adds them to `gone`.
    pub(super) fn forget(&mut self, wd: i32, gone: &mut Vec<i32>) {
        let mut left = vec![wd];
        while let Some(wd) = left.pop() {
            let Some(node) = self.nodes.remove(&wd) else {
                continue;
            };
            self.children.remove(&(node.parent, node.name));
            gone.push(wd);
            let first = (wd, Arc::from(OsStr::new("")));
            let children = self.children.range(first..);
            left.extend(
                children
                    .take_while(|((parent, _), _)| *parent == wd)
                    .map(|(_, child)| *child),
            );
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) -> Vec<i32> {
        let all = self.nodes.keys().copied().collect();
        *self = Self::default();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(places: &[(i32, i32, &str)]) -> Tree {
        let mut tree = Tree::default();
        let mut gone = Vec::new();
        for (wd, parent, name) in places {
            tree.place(*wd, *parent, OsStr::new(name).into(), true, &mut gone);
        }
        assert!(gone.is_empty(), "{gone:?}");
        tree
    }

    #[test]
    fn a_path_is_told_from_a_descriptor_and_back() {
        let tree = tree(&[(1, NONE, ""), (2, 1, "srv"), (3, 2, "app")]);
        assert_eq!(tree.path(3).unwrap(), Path::new("srv/app"));
        assert_eq!(tree.find(Path::new("srv/app")), Some(3));
        assert_eq!(tree.path(1).unwrap(), Path::new(""));
        assert_eq!(tree.find(Path::new("")), Some(1));
        assert_eq!(tree.find(Path::new("srv/other")), None);
    }

    #[test]
    fn a_moved_directory_takes_along_what_is_beneath() {
        let mut tree = tree(&[(1, NONE, ""), (2, 1, "a"), (3, 1, "b"), (4, 2, "deep")]);
        let mut gone = Vec::new();
        let name: Arc<OsStr> = OsStr::new("c").into();
        assert_eq!(tree.elsewhere(2, 3, &name).unwrap(), Path::new("a"));
        assert_eq!(tree.place(2, 3, name, true, &mut gone), Placed::New);
        assert!(gone.is_empty());
        assert_eq!(tree.path(4).unwrap(), Path::new("b/c/deep"));
        assert_eq!(tree.find(Path::new("a")), None);
        assert_eq!(tree.len(), 4);
    }

    #[test]
    fn what_takes_a_place_ends_what_was_there_and_beneath() {
        let mut tree = tree(&[(1, NONE, ""), (2, 1, "a"), (3, 2, "deep"), (4, 1, "ab")]);
        let mut gone = Vec::new();
        tree.place(5, 1, OsStr::new("a").into(), true, &mut gone);
        assert_eq!(gone, [2, 3]);
        assert_eq!(tree.find(Path::new("a")), Some(5));
        assert_eq!(tree.find(Path::new("ab")), Some(4));
        assert_eq!(tree.children.len(), tree.nodes.len());
        let mut all = tree.clear();
        all.sort_unstable();
        assert_eq!(all, [1, 4, 5]);
    }
}

//! Where the watched paths are, and which names lead there.
//!
//! A watched path may not exist yet, may be replaced, and may lead over
//! links. Each directory on the way is watched for the names on the way.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;

use crate::finding::SkipReason;
use crate::source::mounts::Mounts;

/// As the kernel has it.
const MAX_LINKS: usize = 40;

/// All paths are relative to the root.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// What is watched, none beneath another.
    starts: BTreeSet<PathBuf>,
    /// Those of them that are no directories.
    files: BTreeSet<PathBuf>,
    /// Every name that is passed on the way, the starts included.
    places: BTreeSet<PathBuf>,
}

/// What a directory is to the watcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// At or beneath a watched path.
    Watched,
    /// Leads to one; `true` if a watched file is in it.
    OnTheWay(bool),
    Outside,
}

impl Ways {
    /// Follows the paths, absolute on the host, through links and without a
    /// look at file systems that are not watched. Tells which paths are on
    /// such a one; `enter` is told of each place before it is touched.
    pub(super) fn find(
        root: &Path,
        paths: &[PathBuf],
        mounts: &Mounts,
        enter: &dyn Fn(&Path),
    ) -> (Self, Vec<(PathBuf, String)>) {
        let mut ways = Self::default();
        let mut refused = Vec::new();
        let mut starts = BTreeSet::new();
        for path in paths {
            match ways.follow(root, path, mounts, enter) {
                Ok(start) => {
                    starts.insert(start);
                }
                Err(why) => refused.push((path.clone(), why)),
            }
        }
        // In this order what is beneath comes right behind what is above.
        for start in starts {
            let outer = ways.starts.last();
            if !outer.is_some_and(|outer| start.starts_with(outer)) {
                ways.starts.insert(start);
            }
        }
        ways.files = ways
            .starts
            .iter()
            .filter(|start| {
                enter(start);
                root.join(start)
                    .symlink_metadata()
                    .is_ok_and(|facts| !facts.is_dir())
            })
            .cloned()
            .collect();
        (ways, refused)
    }

    fn follow(
        &mut self,
        root: &Path,
        path: &Path,
        mounts: &Mounts,
        enter: &dyn Fn(&Path),
    ) -> Result<PathBuf, String> {
        let mut left: VecDeque<OsString> = names(path);
        let mut at = PathBuf::new();
        let mut links = 0;
        while let Some(name) = left.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            at.push(name);
            self.places.insert(at.clone());
            let here = root.join(&at);
            if let Some(reason) = barred(mounts, &here) {
                return Err(format!("{} at /{}", reason.name(), at.display()));
            }
            enter(&at);
            match rustix::fs::readlink(&here, Vec::new()) {
                Ok(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err("too many links".into());
                    }
                    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                    if target.is_absolute() {
                        at.clear();
                    } else {
                        at.pop();
                    }
                    let mut names = names(&target);
                    names.append(&mut left);
                    left = names;
                }
                // No link.
                Err(Errno::INVAL) => {}
                // Not there: the rest of the way is as it is written.
                Err(_) => {
                    for name in left.drain(..) {
                        at.push(name);
                        self.places.insert(at.clone());
                    }
                }
            }
        }
        Ok(at)
    }

    pub(super) fn standing(&self, directory: &Path) -> Standing {
        if directory
            .ancestors()
            .any(|above| self.starts.contains(above))
        {
            Standing::Watched
        } else if directory == Path::new("") || self.places.contains(directory) {
            let parent = Some(directory);
            Standing::OnTheWay(self.files.iter().any(|file| file.parent() == parent))
        } else {
            Standing::Outside
        }
    }

    /// Whether a name is on the way.
    pub(super) fn is_on_the_way(&self, path: &Path) -> bool {
        self.places.contains(path)
    }

    pub(super) fn is_start(&self, path: &Path) -> bool {
        self.starts.contains(path)
    }

    /// Where the watched paths led before and do not any more.
    pub(super) fn left_by<'a>(&'a self, now: &'a Self) -> impl Iterator<Item = &'a PathBuf> {
        self.starts.difference(&now.starts)
    }

    /// The watched files that were not watched before.
    pub(super) fn files_since<'a>(
        &'a self,
        earlier: &'a Self,
    ) -> impl Iterator<Item = &'a PathBuf> {
        self.files.difference(&earlier.files)
    }

    /// The names on the way in a directory.
    pub(super) fn names_in(&self, directory: &Path) -> impl Iterator<Item = &std::ffi::OsStr> {
        self.places
            .iter()
            .filter(move |place| place.parent() == Some(directory))
            .filter_map(|place| place.file_name())
    }
}

/// Why a way ends at a directory. An overlay that was named is looked into.
pub(super) fn barred(mounts: &Mounts, directory: &Path) -> Option<SkipReason> {
    mounts
        .skip(directory)
        .filter(|reason| *reason != SkipReason::OverlayFilesystem)
}

/// The names of a path, the root left out.
fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn starts(root: &Path, paths: &[&str]) -> Vec<PathBuf> {
        let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
        let (ways, refused) = Ways::find(root, &paths, &Mounts::default(), &|_| {});
        assert!(refused.is_empty(), "{refused:?}");
        ways.starts.into_iter().collect()
    }

    #[test]
    fn a_path_beneath_another_is_watched_once() {
        let root = tempfile::tempdir().unwrap();
        let paths = ["/srv/app", "/srv", "/srv-old", "/srv"];
        assert_eq!(
            starts(root.path(), &paths),
            [PathBuf::from("srv"), PathBuf::from("srv-old")]
        );
        assert_eq!(starts(root.path(), &["/etc", "/"]), [PathBuf::new()]);
    }

    #[test]
    fn links_are_followed_and_do_not_leave_the_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("data/www")).unwrap();
        fs::create_dir(root.path().join("var")).unwrap();
        symlink("../data", root.path().join("var/link")).unwrap();
        symlink("/var/link/www", root.path().join("www")).unwrap();
        symlink("../../../../data", root.path().join("out")).unwrap();
        assert_eq!(starts(root.path(), &["/www"]), [PathBuf::from("data/www")]);
        assert_eq!(starts(root.path(), &["/out"]), [PathBuf::from("data")]);
        let (ways, _) = Ways::find(root.path(), &["/www".into()], &Mounts::default(), &|_| {});
        for place in ["www", "var", "var/link", "data", "data/www"] {
            assert!(ways.is_on_the_way(Path::new(place)), "{place}");
        }
    }

    #[test]
    fn a_circle_of_links_is_refused() {
        let root = tempfile::tempdir().unwrap();
        symlink("/b", root.path().join("a")).unwrap();
        symlink("/a", root.path().join("b")).unwrap();
        let (ways, refused) = Ways::find(root.path(), &["/a".into()], &Mounts::default(), &|_| {});
        assert!(ways.starts.is_empty());
        assert_eq!(refused.len(), 1);
    }
}

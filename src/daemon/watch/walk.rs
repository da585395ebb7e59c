//! Setting watches, a slice at a time: each directory is watched first and
//! listed then.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use tokio::time::Instant;

use super::inotify::Interests;
use super::tree::{NONE, Placed};
use super::ways::{self, Standing};
use super::{Notice, Watch, on_host};

/// Steps between two looks at the queue: few enough that it does not overflow
/// meanwhile.
const SLICE: usize = 512;

/// Places that are told to be unwatchable.
const MAX_COMPLAINTS: usize = 16;

/// A step that is still to be done.
#[derive(Debug)]
pub(super) enum Pending {
    /// Watches a directory and what is below it; the topmost one that is new
    /// is told as changed, if asked for.
    Visit {
        parent: i32,
        name: Arc<OsStr>,
        announce: bool,
    },
    /// Counts the directories below one that cannot be watched.
    Count(PathBuf),
    /// Said once all that was to be done before is done.
    Tell(Notice),
}

/// What is known of directories beyond the limit.
#[derive(Debug, Default)]
pub(super) struct Limit {
    /// The first of them, and the kernel's limit if it is that.
    reached: Option<(PathBuf, bool)>,
    beyond: usize,
    told: bool,
}

impl Watch {
    /// Does a slice of what is to be done; `false` when nothing is left, or
    /// a rest was ordered.
    pub(super) fn work(&mut self) -> bool {
        // A directory may be watched anew under the same descriptor: ended
        // first, so that it is not ended after.
        if !self.doomed.is_empty() {
            let rest = self.doomed.len().saturating_sub(SLICE);
            for wd in self.doomed.drain(rest..) {
                self.inotify.remove(wd);
            }
            return true;
        }
        if self.overflow.flushing {
            self.overflow.flushing = false;
            if !self.overflow.rest.is_zero() {
                self.rest_until = Some(Instant::now() + self.overflow.rest);
                return false;
            }
        }
        for _ in 0..SLICE {
            match self.pending.pop() {
                Some(Pending::Visit {
                    parent,
                    name,
                    announce,
                }) => self.visit(parent, name, announce),
                Some(Pending::Count(directory)) => {
                    self.limit.beyond += 1;
                    self.settings.steps.enter(&directory);
                    let below = subdirectories(&self.settings.root.join(&directory));
                    for name in below.unwrap_or_default() {
                        let path = directory.join(&*name);
                        if !self.is_passed_over(&path) {
                            self.pending.push(Pending::Count(path));
                        }
                    }
                }
                Some(Pending::Tell(notice)) => self.tell(notice),
                None => break,
            }
            if !self.doomed.is_empty() {
                return true;
            }
        }
        if self.pending.is_empty() {
            self.tell_limit();
        }
        !self.pending.is_empty()
    }

    fn visit(&mut self, parent: i32, name: Arc<OsStr>, announce: bool) {
        let path = match self.tree.path(parent) {
            Some(above) => above.join(&*name),
            None if parent == NONE => PathBuf::new(),
            None => return,
        };
        let standing = match self.tree.is_full(parent) {
            Some(true) => Standing::Watched,
            _ => self.ways.standing(&path),
        };
        let interests = match standing {
            Standing::Outside => return,
            Standing::OnTheWay(false) => Interests::Names,
            Standing::OnTheWay(true) | Standing::Watched => Interests::NamesAndContents,
        };
        let full = standing == Standing::Watched;
        if self.is_passed_over(&path) {
            return;
        }
        let here = self.settings.root.join(&path);
        self.settings.steps.enter(&path);
        let is_known = self.tree.child(parent, &name).is_some();
        let added = if !is_known && self.tree.len() >= self.settings.max_watches {
            Err(Errno::NOSPC)
        } else {
            self.inotify.add(&here, interests)
        };
        let wd = match added {
            Ok(wd) => wd,
            // Gone, or a file or a link now: its own events tell the rest.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return,
            Err(error) => {
                if announce && full {
                    self.tell(Notice::Changed(on_host(&path)));
                }
                if error == Errno::NOSPC {
                    self.limited(path);
                } else {
                    self.complain(on_host(&path), io::Error::from(error).to_string());
                }
                return;
            }
        };
        if let Some(elsewhere) = self.tree.elsewhere(wd, parent, &name)
            && (self.tree.leads_to(wd, parent)
                || is_same(&self.settings.root.join(elsewhere), &here))
        {
            // One directory seen at two places, as bind mounts make it: what
            // happens in it is told of the first.
            if announce {
                self.tell(Notice::Changed(on_host(&path)));
            }
            return;
        }
        let placed = self.tree.place(wd, parent, name, full, &mut self.doomed);
        if !full {
            let names: Vec<Arc<OsStr>> = self.ways.names_in(&path).map(Arc::from).collect();
            self.push_visits(wd, names, announce);
            return;
        }
        if placed == Placed::Known {
            return;
        }
        if announce {
            self.pending
                .push(Pending::Tell(Notice::Changed(on_host(&path))));
        }
        match subdirectories(&here) {
            Ok(names) => self.push_visits(wd, names, false),
            Err(error) => self.complain(on_host(&path), error.to_string()),
        }
    }

    fn push_visits(&mut self, parent: i32, names: Vec<Arc<OsStr>>, announce: bool) {
        self.pending
            .extend(names.into_iter().map(|name| Pending::Visit {
                parent,
                name,
                announce,
            }));
    }

    /// Left out, or the root of a file system that is not entered.
    fn is_passed_over(&self, path: &Path) -> bool {
        let here = || self.settings.root.join(path);
        if self.ways.is_on_the_way(path) {
            ways::barred(&self.mounts, &here()).is_some() || self.is_left_out(path)
        } else if path == Path::new("") {
            false
        } else {
            self.mounts.skip(&here()).is_some() || self.is_left_out(path)
        }
    }

    fn limited(&mut self, path: PathBuf) {
        if self.limit.told {
            return;
        }
        if self.limit.reached.is_none() {
            let by_kernel = self.tree.len() < self.settings.max_watches;
            self.limit.reached = Some((path.clone(), by_kernel));
        }
        self.pending.push(Pending::Count(path));
    }

    /// Tells once, when all is counted.
    fn tell_limit(&mut self) {
        if let Some((path, by_kernel)) = self.limit.reached.take() {
            self.limit.told = true;
            // The second is the same one outside of containers.
            let limits = ["fs/inotify/max_user_watches", "user/max_inotify_watches"];
            let limit = limits
                .iter()
                .filter_map(|name| {
                    let path = self.settings.proc.join("sys").join(name);
                    std::fs::read_to_string(path).ok()?.trim().parse().ok()
                })
                .min();
            let watched = self.tree.len();
            self.tell(Notice::LimitReached {
                path: on_host(&path),
                watched,
                needed: watched + self.limit.beyond,
                max_user_watches: limit.filter(|_| by_kernel),
            });
        }
    }

    pub(super) fn complain(&mut self, path: PathBuf, why: String) {
        if self.complaints.len() < MAX_COMPLAINTS && self.complaints.insert(path.clone()) {
            self.tell(Notice::Unwatchable { path, why });
        }
    }
}

fn subdirectories(directory: &Path) -> io::Result<Vec<Arc<OsStr>>> {
    let mut names = Vec::new();
    for entry in directory.read_dir()? {
        let entry = entry?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            names.push(Arc::from(entry.file_name()));
        }
    }
    Ok(names)
}

fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |path: &Path| {
        let facts = path.symlink_metadata().ok()?;
        Some((facts.dev(), facts.ino()))
    };
    id(one).is_some_and(|id_of_one| Some(id_of_one) == id(other))
}

//! What changes in the watched directories, and when it is looked at.

use std::path::{Path, PathBuf};

use tokio::time::Instant;

use super::{Done, Purpose, Service};
use crate::daemon::settle::Settle;
use crate::daemon::watch::aside::Aside;
use crate::daemon::watch::{self, Notice};
use crate::source::user_data::is_copy;
use crate::status;

impl Service {
    /// Watches what the configuration names, if anything.
    pub(super) fn begin_watch(&mut self) {
        let config = &self.loaded.config;
        if !config.watch.enabled {
            self.watch = None;
            self.state.status.watch = None;
            return self.begin_schedule();
        }
        let settings = watch::Settings {
            root: self.root.clone(),
            proc: PathBuf::from("/proc"),
            paths: config.watch.paths.clone(),
            exclude: config.scan.exclude.clone(),
            own: vec![config.state_dir.clone(), config.runtime_dir.clone()],
            network_filesystems: config.scan.network_filesystems,
            max_watches: watch::MAX_WATCHES,
        };
        self.begin(Purpose::Watch, async {
            Done::Watch(Box::new(Aside::start(settings).await))
        });
    }

    pub(super) fn take_in_watch(&mut self, started: Result<(Aside, Vec<Notice>), watch::Error>) {
        self.state.unwatched.clear();
        match started {
            Ok((watch, notices)) => {
                self.settle = Settle::new(self.loaded.config.watch.paths.clone());
                self.watch = Some(watch);
                self.hear(notices);
            }
            Err(error) => self.end_watch(&error.to_string()),
        }
        self.begin_schedule();
    }

    /// From here on nothing is watched.
    pub(super) fn end_watch(&mut self, why: &str) {
        self.watch = None;
        let problem = format!("nothing is watched, only swept: {why}");
        log::error!("{problem}");
        self.state.unwatched.push(problem);
        self.state.status.watch = None;
    }

    /// Takes in what happened in the watched directories.
    pub(super) fn hear(&mut self, notices: Vec<Notice>) {
        let now = Instant::now();
        for notice in notices {
            match notice {
                Notice::Changed(path) | Notice::Removed(path) => {
                    // What belongs to a whole is looked at as a whole.
                    if is_part(&path) {
                        if let Some(schedule) = &mut self.schedule {
                            schedule.sweep_again(now);
                        }
                    } else {
                        self.settle.note(&path, now.into_std());
                    }
                }
                Notice::Overflow => {
                    log::warn!("more changed than could be followed: all that is watched is swept");
                    self.missed = true;
                    self.state.overflows += 1;
                }
                notice @ (Notice::LimitReached { .. } | Notice::Unwatchable { .. }) => {
                    self.state.cannot_watch(&notice);
                }
            }
        }
        if let Some(watch) = &self.watch {
            self.state.status.watch = Some(status::Watch {
                directories: watch.watched() as u64,
                complete: self.state.unwatched.is_empty(),
                overflows: self.state.overflows,
            });
        }
    }

    pub(super) fn changes_due(&self) -> Option<Instant> {
        if self.missed {
            return Some(Instant::now());
        }
        self.settle.next_due().map(Instant::from_std)
    }
}

/// The next notices, `None` when there are none to come; never, where nothing
/// is watched.
pub(super) async fn notices(watch: &mut Option<Aside>) -> Option<Vec<Notice>> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

/// Whether a changed file says nothing without others: git's own files, and
/// the forms in which cloud-init keeps one text.
fn is_part(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == ".git") || path.to_str().is_some_and(is_copy)
}

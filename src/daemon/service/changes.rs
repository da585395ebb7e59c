//! What changes in the watched directories, and when it is looked at.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::time::Instant;

use super::{Done, Purpose, Service};
use crate::daemon::settle::Settle;
use crate::daemon::watch::aside::Aside;
use crate::daemon::watch::{self, Hang, Notice};
use crate::host::from_here;
use crate::source::mounts::Mounts;
use crate::source::user_data::is_copy;
use crate::{sanitize, status};

/// This process's.
const PROC: &str = "/proc";

/// Places that are waited for at the most, each by a thread.
const MAX_HUNG: usize = 8;

impl Service {
    /// Watches what the configuration names, if anything.
    pub(super) fn begin_watch(&mut self) {
        let config = &self.loaded.config;
        if !config.watch.enabled {
            self.watch = None;
            self.state.status.watch = None;
            return self.begin_schedule();
        }
        let own = [config.state_dir.clone(), config.runtime_dir.clone()];
        let hung = self.hung.iter().map(|hang| hang.place.clone());
        let answers = |path: &&PathBuf| !self.hung.iter().any(|hang| path.starts_with(&hang.place));
        let settings = watch::Settings {
            root: self.root.clone(),
            proc: PathBuf::from(PROC),
            paths: config.watch.paths.iter().filter(answers).cloned().collect(),
            exclude: config.scan.exclude.clone(),
            left_alone: own.into_iter().chain(hung).collect(),
            network_filesystems: config.scan.network_filesystems,
            max_watches: watch::MAX_WATCHES,
            steps: Arc::default(),
        };
        self.begin(Purpose::Watch, async {
            Done::Watch(Box::new(Aside::start(settings).await))
        });
    }

    pub(super) fn take_in_watch(&mut self, started: Result<(Aside, Vec<Notice>), watch::Error>) {
        match started {
            Ok((watch, notices)) => {
                self.state.unwatched = self.unanswered();
                self.settle = Settle::new(self.loaded.config.watch.paths.clone());
                self.watch = Some(watch);
                self.hear(notices);
                self.begin_schedule();
            }
            Err(watch::Error::Hung(hang)) => self.leave_alone(hang),
            Err(error) => self.end_watch(&error.to_string()),
        }
    }

    /// Notices when the watching hangs.
    pub(super) fn look_after_watch(&mut self) {
        let now = Instant::now();
        if let Some(hang) = self.watch.as_mut().and_then(|watch| watch.hangs(now)) {
            self.leave_alone(hang);
        }
    }

    /// Watches anew without what does not answer.
    fn leave_alone(&mut self, mut hang: Hang) {
        let network = self.loaded.config.scan.network_filesystems;
        let here = from_here(&self.root, &hang.place);
        if let Ok(mounts) = Mounts::read(Path::new(PROC), network)
            && let Ok(part) = mounts
                .silent_part(&here, &self.root)
                .strip_prefix(&self.root)
        {
            hang.place = Path::new("/").join(part);
        }
        log::error!("{}", unanswered(&hang.place));
        self.hung.push(hang);
        self.state.unwatched = self.unanswered();
        self.watch = None;
        // The first sweep waits for no more than one place.
        if self.schedule.is_none() {
            self.begin_schedule();
        }
        if self.hung.len() <= MAX_HUNG {
            self.begin_watch();
        } else {
            self.end_watch("too much does not answer");
        }
    }

    fn unanswered(&self) -> Vec<String> {
        let hung = self.hung.iter();
        hung.map(|hang| unanswered(&hang.place)).collect()
    }

    /// After a sweep: watches what can be watched again.
    pub(super) fn watch_again(&mut self) {
        let hung = self.hung.len();
        self.hung.retain(|hang| !hang.is_over());
        let is_ended = self.watch.is_none() && self.loaded.config.watch.enabled;
        let is_due = (is_ended || self.hung.len() < hung) && self.hung.len() <= MAX_HUNG;
        if is_due && !self.runs(Purpose::Watch) {
            self.begin_watch();
        }
    }

    /// From here on nothing is watched.
    pub(super) fn end_watch(&mut self, why: &str) {
        self.watch = None;
        let problem = format!("nothing is watched, only swept: {why}");
        // It is tried again after each sweep.
        if !self.state.unwatched.contains(&problem) {
            log::error!("{problem}");
        }
        self.state.unwatched = self.unanswered();
        self.state.unwatched.push(problem);
        self.state.status.watch = None;
        // What was swept while nothing was watched is not swept for that again.
        if self.schedule.is_none() {
            self.begin_schedule();
        }
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

fn unanswered(place: &Path) -> String {
    let shown = sanitize::bytes(place.as_os_str().as_encoded_bytes());
    format!("{shown} does not answer: it is not watched, only swept")
}

/// Whether a changed file says nothing without others: git's own files, and
/// the forms in which cloud-init keeps one text.
fn is_part(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == ".git") || path.to_str().is_some_and(is_copy)
}

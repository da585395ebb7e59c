//! How the watching gets on, for whoever looks after it from another thread.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use crate::source::files::lock;

/// Counts the steps, and knows what the last one touched.
#[derive(Debug, Default)]
pub struct Steps {
    count: AtomicU64,
    place: Mutex<PathBuf>,
}

/// A step that does not come back.
#[derive(Debug)]
pub struct Hang {
    /// What it touched, absolute on the host.
    pub place: PathBuf,
    thread: Weak<Steps>,
}

impl Steps {
    /// `place` is touched next.
    pub(super) fn enter(&self, place: &Path) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut current = lock(&self.place);
        current.clear();
        current.push(place);
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn hang(self: &Arc<Self>) -> Hang {
        Hang {
            place: Path::new("/").join(&*lock(&self.place)),
            thread: Arc::downgrade(self),
        }
    }
}

impl Hang {
    /// Whether it came back after all.
    pub fn is_over(&self) -> bool {
        self.thread.strong_count() == 0
    }
}

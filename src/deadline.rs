//! When a run has to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A moment, or somebody's word, after which work stops and says what it left
/// undone. The default never comes.
#[derive(Debug, Clone, Default)]
pub struct Deadline {
    at: Option<Instant>,
    stop: Option<Arc<AtomicBool>>,
}

impl Deadline {
    /// Over once `timeout` has passed since `start`; never without one.
    pub fn after(start: Instant, timeout: Option<Duration>) -> Self {
        Self {
            at: timeout.and_then(|timeout| start.checked_add(timeout)),
            stop: None,
        }
    }

    /// Over once `stop` is true.
    pub const fn on(stop: Arc<AtomicBool>) -> Self {
        Self {
            at: None,
            stop: Some(stop),
        }
    }

    /// The same, but not before `moment`, unless on somebody's word.
    #[must_use]
    pub fn not_before(&self, moment: Instant) -> Self {
        Self {
            at: self.at.map(|at| at.max(moment)),
            stop: self.stop.clone(),
        }
    }

    pub fn is_over(&self) -> bool {
        self.at.is_some_and(|at| Instant::now() >= at)
            || self
                .stop
                .as_ref()
                .is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    /// What is left, at most `limit`.
    pub fn remaining(&self, limit: Duration) -> Duration {
        self.at.map_or(limit, |at| {
            at.saturating_duration_since(Instant::now()).min(limit)
        })
    }
}

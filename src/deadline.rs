//! When a run has to end.

use std::time::{Duration, Instant};

/// A moment after which work stops and says what it left undone.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Over once `timeout` has passed since `start`; never without one.
    pub fn after(start: Instant, timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| start.checked_add(timeout)))
    }

    pub fn is_over(self) -> bool {
        self.0.is_some_and(|at| Instant::now() >= at)
    }

    /// What is left, at most `limit`.
    pub fn remaining(self, limit: Duration) -> Duration {
        self.0.map_or(limit, |at| {
            at.saturating_duration_since(Instant::now()).min(limit)
        })
    }
}

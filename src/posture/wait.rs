//! Waiting for what appears late at boot, without a fleet that boots together
//! asking together.

use std::time::Duration;

use tokio::time::{Instant, sleep};

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(10);

/// Pauses of random length, whose upper bound doubles from 0.25 s to 10 s.
pub(super) struct Backoff {
    until: Instant,
    bound: Duration,
}

impl Backoff {
    pub(super) fn until(until: Instant) -> Self {
        Self {
            until,
            bound: FIRST,
        }
    }

    /// Waits a while; `false` at once when the time is over.
    pub(super) async fn pause(&mut self) -> bool {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        sleep(self.bound.mul_f64(fastrand::f64()).min(left)).await;
        self.bound = (self.bound * 2).min(LONGEST);
        true
    }
}

//! How long anything is waited for, and the waiting for what appears late at
//! boot, without a fleet that boots together asking together.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::imds::Error;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(10);

/// What may pass after IMDS answered for the first time (or, without waiting,
/// in all) until what is not answered counts as hanging.
const PATIENCE: Duration = Duration::from_millis(4500);

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// No more waiting for what may appear late.
    pub(super) waited_out: Instant,
    /// No more waiting for any answer.
    pub(super) hangs_after: Instant,
    /// There is time to wait, as there is at boot.
    pub(super) is_patient: bool,
    /// The end of a limited time.
    pub(super) end: Option<Instant>,
}

impl Clock {
    /// For the first answer. Of a limited time, half is for what follows the
    /// waiting, and half of that for what follows the answer.
    pub(super) fn start(started: Instant, wait: Duration, limit: Option<Duration>) -> Self {
        let Some(limit) = limit else {
            let waited_out = started + wait;
            return Self {
                waited_out,
                // The client has limits of its own.
                hangs_after: waited_out + PATIENCE,
                is_patient: !wait.is_zero(),
                end: None,
            };
        };
        Self {
            waited_out: started + wait.min(limit / 2),
            hangs_after: started + limit.mul_f32(0.75),
            is_patient: !wait.is_zero(),
            end: Some(started + limit),
        }
    }

    /// Whether a limited time ended the wait for the first answer, and not the
    /// patience of the client.
    pub(super) fn is_cut_short(self) -> bool {
        self.end.is_some() && Instant::now() >= self.hangs_after
    }

    /// For what follows the first answer, which was given just now.
    pub(super) fn answered(self, started: Instant) -> Self {
        let since = if self.is_patient {
            Instant::now().max(self.waited_out)
        } else {
            started
        };
        let hangs_after = since + PATIENCE;
        Self {
            hangs_after: self.end.map_or(hangs_after, |end| end.min(hangs_after)),
            ..self
        }
    }

    /// The answer of `fetch`, or a time-out when the time for all is over.
    pub(super) async fn within<T>(
        self,
        what: &'static str,
        fetch: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        timeout_at(self.hangs_after, fetch)
            .await
            .unwrap_or(Err(Error::TimedOut { what }))
    }
}

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

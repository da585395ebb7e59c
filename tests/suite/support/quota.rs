//! So many calls a second, and no more: how AWS throttles an account.

use std::collections::VecDeque;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// CloudWatch Logs' own, an account and region; see "Amazon CloudWatch Logs
/// endpoints and quotas" in the AWS General Reference.
pub(crate) const CREATE_LOG_STREAM: usize = 50;
/// 5,000 today; small regions had so many, and accounts may keep it.
pub(crate) const PUT_LOG_EVENTS: usize = 800;

/// The calls of the last second. Time is any that does not go back.
#[derive(Debug)]
pub(crate) struct Quota {
    a_second: usize,
    taken: VecDeque<Duration>,
}

impl Quota {
    pub(crate) fn new(a_second: usize) -> Self {
        Self {
            a_second,
            taken: VecDeque::new(),
        }
    }

    /// Whether a call at `now` passes.
    pub(crate) fn take(&mut self, now: Duration) -> bool {
        while self.taken.front().is_some_and(|at| *at + SECOND <= now) {
            self.taken.pop_front();
        }
        let passes = self.taken.len() < self.a_second;
        if passes {
            self.taken.push_back(now);
        }
        passes
    }
}

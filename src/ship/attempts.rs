//! What follows each attempt to put a batch: the table of decisions, applied.
//! Pure: the time that is left and chance are arguments, so that a thousand
//! instances can be played through without one.

use std::time::Duration;

use super::decision::{Call, Decision, Fault, decide};

/// The longest that one call may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest first pause; it doubles with every failure up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// With less time left a further attempt would only be cut off.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(250);

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Another call, see [`Attempts::call`], after a pause, with the role's
    /// credentials fetched anew if so said.
    Attempt { pause: Duration, renew: bool },
    /// The batch is there.
    Done,
    /// This batch will not be taken; others may.
    SkipBatch,
    /// Nothing more can be delivered in this run.
    GiveUp,
}

/// The attempts at one batch.
#[derive(Debug, Clone)]
pub struct Attempts {
    call: Call,
    failures: u32,
    created: Vec<Call>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            call: Call::PutLogEvents,
            failures: 0,
            created: Vec::new(),
        }
    }
}

impl Attempts {
    /// The call to make.
    pub const fn call(&self) -> Call {
        self.call
    }

    /// How long an attempt may take: never all that is left, so that a hung
    /// connection leaves time for another one. `None` where none is worth it.
    pub fn limit(left: Duration) -> Option<Duration> {
        (left >= SHORTEST_ATTEMPT).then(|| ATTEMPT_TIMEOUT.min(left / 2))
    }

    /// The call succeeded. The one that follows; none after the last.
    pub const fn succeeded(&mut self) -> Option<Call> {
        self.call = match self.call {
            Call::PutLogEvents => return None,
            Call::CreateLogStream => Call::PutLogEvents,
            Call::CreateLogGroup => Call::CreateLogStream,
        };
        Some(self.call)
    }

    /// The call failed. `may_renew`: credentials that are refused were not
    /// fetched too often yet. `chance` is from 0 to 1.
    pub fn failed(&mut self, fault: Fault, may_renew: bool, left: Duration, chance: f64) -> Step {
        let mut pause = Duration::ZERO;
        match decide(self.call, fault) {
            // What the call was for is there.
            Decision::Done => {
                if self.succeeded().is_none() {
                    return Step::Done;
                }
            }
            Decision::Retry => pause = self.pause(left, chance),
            Decision::RenewCredentials if may_renew => {
                let pause = self.pause(left, chance);
                return Step::Attempt { pause, renew: true };
            }
            missing @ (Decision::CreateStream | Decision::CreateGroup) => {
                self.call = match missing {
                    Decision::CreateStream => Call::CreateLogStream,
                    _ => Call::CreateLogGroup,
                };
                // It was created, and is not there yet for everyone.
                if self.created.contains(&self.call) {
                    pause = self.pause(left, chance);
                } else {
                    self.created.push(self.call);
                }
            }
            Decision::SkipBatch => return Step::SkipBatch,
            Decision::RenewCredentials | Decision::GiveUp => return Step::GiveUp,
        }
        Step::Attempt {
            pause,
            renew: false,
        }
    }

    /// Full jitter: anything between nothing and a bound that doubles, so that
    /// those who failed together do not return together.
    fn pause(&mut self, left: Duration, chance: f64) -> Duration {
        let bound = longest_pause(self.failures, left);
        self.failures = self.failures.saturating_add(1);
        bound.mul_f64(chance)
    }
}

/// The bound doubles with each failure, and leaves time for another attempt.
fn longest_pause(failures: u32, left: Duration) -> Duration {
    FIRST_PAUSE
        .saturating_mul(2u32.saturating_pow(failures))
        .min(LONGEST_PAUSE)
        .min(left / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn pauses_double_and_never_take_the_time_of_the_next_attempt() {
        let bounds: Vec<_> = (0..5).map(|n| longest_pause(n, HOUR).as_millis()).collect();
        assert_eq!(bounds, [200, 400, 800, 1600, 3200]);
        assert_eq!(longest_pause(u32::MAX, HOUR), LONGEST_PAUSE);
        let second = Duration::from_secs(1);
        assert_eq!(longest_pause(9, second), second / 2);
        assert_eq!(longest_pause(0, Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn what_is_missing_is_created_at_once_and_waited_for_if_it_does_not_appear() {
        let mut attempts = Attempts::default();
        let mut missing = || {
            let step = attempts.failed(Fault::NotFound, true, HOUR, 1.0);
            attempts.succeeded();
            step
        };
        let create = |pause| Step::Attempt {
            pause,
            renew: false,
        };
        assert_eq!(missing(), create(Duration::ZERO));
        assert_eq!(missing(), create(FIRST_PAUSE));
        assert_eq!(missing(), create(FIRST_PAUSE * 2));
    }

    #[test]
    fn refused_credentials_are_renewed_as_long_as_that_may_help() {
        let mut attempts = Attempts::default();
        let fault = Fault::ExpiredCredentials;
        let renewed = Step::Attempt {
            pause: FIRST_PAUSE,
            renew: true,
        };
        assert_eq!(attempts.failed(fault, true, HOUR, 1.0), renewed);
        assert_eq!(attempts.failed(fault, false, HOUR, 1.0), Step::GiveUp);
    }
}

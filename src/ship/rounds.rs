//! When a service that keeps running delivers again, and what it says about
//! it. Pure: time and chance are arguments.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{Delivery, Obstacle};

/// The least pause after a failure.
const SHORTEST: Duration = Duration::from_secs(1);

/// An obstacle that stays is told this often.
const TELL_AGAIN: Duration = Duration::from_hours(6);

/// The rounds of delivery so far.
#[derive(Debug, Default)]
pub struct Rounds {
    failures: u32,
    /// When each of the present obstacles was told last.
    told: HashMap<Obstacle, Instant>,
}

/// What follows a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// Until the next round, if anything waits; zero after a success.
    pub pause: Duration,
    /// Whether the obstacle is told now: it is new, or was last told long ago.
    /// What was rejected for good happened once and is always told.
    pub tell: bool,
    /// Delivery works again after an obstacle was told.
    pub recovered: bool,
}

impl Rounds {
    /// The pause before the first round of all, so that a fleet that boots
    /// together does not ship together: anything below `spread`. `chance` is
    /// from 0 to 1.
    pub fn first(spread: Duration, chance: f64) -> Duration {
        jittered(spread, chance)
    }

    /// Takes in what a round came to.
    pub fn after(&mut self, delivery: &Delivery, now: Instant, chance: f64) -> Next {
        let Some(obstacle) = delivery.obstacle else {
            self.failures = 0;
            let recovered = !self.told.is_empty();
            self.told.clear();
            return Next {
                pause: Duration::ZERO,
                tell: false,
                recovered,
            };
        };
        let bound = longest_pause(obstacle, self.failures);
        self.failures = self.failures.saturating_add(1);
        let tell = self
            .told
            .get(&obstacle)
            .is_none_or(|at| now.saturating_duration_since(*at) >= TELL_AGAIN);
        if tell {
            self.told.insert(obstacle, now);
        }
        Next {
            pause: jittered(bound, chance).max(SHORTEST),
            tell,
            recovered: false,
        }
    }
}

/// The bound doubles with each failure. What only somebody else can change is
/// asked for less often; that a role appears costs no call to AWS to see.
fn longest_pause(obstacle: Obstacle, failures: u32) -> Duration {
    let (first, longest) = match obstacle {
        Obstacle::OutOfTime(..) => (Duration::from_secs(15), Duration::from_mins(30)),
        Obstacle::Role => (Duration::from_mins(1), Duration::from_mins(15)),
        Obstacle::Settings | Obstacle::Refused(..) => {
            (Duration::from_mins(5), Duration::from_hours(1))
        }
    };
    first
        .saturating_mul(2u32.saturating_pow(failures))
        .min(longest)
}

/// Full jitter.
fn jittered(bound: Duration, chance: f64) -> Duration {
    bound.mul_f64(chance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ship::{Call, Fault};

    const DENIED: Obstacle = Obstacle::Refused(Call::PutLogEvents, Fault::AccessDenied);
    const THROTTLED: Obstacle = Obstacle::OutOfTime(Call::PutLogEvents, Fault::Throttled);

    fn failed(obstacle: Obstacle) -> Delivery {
        Delivery {
            obstacle: Some(obstacle),
            ..Delivery::default()
        }
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_start_anew_after_a_success() {
        let mut rounds = Rounds::default();
        let now = Instant::now();
        let mut pauses = |obstacle| -> Vec<u64> {
            let pauses = (0..9)
                .map(|_| rounds.after(&failed(obstacle), now, 1.0).pause.as_secs())
                .collect();
            rounds.after(&Delivery::default(), now, 1.0);
            pauses
        };
        assert_eq!(
            pauses(THROTTLED),
            [15, 30, 60, 120, 240, 480, 960, 1800, 1800]
        );
        assert_eq!(pauses(Obstacle::Role)[..5], [60, 120, 240, 480, 900]);
        assert_eq!(pauses(DENIED)[..5], [300, 600, 1200, 2400, 3600]);
    }

    #[test]
    fn those_who_failed_together_do_not_return_together() {
        let now = Instant::now();
        let pause = |chance| {
            Rounds::default()
                .after(&failed(DENIED), now, chance)
                .pause
                .as_secs()
        };
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(pause), [1, 75, 150, 300]);
        let first = |chance| Rounds::first(Duration::from_mins(10), chance).as_secs();
        assert_eq!([0.0, 0.5].map(first), [0, 300]);
    }

    #[test]
    fn an_obstacle_is_told_once_then_at_intervals_then_when_it_is_over() {
        let mut rounds = Rounds::default();
        let start = Instant::now();
        let hour = Duration::from_hours(1);
        let told: Vec<u32> = (0..13)
            .filter(|h| rounds.after(&failed(DENIED), start + hour * *h, 0.5).tell)
            .collect();
        assert_eq!(told, [0, 6, 12]);
        let other = rounds.after(&failed(THROTTLED), start + hour * 13, 0.5);
        assert!(other.tell, "another obstacle");
        let back = rounds.after(&failed(DENIED), start + hour * 13, 0.5);
        assert!(!back.tell, "the first one again");
        assert!(rounds.after(&Delivery::default(), start, 0.5).recovered);
        assert!(!rounds.after(&Delivery::default(), start, 0.5).recovered);
        assert!(rounds.after(&failed(DENIED), start, 0.5).tell);
    }
}

//! When the outbox is next delivered. Pure: the clock and the dice are
//! arguments.
//!
//! A fleet that boots together does not deliver together: the first delivery
//! after a start waits for a random part of `ship.spread`, or of a shorter
//! time where a finding is to be told. Later a finding goes out within a
//! second and a sign of life within a minute. After a failure everything
//! waits for the pause that [`ship::Rounds`] gives.

use std::time::Duration;

use tokio::time::Instant;

use crate::ship::{self, Delivery, Fate};

/// How urgently an event is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A sign of life, or what a source looked at.
    Routine,
    /// What somebody may have to act on.
    Finding,
}

/// The most that a finding waits for the first delivery.
const LONGEST_FIRST: Duration = Duration::from_secs(30);
/// The most that either waits later.
const FINDING_WITHIN: Duration = Duration::from_secs(1);
const ROUTINE_WITHIN: Duration = Duration::from_mins(1);

/// The time that one delivery may take; whether it works is known then at the
/// latest.
pub const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Outgoing {
    spread: Duration,
    /// Nothing was delivered since the start.
    first: bool,
    /// The last delivery was not complete.
    failing: bool,
    rounds: ship::Rounds,
    due: Option<Instant>,
    under_way: bool,
    /// The delivery that is under way is not waited out should it fail.
    again: bool,
}

impl Outgoing {
    pub fn new(spread: Duration) -> Self {
        Self {
            spread,
            first: true,
            failing: false,
            rounds: ship::Rounds::default(),
            due: None,
            under_way: false,
            again: false,
        }
    }

    /// Events wait. After a failure they wait for their turn like the others.
    pub fn wanted(&mut self, urgency: Urgency, now: Instant, dice: f64) {
        if self.failing && self.due.is_some() {
            return;
        }
        let within = match (self.first, urgency) {
            (true, Urgency::Routine) => self.spread,
            (true, Urgency::Finding) => self.spread.min(LONGEST_FIRST),
            (false, Urgency::Routine) => ROUTINE_WITHIN.min(self.spread),
            (false, Urgency::Finding) => FINDING_WITHIN.min(self.spread),
        };
        let at = now + within.mul_f64(dice);
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Something may have changed for the better: a role appeared, or an
    /// operator says so.
    pub fn retry_now(&mut self, now: Instant) {
        self.again = self.under_way;
        if self.due.is_some() && self.failing {
            self.due = Some(now);
        }
    }

    /// When to deliver; never while a delivery is under way.
    pub fn next(&self) -> Option<Instant> {
        self.due.filter(|_| !self.under_way)
    }

    /// Whether to deliver now; the delivery is then under way.
    pub fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.next().is_some_and(|due| due <= now);
        if is_due {
            self.due = None;
            self.under_way = true;
        }
        is_due
    }

    /// A delivery has ended; `left` if events still wait.
    pub fn delivered(
        &mut self,
        delivery: &Delivery,
        left: bool,
        now: Instant,
        dice: f64,
    ) -> ship::Next {
        self.under_way = false;
        let next = self.rounds.after(delivery, now.into_std(), dice);
        self.failing = delivery.obstacle.is_some();
        self.first &= !delivery.fates.contains(&Fate::Accepted);
        let again = std::mem::take(&mut self.again);
        if left {
            let pause = if again { Duration::ZERO } else { next.pause };
            self.due = Some(now + pause);
        }
        next
    }

    /// A delivery has ended in a way that tells nothing.
    pub fn failed(&mut self, now: Instant, dice: f64) {
        self.under_way = false;
        self.failing = true;
        self.due = Some(now + ROUTINE_WITHIN.mul_f64(dice));
    }

    /// Whether the last delivery met an obstacle.
    pub const fn is_failing(&self) -> bool {
        self.failing
    }

    pub const fn set_spread(&mut self, spread: Duration) {
        self.spread = spread;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ship::Obstacle;

    const SPREAD: Duration = Duration::from_mins(10);

    fn accepted() -> Delivery {
        Delivery {
            fates: vec![Fate::Accepted],
            ..Delivery::default()
        }
    }

    fn after(outgoing: &Outgoing, now: Instant) -> Option<Duration> {
        outgoing.next().map(|due| due - now)
    }

    #[test]
    fn the_first_delivery_is_spread_and_a_finding_waits_half_a_minute_at_most() {
        let now = Instant::now();
        let mut outgoing = Outgoing::new(SPREAD);
        assert_eq!(after(&outgoing, now), None);
        outgoing.wanted(Urgency::Routine, now, 0.5);
        assert_eq!(after(&outgoing, now), Some(SPREAD / 2));
        outgoing.wanted(Urgency::Finding, now, 1.0);
        assert_eq!(after(&outgoing, now), Some(LONGEST_FIRST));
        outgoing.wanted(Urgency::Routine, now, 1.0);
        assert_eq!(after(&outgoing, now), Some(LONGEST_FIRST));
    }

    #[test]
    fn later_a_finding_goes_out_within_a_second_and_nothing_runs_twice_at_once() {
        let now = Instant::now();
        let mut outgoing = Outgoing::new(SPREAD);
        outgoing.wanted(Urgency::Finding, now, 0.0);
        assert!(outgoing.take_due(now));
        outgoing.wanted(Urgency::Finding, now, 0.0);
        assert!(!outgoing.take_due(now));
        outgoing.delivered(&accepted(), true, now, 0.0);
        assert!(outgoing.take_due(now));
        outgoing.delivered(&accepted(), false, now, 0.0);
        assert_eq!(outgoing.next(), None);
        outgoing.wanted(Urgency::Routine, now, 1.0);
        assert_eq!(after(&outgoing, now), Some(ROUTINE_WITHIN));
        outgoing.wanted(Urgency::Finding, now, 1.0);
        assert_eq!(after(&outgoing, now), Some(FINDING_WITHIN));
    }

    #[test]
    fn what_waits_behind_a_failure_waits_for_its_pause_until_a_role_appears() {
        let now = Instant::now();
        let mut outgoing = Outgoing::new(Duration::ZERO);
        outgoing.wanted(Urgency::Finding, now, 1.0);
        assert!(outgoing.take_due(now));
        let failed = Delivery {
            obstacle: Some(Obstacle::Role),
            ..Delivery::default()
        };
        let next = outgoing.delivered(&failed, true, now, 1.0);
        assert!(outgoing.is_failing() && next.tell);
        outgoing.wanted(Urgency::Finding, now, 0.0);
        assert_eq!(after(&outgoing, now), Some(next.pause));
        outgoing.retry_now(now);
        assert!(outgoing.take_due(now));
        // A word that comes while a delivery is about to fail is not lost.
        outgoing.retry_now(now);
        outgoing.delivered(&failed, true, now, 1.0);
        assert!(outgoing.take_due(now));
        assert!(outgoing.delivered(&accepted(), false, now, 0.0).recovered);
        assert_eq!(outgoing.next(), None);
    }
}

//! What became of events, one by one and in sum.

use super::decision::{Call, Fault};
use crate::sanitize;

/// Why an event will never be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// More than 14 days old.
    TooOld,
    /// More than 2 hours ahead.
    TooNew,
    /// Older than the log group's retention.
    Expired,
    TooLarge,
    /// Refused by itself, while others were accepted.
    Invalid,
}

impl Reason {
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooOld => "too-old",
            Self::TooNew => "too-new",
            Self::Expired => "expired",
            Self::TooLarge => "too-large",
            Self::Invalid => "invalid",
        }
    }

    /// Whether another time would have been accepted.
    pub const fn is_time(self) -> bool {
        matches!(self, Self::TooOld | Self::TooNew | Self::Expired)
    }
}

/// What became of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    Accepted,
    /// For good.
    Rejected(Reason),
    /// Neither accepted nor rejected for good, as far as is known: it may be
    /// sent again. One whose answer was lost may be there already, under the
    /// same `event_id`.
    Undelivered,
}

/// Events that will never be accepted, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rejected {
    pub too_old: u64,
    pub too_new: u64,
    pub expired: u64,
    pub too_large: u64,
    pub invalid: u64,
}

impl Rejected {
    pub const fn total(&self) -> u64 {
        self.too_old + self.too_new + self.expired + self.too_large + self.invalid
    }
}

/// What stands in the way of delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Obstacle {
    /// No role, or no credentials of it.
    Role,
    /// The region is not known, or a setting cannot be used.
    Settings,
    /// Only somebody else can change it.
    Refused(Call, Fault),
    /// It may pass by itself; what was seen last.
    OutOfTime(Call, Fault),
}

/// What became of the events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Of each event, in the order given.
    pub fates: Vec<Fate>,
    /// Events that were accepted with the present time, after they had been
    /// rejected for theirs.
    pub restamped: u64,
    /// Why not everything that could be was delivered.
    pub obstacle: Option<Obstacle>,
    /// One sentence each: the cause, and what is missing. Without secrets and
    /// safe for a terminal.
    pub problems: Vec<String>,
}

impl Delivery {
    pub fn accepted(&self) -> u64 {
        self.count(|fate| fate == Fate::Accepted)
    }

    pub fn undelivered(&self) -> u64 {
        self.count(|fate| fate == Fate::Undelivered)
    }

    pub fn rejected(&self) -> Rejected {
        let of = |reason| self.count(|fate| fate == Fate::Rejected(reason));
        Rejected {
            too_old: of(Reason::TooOld),
            too_new: of(Reason::TooNew),
            expired: of(Reason::Expired),
            too_large: of(Reason::TooLarge),
            invalid: of(Reason::Invalid),
        }
    }

    /// Whether every event was accepted.
    pub fn is_complete(&self) -> bool {
        self.fates.iter().all(|fate| *fate == Fate::Accepted)
    }

    fn count(&self, is: impl Fn(Fate) -> bool) -> u64 {
        self.fates.iter().filter(|fate| is(**fate)).count() as u64
    }

    pub(super) fn tell(&mut self, problem: &str) {
        let problem = sanitize::line(problem).into_owned();
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

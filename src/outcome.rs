//! What a run of rolecall amounts to, as an exit status.

use std::process::ExitCode;

/// The documented exit statuses. 168, 169 and 194 mean something to the SSM
/// agent and are never used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Everything was checked and nothing is at or above `--fail-on`.
    Clean,
    /// A finding is at or above `--fail-on`.
    Finding,
    /// Something could not be checked.
    Incomplete,
    /// `--ship always`, and not every event was accepted.
    Undelivered,
    /// Bad usage or configuration: nothing was checked.
    Usage,
}

impl Outcome {
    /// The process exit status.
    pub const fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Finding => 1,
            Self::Incomplete => 2,
            Self::Undelivered => 3,
            Self::Usage => 64,
        }
    }

    /// The status of a run to which both apply: usage, then a finding, then
    /// undelivered, then incomplete.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        if self.precedence() >= other.precedence() {
            self
        } else {
            other
        }
    }

    const fn precedence(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Incomplete => 1,
            Self::Undelivered => 2,
            Self::Finding => 3,
            Self::Usage => 4,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY_RANK: [Outcome; 5] = [
        Outcome::Clean,
        Outcome::Incomplete,
        Outcome::Undelivered,
        Outcome::Finding,
        Outcome::Usage,
    ];

    #[test]
    fn the_graver_status_wins_in_either_order() {
        for (low, a) in BY_RANK.iter().enumerate() {
            for b in &BY_RANK[low..] {
                assert_eq!(a.merge(*b), *b);
                assert_eq!(b.merge(*a), *b);
            }
        }
    }

    #[test]
    fn codes_are_the_contract_and_avoid_what_ssm_reserves() {
        assert_eq!(BY_RANK.map(Outcome::code), [0, 2, 3, 1, 64]);
        assert!(BY_RANK.iter().all(|o| ![168, 169, 194].contains(&o.code())));
    }
}

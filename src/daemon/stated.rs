//! What the service has told of the host's state: only what is new is told
//! again, so that an idle host costs little, and all of it after a day, so that
//! the last day of a stream says how its host is. Pure: the clock is an
//! argument.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::finding::{Coverage, PostureCheck, Rule, SkipReason, SourceKind, Verdict};

/// What has not changed is told again after this; less than a day, as it is
/// looked at only so often.
const AGAIN: Duration = Duration::from_hours(23);

/// A verdict and what was observed.
type Check = (Verdict, Option<String>);
/// The reasons for which things were left out, and how many digits their
/// numbers have.
type LeftOut = Vec<(SkipReason, u32)>;

#[derive(Debug, Default)]
pub(super) struct Stated {
    checks: HashMap<Rule, (Instant, Check)>,
    sources: HashMap<SourceKind, (Instant, LeftOut)>,
}

impl Stated {
    /// Whether `check` is to be told; it is taken to be told then.
    pub(super) fn is_news(&mut self, check: &PostureCheck, now: Instant) -> bool {
        let state = (check.verdict, check.observed.clone());
        differs(&mut self.checks, check.check, state, now)
    }

    /// The same of what one source looked at. That it looked at another number
    /// of things is no news.
    pub(super) fn is_news_of(&mut self, coverage: &Coverage, now: Instant) -> bool {
        let digits = |count: u64| count.checked_ilog10().unwrap_or(0);
        let left_out = coverage
            .skips()
            // What vanishes under a sweep is different every time.
            .filter(|skip| skip.reason != SkipReason::Vanished)
            .map(|skip| (skip.reason, digits(skip.count)))
            .collect();
        differs(&mut self.sources, coverage.source, left_out, now)
    }
}

fn differs<K: std::hash::Hash + Eq, V: PartialEq>(
    told: &mut HashMap<K, (Instant, V)>,
    key: K,
    value: V,
    now: Instant,
) -> bool {
    let is_told = told
        .get(&key)
        .is_some_and(|(at, told)| *told == value && now < *at + AGAIN);
    if !is_told {
        told.insert(key, (now, value));
    }
    !is_told
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_check_is_told_when_it_changes_and_once_a_day() {
        let (mut stated, start) = (Stated::default(), Instant::now());
        let mut told = |verdict, hours: u32| {
            let check = PostureCheck::new(Rule::RoleMissing, verdict, "so");
            stated.is_news(&check, start + HOUR * hours)
        };
        assert!(told(Verdict::Pass, 0));
        assert!(!told(Verdict::Pass, 1));
        assert!(told(Verdict::Fail, 2));
        assert!(!told(Verdict::Fail, 24));
        assert!(told(Verdict::Fail, 25));
        assert!(!told(Verdict::Fail, 26));
    }

    #[test]
    fn a_source_is_told_when_it_leaves_out_something_else_and_once_a_day() {
        let (mut stated, start) = (Stated::default(), Instant::now());
        let mut told = |skips: &[(SkipReason, u64)], scanned, hours: u32| {
            let mut coverage = Coverage::new(SourceKind::File);
            coverage.scanned = scanned;
            for (reason, count) in skips {
                coverage.skip_many(*reason, *count, "/x");
            }
            stated.is_news_of(&coverage, start + HOUR * hours)
        };
        assert!(told(&[], 5, 0));
        assert!(!told(&[(SkipReason::Vanished, 3)], 7, 6));
        assert!(told(&[(SkipReason::IoError, 3)], 7, 12));
        assert!(!told(&[(SkipReason::IoError, 9)], 7, 18));
        assert!(told(&[(SkipReason::IoError, 10)], 7, 24));
        assert!(told(&[(SkipReason::IoError, 10)], 7, 47));
    }
}

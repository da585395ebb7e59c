//! The ledger against a model of it that is a few lines of maps.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;
use rolecall::finding::{Finding, Severity};
use rolecall::ledger::{Fate, Ledger, Limits, Pass, RESOLVED_FOR, Standing, Transition};

use super::{at, entry, finding, in_memory};

/// Places that findings are made in.
const PLACES: u8 = 5;

#[derive(Debug, Clone)]
enum Step {
    /// What each place shows: nothing, or a finding of this severity; and what
    /// is said of each place that shows nothing.
    Pass {
        found: Vec<Option<Severity>>,
        standing: Vec<Standing>,
    },
    Settle(usize),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<(Step, i64)>> {
    let places = usize::from(PLACES);
    let severity = prop_oneof![
        2 => Just(None),
        2 => Just(Some(Severity::High)),
        1 => Just(Some(Severity::Critical)),
    ];
    let standing = prop_oneof![
        Just(Standing::Clean),
        Just(Standing::Gone),
        Just(Standing::NotLooked),
    ];
    let pass = (
        prop::collection::vec(severity, places),
        prop::collection::vec(standing, places),
    )
        .prop_map(|(found, standing)| Step::Pass { found, standing });
    let step = prop_oneof![
        6 => pass,
        2 => (0usize..6).prop_map(Step::Settle),
        1 => Just(Step::Reopen),
    ];
    // A clock that runs, stands, and jumps years back and forth.
    let clock = prop_oneof![
        6 => 0..100_000i64,
        1 => -300_000_000..300_000_000i64,
    ];
    prop::collection::vec((step, clock), 1..25)
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    severity: Severity,
    first_seen: Timestamp,
    reopened: u64,
}

#[derive(Default)]
struct Model {
    open: BTreeMap<u8, Known>,
    /// How often before, and when.
    resolved: BTreeMap<u8, (u64, Timestamp)>,
    outbox: Vec<String>,
}

impl Model {
    fn see(&mut self, place: u8, severity: Severity, now: Timestamp) {
        let id = finding(&place.to_string()).id;
        if let Some(known) = self.open.get_mut(&place) {
            if known.severity != severity {
                known.severity = severity;
                self.outbox.push(format!("changed-{id}-{}", known.reopened));
            }
            return;
        }
        let reopened = self
            .resolved
            .remove(&place)
            .map_or(0, |(times, _)| times + 1);
        self.outbox.push(format!("opened-{id}-{reopened}"));
        let known = Known {
            severity,
            first_seen: now,
            reopened,
        };
        self.open.insert(place, known);
    }

    fn resolve(&mut self, place: u8, now: Timestamp) -> Option<String> {
        let known = self.open.remove(&place)?;
        let resolved_at = now.max(known.first_seen);
        self.resolved.insert(place, (known.reopened, resolved_at));
        let id = finding(&place.to_string()).id;
        Some(format!("resolved-{id}-{}", known.reopened))
    }
}

fn place_of(path: Option<&String>) -> u8 {
    path.unwrap().parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_ledger_decides_as_the_model_does(steps in steps()) {
        let dir = in_memory();
        let reopen = || Ledger::open(dir.path(), Limits::default(), at(0)).unwrap();
        let mut ledger = reopen().0;
        let mut model = Model::default();
        let mut now = at(0);
        for (step, seconds) in steps {
            now += jiff::SignedDuration::from_secs(seconds);
            match step {
                Step::Pass { found, standing } => {
                    let shown: Vec<Finding> = (0..PLACES)
                        .zip(&found)
                        .filter_map(|(place, severity)| {
                            let severity = (*severity)?;
                            Some(Finding { severity, ..finding(&place.to_string()) })
                        })
                        .collect();
                    let pass = Pass {
                        found: &shown,
                        standing: &|open| {
                            standing[usize::from(place_of(open.facts.location.path.as_ref()))]
                        },
                    };
                    let mut told = Vec::new();
                    ledger
                        .record(&pass, now, &mut |transition| {
                            if let Transition::Resolved {
                                open, resolved_at, open_for, ..
                            } = transition {
                                assert!(open.first_seen <= *resolved_at);
                                assert!(open.last_seen <= *resolved_at);
                                assert_eq!(open.first_seen + *open_for, *resolved_at);
                            }
                            let entry = entry(transition);
                            told.push(entry.id.clone());
                            Some(entry)
                        })
                        .unwrap();
                    let from = model.outbox.len();
                    for (place, severity) in (0..PLACES).zip(&found) {
                        if let Some(severity) = severity {
                            model.see(place, *severity, now);
                        }
                    }
                    let resolved: BTreeSet<_> = (0..PLACES)
                        .zip(found.iter().zip(&standing))
                        .filter(|(_, (found, standing))| {
                            found.is_none() && **standing != Standing::NotLooked
                        })
                        .filter_map(|(place, _)| model.resolve(place, now))
                        .collect();
                    if !resolved.is_empty() {
                        model.resolved.retain(|_, (_, at)| *at >= now - RESOLVED_FOR);
                    }
                    let seen = model.outbox.len() - from;
                    prop_assert_eq!(&told[..seen], &model.outbox[from..]);
                    let last: BTreeSet<_> = told[seen..].iter().cloned().collect();
                    prop_assert_eq!(last, resolved);
                    model.outbox.extend_from_slice(&told[seen..]);
                }
                Step::Settle(count) => {
                    let pending = ledger.pending(count, usize::MAX).unwrap();
                    let fates: Vec<_> = pending.iter().map(|q| (q.seq, Fate::Accepted)).collect();
                    ledger.settle(&fates).unwrap();
                    model.outbox.drain(..pending.len());
                }
                Step::Reopen => {
                    drop(ledger);
                    let (again, notices) = reopen();
                    prop_assert_eq!(notices, []);
                    ledger = again;
                }
            }
            let open: BTreeMap<u8, Known> = ledger
                .open_findings()
                .unwrap()
                .into_iter()
                .map(|open| {
                    assert!(open.first_seen <= open.last_seen);
                    let known = Known {
                        severity: open.facts.severity,
                        first_seen: open.first_seen,
                        reopened: open.reopened,
                    };
                    (place_of(open.facts.location.path.as_ref()), known)
                })
                .collect();
            prop_assert_eq!(&open, &model.open);
            let pending = ledger.pending(usize::from(u16::MAX), usize::MAX).unwrap();
            let pending: Vec<_> = pending.into_iter().map(|q| q.entry.id).collect();
            prop_assert_eq!(&pending, &model.outbox);
        }
    }
}

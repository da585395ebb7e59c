//! A thousand instances that boot in one second. The service's own schedule
//! and decisions are played through for each, in virtual time, against the
//! limits of one account.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::fmt::Write as _;
use std::time::Duration;

use fastrand::Rng;
use rolecall::check;
use rolecall::daemon::outgoing::{Outgoing, PATIENCE, Urgency};
use rolecall::ship::{Attempts, Call, Delivery, Fate, Fault, Obstacle, Step};
use tokio::time::Instant;

use crate::support::docs;
use crate::support::quota::{CREATE_LOG_STREAM, PUT_LOG_EVENTS, Quota};

const SPREAD: Duration = Duration::from_mins(10);
/// A call takes this, and up to twice as long.
const LATENCY: Duration = Duration::from_millis(50);
/// Credentials that are refused have no part in this.
const MAY_RENEW: bool = true;

/// What runs on each of the instances.
#[derive(Clone, Copy, PartialEq)]
enum Runs {
    /// The service, with its `ship.spread`; where it finds a key, at once.
    Service { spread: Duration, finds: bool },
    /// `rolecall check` in user data, once.
    Check,
}

/// The account that they are in.
struct Account {
    create: Quota,
    put: Quota,
    streams: HashSet<usize>,
    /// When, and whether it was throttled.
    calls: Vec<(Duration, bool)>,
}

impl Account {
    fn call(&mut self, instance: usize, call: Call, now: Duration) -> Result<(), Fault> {
        let passes = match call {
            Call::PutLogEvents => self.put.take(now),
            Call::CreateLogStream => self.create.take(now),
            Call::CreateLogGroup => panic!("the group is there"),
        };
        self.calls.push((now, !passes));
        match call {
            _ if !passes => Err(Fault::Throttled),
            Call::PutLogEvents if !self.streams.contains(&instance) => Err(Fault::NotFound),
            Call::PutLogEvents => Ok(()),
            _ if self.streams.insert(instance) => Ok(()),
            _ => Err(Fault::AlreadyExists),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The posture is known.
    Posture,
    /// A sweep has ended, and its heartbeat waits.
    Sweep,
    /// A delivery is due.
    Due,
    /// A call arrives.
    Arrives,
}

struct Instance {
    outgoing: Outgoing,
    queued: Vec<Event>,
    carried: Vec<Event>,
    attempts: Attempts,
    end: Duration,
    /// When the first heartbeat was accepted.
    told: Option<Duration>,
}

/// What came of it.
struct Played {
    calls: Vec<(Duration, bool)>,
    /// When each instance's first heartbeat was accepted, in order.
    told: Vec<Duration>,
}

struct Fleet {
    runs: Runs,
    start: Instant,
    account: Account,
    instances: Vec<Instance>,
    events: BinaryHeap<Reverse<(Duration, usize, Event)>>,
    rng: Rng,
}

fn play(count: usize, runs: Runs) -> Played {
    let spread = match runs {
        Runs::Service { spread, .. } => spread,
        Runs::Check => Duration::ZERO,
    };
    let instance = |_| Instance {
        outgoing: Outgoing::new(spread),
        queued: Vec::new(),
        carried: Vec::new(),
        attempts: Attempts::default(),
        end: Duration::ZERO,
        told: None,
    };
    let mut fleet = Fleet {
        runs,
        start: Instant::now(),
        account: Account {
            create: Quota::new(CREATE_LOG_STREAM),
            put: Quota::new(PUT_LOG_EVENTS),
            streams: HashSet::new(),
            calls: Vec::new(),
        },
        instances: (0..count).map(instance).collect(),
        events: BinaryHeap::new(),
        rng: Rng::with_seed(7),
    };
    for n in 0..count {
        // All boot within one second, and sweep when and for as long as the
        // service does on a small image.
        let boot = fleet.rng.f64();
        let sweep = match runs {
            Runs::Service { .. } => 30.0 * fleet.rng.f64() + 3.0,
            Runs::Check => 3.0,
        };
        if runs != Runs::Check {
            fleet.at(Duration::from_secs_f64(boot), n, Event::Posture);
        }
        fleet.at(Duration::from_secs_f64(boot + sweep), n, Event::Sweep);
    }
    while let Some(Reverse((now, n, event))) = fleet.events.pop() {
        fleet.happens(now, n, event);
    }
    let mut told: Vec<_> = fleet.instances.iter().filter_map(|i| i.told).collect();
    told.sort_unstable();
    Played {
        calls: fleet.account.calls,
        told,
    }
}

impl Fleet {
    fn at(&mut self, at: Duration, instance: usize, event: Event) {
        self.events.push(Reverse((at, instance, event)));
    }

    fn happens(&mut self, now: Duration, n: usize, event: Event) {
        let clock = self.start + now;
        let dice = self.rng.f64();
        let instance = &mut self.instances[n];
        match event {
            Event::Posture | Event::Sweep => {
                instance.queued.push(event);
                let finds = matches!(self.runs, Runs::Service { finds: true, .. });
                let urgency = if finds && event == Event::Sweep {
                    Urgency::Finding
                } else {
                    Urgency::Routine
                };
                instance.outgoing.wanted(urgency, clock, dice);
            }
            Event::Due => {
                if instance.outgoing.take_due(clock) {
                    instance.carried.append(&mut instance.queued);
                    instance.attempts = Attempts::default();
                    let patience = match self.runs {
                        Runs::Service { .. } => PATIENCE,
                        Runs::Check => check::SHIP_TIME,
                    };
                    instance.end = now + patience;
                    self.at(now + LATENCY.mul_f64(1.0 + dice), n, Event::Arrives);
                }
                return;
            }
            Event::Arrives => return self.arrives(now, n),
        }
        self.wake(n);
    }

    fn arrives(&mut self, now: Duration, n: usize) {
        let instance = &mut self.instances[n];
        let left = instance.end.saturating_sub(now);
        let latency = LATENCY.mul_f64(1.0 + self.rng.f64());
        if Attempts::limit(left).is_none() {
            let obstacle = Obstacle::OutOfTime(instance.attempts.call(), Fault::Throttled);
            return self.delivered(now, n, Some(obstacle));
        }
        let attempts = &mut instance.attempts;
        match self.account.call(n, attempts.call(), now) {
            Ok(()) if attempts.succeeded().is_none() => self.delivered(now, n, None),
            Ok(()) => self.at(now + latency, n, Event::Arrives),
            Err(fault) => match attempts.failed(fault, MAY_RENEW, left, self.rng.f64()) {
                Step::Attempt { pause, .. } => self.at(now + pause + latency, n, Event::Arrives),
                step => panic!("{fault:?}: {step:?}"),
            },
        }
    }

    fn delivered(&mut self, now: Duration, n: usize, obstacle: Option<Obstacle>) {
        let dice = self.rng.f64();
        let instance = &mut self.instances[n];
        let delivery = Delivery {
            fates: match obstacle {
                None => vec![Fate::Accepted],
                Some(_) => vec![Fate::Undelivered],
            },
            obstacle,
            ..Delivery::default()
        };
        if obstacle.is_some() {
            instance.queued.append(&mut instance.carried);
        } else if instance.carried.contains(&Event::Sweep) {
            instance.told = Some(now);
        }
        instance.carried.clear();
        // A check has one try, and the service as many as it takes.
        let left = !instance.queued.is_empty() && self.runs != Runs::Check;
        let clock = self.start + now;
        instance.outgoing.delivered(&delivery, left, clock, dice);
        self.wake(n);
    }

    fn wake(&mut self, n: usize) {
        if let Some(due) = self.instances[n].outgoing.next() {
            self.at(due - self.start, n, Event::Due);
        }
    }
}

impl Played {
    fn throttled(&self) -> usize {
        self.calls
            .iter()
            .filter(|(_, throttled)| *throttled)
            .count()
    }

    /// Calls in each part of the time, parts of this length.
    fn rates(&self, part: Duration) -> Vec<usize> {
        let mut rates = Vec::new();
        for (at, _) in &self.calls {
            let n = usize::try_from(at.as_nanos() / part.as_nanos()).unwrap();
            rates.resize(rates.len().max(n + 1), 0);
            rates[n] += 1;
        }
        rates
    }

    fn busiest_second(&self) -> usize {
        let rates = self.rates(Duration::from_secs(1));
        rates.into_iter().max().unwrap_or(0)
    }

    fn row(&self, name: &str, count: usize) -> String {
        let at = |n: usize| {
            self.told
                .get(n)
                .map_or("never".into(), |at| format!("{:.0} s", at.as_secs_f64()))
        };
        format!(
            "| {name} | {} | {} | {} | {} | {} | {} |\n",
            self.calls.len(),
            self.throttled(),
            self.busiest_second(),
            at(count / 2 - 1),
            at(count - 1),
            count - self.told.len(),
        )
    }

    fn chart(&self, part: Duration) -> String {
        const WIDTH: usize = 50;
        let rates = self.rates(part);
        let highest = rates.iter().copied().max().unwrap_or(1);
        let mut chart = String::new();
        for (n, rate) in rates.iter().enumerate() {
            let bar = "#".repeat((rate * WIDTH).div_ceil(highest));
            let at = part.as_secs() * n as u64;
            let line = format!("{at:>5} s |{bar} {rate}");
            let _ = writeln!(chart, "{}", line.trim_end());
        }
        chart
    }
}

const CLEAN: Runs = Runs::Service {
    spread: SPREAD,
    finds: false,
};
/// An image with a key in it: every instance has something to tell at once.
const FINDS: Runs = Runs::Service {
    spread: SPREAD,
    finds: true,
};
const NO_SPREAD: Runs = Runs::Service {
    spread: Duration::ZERO,
    finds: false,
};

#[test]
fn a_fleet_that_boots_together_is_not_throttled_and_none_is_lost() {
    for runs in [CLEAN, FINDS] {
        let played = play(1000, runs);
        assert_eq!(played.told.len(), 1000);
        assert_eq!(played.throttled(), 0);
    }
    let (spread, none) = (play(1000, CLEAN), play(1000, NO_SPREAD));
    assert!(spread.busiest_second() * 20 < none.busiest_second());
}

#[test]
fn where_the_account_throttles_all_are_told_in_the_end() {
    for (count, runs) in [(1000, NO_SPREAD), (10_000, FINDS), (1000, Runs::Check)] {
        let played = play(count, runs);
        assert!(played.throttled() > 0);
        assert_eq!(played.told.len(), count);
    }
}

#[test]
fn the_documented_curve_is_what_is_played() {
    let header = "| instances and what they run | calls | throttled | busiest second | half told after | all told after | not told |\n\
                  |---|---|---|---|---|---|---|\n";
    let mut text = header.to_owned();
    for (name, count, runs) in [
        ("1,000, the service, clean", 1000, CLEAN),
        ("1,000, the service, a key in the image", 1000, FINDS),
        (
            "1,000, the service, `ship.spread = \"0s\"`",
            1000,
            NO_SPREAD,
        ),
        ("1,000, `rolecall check` in user data", 1000, Runs::Check),
        ("10,000, the service, clean", 10_000, CLEAN),
        ("10,000, the service, a key in the image", 10_000, FINDS),
        ("10,000, `rolecall check` in user data", 10_000, Runs::Check),
    ] {
        text += &play(count, runs).row(name, count);
    }
    for (name, runs, part) in [
        (
            "1,000 instances, the service, clean: calls in each half minute",
            CLEAN,
            30,
        ),
        (
            "The same without a spread: calls in each second",
            NO_SPREAD,
            1,
        ),
    ] {
        let chart = play(1000, runs).chart(Duration::from_secs(part));
        let _ = write!(text, "\n{name}\n\n```text\n{chart}```\n");
    }
    docs::says("docs/delivery.md", "herd", &text);
}

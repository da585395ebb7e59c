//! Hostile input costs what its length says and no more, and what it holds in
//! excess is counted.

mod inputs;

use std::time::Duration;

use rolecall::detect::Detector;
use rustix::time::{ClockId, clock_gettime};

/// Bytes of the smaller text; the larger has four times as many. Both are
/// smaller than the detector's window, so that what would grow with the
/// square of the text can.
const LEN: usize = 24 * 1024;

/// How much dearer the larger text may be: four times, and as much again for
/// whatever else the machine does.
const MAX_GROWTH: f64 = 8.0;

/// Seconds that the larger text may take whatever the smaller one took: below
/// them a ratio says nothing.
const MIN_SECONDS: f64 = 0.03;

/// Runs before a text is taken to grow faster than it may.
const RUNS: usize = 4;

/// Credentials told of one text: 1,024 IDs, each alone or in pairs, 2,048
/// secrets and 256 tokens.
const MAX_MATCHES: usize = 2 * 1024 + 2048 + 256;

#[test]
fn hostile_texts_stay_linear_in_time() {
    let detector = Detector::new(4);
    let mut failures = Vec::new();
    for input in inputs::ALL {
        let (small, large) = ((input.make)(LEN), (input.make)(4 * LEN));
        let mut growth = f64::INFINITY;
        for _ in 0..RUNS {
            let large = seconds(&detector, &large);
            let small = seconds(&detector, &small).max(MIN_SECONDS / MAX_GROWTH);
            growth = growth.min(large / small);
            if growth <= MAX_GROWTH {
                break;
            }
        }
        if growth > MAX_GROWTH {
            failures.push(format!("{}: {growth:.1}", input.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_hostile_texts_hold_is_told_up_to_a_limit_and_counted_beyond() {
    let detector = Detector::new(4);
    for (name, excess) in [
        ("IDs", true),
        ("pairs", true),
        ("named secrets", true),
        ("one ID", false),
    ] {
        let input = inputs::named(name);
        let detection = detector.scan(&(input.make)(512 * 1024));
        assert!(!detection.matches.is_empty(), "{name}");
        assert!(detection.matches.len() <= MAX_MATCHES, "{name}");
        assert_eq!(detection.excess > 0, excess, "{name}");
    }
}

/// A repeated ID is one credential that stands in many places.
#[test]
fn one_id_repeated_is_one_match_with_its_count() {
    let text = (inputs::named("one ID").make)(21 * 10_000);
    let detection = Detector::new(4).scan(&text);
    assert_eq!(detection.matches.len(), 1);
    assert_eq!(detection.matches[0].occurrences, 10_000);
}

#[test]
fn a_text_that_inflates_without_end_is_left_and_told() {
    let detector = Detector::new(4);
    for name in ["gzip bombs in base64", "gzip bombs in gzip bombs"] {
        let text = (inputs::named(name).make)(256 * 1024);
        assert!(detector.scan(&text).undecoded > 0, "{name}");
    }
}

/// The processor time of this thread alone: other tests run beside it.
fn seconds(detector: &Detector, text: &[u8]) -> f64 {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("a time");
    let start = now();
    let detection = detector.scan(text);
    let spent = now().saturating_sub(start);
    assert!(detection.matches.len() <= MAX_MATCHES);
    spent.as_secs_f64()
}

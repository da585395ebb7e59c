//! The service on a host where keys come and go, before a CloudWatch Logs that
//! fails in every way, at random from a seed: in the end what was told is what
//! there was. `ROLECALL_SOAK=600 cargo test --test suite fault_soak` goes on for ten
//! minutes, `ROLECALL_SEED` has another course.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{healthy, logs};
use crate::support::daemon::{Daemon, Home};
use crate::support::host::Host;
use crate::support::logs_double::{FOREVER, LogsDouble, Trouble};
use crate::support::side_by_side::give_way;

const GROUP: &str = "/rolecall";
const PUT: &str = "PutLogEvents";

/// By default; enough for some dozens of keys and faults.
const SECONDS: u64 = 20;

fn variable(name: &str, otherwise: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(otherwise, |value| value.parse().expect("a number"))
}

fn trouble(rng: &mut Rng) -> Trouble {
    let error = |status, code| Trouble::Error(status, code, "told by the double".into());
    let all = [
        Trouble::throttle(),
        Trouble::unavailable(),
        Trouble::Reset,
        Trouble::LostAnswer,
        Trouble::CutAnswer,
        Trouble::Hang,
        Trouble::Slow(Duration::from_millis(700)),
        Trouble::Page(502),
        Trouble::Page(403),
        Trouble::denied(PUT),
        error(400, "ExpiredTokenException"),
        error(400, "InvalidSignatureException"),
        error(400, "LimitExceededException"),
        error(400, "KMSDisabledException"),
        error(400, "InvalidParameterException"),
        error(400, "ResourceNotFoundException"),
        error(400, "SomethingNewException"),
    ];
    all[rng.usize(..all.len())].clone()
}

/// What was told, by `event_id`: the kind and the key.
fn told(logs: &LogsDouble) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut by_id: BTreeMap<String, Value> = BTreeMap::new();
    for event in logs.received() {
        by_id.insert(event["event_id"].to_string(), event);
    }
    let of = |kind: &str| -> BTreeSet<String> {
        let told = by_id.values().filter(|event| event["event"] == kind);
        let mut keys = BTreeSet::new();
        // A failed check of the posture is a finding as well, without a key.
        for key in told.filter_map(|event| event["access_key_id"].as_str()) {
            assert!(keys.insert(key.to_owned()), "{key} {kind} twice");
        }
        keys
    };
    (of("opened"), of("resolved"))
}

fn open(count: usize) -> impl Fn(&Value) -> bool {
    // A check that could not be made in time on a busy machine is none.
    move |status| status["open"]["credentials"] == count
}

fn start(home: &Home, host: &Host) -> Daemon {
    let daemon = home.start(&host.root());
    daemon.hears("READY=1");
    daemon
}

#[test]
#[expect(clippy::print_stderr, reason = "how much it was is read by people")]
fn whatever_fails_what_is_told_in_the_end_is_what_there_was() {
    give_way();
    let mut rng = Rng::with_seed(variable("ROLECALL_SEED", 1));
    let end = Instant::now() + Duration::from_secs(variable("ROLECALL_SOAK", SECONDS));
    let host = Host::new();
    host.write("srv/README", "nothing");
    let (imds, logs) = (healthy(), logs());
    let home = Home::new();
    home.configure(&format!(
        "[scan]\ninterval = \"5s\"\nprocesses = false\n[posture]\ninterval = \"5s\"\n[watch]\npaths = [\"/srv\"]\n\
         [imds]\nendpoint = \"{}\"\n[ship]\nspread = \"0s\"\nendpoint = \"{}\"\n",
        imds.endpoint(),
        logs.url()
    ));
    let mut daemon = start(&home, &host);
    // By ID: the file. Each key comes once.
    let mut there: BTreeMap<String, PathBuf> = BTreeMap::new();
    let (mut planted, mut removed) = (BTreeSet::new(), BTreeSet::new());
    let mut steps = 0;
    while Instant::now() < end {
        steps += 1;
        match rng.u8(..10) {
            0..=3 => {
                let action = if rng.u8(..4) == 0 {
                    "CreateLogStream"
                } else {
                    PUT
                };
                let times = [1, 2, 5, FOREVER][rng.usize(..4)];
                logs.trouble(action, trouble(&mut rng), times);
            }
            4 => logs.recover(),
            5 => logs.empty_group(GROUP),
            // Somebody who saw to the cause: else there is a pause of minutes.
            6..=8 => daemon.signal(Signal::HUP),
            _ => {
                daemon.kill();
                daemon = start(&home, &host);
            }
        }
        // Keys come and go, each seen by the service before it goes.
        for _ in 0..rng.usize(..3).min(there.len()) {
            let (id, path) = there.pop_first().expect("a key");
            fs::remove_file(path).unwrap();
            removed.insert(id);
        }
        daemon.status_when("the keys that are left", open(there.len()));
        for _ in 0..rng.usize(..4) {
            let key = host.key_pair();
            let path = host.write(&format!("srv/{}.env", planted.len()), key.env());
            planted.insert(key.id.clone());
            there.insert(key.id, path);
        }
        daemon.status_when("the keys", open(there.len()));
    }
    logs.recover();
    daemon.signal(Signal::HUP);
    let status = daemon.status_when("all told", |status| status["outbox"]["events"] == 0);
    assert_eq!(status["outbox"]["lost"], 0);
    assert_eq!(status["outbox"]["rejected"], 0);
    let (opened, resolved) = told(&logs);
    assert_eq!(opened, planted);
    assert_eq!(resolved, removed);
    assert_eq!(daemon.stop(), Some(0));
    eprintln!(
        "{steps} steps, {} keys came and {} went, {} calls",
        planted.len(),
        removed.len(),
        logs.requests().len()
    );
}

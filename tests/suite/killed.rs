//! The service killed at every point where its state meets the disk: the same
//! life is led once undisturbed, to learn which system calls it makes on the
//! state files, and then once for each of them at which the real binary is
//! killed, started again, and goes on; and so once more on a disk that loses
//! with its power what was not synced.
//!
//! Of the hundreds of points a run tries some, other ones every time; all of
//! them with `ROLECALL_TEST_ALL_POINTS=1`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::sync::Mutex;

use rolecall::ledger::FILE_NAME;
use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{GROUP, INSTANCE, healthy, home, logs};
use crate::ledger::crash::{CALLS, has_strace};
use crate::support::daemon::{Daemon, Home, Manager};
use crate::support::disk::Disk;
use crate::support::host::Host;
use crate::support::imds_double::ImdsDouble;
use crate::support::logs_double::LogsDouble;
use crate::support::side_by_side::{a_few_at_a_time, give_way};

const ALL_POINTS: &str = "ROLECALL_TEST_ALL_POINTS";

/// Points of each call that are tried otherwise; with the power cut, fewer.
const SAMPLE: usize = 5;
const SAMPLE_OF_CUTS: usize = 3;

/// Lives led at a time: each spends most of its time waiting.
const AT_ONCE: usize = 4;

/// Sweeps when it starts and when it is told to, and looks again where a busy
/// machine answered too late.
const ONCE: &str = "[scan]\ninterval = \"10s\"\nprocesses = false\n[watch]\nenabled = false\n\
                    [posture]\ninterval = \"10s\"\n";

/// A service and its world.
struct Life {
    host: Host,
    /// With the state, if its power can be cut.
    disk: Option<Disk>,
    home: Home,
    logs: LogsDouble,
    _imds: ImdsDouble,
    /// Things of the world that were done.
    steps: usize,
}

impl Life {
    fn begin() -> Self {
        let host = Host::new();
        for name in ["stays", "goes"] {
            host.write(&format!("srv/{name}.env"), host.key_pair().env());
        }
        let (imds, logs) = (healthy(), logs());
        Self {
            home: home(ONCE, &imds, &logs),
            disk: None,
            host,
            logs,
            _imds: imds,
            steps: 0,
        }
    }

    /// Keeps its state on a disk whose power can be cut, if there are such.
    fn moves_to_disk(&mut self) -> bool {
        self.disk = Disk::mount(&self.home.state_dir());
        self.disk.is_some()
    }

    fn start(&self, strace: &[String]) -> Daemon {
        let mut starts_by = Vec::new();
        if !strace.is_empty() {
            // The service stays our child, and `-D` keeps signals its own.
            let state = self.home.state_dir();
            let journal = state.join(format!("{FILE_NAME}-journal"));
            starts_by = ["strace", "-D", "-f", "-qq", "--signal=none"]
                .map(str::to_owned)
                .to_vec();
            for path in [state.clone(), state.join(FILE_NAME), journal] {
                starts_by.extend(["-P".to_owned(), path.to_str().unwrap().to_owned()]);
            }
            starts_by.extend_from_slice(strace);
        }
        let manager = Manager {
            starts_by,
            ..Manager::default()
        };
        self.home.start_by(&manager, &self.host.root())
    }

    /// Leads the life from where it was left; whether it came to its end.
    fn go_on(&mut self, mut daemon: Daemon) -> bool {
        let settled = |status: &Value| {
            status["sweeps"].as_u64() > Some(0)
                && status["open"]["critical"] == 2
                && status["outbox"]["events"] == 0
                && status["activity"] == "idle"
        };
        if daemon.status_before_end("the keys", settled).is_err() {
            return false;
        }
        if self.steps == 0 {
            fs::remove_file(self.host.path("srv/goes.env")).unwrap();
            self.host.write("srv/comes.env", self.host.key_pair().env());
            self.steps = 1;
        }
        daemon.signal(Signal::HUP);
        let is_told = || {
            self.told()
                .values()
                .any(|told| told.contains_key("resolved"))
        };
        let changed = |status: &Value| settled(status) && is_told();
        if daemon.status_before_end("the change", changed).is_err() {
            return false;
        }
        daemon.stop() == Some(0)
    }

    fn messages(&self) -> Vec<Value> {
        let events = self.logs.events(GROUP, INSTANCE).into_iter();
        events
            .map(|event| serde_json::from_str(&event.message).unwrap())
            .collect()
    }

    /// Of each finding's path what was told of it, and under which event IDs.
    fn told(&self) -> BTreeMap<String, BTreeMap<String, HashSet<String>>> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut told: BTreeMap<_, BTreeMap<_, HashSet<_>>> = BTreeMap::new();
        for message in self.messages() {
            if message["type"] == "finding" {
                let path = text(&message["location"]["path"]);
                let events = told.entry(path).or_default();
                let ids = events.entry(text(&message["event"])).or_default();
                ids.insert(text(&message["event_id"]));
            }
        }
        told
    }

    /// Nothing is lost, nothing is told twice as new, and nothing that was
    /// accepted is sent again but for the last batch before the kill, which
    /// ended when `accepted` events had arrived.
    fn assert_is_sound(&self, point: &str, accepted: usize, batch: usize) {
        let told = self.told();
        let expected = [
            ("/srv/comes.env", vec!["opened"]),
            ("/srv/goes.env", vec!["opened", "resolved"]),
            ("/srv/stays.env", vec!["opened"]),
        ];
        for (path, events) in expected {
            let mut of_path = told[path].clone();
            // As when the instance was not known at first.
            of_path.remove("changed");
            assert!(of_path.keys().eq(events), "{point}: {path}: {of_path:?}");
            let once = of_path.values().all(|ids| ids.len() == 1);
            assert!(once, "{point}: {path}: {of_path:?}");
        }
        let mut first = HashMap::new();
        for (at, message) in self.messages().iter().enumerate() {
            let id = message["event_id"].as_str().unwrap().to_owned();
            let known = *first.entry(id).or_insert(at);
            let in_flight = (accepted - batch..accepted).contains(&known);
            assert!(known == at || in_flight, "{point}: {known} {at} {message}");
        }
    }
}

/// The calls on state files in an undisturbed life.
fn count_calls() -> BTreeMap<String, usize> {
    let mut life = Life::begin();
    let log = life.home.path("calls");
    let log_path = log.to_str().unwrap().to_owned();
    let trace = format!("trace={}", CALLS.join(","));
    let daemon = life.start(&["-o".into(), log_path, "-e".into(), trace]);
    assert!(life.go_on(daemon), "{}", life.home.log());
    life.assert_is_sound("undisturbed", 0, 0);
    let mut calls = BTreeMap::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        let call = line.split_whitespace().nth(1).unwrap_or_default();
        if let Some((call, _)) = call.split_once('(') {
            *calls.entry(call.to_owned()).or_default() += 1;
        }
    }
    calls
}

/// Kills the service when it makes `call` on a state file for the `nth` time,
/// cuts the power if it can be cut, and starts it again. Whether it was killed.
fn survives(mut life: Life, call: &str, nth: usize) -> bool {
    let point = format!("{call} {nth}");
    let inject = format!("inject={call}:signal=KILL:when={nth}");
    let options = [
        "-o",
        "/dev/null",
        "-e",
        &format!("trace={call}"),
        "-e",
        &inject,
    ];
    let daemon = life.start(&options.map(str::to_owned));
    let was_killed = !life.go_on(daemon);
    if let Some(disk) = &life.disk {
        disk.cut_power();
    }
    let said_before = life.home.log().len();
    let accepted = life.logs.events(GROUP, INSTANCE).len();
    let batch = life.logs.batches().last().copied().unwrap_or(0);

    let daemon = life.start(&[]);
    assert!(life.go_on(daemon), "{point}: {}", life.home.log());
    life.assert_is_sound(&point, accepted, batch);
    let said = life.home.log().split_off(said_before);
    let explained = [
        "the last run was cut off",
        "was cut off while",
        "a new ledger was begun",
        "the last run was stopped",
    ];
    assert!(
        explained.iter().any(|part| said.contains(part)),
        "{point}: {said}"
    );
    assert!(!said.contains("could not be used"), "{point}: {said}");
    was_killed
}

/// Tries points of all calls, each in a life of its own that `begin` begins.
fn survive_everywhere(sample: usize, begin: impl Fn() -> Life + Sync) {
    let calls = count_calls();
    assert!(calls["pwrite64"] > 100, "{calls:?}");
    let all = std::env::var_os(ALL_POINTS).is_some();
    let mut points = Vec::new();
    for (call, count) in &calls {
        let stride = if all { 1 } else { count.div_ceil(sample) };
        let first = 1 + fastrand::usize(..stride);
        points.extend(
            (first..=*count)
                .step_by(stride)
                .map(|nth| (call.clone(), nth)),
        );
    }
    let tried = points.len();
    let killed = Mutex::new(0);
    a_few_at_a_time(AT_ONCE, points, |(call, nth)| {
        if survives(begin(), &call, nth) {
            *killed.lock().unwrap() += 1;
        }
    });
    let killed = killed.into_inner().unwrap();
    // The last calls of a life are not made in every one.
    assert!(killed * 10 >= tried * 9, "{killed} of {tried}: {calls:?}");
}

#[test]
fn killed_at_any_call_on_its_state_the_service_loses_nothing_and_tells_nothing_twice() {
    give_way();
    if has_strace() {
        survive_everywhere(SAMPLE, Life::begin);
    }
}

#[test]
fn without_power_at_any_call_on_its_state_the_service_loses_nothing_and_tells_nothing_twice() {
    give_way();
    let mut spare = Life::begin();
    if has_strace() && spare.moves_to_disk() {
        survive_everywhere(SAMPLE_OF_CUTS, || {
            let mut life = Life::begin();
            assert!(life.moves_to_disk());
            life
        });
    }
}

//! Killed at every point where the ledger meets the disk: the same life is
//! led once undisturbed, and once for each system call on the state files at
//! which it is cut short and then goes on.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use rolecall::finding::{Finding, Severity};
use rolecall::ledger::{FILE_NAME, Fate, Ledger, Limits, MAX_SET_ASIDE, Notice, Pass, Standing};
use tempfile::TempDir;

use super::{at, entry, finding, in_memory};

const STATE: &str = "ROLECALL_TEST_STATE";
const SIGKILL: i32 = 9;
const RULES: &str = "rules-1";

/// With which state files are written; those that are not used cost one run.
pub(crate) const CALLS: [&str; 8] = [
    "openat",
    "pwrite64",
    "write",
    "fsync",
    "fdatasync",
    "ftruncate",
    "rename",
    "unlink",
];

/// A directory with the ledger in `state`, and beside it what the world knows:
/// how many steps are done, and which events were accepted.
pub(super) struct Life {
    dir: PathBuf,
}

/// All that must not be lost, doubled or reordered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    open: Vec<(String, Severity, u64, i64)>,
    pending: Vec<String>,
    accepted: u64,
    cached: Vec<u64>,
    swept: bool,
}

impl Life {
    /// In memory: a process that is killed leaves what it wrote either way.
    pub(super) fn begin() -> (Self, TempDir) {
        let dir = in_memory();
        let life = Self {
            dir: dir.path().to_owned(),
        };
        (life, dir)
    }

    fn open(&self) -> Ledger {
        super::open(&self.dir.join("state"))
    }

    fn steps_done(&self) -> usize {
        fs::read_to_string(self.dir.join("steps")).map_or(0, |text| text.parse().unwrap())
    }

    /// The events that were accepted, each with the step that delivered it.
    fn accepted(&self) -> Vec<(usize, String)> {
        let text = fs::read_to_string(self.dir.join("accepted")).unwrap_or_default();
        text.lines()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(step, id)| (step.parse().unwrap(), id.to_owned()))
            .collect()
    }

    fn go_on(&self, until: usize) {
        let mut ledger = self.open();
        for step in self.steps_done()..until {
            self.take_step(&mut ledger, step);
            let next = self.dir.join(STEPS_FILE);
            fs::write(&next, (step + 1).to_string()).unwrap();
            fs::rename(next, self.dir.join("steps")).unwrap();
        }
    }

    fn take_step(&self, ledger: &mut Ledger, step: usize) {
        let critical = Finding {
            severity: Severity::Critical,
            ..finding("/0")
        };
        match step {
            0 => record(ledger, step, &["/0", "/1", "/2"].map(finding)),
            1 => self.deliver(ledger, step, 2),
            2 => record(ledger, step, &[critical, finding("/2")]),
            3 => ledger.store_scan_cache(RULES, &[1, u64::MAX]).unwrap(),
            4 => ledger.set_fact("sweep", &true.into()).unwrap(),
            5 => self.deliver(ledger, step, 9),
            6 => {
                let found = [critical, finding("/1"), finding("/2"), finding("/3")];
                record(ledger, step, &found);
            }
            _ => self.deliver(ledger, step, 9),
        }
    }

    /// The service accepts the events, and then the ledger is told.
    fn deliver(&self, ledger: &mut Ledger, step: usize, events: usize) {
        let pending = ledger.pending(events, usize::MAX).unwrap();
        let mut service = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.join("accepted"))
            .unwrap();
        let lines: String = pending
            .iter()
            .map(|queued| format!("{step} {}\n", queued.entry.id))
            .collect();
        service.write_all(lines.as_bytes()).unwrap();
        let fates: Vec<_> = pending
            .iter()
            .map(|queued| (queued.seq, Fate::Accepted))
            .collect();
        ledger.settle(&fates).unwrap();
    }
}

pub(super) const STEPS: usize = 8;
/// Written when a step is done.
pub(super) const STEPS_FILE: &str = "steps.new";

fn record(ledger: &mut Ledger, step: usize, found: &[Finding]) {
    let pass = Pass {
        found,
        standing: &|_| Standing::Gone,
    };
    let now = at(i64::try_from(step).unwrap());
    ledger
        .record(&pass, now, &mut |transition| Some(entry(transition)))
        .unwrap();
}

fn snapshot(ledger: &Ledger) -> Snapshot {
    let open = ledger.open_findings().unwrap().into_iter();
    let pending = ledger.pending(99, usize::MAX).unwrap().into_iter();
    Snapshot {
        open: open
            .map(|open| {
                let first_seen = open.first_seen.as_second();
                (open.id, open.facts.severity, open.reopened, first_seen)
            })
            .collect(),
        pending: pending.map(|queued| queued.entry.id).collect(),
        accepted: ledger.depth().unwrap().accepted,
        cached: ledger.load_scan_cache(RULES).unwrap(),
        swept: ledger.fact("sweep").unwrap().is_some(),
    }
}

/// What the ledger holds after each number of steps.
pub(super) fn undisturbed() -> Vec<Snapshot> {
    let (life, _dir) = Life::begin();
    (0..=STEPS)
        .map(|steps| {
            life.go_on(steps);
            snapshot(&life.open())
        })
        .collect()
}

/// Leads the life in a process of its own under strace, which sees the calls
/// on the state files.
pub(super) fn strace(life: &Life, options: impl FnOnce(&mut Command)) -> ExitStatus {
    let state = life.dir.join("state");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "--signal=none"]);
    for path in [
        state.clone(),
        state.join(FILE_NAME),
        state.join(format!("{FILE_NAME}-journal")),
    ] {
        strace.arg("-P").arg(path);
    }
    options(&mut strace);
    strace
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "ledger::crash::leads_a_life_for_its_parent"])
        .env(STATE, &life.dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
}

/// Kills the process when it makes a system call on the state files for the
/// `nth` time. Returns whether it was.
fn is_killed_at(life: &Life, call: &str, nth: usize) -> bool {
    let status = strace(life, |strace| {
        strace
            .args(["-o", "/dev/null"])
            .args(["-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:signal=KILL:when={nth}")]);
    });
    match (status.code(), status.signal()) {
        (Some(0), None) => false,
        (Some(137), None) | (None, Some(SIGKILL)) => true,
        _ => panic!("{call} {nth}: {status}"),
    }
}

/// What was under way when it stopped is there as a whole or not at all.
pub(super) fn assert_is_sound(state: &Path, done: usize, expected: &[Snapshot], point: &str) {
    let (ledger, notices) = Ledger::open(state, Limits::default(), at(0)).unwrap();
    let harmless = [Notice::Created, Notice::Recovered];
    assert!(
        notices.iter().all(|notice| harmless.contains(notice)),
        "{point}: {notices:?}"
    );
    let found = snapshot(&ledger);
    let possible = &expected[done..(done + 2).min(expected.len())];
    assert!(possible.contains(&found), "{point}: {found:?}");
}

fn assert_nothing_lost_or_doubled(life: &Life, expected: &[Snapshot], point: &str) {
    let done = life.steps_done();
    assert_is_sound(&life.dir.join("state"), done, expected, point);

    life.go_on(STEPS);
    assert_eq!(snapshot(&life.open()), expected[STEPS], "{point}");
    let mut accepted: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (step, id) in life.accepted() {
        accepted.entry(id).or_default().push(step);
    }
    assert_eq!(accepted.len() as u64, expected[STEPS].accepted, "{point}");
    for (id, steps) in accepted {
        // Twice at most: the delivery that was under way.
        let in_flight = steps.iter().all(|step| *step == done);
        assert!(
            steps.len() == 1 || (steps.len() == 2 && in_flight),
            "{point}: {id} {steps:?}"
        );
    }
}

#[test]
fn killed_at_any_call_on_its_files_it_loses_nothing_and_tells_nothing_twice() {
    if !has_strace() {
        return;
    }
    let expected = undisturbed();
    assert_eq!(expected[STEPS].open.len(), 4);
    assert_eq!(expected[STEPS].accepted, 7);
    let mut points = BTreeMap::new();
    for call in CALLS {
        for nth in 1.. {
            let (life, _dir) = Life::begin();
            if !is_killed_at(&life, call, nth) {
                break;
            }
            assert_nothing_lost_or_doubled(&life, &expected, &format!("{call} {nth}"));
            points.insert(call, nth);
        }
    }
    assert!(points["pwrite64"] > 50, "{points:?}");
    assert!(points["openat"] > 10, "{points:?}");
    let syncs = ["fsync", "fdatasync"].map(|call| points.get(call).copied().unwrap_or(0));
    assert!(syncs.iter().sum::<usize>() > 30, "{points:?}");
}

#[test]
fn killed_while_it_sets_a_corrupt_ledger_aside_it_begins_a_new_one_the_next_time() {
    if !has_strace() {
        return;
    }
    let expected = undisturbed();
    let mut killed = 0;
    for call in ["openat", "rename", "unlink", "fsync"] {
        for nth in 1..9 {
            let (life, _dir) = Life::begin();
            let state = life.dir.join("state");
            fs::create_dir(&state).unwrap();
            for suffix in ["", "-journal", "-wal"] {
                fs::write(state.join(format!("{FILE_NAME}{suffix}")), "garbage").unwrap();
            }
            for n in 0..MAX_SET_ASIDE {
                let old = format!("{FILE_NAME}.aside-20200101T00000{n}Z-1");
                fs::write(state.join(old), "old").unwrap();
            }
            killed += usize::from(is_killed_at(&life, call, nth));
            life.go_on(STEPS);
            assert_eq!(snapshot(&life.open()), expected[STEPS], "{call} {nth}");
            let aside: Vec<_> = fs::read_dir(&state)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.to_str().unwrap().contains(".aside-"))
                .collect();
            let garbage = |path: &PathBuf| fs::read(path).unwrap() == b"garbage";
            assert!(aside.iter().any(garbage), "{call} {nth}: {aside:?}");
            let journal = |path: &&PathBuf| path.to_str().unwrap().ends_with("-journal");
            let ledgers = aside.len() - aside.iter().filter(journal).count();
            // One more where it was killed before the oldest was deleted.
            assert!(ledgers <= MAX_SET_ASIDE + 1, "{call} {nth}: {aside:?}");
        }
    }
    assert!(killed > 8, "{killed}");
}

#[expect(clippy::print_stderr, reason = "a skipped test says why")]
pub(crate) fn has_strace() -> bool {
    let there = Command::new("strace").arg("-V").output().is_ok();
    if !there {
        eprintln!("skipped: strace is not installed");
    }
    there
}

/// The other half of the tests above; alone it does nothing.
#[test]
fn leads_a_life_for_its_parent() {
    if let Some(dir) = std::env::var_os(STATE) {
        let life = Life {
            dir: PathBuf::from(dir),
        };
        life.go_on(STEPS);
    }
}

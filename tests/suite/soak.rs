//! A day of the service in half a minute: hundreds of sweeps, thousands of
//! file events, keys that come and go; and then rest.
//!
//! `ROLECALL_TEST_SOAK_ROUNDS` makes the day longer.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{healthy, home, logs, told};
use crate::support::daemon::{Daemon, Manager, wait};
use crate::support::host::Host;
use crate::support::side_by_side::give_way;

const ROUNDS: &str = "ROLECALL_TEST_SOAK_ROUNDS";

/// Files that are written, moved and deleted in a round.
const FILES: usize = 20;

/// Sweeps when it is told to.
const TOLD: &str = "[scan]\ninterval = \"6h\"\nprocesses = false\n[watch]\npaths = [\"/srv\"]\n";

/// What may grow.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// In KiB, without what is mapped of the program.
    memory: u64,
    descriptors: usize,
    watches: usize,
    /// In bytes, with its journal.
    ledger: u64,
}

fn number_of(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let digits = line.unwrap_or_default().split_whitespace().next();
    digits.unwrap_or_default().parse().unwrap()
}

fn size(daemon: &Daemon, state: &Path) -> Size {
    let proc = Path::new("/proc").join(daemon.pid().to_string());
    let status = fs::read_to_string(proc.join("status")).unwrap();
    let descriptors = fs::read_dir(proc.join("fdinfo")).unwrap().count();
    let watches = fs::read_dir(proc.join("fdinfo"))
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok())
        .map(|info| info.matches("inotify wd").count())
        .sum();
    let files = fs::read_dir(state).unwrap();
    Size {
        memory: number_of(&status, "RssAnon:"),
        descriptors,
        watches,
        ledger: files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum(),
    }
}

/// User and system time so far, in hundredths of a second.
fn ticks(daemon: &Daemon) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let times = fields
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap());
    times.sum()
}

/// One of many hours.
fn live(host: &Host, daemon: &mut Daemon, round: usize) {
    let directory = host.path("srv/work");
    for n in 0..FILES {
        host.write(&format!("srv/work/{}/{n}", n % 3), format!("{round} {n}"));
    }
    fs::rename(directory.join("0"), directory.join("moved")).unwrap();
    if round.is_multiple_of(10) {
        host.write("srv/key.env", host.key_pair().env());
    } else if round % 10 == 5 {
        fs::remove_file(host.path("srv/key.env")).unwrap();
    }
    let sweeps = |status: &Value| status["sweeps"].as_u64().unwrap();
    let before = sweeps(&daemon.status_when("a status", |_| true));
    daemon.signal(Signal::HUP);
    daemon.status_when("a sweep", |status| sweeps(status) > before);
    fs::remove_dir_all(directory).unwrap();
}

/// Waits until there is nothing left to do.
fn settle(daemon: &mut Daemon) {
    let mut last = None;
    wait("rest", || {
        {
            let status = daemon.status_when("a delivery", |status| {
                status["activity"] == "idle" && status["outbox"]["events"] == 0
            });
            let now = (status["sweeps"].clone(), status["last_delivery"].clone());
            std::thread::sleep(Duration::from_secs(2));
            last.replace(now.clone()) == Some(now)
        }
        .then_some(())
    });
}

#[test]
fn a_day_of_changes_lets_nothing_grow_and_a_service_at_rest_does_nothing() {
    give_way();
    let rounds = std::env::var(ROUNDS).map_or(120, |text| text.parse().unwrap());
    let host = Host::new();
    for n in 0..100 {
        host.write(&format!("srv/{}/{n}", n % 10), "nothing");
    }
    let (imds, logs) = (healthy(), logs());
    let home = home(TOLD, &imds, &logs);
    let mut daemon = home.start_by(&Manager::default(), &host.root());
    daemon.hears("READY=1");
    let quarter = rounds / 4;
    (0..quarter).for_each(|round| live(&host, &mut daemon, round));
    settle(&mut daemon);
    let before = size(&daemon, &home.state_dir());
    (quarter..rounds).for_each(|round| live(&host, &mut daemon, round));
    settle(&mut daemon);
    let after = size(&daemon, &home.state_dir());

    let growth = format!("{before:?} {after:?}");
    assert!(after.memory <= before.memory + 2048, "{growth}");
    assert!(after.memory <= 32 * 1024, "{growth}");
    assert!(after.descriptors <= before.descriptors + 1, "{growth}");
    assert_eq!(after.watches, before.watches, "{growth}");
    assert!(after.ledger <= before.ledger + 64 * 1024, "{growth}");
    assert!(told(&logs, "opened").len() >= rounds / 10, "{growth}");

    // Ten seconds of it, of which a scheduler's tick may be charged to us.
    let worked = ticks(&daemon);
    std::thread::sleep(Duration::from_secs(10));
    assert!(ticks(&daemon) <= worked + 1);
    assert_eq!(daemon.stop(), Some(0));
}

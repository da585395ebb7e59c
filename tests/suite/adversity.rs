//! The service where its disk, its clock or its configuration fails it.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use rolecall::ledger::FILE_NAME;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::daemon::{OFTEN, healthy, home, logs, open, told};
use crate::support::daemon::{Manager, wait};
use crate::support::host::Host;
use crate::support::imds_double::{Fault, ImdsDouble, TOKEN};
use crate::support::tmpfs::Tmpfs;

/// More than fits into what a ledger has spare.
const MANY: usize = 40;

/// Which findings were told as new, and under how many event IDs.
fn opened(logs: &crate::support::logs_double::LogsDouble) -> (usize, usize) {
    let distinct = |field: &str| {
        let told = told(logs, "opened").into_iter();
        let ids: std::collections::HashSet<_> =
            told.map(|event| event[field].to_string()).collect();
        ids.len()
    };
    (distinct("id"), distinct("event_id"))
}

#[test]
fn on_a_full_disk_findings_are_said_once_and_told_when_there_is_room() {
    let Some(disk) = Tmpfs::mount("size=600k") else {
        return;
    };
    let host = Host::new();
    let (imds, logs) = (healthy(), logs());
    let home = home(OFTEN, &imds, &logs);
    symlink(disk.state(), home.state_dir()).unwrap();
    fs::create_dir(disk.state()).unwrap();
    let mut daemon = home.start(&host.root());
    daemon.swept();

    let ballast = disk.path("ballast");
    let mut file = File::create(&ballast).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
    for n in 0..MANY {
        host.write(&format!("data/{n}.env"), host.key_pair().env());
    }
    let full = |status: &Value| status["problems"].to_string().contains("is full");
    daemon.status_when("the full disk", full);
    let said = || home.log().matches("finding unrecorded").count();
    wait("the findings in the log", || (said() == MANY).then_some(()));
    assert!(told(&logs, "opened").is_empty());

    drop(file);
    fs::remove_file(ballast).unwrap();
    daemon.signal(Signal::HUP);
    daemon.status_when("the findings", |status| {
        open(MANY as u64)(status) && !full(status) && status["outbox"]["events"] == 0
    });
    assert_eq!(said(), MANY);
    assert_eq!(opened(&logs), (MANY, MANY));
    daemon.kill();
    let mut daemon = home.start(&host.root());
    daemon.swept();
    assert_eq!(opened(&logs), (MANY, MANY));
    daemon.stop();
}

#[test]
fn what_a_ledger_that_cannot_be_written_knows_is_neither_lost_nor_told_again() {
    let Some(disk) = Tmpfs::mount("size=2m") else {
        return;
    };
    let host = Host::new();
    let old = host.write("data/old.env", host.key_pair().env());
    host.write("data/stays.env", host.key_pair().env());
    let (imds, logs) = (healthy(), logs());
    let home = home(OFTEN, &imds, &logs);
    symlink(disk.state(), home.state_dir()).unwrap();
    fs::create_dir(disk.state()).unwrap();
    let mut daemon = home.start(&host.root());
    daemon.status_when("the keys, told", |status| {
        open(2)(status) && status["outbox"]["events"] == 0
    });
    assert_eq!(daemon.stop(), Some(0));

    assert!(disk.remount("remount,ro", &[]));
    let mut daemon = home.start(&host.root());
    let status = daemon.swept();
    assert!(status["problems"].to_string().contains("in memory only"));
    assert!(open(2)(&status), "{status}");
    fs::remove_file(old).unwrap();
    host.write("data/new.env", host.key_pair().env());
    wait("the new key", || told(&logs, "opened").into_iter().nth(2));
    wait("the end of the old one", || told(&logs, "resolved").pop());
    assert!(disk.remount("remount,rw", &[]));
    let settled = |status: &Value| {
        open(2)(status) && status["problems"] == json!([]) && status["outbox"]["events"] == 0
    };
    daemon.status_when("a ledger on disk", settled);
    daemon.swept();
    daemon.kill();

    let mut daemon = home.start(&host.root());
    daemon.swept();
    daemon.status_when("what is open", settled);
    assert_eq!(opened(&logs), (3, 3));
    assert_eq!(told(&logs, "resolved").len(), 1);
    daemon.stop();
}

#[test]
fn without_an_inode_for_its_ledger_the_service_works_and_tells_nothing_twice_later() {
    let Some(disk) = Tmpfs::mount("size=2m,nr_inodes=3") else {
        return;
    };
    let host = Host::new();
    host.write("data/app.env", host.key_pair().env());
    let (imds, logs) = (healthy(), logs());
    let home = home(OFTEN, &imds, &logs);
    symlink(disk.state(), home.state_dir()).unwrap();
    fs::create_dir(disk.state()).unwrap();
    let in_the_way = disk.path("file");
    fs::write(&in_the_way, "").unwrap();
    let mut daemon = home.start(&host.root());
    let status = daemon.status_when("the key", open(1));
    assert_ne!(status["problems"], json!([]));
    wait("its event", || told(&logs, "opened").pop());
    assert!(disk.remount("remount,nr_inodes=100", &[]));
    daemon.status_when("a ledger", |status| status["problems"] == json!([]));
    daemon.swept();
    daemon.kill();
    let mut daemon = home.start(&host.root());
    daemon.status_when("the key", open(1));
    daemon.swept();
    assert_eq!(opened(&logs), (1, 1));
    daemon.stop();
}

#[test]
fn a_state_directory_that_is_deleted_is_made_anew_with_what_was_in_it() {
    let host = Host::new();
    let old = host.write("data/old.env", host.key_pair().env());
    let (imds, logs) = (healthy(), logs());
    let home = home(OFTEN, &imds, &logs);
    let mut daemon = home.start(&host.root());
    let settled =
        |status: &Value| status["problems"] == json!([]) && status["outbox"]["events"] == 0;
    daemon.status_when("the key, told", |status| open(1)(status) && settled(status));
    fs::remove_dir_all(home.state_dir()).unwrap();
    host.write("data/new.env", host.key_pair().env());
    daemon.status_when("the new key, told", |status| {
        open(2)(status) && settled(status)
    });
    assert!(
        home.log()
            .contains("deleted or replaced while it was in use")
    );
    daemon.kill();
    fs::remove_file(old).unwrap();
    let mut daemon = home.start(&host.root());
    daemon.status_when("the end of the old one, told", |status| {
        open(1)(status) && settled(status)
    });
    assert_eq!(opened(&logs), (2, 2));
    assert_eq!(told(&logs, "resolved").len(), 1);
    daemon.stop();
}

#[test]
fn a_ledger_of_a_later_release_is_kept_beside_and_said() {
    let host = Host::new();
    host.write("data/app.env", host.key_pair().env());
    let (imds, logs) = (healthy(), logs());
    let home = home(OFTEN, &imds, &logs);
    let mut daemon = home.start(&host.root());
    daemon.status_when("the key", open(1));
    assert_eq!(daemon.stop(), Some(0));
    let file = home.state_dir().join(FILE_NAME);
    let later = rusqlite::Connection::open(&file).unwrap();
    later.pragma_update(None, "user_version", 99).unwrap();
    drop(later);
    let before = fs::read(&file).unwrap();
    assert!(home.status(&[]).stderr.contains("it is of format 99"));

    let mut daemon = home.start(&host.root());
    daemon.status_when("the key", open(1));
    assert_eq!(daemon.stop(), Some(0));
    assert!(home.log().contains("it is of format 99"), "{}", home.log());
    let files = fs::read_dir(home.state_dir()).unwrap();
    let aside = files.map(|file| file.unwrap().path()).find(|path| {
        path.to_str().unwrap().contains(".aside-") && fs::read(path).unwrap() == before
    });
    assert!(aside.is_some());
}

#[test]
fn a_runtime_directory_that_cannot_be_had_is_an_error_that_names_it_once() {
    let host = Host::new();
    let (imds, logs) = (healthy(), logs());
    let home = home(OFTEN, &imds, &logs);
    let place = home.path("run");
    fs::write(&place, "in the way").unwrap();
    assert_eq!(home.start(&host.root()).ended(), Some(64));
    let said = home.log();
    assert!(said.contains(place.to_str().unwrap()), "{said}");
    assert_eq!(said.matches("File exists").count(), 1, "{said}");

    fs::remove_file(&place).unwrap();
    let mut daemon = home.start(&host.root());
    daemon.status_when("a directory of its own making", |_| true);
    daemon.stop();
}

/// Debian's `faketime`, without the wrapper, which cannot change its mind.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn a_clock_that_jumps_loses_nothing_and_stops_nothing() {
    if !Path::new(FAKETIME).exists() {
        eprintln!("skipped: {FAKETIME} is not there (apt-get install faketime)");
        return;
    }
    let host = Host::new();
    let first = host.write("srv/first.env", host.key_pair().env());
    let (imds, logs) = (healthy(), logs());
    let home = home(OFTEN, &imds, &logs);
    let clock = home.path("clock");
    let set = |time: &str| {
        fs::write(home.path("clock.new"), time).unwrap();
        fs::rename(home.path("clock.new"), &clock).unwrap();
    };
    set("-30d");
    let variables = [
        ("LD_PRELOAD", FAKETIME),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("NO_FAKE_STAT", "1"),
    ];
    let manager = Manager {
        environment: variables
            .map(|(name, value)| (name, value.to_owned()))
            .into(),
        ..Manager::default()
    };
    let mut daemon = home.start_by(&manager, &host.root());
    let status = daemon.status_when("the first key", open(1));
    let said = |status: &Value| status["last_sweep"]["started"].as_str().unwrap().to_owned();
    let real = jiff::Timestamp::now().to_string();
    assert!(said(&status) < real, "the clock is not faked: {status}");

    set("+400d");
    host.write("srv/second.env", host.key_pair().env());
    daemon.status_when("the second key", |status| {
        open(2)(status) && said(status) > real
    });
    set("-400d");
    fs::remove_file(first).unwrap();
    daemon.status_when("the end of the first", open(1));
    set("@1970-01-01 00:00:10");
    host.write("srv/third.env", host.key_pair().env());
    daemon.status_when("the third key", |status| {
        open(2)(status) && said(status).starts_with("1970")
    });
    daemon.kill();

    set("+0");
    let mut daemon = home.start_by(&manager, &host.root());
    daemon.status_when("everything told", |status| {
        status["sweeps"].as_u64() > Some(0) && open(2)(status) && status["outbox"]["events"] == 0
    });
    assert_eq!(opened(&logs), (3, 3));
    let resolved = told(&logs, "resolved");
    assert_eq!(resolved.len(), 1);
    assert!(
        resolved[0]["open_seconds"].as_f64() >= Some(0.0),
        "{resolved:?}"
    );
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_service_that_waits_for_its_metadata_is_stopped_in_order() {
    let host = Host::new();
    let imds = ImdsDouble::builder().fault(TOKEN, Fault::Hang).start();
    let logs = logs();
    let home = home(
        &format!("{OFTEN}[posture]\nboot_wait = \"10m\"\n"),
        &imds,
        &logs,
    );
    let mut daemon = home.start(&host.root());
    daemon.status_when("a status", |status| status["activity"] == "starting");
    assert_eq!(daemon.stop(), Some(0));
    assert!(home.log().contains("stopped; all events were delivered"));
}

#[test]
fn an_entry_that_allows_a_shadowing_is_not_said_to_match_nothing() {
    let host = Host::new();
    host.write("etc/passwd", "root:x:0:0::/root:/bin/bash\n");
    let pair = host.key_pair();
    host.write(
        "root/.aws/credentials",
        format!(
            "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            pair.id, pair.secret
        ),
    );
    let (imds, logs) = (healthy(), logs());
    let home = home(OFTEN, &imds, &logs);
    let config = fs::read_to_string(home.path("etc/config.toml")).unwrap();
    let mut daemon = home.start(&host.root());
    daemon.status_when("the shadowing", |status| {
        open(2)(status) && status["open"]["credentials"] == 1
    });
    for (rule, unused) in [("role.shadowed", false), ("aws.bedrock-api-key", true)] {
        home.configure(&format!(
            "{config}[[allow]]\nrule = \"{rule}\"\nreason = \"known\"\n"
        ));
        daemon.signal(Signal::HUP);
        daemon.hears("RELOADING=1");
        daemon.swept();
        let status = daemon.swept();
        let said = status["problems"].to_string().contains("matches nothing");
        assert_eq!(said, unused, "{rule}: {status}");
    }
    daemon.stop();
}

//! The service beside the parts of systemd that it talks to: the journal, the
//! watchdog, the service manager; and what it says of itself to a person.

use std::fs;
use std::time::Duration;

use rolecall::ledger::FILE_NAME;
use rolecall::report::journal::{MESSAGE_ID_OPENED, MESSAGE_ID_RESOLVED, MESSAGE_ID_SWEEP};
use rolecall::sanitize;
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use crate::daemon::{OFTEN, SELDOM, healthy, home, logs, open, told};
use crate::ledger::crash::has_strace;
use crate::support::daemon::{Home, Manager, wait};
use crate::support::host::Host;
use crate::support::imds_double::ImdsDouble;
use crate::support::journal::Journal;
use crate::support::side_by_side::side_by_side;

/// A name that clears the screen, forges a line and reads backwards.
const HOSTILE: &str = "srv/\u{1b}[2J\nrolecall: \u{202e}all is well.env";

/// Short for a watchdog, long for a loop that only waits.
const WATCHDOG: Duration = Duration::from_millis(200);

fn entry_of(journal: &Journal, message_id: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    wait("an entry in the journal", || {
        let entries = journal.entries(&format!("MESSAGE_ID={message_id}"));
        entries.into_iter().find(&is_it)
    })
}

#[test]
fn the_journal_holds_what_was_found_as_fields_at_the_level_of_what_is_to_be_done() {
    let Some(journal) = Journal::start() else {
        return;
    };
    let host = Host::new();
    let pair = host.key_pair();
    let path = host.write(HOSTILE, pair.env());
    let imds = ImdsDouble::builder().role("web").tokens_optional().start();
    let logs = logs();
    let home = home(OFTEN, &imds, &logs);
    let manager = Manager {
        starts_by: journal.connect(),
        ..Manager::default()
    };
    let mut daemon = home.start_by(&manager, &host.root());
    daemon.status_when("the key", |status| status["open"]["critical"] == 1);

    let severity = |name: &'static str| move |entry: &Value| entry["ROLECALL_SEVERITY"] == name;
    let opened = entry_of(&journal, MESSAGE_ID_OPENED, severity("critical"));
    let shown = sanitize::line(&format!("/{HOSTILE}")).into_owned();
    for (field, value) in [
        ("PRIORITY", "3"),
        ("SYSLOG_IDENTIFIER", "rolecall"),
        ("ROLECALL_EVENT", "opened"),
        ("ROLECALL_RULE", "aws.access-key-pair"),
        ("ROLECALL_ACCESS_KEY_ID", &pair.id),
        ("ROLECALL_SOURCE", "file"),
        ("ROLECALL_PATH", &shown),
        ("_PID", &daemon.pid().to_string()),
    ] {
        assert_eq!(opened[field], value, "{field} of {opened}");
    }
    let message = opened["MESSAGE"].as_str().unwrap();
    assert!(message.contains(&shown), "{message}");
    let event = wait("its event", || {
        let mut told = told(&logs, "opened").into_iter();
        told.find(|event| event["severity"] == "critical")
    });
    assert_eq!(opened["ROLECALL_FINDING"], event["id"]);

    let medium = entry_of(&journal, MESSAGE_ID_OPENED, severity("medium"));
    assert_eq!(medium["PRIORITY"], "4", "{medium}");
    assert_eq!(medium["ROLECALL_RULE"], "imds.v1-enabled");

    fs::remove_file(path).unwrap();
    let resolved = entry_of(&journal, MESSAGE_ID_RESOLVED, |_| true);
    assert_eq!(resolved["ROLECALL_FINDING"], opened["ROLECALL_FINDING"]);
    for field in ["ROLECALL_RULE", "ROLECALL_PATH", "ROLECALL_SEVERITY"] {
        assert_eq!(resolved[field], opened[field], "{field} of {resolved}");
    }
    assert_eq!(
        (&resolved["PRIORITY"], &resolved["ROLECALL_EVENT"]),
        (&"5".into(), &"resolved".into())
    );
    let sweep = entry_of(&journal, MESSAGE_ID_SWEEP, |entry| {
        entry["ROLECALL_FINDINGS"] == "1"
    });
    assert_eq!(
        (&sweep["PRIORITY"], &sweep["ROLECALL_COMPLETE"]),
        (&"5".into(), &"true".into())
    );

    assert_eq!(daemon.stop(), Some(0));
    let everything = journal.everything();
    assert!(everything.contains(&pair.id) && !everything.contains(&pair.secret));
    assert!(!everything.contains('\u{1b}'), "{everything}");
    assert_eq!(home.log(), "", "what is in the journal is nowhere else");
}

#[test]
fn an_idle_service_feeds_its_watchdog_and_tells_the_manager_every_step() {
    let host = Host::new();
    let (imds, logs) = (healthy(), logs());
    let home = home(SELDOM, &imds, &logs);
    let manager = Manager {
        environment: vec![("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())],
        ..Manager::default()
    };
    let mut daemon = home.start_by(&manager, &host.root());
    assert_eq!(daemon.told(), "READY=1");
    daemon.status_when("idleness", |status| {
        status["sweeps"] == 1 && status["activity"] == "idle"
    });
    daemon.forget();
    for _ in 0..5 {
        assert_eq!(daemon.told(), "WATCHDOG=1");
    }
    daemon.signal(Signal::TERM);
    daemon.hears("STOPPING=1");
    assert_eq!(daemon.ended(), Some(0));
}

#[test]
fn an_idle_service_wakes_up_for_nothing() {
    if !has_strace() {
        return;
    }
    let host = Host::new();
    host.write("srv/file", "nothing");
    let (imds, logs) = (healthy(), logs());
    let home = home(SELDOM, &imds, &logs);
    let mut daemon = home.start(&host.root());
    let last = |status: &Value| status["last_delivery"].clone();
    let is_idle = |status: &Value| {
        status["sweeps"] == 1 && status["activity"] == "idle" && status["outbox"]["events"] == 0
    };
    let before = last(&daemon.status_when("idleness", is_idle));
    let log = home.path("calls");
    let seen = std::process::Command::new("timeout")
        .args(["10", "strace", "-f", "-qq", "-o"])
        .arg(&log)
        .args(["-p", &daemon.pid().to_string()])
        .status();
    assert!(seen.is_ok());
    let calls = fs::read_to_string(log).unwrap();
    // Both loops wait, and neither is woken once a second.
    let waits = calls.lines().filter(|line| line.contains("epoll_wait"));
    assert!((1..10).contains(&waits.count()), "{calls}");
    let status = daemon.status_when("a status", is_idle);
    assert_eq!(last(&status), before, "it was idle meanwhile");
    assert_eq!(daemon.stop(), Some(0));
}

/// A disk that does not answer, for as long as this tracer lives.
fn hang_the_ledger(home: &Home, pid: u32) -> std::process::Child {
    let ledger = home.state_dir().join(FILE_NAME);
    std::process::Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64", "-e"])
        .arg("inject=pwrite64:delay_enter=600s")
        .arg("-P")
        .arg(ledger)
        .args(["-p", &pid.to_string()])
        .spawn()
        .unwrap()
}

#[test]
fn a_loop_that_hangs_is_not_vouched_for_until_it_goes_on() {
    if !has_strace() {
        return;
    }
    let host = Host::new();
    let (imds, logs) = (healthy(), logs());
    let home = home(OFTEN, &imds, &logs);
    let manager = Manager {
        environment: vec![("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())],
        ..Manager::default()
    };
    let mut daemon = home.start_by(&manager, &host.root());
    daemon.swept();
    let mut disk = hang_the_ledger(&home, daemon.pid());
    // With the next sweep, whose end is written down.
    while daemon.hears_within(10 * WATCHDOG, "WATCHDOG=1") {}
    disk.kill().unwrap();
    disk.wait().unwrap();
    daemon.hears("WATCHDOG=1");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_reload_is_told_with_its_time_and_ends_in_readiness_without_a_watchdog_for_another() {
    let empty = Host::new();
    let host = empty.root();
    let (imds, logs) = (healthy(), logs());
    let other_process = [("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")];
    // No time at all is no watchdog, as in `sd_watchdog_enabled`(3).
    let no_time = [("WATCHDOG_USEC", "0"), ("WATCHDOG_PID", "")];
    side_by_side([other_process, no_time], |watchdog| {
        let home = home(SELDOM, &imds, &logs);
        let manager = Manager {
            environment: watchdog
                .map(|(name, value)| (name, value.to_owned()))
                .into(),
            ..Manager::default()
        };
        let mut daemon = home.start_by(&manager, &host);
        assert_eq!(daemon.told(), "READY=1");
        daemon.status_when("a sweep", |status| status["sweeps"] == 1);

        let before = monotonic_usec();
        daemon.signal(Signal::HUP);
        // One message, as `Type=notify-reload` wants it.
        let reloading = daemon.told();
        let (state, time) = reloading.split_once('\n').unwrap();
        assert_eq!(state, "RELOADING=1");
        let time = time.strip_prefix("MONOTONIC_USEC=").unwrap();
        assert!((before..=monotonic_usec()).contains(&time.parse().unwrap()));
        assert_eq!(daemon.told(), "READY=1");

        daemon.signal(Signal::TERM);
        assert_eq!(daemon.told(), "STOPPING=1");
        assert_eq!(daemon.ended(), Some(0));
    });
}

fn monotonic_usec() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

#[test]
fn the_status_is_lines_for_a_person_whatever_files_are_called() {
    let host = Host::new();
    host.write(HOSTILE, host.key_pair().env());
    let (imds, logs) = (healthy(), logs());
    let home = home(SELDOM, &imds, &logs);
    let mut daemon = home.start(&host.root());
    daemon.status_when("the key", open(1));
    // A setting that it does not know is quoted in the status.
    let name = serde_json::json!(HOSTILE);
    let text = fs::read_to_string(home.path("etc/config.toml")).unwrap();
    home.configure(&format!("{name} = 1\n{text}"));
    daemon.signal(Signal::HUP);
    daemon.status_when("the problem", |status| {
        status["problems"].to_string().contains("all is well")
    });
    home.configure(&text);
    let ran = home.status(&["--format", "text", "--fail-on", "never"]);
    assert_eq!(ran.stderr, "");
    let pid = daemon.pid();
    for part in [
        format!("is idle (pid {pid}) on i-"),
        "open: 1 finding of 1 credential: 1 critical\n".into(),
        "last sweep: ".into(),
        "posture: in order (".into(),
        "outbox: ".into(),
        "last delivery: ".into(),
        "note: the configuration is wrong, and the old one stays: ".into(),
    ] {
        assert!(ran.stdout.contains(&part), "{part} in {}", ran.stdout);
    }
    for line in ran.stdout.lines() {
        assert!(!line.contains(sanitize::is_unsafe), "{line:?}");
        assert!(!line.starts_with("rolecall: "), "a forged line: {line}");
    }
    assert_eq!(daemon.stop(), Some(0));
}

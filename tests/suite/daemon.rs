//! The service: the real binary, driven through its signals, its sockets and
//! the file system, and held against its word.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::daemon::{Home, wait};
use crate::support::host::Host;
use crate::support::imds_double::{Fault, IDENTITY, ImdsDouble, TOKEN};
use crate::support::logs_double::{FOREVER, LogsDouble, Trouble};
use crate::support::rolecall::Rolecall;

pub(crate) const GROUP: &str = "/rolecall";
pub(crate) const INSTANCE: &str = "i-0123456789abcdef0";

/// Often enough for a test, and never of its own accord after the first,
/// which comes within a hundredth of it.
pub(crate) const SELDOM: &str = "[scan]\ninterval = \"5m\"\nprocesses = false\n";
pub(crate) const OFTEN: &str = "[scan]\ninterval = \"1s\"\nprocesses = false\n";

pub(crate) fn healthy() -> ImdsDouble {
    ImdsDouble::builder().role("web").start()
}

pub(crate) fn logs() -> LogsDouble {
    LogsDouble::builder().group(GROUP).start()
}

/// A service that asks the doubles, with `scan` in its configuration.
pub(crate) fn home(scan: &str, imds: &ImdsDouble, logs: &LogsDouble) -> Home {
    let home = Home::new();
    home.configure(&format!(
        "{scan}[imds]\nendpoint = \"{}\"\n[ship]\nspread = \"0s\"\nendpoint = \"{}\"\n",
        imds.endpoint(),
        logs.url()
    ));
    home
}

fn messages(logs: &LogsDouble) -> Vec<Value> {
    logs.events(GROUP, INSTANCE)
        .iter()
        .map(|event| serde_json::from_str(&event.message).unwrap())
        .collect()
}

pub(crate) fn told(logs: &LogsDouble, event: &str) -> Vec<Value> {
    let mut told = messages(logs);
    told.retain(|message| message["event"] == event && message["type"] == "finding");
    told
}

pub(crate) fn open(count: u64) -> impl Fn(&Value) -> bool {
    move |status| status["open"]["findings"] == count
}

#[test]
fn a_key_is_told_when_it_comes_and_when_it_goes_and_never_in_between() {
    let host = Host::new();
    let pair = host.key_pair();
    let path = host.write("srv/app.env", pair.env());
    let (imds, logs) = (healthy(), logs());
    let home = home(OFTEN, &imds, &logs);
    let mut daemon = home.start(&host.root());
    daemon.hears("READY=1");
    let opened = wait("the key", || told(&logs, "opened").pop());
    assert_eq!(opened["access_key_id"], pair.id.as_str());
    assert_eq!(opened["location"]["path"], "/srv/app.env");
    daemon.swept();
    daemon.swept();

    fs::remove_file(path).unwrap();
    let resolved = wait("the end of the key", || told(&logs, "resolved").pop());
    assert_eq!(resolved["id"], opened["id"]);
    assert_eq!(resolved["resolution"], "gone");
    assert!(resolved["open_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(told(&logs, "opened").len(), 1);
    // Every sweep gives a sign of life, the last of which knows of nothing.
    let quiet = wait("a quiet heartbeat", || {
        let mut beats = messages(&logs);
        beats.retain(|message| message["event"] == "heartbeat");
        beats.pop().filter(|beat| beat["StaticCredentials"] == 0)
    });
    assert_eq!(quiet["findings"], 0);
    assert_eq!(daemon.stop(), Some(0));
    assert!(!home.log().contains(&pair.secret));
}

#[test]
fn after_a_restart_what_was_told_is_not_told_again() {
    let host = Host::new();
    host.write("srv/app.env", host.key_pair().env());
    let (imds, logs) = (healthy(), logs());
    let home = home(SELDOM, &imds, &logs);
    let mut daemon = home.start(&host.root());
    // An event whose answer was not heard would be sent again, as itself.
    daemon.status_when("a sweep that was told", |status| {
        status["sweeps"] == 1 && status["outbox"]["events"] == 0
    });
    daemon.kill();

    let mut daemon = home.start(&host.root());
    daemon.status_when("a sweep", |status| status["sweeps"] == 1);
    let beats = || {
        messages(&logs)
            .iter()
            .filter(|m| m["event"] == "heartbeat")
            .count()
    };
    wait("the second heartbeat", || (beats() >= 2).then_some(()));
    assert_eq!(told(&logs, "opened").len(), 1);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_file_is_read_again_only_when_it_has_changed_whatever_its_modification_time() {
    let host = Host::new();
    let path = host.write("srv/app.env", "nothing=here\n");
    for n in 0..20 {
        host.write(&format!("srv/{n}"), "nothing");
    }
    let (imds, logs) = (healthy(), logs());
    let home = home(OFTEN, &imds, &logs);
    let mut daemon = home.start(&host.root());
    let file = |status: &Value| -> (u64, u64) {
        let coverage = status["coverage"].as_array().unwrap().iter();
        let file = coverage.clone().find(|part| part["source"] == "file");
        let number = |name: &str| file.map_or(0, |file| file[name].as_u64().unwrap_or(0));
        (number("scanned"), number("unchanged"))
    };
    // A file that changed a moment ago may change again unseen.
    daemon.status_when("files that settled", |status| file(status) == (0, 21));

    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, host.key_pair().env()).unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    daemon.status_when("the key, read by a sweep", |status| {
        open(1)(status) && file(status) == (1, 20)
    });
    daemon.stop();
}

#[test]
fn what_is_not_looked_at_any_more_is_not_resolved() {
    let host = Host::new();
    host.write("srv/app.env", host.key_pair().env());
    let packed = host.write("elsewhere/app.env", host.key_pair().env());
    let made = std::process::Command::new("tar")
        .args(["-czf", host.path("opt.tgz").to_str().unwrap(), "-C"])
        .arg(packed.parent().unwrap())
        .arg("app.env")
        .status()
        .unwrap();
    assert!(made.success());
    fs::remove_file(packed).unwrap();
    let (imds, logs) = (healthy(), logs());
    let home = home(OFTEN, &imds, &logs);
    let mut daemon = home.start(&host.root());
    // Of these alone: a loaded machine may fail a posture check.
    let keys = |status: &Value| status["open"]["critical"] == 2;
    daemon.status_when("the keys", keys);
    let text = fs::read_to_string(home.path("etc/config.toml")).unwrap();
    for other in [
        "exclude = [\"/srv\"]",
        "roots = [\"/opt\"]",
        "archives = false",
    ] {
        home.configure(&text.replace("[scan]", &format!("[scan]\n{other}")));
        daemon.signal(Signal::HUP);
        daemon.hears("RELOADING=1");
        daemon.swept();
        let status = daemon.swept();
        assert!(keys(&status), "{other}: {status}");
    }
    assert!(told(&logs, "resolved").is_empty());
    daemon.stop();
}

#[test]
fn a_metadata_service_that_hangs_delays_readiness_by_its_wait_and_the_scan_not_at_all() {
    let host = Host::new();
    host.write("srv/app.env", host.key_pair().env());
    let imds = ImdsDouble::builder().fault(TOKEN, Fault::Hang).start();
    let logs = logs();
    let home = home(
        &format!("{SELDOM}[posture]\nboot_wait = \"1s\"\n"),
        &imds,
        &logs,
    );
    let mut daemon = home.start(&host.root());
    daemon.hears("READY=1");
    let status = daemon.status_when("the key", |status| status["open"]["critical"] == 1);
    assert!(status["outbox"]["events"].as_u64().unwrap() > 0);
    assert_eq!(logs.requests().len(), 0);

    // The role appears, and everything that waited is told.
    let address = imds.address();
    imds.change(|_| ImdsDouble::builder().listen(address).role("web"));
    daemon.signal(Signal::HUP);
    daemon.hears("READY=1");
    wait("the key", || told(&logs, "opened").pop());
    daemon.stop();
}

#[test]
fn a_second_service_is_refused_and_told_why() {
    let host = Host::new();
    let (imds, logs) = (healthy(), logs());
    let home = home(SELDOM, &imds, &logs);
    let mut first = home.start(&host.root());
    first.status_when("a sweep", |status| status["sweeps"] == 1);
    let second = home.start(&host.root());
    let pid = first.pid();
    assert_eq!(second.ended(), Some(64));
    assert!(
        home.log()
            .contains(&format!("another rolecall service (pid {pid})"))
    );
    assert_eq!(home.status(&[]).status, 0);
    assert_eq!(first.stop(), Some(0));
}

#[test]
fn a_wrong_configuration_changes_nothing_and_is_told_until_it_is_right() {
    let host = Host::new();
    let (imds, logs) = (healthy(), logs());
    let home = home(SELDOM, &imds, &logs);
    let mut daemon = home.start(&host.root());
    daemon.hears("READY=1");
    let good = fs::read_to_string(home.path("etc/config.toml")).unwrap();
    home.configure("[scan]\nintervall = \"1s\"\n");
    daemon.signal(Signal::HUP);
    let problem = |status: &Value| status["problems"].to_string().contains("intervall");
    daemon.status_when("the problem", problem);
    // Whoever asks is told of both.
    let asked = home.status(&[]);
    assert_eq!(asked.status, 64);
    assert!(asked.stderr.contains("intervall"), "{}", asked.stderr);
    let status: Value = serde_json::from_str(&asked.stdout).unwrap();
    assert!(status["running"] == true && problem(&status), "{status}");
    home.configure(&good);
    daemon.signal(Signal::HUP);
    daemon.status_when("its end", |status| !problem(status));
    daemon.stop();
}

#[test]
fn what_could_not_be_delivered_is_delivered_by_the_next_run_and_once() {
    let host = Host::new();
    host.write("srv/app.env", host.key_pair().env());
    let imds = healthy();
    let down = LogsDouble::builder()
        .group(GROUP)
        .trouble(
            "PutLogEvents",
            Trouble::denied("logs:PutLogEvents"),
            FOREVER,
        )
        .start();
    let first = home(SELDOM, &imds, &down);
    let mut daemon = first.start(&host.root());
    let status = daemon.status_when("a failed delivery", |status| {
        open(1)(status) && status["last_delivery"]["undelivered"].as_u64() > Some(0)
    });
    assert!(
        status["last_delivery"]["problems"]
            .to_string()
            .contains("logs:PutLogEvents")
    );
    assert_eq!(daemon.stop(), Some(0));
    assert!(first.log().contains("events wait for delivery"));
    let known = first.status(&["--fail-on", "never"]);
    assert_eq!(known.status, 2, "no service runs");
    let status: Value = serde_json::from_str(&known.stdout).unwrap();
    assert_eq!(status["running"], false);
    assert_eq!(status["open"]["critical"], 1);
    assert!(status["outbox"]["events"].as_u64() > Some(0));

    let up = logs();
    let text = fs::read_to_string(first.path("etc/config.toml")).unwrap();
    first.configure(&text.replace(&down.url(), &up.url()));
    let mut daemon = first.start(&host.root());
    daemon.status_when("an empty outbox", |status| {
        status["sweeps"] == 1 && status["outbox"]["events"] == 0
    });
    assert_eq!(told(&up, "opened").len(), 1);
    daemon.stop();
}

#[test]
fn a_corrupt_ledger_is_set_aside_and_made_anew() {
    let host = Host::new();
    host.write("srv/app.env", host.key_pair().env());
    let (imds, logs) = (healthy(), logs());
    let home = home(SELDOM, &imds, &logs);
    let mut daemon = home.start(&host.root());
    daemon.status_when("the key", open(1));
    daemon.stop();
    let ledger = home.state_dir().join("ledger.sqlite");
    let mut bytes = fs::read(&ledger).unwrap();
    bytes[..4096].fill(b'x');
    fs::write(&ledger, bytes).unwrap();
    let mut daemon = home.start(&host.root());
    daemon.status_when("the key again", open(1));
    assert!(home.log().contains("the ledger could not be used"));
    daemon.stop();
}

#[test]
fn without_a_state_directory_the_service_works_and_says_what_it_lacks() {
    let host = Host::new();
    host.write("srv/app.env", host.key_pair().env());
    let (imds, logs) = (healthy(), logs());
    let home = home(OFTEN, &imds, &logs);
    fs::write(home.state_dir(), "in the way").unwrap();
    let mut daemon = home.start(&host.root());
    let status = daemon.status_when("the key", open(1));
    assert!(status["problems"].to_string().contains("in memory only"));
    wait("its event", || told(&logs, "opened").pop());
    fs::remove_file(home.state_dir()).unwrap();
    daemon.status_when("a ledger", |status| {
        status["problems"] == serde_json::json!([])
    });
    daemon.status_when("the key in it", open(1));
    let mode = fs::metadata(home.state_dir()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    daemon.stop();
}

#[test]
fn a_role_that_is_taken_away_is_noticed_when_delivery_fails() {
    let host = Host::new();
    let (imds, logs) = (healthy(), logs());
    let home = home(OFTEN, &imds, &logs);
    let mut daemon = home.start(&host.root());
    daemon.status_when("an empty outbox", |status| {
        status["sweeps"].as_u64() > Some(0) && status["outbox"]["events"] == 0
    });
    let address = imds.address();
    imds.change(|_| ImdsDouble::builder().listen(address));
    daemon.status_when("the missing role", |status| {
        let checks = status["last_posture"]["checks"].as_array().unwrap();
        checks
            .iter()
            .any(|check| check["check"] == "role.missing" && check["verdict"] == "fail")
    });
    assert!(home.log().contains("role"));
    daemon.stop();
}

#[test]
fn what_the_instance_says_of_itself_too_late_for_one_delivery_is_there_for_the_next() {
    let host = Host::new();
    host.write("srv/app.env", host.key_pair().env());
    let silent = || {
        ImdsDouble::builder()
            .role("web")
            .fault(IDENTITY, Fault::Hang)
    };
    let (imds, logs) = (silent().start(), logs());
    let home = home(
        &format!("{SELDOM}[posture]\ninterval = \"1s\"\n"),
        &imds,
        &logs,
    );
    let mut daemon = home.start(&host.root());
    daemon.status_when("a failed delivery", |status| {
        let problems = &status["last_delivery"]["problems"];
        problems.to_string().contains("the region is not known")
    });
    let address = imds.address();
    imds.change(|_| ImdsDouble::builder().listen(address).role("web"));
    wait("the key", || told(&logs, "opened").pop());
    // Nor is it forgotten.
    imds.change(|_| silent().listen(address));
    let shown = |status: &Value| status["last_posture"]["at"].as_str().unwrap().to_owned();
    let before = shown(&daemon.status_when("a status", |_| true));
    daemon.status_when("other checks", |status| shown(status) > before);
    daemon.status_when("more of them", |status| {
        status["outbox"]["events"] == 0 && shown(status) > before
    });
    host.write("srv/more.env", host.key_pair().env());
    daemon.signal(Signal::HUP);
    wait("another key", || told(&logs, "opened").into_iter().nth(1));
    daemon.stop();
}

/// An image can be made of a machine on which the service ran.
#[test]
fn what_was_told_of_one_instance_is_told_of_another_with_the_same_disk() {
    const OTHER: &str = "i-0fedcba9876543210";
    let host = Host::new();
    let key = host.key_pair();
    host.write("srv/app.env", key.env());
    let (imds, logs) = (healthy(), logs());
    let home = home(SELDOM, &imds, &logs);
    let daemon = home.start(&host.root());
    wait("the key of the first", || told(&logs, "opened").pop());
    daemon.stop();

    let address = imds.address();
    imds.change(|_| {
        let double = ImdsDouble::builder().listen(address).role("web");
        double.instance(OTHER)
    });
    let of_other = || {
        let events = logs.events(GROUP, OTHER).into_iter();
        let mut events: Vec<Value> = events
            .map(|event| serde_json::from_str(&event.message).unwrap())
            .collect();
        events.retain(|event| event["event"] == "opened");
        events
    };
    let daemon = home.start(&host.root());
    let opened = wait("the key of the other", || of_other().pop());
    assert_eq!(opened["access_key_id"], key.id.as_str());
    assert!(
        home.log()
            .contains(&format!("it is of {INSTANCE}, and this is {OTHER}"))
    );
    daemon.stop();
    let mut daemon = home.start(&host.root());
    daemon.swept();
    daemon.stop();
    assert_eq!((of_other().len(), told(&logs, "opened").len()), (1, 1));
}

#[test]
fn a_check_beside_the_service_neither_waits_for_it_nor_disturbs_it() {
    let host = Host::new();
    host.write("srv/app.env", host.key_pair().env());
    let (imds, logs) = (healthy(), logs());
    let home = home(OFTEN, &imds, &logs);
    let mut daemon = home.start(&host.root());
    daemon.status_when("the key", open(1));
    for _ in 0..3 {
        let ran = Rolecall::new(["check", "--format", "json", "--ship", "never"])
            .arg("--root")
            .arg(host.root())
            .arg("--imds-endpoint")
            .arg(imds.endpoint())
            .arg("--state-dir")
            .arg(home.state_dir())
            .run();
        assert_eq!(ran.status, 1, "{}", ran.stderr);
    }
    let status = daemon.swept();
    assert!(
        open(1)(&status) && status["problems"] == serde_json::json!([]),
        "{status}"
    );
    daemon.stop();
}

#[test]
fn the_status_is_for_people_too_and_says_when_there_is_none() {
    let home = Home::new();
    home.configure("");
    let ran = home.status(&[]);
    assert_eq!(ran.status, 2);
    assert!(
        ran.stderr.contains("no service answers here"),
        "{}",
        ran.stderr
    );
}

/// A service that sweeps once, and then sees what it watches.
fn watching(imds: &ImdsDouble, logs: &LogsDouble) -> Home {
    home(
        &format!("{SELDOM}[watch]\npaths = [\"/srv\"]\n"),
        imds,
        logs,
    )
}

#[test]
fn a_key_that_is_written_is_told_without_a_sweep_and_resolved_when_it_is_taken_out() {
    let host = Host::new();
    host.write("srv/old", "nothing");
    let (imds, logs) = (healthy(), logs());
    let home = watching(&imds, &logs);
    let mut daemon = home.start(&host.root());
    let status = daemon.status_when("a sweep", |status| status["sweeps"] == 1);
    assert_eq!(status["watch"]["complete"], true);

    let written = host.key_pair();
    let path = host.write("srv/a/b/c/app.env", written.env());
    let opened = wait("the key", || told(&logs, "opened").pop());
    assert_eq!(opened["access_key_id"], written.id.as_str());
    assert_eq!(opened["location"]["path"], "/srv/a/b/c/app.env");

    // As an editor saves: the new text beside it, then in its place.
    let temporary = host.write("srv/a/b/c/.app.env.swp", "nothing\n");
    fs::rename(&temporary, &path).unwrap();
    let resolved = wait("its end", || told(&logs, "resolved").pop());
    assert_eq!(resolved["id"], opened["id"]);
    assert_eq!(resolved["resolution"], "clean");

    let moved = host.key_pair();
    host.write("elsewhere/deep/er/app.env", moved.env());
    fs::rename(host.path("elsewhere"), host.path("srv/moved")).unwrap();
    let second = wait("the moved key", || told(&logs, "opened").into_iter().nth(1));
    assert_eq!(second["location"]["path"], "/srv/moved/deep/er/app.env");
    fs::remove_dir_all(host.path("srv/moved")).unwrap();
    let gone = wait("its end", || told(&logs, "resolved").into_iter().nth(1));
    assert_eq!(
        (&gone["id"], &gone["resolution"]),
        (&second["id"], &"gone".into())
    );
    let status = daemon.status_when("a status", |_| true);
    assert_eq!(status["sweeps"], 1);
    daemon.stop();
}

#[test]
fn a_log_that_grows_is_read_on_and_its_lines_keep_their_numbers() {
    let host = Host::new();
    host.write("srv/app.log", "a line\n".repeat(1_000_000));
    let (imds, logs) = (healthy(), logs());
    let home = watching(&imds, &logs);
    let mut daemon = home.start(&host.root());
    daemon.status_when("a sweep", |status| status["sweeps"] == 1);
    let append = |text: &str| {
        use std::io::Write as _;
        let path = host.path("srv/app.log");
        let mut log = fs::File::options().append(true).open(path).unwrap();
        log.write_all(text.as_bytes()).unwrap();
    };
    for n in 0..3 {
        append(&host.key_pair().env());
        let opened = wait("the key", || told(&logs, "opened").into_iter().nth(n));
        assert_eq!(
            opened["location"]["line"],
            1_000_001 + 2 * n as u64,
            "{opened}"
        );
    }
    // A reading that began behind the first key resolves nothing.
    assert!(told(&logs, "resolved").is_empty());
    daemon.stop();
}

#[test]
fn git_itself_is_left_to_the_sweeps_and_the_file_that_is_committed_is_told_at_once() {
    let host = Host::new();
    let work = host
        .write("srv/app/README", "nothing")
        .parent()
        .unwrap()
        .to_owned();
    let git = |args: &[&str]| {
        let done = std::process::Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-C"])
            .arg(&work)
            .args(args)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    git(&["init", "-q"]);
    let (imds, logs) = (healthy(), logs());
    let home = watching(&imds, &logs);
    let mut daemon = home.start(&host.root());
    daemon.status_when("a sweep", |status| status["sweeps"] == 1);
    let pair = host.key_pair();
    host.write("srv/app/.env", pair.env());
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "oops"]);
    let opened = wait("the key", || told(&logs, "opened").pop());
    assert_eq!(opened["location"]["path"], "/srv/app/.env");
    daemon.stop();
}

//! The service at the limits of the kernel and of its own: more directories,
//! more events and fewer descriptors than it would like.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use serde_json::{Value, json};

use crate::daemon::{SELDOM, healthy, home, logs, told};
use crate::support::daemon::{Daemon, Home, Manager, wait};
use crate::support::host::Host;
use crate::support::imds_double::ImdsDouble;
use crate::support::logs_double::LogsDouble;

/// A service that sweeps once, and then sees what it watches.
fn watching(imds: &ImdsDouble, logs: &LogsDouble) -> Home {
    home(
        &format!("{SELDOM}[watch]\npaths = [\"/srv\"]\n"),
        imds,
        logs,
    )
}

fn swept_once(daemon: &mut Daemon) -> Value {
    daemon.status_when("a sweep", |status| {
        status["sweeps"] == 1 && status["activity"] == "idle"
    })
}

/// In KiB, without what is mapped of the program.
fn memory(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.unwrap().parse().unwrap()
}

fn limit(name: &str) -> u64 {
    let text = fs::read_to_string(Path::new("/proc/sys/fs/inotify").join(name)).unwrap();
    text.trim().parse().unwrap()
}

/// 100,000 directories below `top`; the last of them.
fn directories(top: &Path) -> PathBuf {
    fs::create_dir(top).unwrap();
    for n in 0..100 {
        let group = top.join(n.to_string());
        fs::create_dir(&group).unwrap();
        (0..999).for_each(|n| fs::create_dir(group.join(n.to_string())).unwrap());
    }
    top.join("99/998")
}

#[test]
fn of_a_hundred_thousand_directories_all_are_watched_within_the_memory_it_may_take() {
    let host = Host::in_memory();
    let deepest = directories(&host.path("srv"));
    let (imds, logs) = (healthy(), logs());
    let home = watching(&imds, &logs);
    let mut daemon = home.start(&host.root());
    let status = swept_once(&mut daemon);
    if limit("max_user_watches") > 120_000 {
        assert_eq!(status["watch"]["complete"], true, "{status}");
        assert!(status["watch"]["directories"].as_u64() > Some(100_000));
    } else {
        let problems = status["problems"].to_string();
        assert!(problems.contains("fs.inotify.max_user_watches"), "{status}");
        assert_eq!(status["watch"]["complete"], false);
    }
    fs::write(deepest.join("app.env"), host.key_pair().env()).unwrap();
    if status["watch"]["complete"] == false {
        daemon.signal(Signal::HUP);
    }
    let opened = wait("the key", || told(&logs, "opened").pop());
    assert_eq!(opened["location"]["path"], "/srv/99/998/app.env");
    let memory = memory(&daemon);
    assert!(memory <= 32 * 1024, "{memory} KiB");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn more_changes_than_the_kernel_keeps_lose_no_key_and_are_told() {
    let host = Host::in_memory();
    fs::create_dir(host.path("srv")).unwrap();
    let (imds, logs) = (healthy(), logs());
    let home = watching(&imds, &logs);
    let mut daemon = home.start(&host.root());
    let status = swept_once(&mut daemon);
    assert_eq!(status["watch"]["overflows"], 0);

    daemon.signal(Signal::STOP);
    for n in 0..=limit("max_queued_events") {
        File::create(host.path(&format!("srv/{n}"))).unwrap();
    }
    host.write("srv/dir/deep/app.env", host.key_pair().env());
    daemon.signal(Signal::CONT);
    let opened = wait("the key", || told(&logs, "opened").pop());
    assert_eq!(opened["location"]["path"], "/srv/dir/deep/app.env");
    let status = daemon.status_when("the overflow", |status| status["watch"]["overflows"] == 1);
    assert_eq!(
        (&status["sweeps"], &status["watch"]["complete"]),
        (&json!(1), &json!(true))
    );
    assert!(home.log().contains("more changed than could be followed"));

    // And it is watched as before.
    fs::remove_file(host.path("srv/dir/deep/app.env")).unwrap();
    wait("its end", || told(&logs, "resolved").pop());
    assert_eq!(daemon.status_when("a status", |_| true)["sweeps"], 1);
    daemon.stop();
}

/// Runs the service as root of a user namespace in which inotify has `limit`.
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn limited_to(limit: &str) -> Option<Manager> {
    let script = format!("echo {limit} && exec \"$@\"");
    let unshare = [
        "unshare",
        "--user",
        "--map-root-user",
        "--",
        "sh",
        "-c",
        &script,
        "sh",
    ];
    let mut trial = std::process::Command::new(unshare[0]);
    let ran = trial.args(&unshare[1..]).arg("true").output();
    if !ran.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: a user namespace with limits of its own is not to be had");
        return None;
    }
    Some(Manager {
        starts_by: unshare.map(str::to_owned).to_vec(),
        ..Manager::default()
    })
}

#[test]
fn what_the_kernel_does_not_let_it_watch_is_told_with_the_sysctl_and_swept() {
    let limits = [
        (
            "20 > /proc/sys/user/max_inotify_watches",
            "raise sysctl fs.inotify.max_user_watches, now 20, by 42",
        ),
        (
            "0 > /proc/sys/user/max_inotify_instances",
            "raise fs.inotify.max_user_instances",
        ),
    ];
    for (limit, advice) in limits {
        let host = Host::new();
        for n in 0..30 {
            host.write(&format!("srv/{n}/deep/file"), "nothing");
        }
        let (imds, logs) = (healthy(), logs());
        let home = watching(&imds, &logs);
        let Some(manager) = limited_to(limit) else {
            return;
        };
        let mut daemon = home.start_by(&manager, &host.root());
        let status = swept_once(&mut daemon);
        assert!(status["problems"].to_string().contains(advice), "{status}");
        assert_ne!(status["watch"]["complete"], true, "{status}");
        assert_eq!(home.log().matches(advice).count(), 1, "{}", home.log());
        for n in 0..30 {
            host.write(&format!("srv/{n}/deep/file"), host.key_pair().env());
        }
        daemon.signal(Signal::HUP);
        daemon.status_when("the keys", |status| status["open"]["critical"] == 30);
        daemon.stop();
    }
}

#[test]
fn without_a_descriptor_left_the_service_waits_says_so_and_catches_up() {
    let host = Host::new();
    fs::create_dir(host.path("srv")).unwrap();
    let (imds, logs) = (healthy(), logs());
    let home = watching(&imds, &logs);
    let mut daemon = home.start(&host.root());
    swept_once(&mut daemon);
    let pid = Some(Pid::from_raw(daemon.pid().cast_signed()).unwrap());
    let before = getrlimit(Resource::Nofile);
    let allow = |current| {
        let limit = Rlimit { current, ..before };
        prlimit(pid, Resource::Nofile, limit).unwrap();
    };
    allow(Some(3));
    host.write("srv/app.env", host.key_pair().env());
    let needs = "cannot be opened";
    wait("its complaint", || home.log().contains(needs).then_some(()));
    allow(before.current);
    daemon.signal(Signal::HUP);
    daemon.status_when("the key, told", |status| {
        status["open"]["critical"] == 1 && status["outbox"]["events"] == 0
    });
    assert_eq!(told(&logs, "opened").len(), 1);
    assert_eq!(daemon.stop(), Some(0));
}

//! Keys in processes that show them in ways of their own.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::daemon::wait;
use crate::support::host::{Host, KeyPair};
use crate::support::rolecall::{Ran, Rolecall};

/// A program that is killed when dropped.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.spawn().expect("the program starts"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn scan(host: &Host) -> Rolecall {
    Rolecall::new(["scan", "--format", "json", "--root"]).arg(host.root())
}

/// The processes that are told to hold a key.
fn holders(ran: &Ran, pair: &KeyPair) -> Vec<Value> {
    let mut findings = ran.of_type("finding");
    findings.retain(|finding| finding["access_key_id"] == pair.id.as_str());
    let holders = findings.into_iter();
    holders.map(|finding| finding["location"].clone()).collect()
}

#[test]
fn a_process_whose_first_thread_ended_is_read_through_another() {
    const PROGRAM: &str = "
import ctypes, platform, threading, time
threading.Thread(target=time.sleep, args=(3600,)).start()
exit_thread = {'x86_64': 60, 'aarch64': 93}[platform.machine()]
ctypes.CDLL(None).syscall(exit_thread, 0)";
    let Some(host) = Host::with_processes() else {
        return;
    };
    let pair = host.key_pair();
    let process = Running::start(
        Command::new("python3")
            .args(["-c", PROGRAM])
            .env("AWS_ACCESS_KEY_ID", &pair.id)
            .env("AWS_SECRET_ACCESS_KEY", &pair.secret),
    );
    let pid = process.0.id();
    wait("the end of the first thread", || {
        let size = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        size.starts_with("0 ").then_some(())
    });
    let ran = scan(&host).with_processes(&host).run();
    let [location] = holders(&ran, &pair).try_into().expect("one finding");
    assert_eq!(location["pid"], pid);
    let program = location["exe"].as_str().expect("a program");
    assert!(program.contains("python"), "{location}");
}

#[test]
fn a_command_line_is_read_without_the_right_to_the_environment() {
    let Some(host) = Host::with_processes() else {
        return;
    };
    fs::set_permissions(host.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let (given, kept) = (host.key_pair(), host.key_pair());
    let process = Running::start(
        Command::new("python3")
            .args(["-c", "import time; time.sleep(3600)"])
            .args(["--access-key-id", &given.id])
            .args(["--secret-access-key", &given.secret])
            .env("AWS_ACCESS_KEY_ID", &kept.id)
            .env("AWS_SECRET_ACCESS_KEY", &kept.secret),
    );
    // The binary itself may lie where that user may not look.
    let binary = host.path("rolecall");
    fs::copy(env!("CARGO_BIN_EXE_rolecall"), &binary).unwrap();
    let ran = scan(&host)
        .args(&["--exclude", "/rolecall"])
        .run_by(65534, &binary)
        .with_processes(&host)
        .run();
    let [location] = holders(&ran, &given).try_into().expect("one finding");
    assert_eq!(location["pid"], process.0.id());
    assert_eq!(location["path"], "cmdline");
    assert_eq!(holders(&ran, &kept), [Value::Null; 0]);
    assert!(ran.skipped("process", "permission-denied") >= 1);
    assert!(!ran.stdout.contains(&given.secret), "{}", ran.stdout);
}

#[test]
fn a_link_in_an_image_does_not_lead_to_the_processes_of_this_machine() {
    let host = Host::new();
    let pair = host.key_pair();
    symlink("/proc", host.path("proc")).unwrap();
    let _process = Running::start(
        Command::new("sleep")
            .arg("3600")
            .env("AWS_ACCESS_KEY_ID", &pair.id)
            .env("AWS_SECRET_ACCESS_KEY", &pair.secret),
    );
    let ran = scan(&host).run();
    assert_eq!(holders(&ran, &pair), [Value::Null; 0]);
    assert_eq!(ran.skipped("process", "absent"), 1, "{}", ran.stdout);
    assert_eq!(ran.summary()["complete"], true);
}

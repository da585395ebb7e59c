//! What is heard where nothing can be shipped: the journal and the console.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use crate::support::host::Host;
use crate::support::imds_double::ImdsDouble;
use crate::support::rolecall::{Ran, Rolecall};

fn without_role() -> ImdsDouble {
    ImdsDouble::builder().auto_scaling_group("web-asg").start()
}

fn posture(imds: &ImdsDouble, console: Option<&Path>) -> Ran {
    // At boot nothing is to be waited for here.
    let config = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    fs::write(config.path(), "posture.boot_wait = \"0s\"").unwrap();
    let host = Host::new();
    let run = Rolecall::new(["posture", "--format", "json", "--imds-endpoint"])
        .arg(imds.endpoint())
        .arg("--root")
        .arg(host.root())
        .arg("--config")
        .arg(config.path());
    match console {
        Some(console) => run.arg("--boot").arg("--console").arg(console).run(),
        None => run.run(),
    }
}

#[test]
fn at_boot_one_line_on_the_console_names_the_cause_and_the_fix() {
    let console = tempfile::NamedTempFile::new().unwrap();
    fs::write(console.path(), "login: ").unwrap();
    let ran = posture(&without_role(), Some(console.path()));
    assert_eq!(ran.status, 1);
    let told = fs::read_to_string(console.path()).unwrap();
    let line = told.strip_prefix("login: rolecall: ").unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    for word in [
        "role.missing",
        "i-0123456789abcdef0",
        "Auto Scaling group web-asg",
        "image ami-0123456789abcdef0",
        "start-instance-refresh --auto-scaling-group-name web-asg",
    ] {
        assert!(line.contains(word), "{word}: {line}");
    }

    let healthy = ImdsDouble::builder().role("web").start();
    assert_eq!(posture(&healthy, Some(console.path())).status, 0);
    assert_eq!(posture(&without_role(), None).status, 1);
    assert_eq!(fs::read_to_string(console.path()).unwrap(), told);
}

#[test]
fn the_console_of_who_may_open_none_is_standard_output() {
    let ran = posture(&without_role(), Some(Path::new("-")));
    let told = |line: &str| line.starts_with("rolecall: role.missing failed on i-");
    assert_eq!(ran.stdout.lines().filter(|line| told(line)).count(), 1);
}

#[test]
fn a_console_that_takes_nothing_is_no_error_and_holds_up_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, mode, 0).unwrap();
    let absent = directory.path().join("absent");
    for console in [fifo.as_path(), &absent, directory.path()] {
        assert_eq!(posture(&without_role(), Some(console)).status, 1);
    }
    assert!(!absent.exists());
}

#[test]
fn the_journal_hears_it_at_the_priority_of_an_error_and_else_stderr() {
    if !rustix::process::geteuid().is_root() {
        #[expect(clippy::print_stderr, reason = "a skipped test says why")]
        {
            eprintln!("skipped: a journal of its own needs root");
        }
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let journal = UnixDatagram::bind(directory.path().join("socket")).unwrap();
    journal
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let imds = without_role();
    let run = |mount: &str| {
        let place = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && cd /";
        let script = format!("{place} && {mount} && exec \"$@\"");
        Rolecall::new(["posture", "--imds-endpoint"])
            .arg(imds.endpoint())
            .wrapped("unshare", &["-m", "sh", "-c", &script, "sh"])
            .run()
    };
    let with = format!(
        "mount --bind {} /run/systemd/journal",
        directory.path().display()
    );
    let ran = run(&with);
    assert_eq!((ran.status, ran.stderr.as_str()), (1, ""));
    let mut entries = Vec::new();
    let mut buffer = [0; 8192];
    while let Ok(length) = journal.recv(&mut buffer) {
        entries.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    entries.retain(|entry| !entry.is_empty());
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert!(entries[0].contains("PRIORITY=3\n"), "{entries:?}");
    assert!(entries[0].contains("SYSLOG_IDENTIFIER=rolecall\n"));
    assert!(entries[0].contains("role.missing failed on i-0123456789abcdef0"));

    let ran = run("true");
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("rolecall: error: role.missing failed"));
}

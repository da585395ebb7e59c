//! What a sandbox hides is said, and nothing is said where there is none.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::host::Host;
use crate::support::rolecall::{Ran, Rolecall};

/// Runs the binary in a mount namespace of its own in which `set_up` was done,
/// a shell script with `$H` for the host; `None`, with the reason printed,
/// where that is not possible.
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn within(host: &Host, set_up: &str, arguments: &[&str]) -> Option<Ran> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: mount namespaces need root");
        return None;
    }
    let script = format!("set -e; H=\"$1\"; shift; {set_up}; exec \"$@\"");
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", &script, "sh"])
        .arg(host.root())
        .arg(env!("CARGO_BIN_EXE_rolecall"))
        .args(arguments)
        .output()
        .expect("unshare runs");
    Some(Ran {
        status: output.status.code().expect("an exit status"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    })
}

fn hidden(ran: &Ran) -> Vec<String> {
    let coverage = ran.of_type("coverage");
    let skips = coverage
        .iter()
        .flat_map(|part| part["skipped"].as_array().unwrap());
    let hidden = skips.filter(|skip| skip["reason"] == "hidden-by-sandbox");
    let examples = hidden.flat_map(|skip| skip["examples"].as_array().unwrap());
    examples
        .map(|place| place.as_str().unwrap().to_owned())
        .collect()
}

fn host() -> Host {
    let host = Host::new();
    host.write("home/deploy/.aws/credentials", host.key_pair().env());
    host.write("srv/clean.env", "");
    fs::create_dir(host.path("empty")).unwrap();
    host
}

fn scan(path: &Path) -> [&str; 4] {
    ["scan", "--format", "json", path.to_str().unwrap()]
}

#[test]
fn what_is_mounted_over_a_place_for_us_alone_is_a_gap() {
    for set_up in [
        "mount -t tmpfs none \"$H/home\"",
        "mount --bind \"$H/empty\" \"$H/home\"",
        "mount -t tmpfs none \"$H/home/deploy\"",
    ] {
        let host = host();
        let Some(ran) = within(&host, set_up, &scan(&host.root())) else {
            return;
        };
        let place = set_up.split("$H/").last().unwrap().trim_end_matches('"');
        assert_eq!(
            hidden(&ran),
            [host.path(place).to_str().unwrap()],
            "{}",
            ran.stdout
        );
        assert_eq!((ran.status, &ran.summary()["complete"]), (2, &false.into()));
        assert!(ran.of_type("finding").is_empty());

        let root = host.root();
        let text = within(&host, set_up, &["scan", root.to_str().unwrap()]).unwrap();
        assert!(
            text.stdout.contains("ProtectHome=read-only"),
            "{}",
            text.stdout
        );
    }
}

#[test]
fn a_file_that_is_covered_for_us_alone_is_a_gap() {
    let host = host();
    let set_up = "mount --bind \"$H/srv/clean.env\" \"$H/home/deploy/.aws/credentials\"";
    let Some(ran) = within(&host, set_up, &scan(&host.root())) else {
        return;
    };
    let place = host.path("home/deploy/.aws/credentials");
    assert_eq!(hidden(&ran), [place.to_str().unwrap()], "{}", ran.stdout);
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn another_disk_in_memory_than_the_hosts_is_a_gap() {
    let host = Host::in_memory();
    let memory = Path::new("/dev/shm");
    if !host.root().starts_with(memory) {
        eprintln!("skipped: no /dev/shm to write to");
        return;
    }
    host.write("app.env", host.key_pair().env());
    let set_up = "mount -t tmpfs none /dev/shm";
    let Some(ran) = within(&host, set_up, &scan(memory)) else {
        return;
    };
    assert_eq!(hidden(&ran), ["/dev/shm"], "{}", ran.stdout);
    assert_eq!((ran.status, &ran.summary()["complete"]), (2, &false.into()));
}

#[test]
fn nothing_is_hidden_by_what_covers_nothing_or_lies_elsewhere() {
    let host = host();
    let root = host.root();
    let home = "mount -t tmpfs none \"$H/home\"";
    let srv = host.path("srv");
    for (set_up, arguments) in [
        ("mount -t tmpfs none \"$H/empty\"", scan(&srv).to_vec()),
        ("mount -t tmpfs none \"$H/empty\"", scan(&root).to_vec()),
        ("mount --bind \"$H/home\" \"$H/home\"", scan(&root).to_vec()),
        (home, scan(&srv).to_vec()),
        (
            home,
            ["scan", "--format", "json", "--root", root.to_str().unwrap()].to_vec(),
        ),
        (home, [&scan(&root)[..], &["--exclude", "**/home"]].concat()),
    ] {
        let Some(ran) = within(&host, set_up, &arguments) else {
            return;
        };
        assert_eq!(hidden(&ran), [""; 0], "{set_up} {arguments:?}");
        assert_eq!(ran.summary()["complete"], true, "{set_up} {arguments:?}");
    }
}

#[test]
fn without_a_sandbox_nothing_is_hidden() {
    let host = host();
    let ran = Rolecall::new(scan(&host.root())).run();
    assert_eq!(
        (hidden(&ran), ran.status),
        (Vec::new(), 1),
        "{}",
        ran.stdout
    );
}

//! What a scan takes from the workload: neither its disk nor its page cache.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::process::Command;

use rustix::fs::{Advice, fadvise};

use crate::support::rolecall::Rolecall;

#[test]
fn the_disk_is_left_to_others() {
    // A large tree gives the time to look at the scan from outside.
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_rolecall"))
        .args(["scan", "--quiet", "/usr"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let idle = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        let output = std::process::Command::new("ionice")
            .args(["-p", &child.id().to_string()])
            .output()
            .expect("ionice runs");
        String::from_utf8_lossy(&output.stdout).trim() == "idle"
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(idle);
}

/// Bytes of a file that are in the page cache.
fn cached(path: &std::path::Path) -> u64 {
    let output = Command::new("fincore")
        .args(["--bytes", "--noheadings", "--output", "RES"])
        .arg(path)
        .output()
        .expect("fincore runs");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().expect("a number of bytes")
}

#[test]
fn the_page_cache_is_as_it_was() {
    const MIB: u64 = 1024 * 1024;
    // Not below /tmp, which may be in memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = dir.path().join("data");
    let mut file = File::create(&path).unwrap();
    file.write_all(&b".".repeat(16 << 20)).unwrap();
    file.sync_all().unwrap();
    drop(file);
    let file = File::open(&path).unwrap();
    let drop_all = || {
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        fadvise(&file, 0, None, Advice::Random).unwrap();
    };
    let scan = || Rolecall::new(["scan"]).arg(&path).run();
    drop_all();
    assert_eq!(cached(&path), 0, "this file system cannot drop pages");

    assert_eq!(scan().status, 0);
    assert!(
        cached(&path) <= 256 * 1024,
        "{} bytes stay of a cold file",
        cached(&path)
    );

    // The workload's first mebibytes stay, the rest is dropped again.
    drop_all();
    (&file).take(4 * MIB).read_to_end(&mut Vec::new()).unwrap();
    let before = cached(&path);
    assert_eq!(scan().status, 0);
    let after = cached(&path);
    assert!(
        after >= before && after <= before + 256 * 1024,
        "{before} then {after}"
    );

    // A hot file stays hot.
    fs::read(&path).unwrap();
    assert_eq!(scan().status, 0);
    assert_eq!(cached(&path), 16 * MIB);
}

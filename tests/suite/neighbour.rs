//! What a scan takes from the workload: neither its disk nor its page cache.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, Write as _};
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
    /// What the kernel may keep of the file's end.
    const SLACK: u64 = 256 * 1024;
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
    let scan = || assert_eq!(Rolecall::new(["scan"]).arg(&path).run().status, 0);
    drop_all();
    assert_eq!(cached(&path), 0, "this file system cannot drop pages");

    // Dropping is advice: pages that another processor has in hand just then
    // stay, on a busy machine many of them. So one quiet try has to do.
    usually(|| {
        drop_all();
        scan();
        let stays = cached(&path);
        (stays <= SLACK)
            .then_some(())
            .ok_or(format!("{stays} bytes stay of a cold file"))
    });
    // The workload's first mebibytes stay, the rest is dropped again.
    usually(|| {
        drop_all();
        (&file).take(4 * MIB).read_to_end(&mut Vec::new()).unwrap();
        (&file).rewind().unwrap();
        let before = cached(&path);
        scan();
        let after = cached(&path);
        (before..=before + SLACK)
            .contains(&after)
            .then_some(())
            .ok_or(format!("{before} then {after}"))
    });
    // A hot file stays hot.
    usually(|| {
        fs::read(&path).unwrap();
        scan();
        let stays = cached(&path);
        (stays == 16 * MIB)
            .then_some(())
            .ok_or(format!("{stays} bytes stay of a hot file"))
    });
}

/// Tries a few times; fails as the last try did.
fn usually(mut attempt: impl FnMut() -> Result<(), String>) {
    let mut last = String::new();
    for _ in 0..10 {
        match attempt() {
            Ok(()) => return,
            Err(why) => last = why,
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    panic!("{last}");
}

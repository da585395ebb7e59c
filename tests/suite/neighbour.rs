//! What a scan takes from the workload: neither its disk nor its page cache.

use std::fs::{self, File};
use std::io::{IoSliceMut, Read as _, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use rustix::fs::{Advice, fadvise};
use rustix::io::{ReadWriteFlags, preadv2};

use crate::support::host::Host;
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

#[test]
fn what_is_read_more_than_once_does_not_stay_either() {
    // Not below /tmp, which may be in memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let root = dir.path().canonicalize().unwrap();
    let pair = Host::new().key_pair();
    let mut noise = vec![0; 300_000];
    fastrand::Rng::with_seed(1).fill(&mut noise);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&noise).unwrap();
    let files = [
        ("srv/noise.gz", gzip.finish().unwrap()),
        ("srv/app.env", pair.env().into_bytes()),
        (
            "var/lib/cloud/instance/user-data.txt",
            b"#!/bin/sh\n".repeat(20_000),
        ),
        (
            "etc/systemd/system/app.service",
            b"[Service]\nEnvironmentFile=/srv/app.env\n".to_vec(),
        ),
    ];
    let files = files.map(|(name, content)| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let file = File::open(&path).unwrap();
        file.sync_all().unwrap();
        (path, file)
    });
    usually(|| {
        for (_, file) in &files {
            fadvise(file, 0, None, Advice::DontNeed).unwrap();
        }
        let ran = Rolecall::new(["scan", "--root"]).arg(&root).run();
        assert_eq!(ran.status, 1, "{}", ran.stdout);
        let stays = files.iter().map(|(path, _)| (path, cached(path)));
        let stays: Vec<_> = stays.filter(|(_, bytes)| *bytes > 0).collect();
        stays
            .is_empty()
            .then_some(())
            .ok_or(format!("{stays:?} stay"))
    });
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn pages_of_the_workload_stay_wherever_they_are_in_a_file() {
    const PAGE: u64 = 4096;
    // Not below /tmp, which may be in memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = dir.path().join("data");
    fs::write(&path, b".".repeat(2 << 20)).unwrap();
    let file = File::open(&path).unwrap();
    file.sync_all().unwrap();
    let flag = ReadWriteFlags::from_bits_retain(0x80);
    if preadv2(&file, &mut [IoSliceMut::new(&mut [0])], 0, flag).is_err() {
        eprintln!("skipped: RWF_DONTCACHE is of Linux 6.14, and not of every file system");
        return;
    }
    usually(|| {
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        fadvise(&file, 0, None, Advice::Random).unwrap();
        for page in [3, 40, 41, 300, 400] {
            file.read_at(&mut [0], page * PAGE).unwrap();
        }
        let before = cached(&path);
        assert_eq!(Rolecall::new(["scan"]).arg(&path).run().status, 0);
        let after = cached(&path);
        (before == 5 * PAGE && after == before)
            .then_some(())
            .ok_or(format!("{before} then {after}"))
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

//! Archives that were committed: what lies in them is told with the commit,
//! the path and the member, and they cost no more than archives in files do.

use std::fs;
use std::process::Command;

use super::repository::{Key, Place, Repository, Scan, scan, scan_with};
use super::{HISTORY, TREE};

/// Runs a command that packs what lies in `folder`; false where a tool is not
/// installed.
#[allow(clippy::print_stderr, reason = "a skip has to be seen")]
fn pack(folder: &std::path::Path, command: &str) -> bool {
    let output = Command::new("bash")
        .args(["-o", "pipefail", "-ec", command])
        .current_dir(folder)
        .output()
        .expect("a shell");
    let told = String::from_utf8_lossy(&output.stderr);
    let absent = output.status.code() == Some(127);
    assert!(output.status.success() || absent, "{command}: {told}");
    if absent {
        eprintln!("skipped: a tool is not installed: {command}");
    }
    !absent
}

/// How often the archives were skipped for a reason, and the first example.
fn skipped(scan: &Scan, reason: &str) -> (u64, String) {
    let skips = scan.coverage["archive"]["skipped"].as_array();
    let skip = skips
        .into_iter()
        .flatten()
        .find(|skip| skip["reason"] == reason);
    skip.map_or((0, String::new()), |skip| {
        let example = skip["examples"][0].as_str().unwrap_or_default();
        (skip["count"].as_u64().unwrap_or(0), example.to_owned())
    })
}

/// Two archives a command: one that stays and one that is deleted again.
struct Committed {
    _place: Place,
    repository: Repository,
    expected: Vec<(Key, String, String, &'static str)>,
}

fn committed() -> Committed {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let work = place.path("work");
    let mut expected = Vec::new();
    for (name, command, member) in [
        ("lib/app.jar", "jar cf \"$OUT\" etc", "!etc/a.ini"),
        ("app.zip", "zip -qr \"$OUT\" etc", "!etc/a.ini"),
        ("app.tar.gz", "tar czf \"$OUT\" etc", "!etc/a.ini"),
        ("a.gz", "gzip -c etc/a.ini >\"$OUT\"", ""),
        (
            "self.run",
            "echo exit >\"$OUT\"; zip -qr - etc | cat >>\"$OUT\"",
            "!etc/a.ini",
        ),
        (
            "war",
            "zip -qr in.zip etc && tar c in.zip | xz >\"$OUT\"",
            "!in.zip!etc/a.ini",
        ),
    ] {
        for (folder, state) in [("kept", TREE), ("gone", HISTORY)] {
            let key = Key::new();
            fs::create_dir_all(work.join("etc")).expect("a folder");
            fs::write(work.join("etc/a.ini"), key.text()).expect("a file");
            let path = format!("{folder}/{name}");
            let out = repository.path.join(&path);
            fs::create_dir_all(out.parent().expect("a folder")).expect("a folder");
            let command = format!("OUT='{}'; {command}", out.display());
            if pack(&work, &command) {
                repository.git(&["add", "--all"]);
                repository.git(&["commit", "--quiet", "--message", "pack"]);
                expected.push((key, format!("{path}{member}"), repository.head(), state));
            }
            fs::remove_dir_all(&work).expect("removed");
        }
    }
    repository.git(&["rm", "-r", "--quiet", "gone"]);
    repository.git(&["commit", "--quiet", "--message", "gone"]);
    Committed {
        _place: place,
        repository,
        expected,
    }
}

impl Committed {
    fn assert_told(&self) {
        let found = scan(&self.repository.path);
        for (key, member, commit, state) in &self.expected {
            let expected = [(Some(member.as_str()), Some(commit.as_str()), *state)];
            assert_eq!(found.told(key), expected);
        }
        let objects = self
            .repository
            .git(&["cat-file", "--batch-all-objects", "--batch-check"]);
        let others = objects.lines().filter(|line| !line.contains(" tree "));
        assert_eq!(found.objects(), others.count() as u64, "each object once");
        for source in ["git", "archive"] {
            assert_eq!(found.coverage[source]["skipped"], serde_json::json!([]));
        }
    }
}

#[test]
fn keys_in_committed_archives_are_told_with_commit_path_and_member() {
    let made = committed();
    assert!(made.expected.len() >= 6, "tar, gzip and xz are there");
    made.assert_told();
    made.repository.git(&["gc", "--quiet", "--prune=now"]);
    made.assert_told();
}

#[test]
fn archives_can_be_left_as_they_are() {
    let made = committed();
    let config = made.repository.path.join("rolecall.toml");
    fs::write(&config, "[scan]\narchives = false\n").expect("a file");
    let config = config.to_str().expect("UTF-8").to_owned();
    let found = scan_with(&made.repository.path, &["--config", &config]);
    assert_eq!(found.findings, Vec::<serde_json::Value>::new());
}

#[test]
fn a_committed_bundle_is_looked_into() {
    let place = Place::new();
    let (inner, outer) = (place.init("inner", &[]), place.init("outer", &[]));
    let key = Key::new();
    inner.commit("a.ini", &key.text());
    outer.commit("readme", "hello\n");
    let bundle = outer.path.join("all");
    let bundle = bundle.to_str().expect("UTF-8");
    inner.git(&["bundle", "create", "--quiet", bundle, "main"]);
    outer.git(&["add", "all"]);
    outer.git(&["commit", "--quiet", "--message", "bundle"]);
    let found = scan(&outer.path.join(".git"));
    let told = found.told(&key);
    let [(Some(member), Some(commit), TREE)] = told[..] else {
        panic!("{told:?}");
    };
    assert!(member.starts_with("all!blob@"), "{member}");
    assert_eq!(commit, outer.head());
}

#[test]
fn an_archive_that_is_too_large_to_be_held_is_streamed() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let (first, last) = (Key::new(), Key::new());
    for (name, key) in [("a.ini", &first), ("z.ini", &last)] {
        repository.write(name, &key.text());
    }
    let command = "head -c 36M /dev/urandom >noise; tar cf big.tar a.ini noise z.ini; \
                   zip -q0 in.zip a.ini noise z.ini; { echo '#!/bin/sh'; cat in.zip; } >self.run; \
                   rm a.ini in.zip noise z.ini";
    assert!(pack(&repository.path, command));
    repository.git(&["-c", "core.compression=1", "add", "--all"]);
    repository.git(&["commit", "--quiet", "--message", "big"]);
    let head = repository.head();
    for packed in [false, true] {
        if packed {
            // None of the two becomes a delta of the other.
            let whole = ["-c", "core.compression=1", "-c", "core.bigFileThreshold=1m"];
            repository.git(&[&whole[..], &["gc", "--quiet"]].concat());
        }
        let found = scan(&repository.path.join(".git"));
        for (key, member) in [(&first, "a.ini"), (&last, "z.ini")] {
            let members = ["big.tar", "self.run"].map(|archive| format!("{archive}!{member}"));
            let expected = members
                .each_ref()
                .map(|member| (Some(member.as_str()), Some(head.as_str()), TREE));
            let mut told = found.told(key);
            told.sort_unstable();
            assert_eq!(told, expected);
        }
        assert_eq!(skipped(&found, "archive-corrupt").0, 0);
        assert_eq!(found.objects(), 3);
    }
}

#[test]
fn damaged_archives_and_bombs_are_told_and_their_beginning_is_read() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let key = Key::new();
    repository.write("a.ini", &key.text());
    let command = "head -c 100000 /dev/urandom >noise; tar czf all a.ini noise; head -c 50000 all >cut; \
                   head -c 300M /dev/zero | xz -1 >bomb; rm a.ini noise all";
    assert!(pack(&repository.path, command));
    repository.git(&["add", "--all"]);
    repository.git(&["commit", "--quiet", "--message", "both"]);
    let found = scan(&repository.path.join(".git"));
    let head = repository.head();
    assert_eq!(
        found.told(&key),
        [(Some("cut!a.ini"), Some(head.as_str()), TREE)]
    );
    for (name, reason) in [("cut", "archive-corrupt"), ("bomb", "archive-limit")] {
        let blob = repository.git(&["rev-parse", &format!("HEAD:{name}")]);
        let (count, example) = skipped(&found, reason);
        assert_eq!(count, 1, "{reason}");
        assert!(example.contains(&format!("!blob {blob}")), "{example}");
    }
}

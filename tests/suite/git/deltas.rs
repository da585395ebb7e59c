//! Versions that a pack holds as deltas are looked at where they changed. What
//! is told of them is what is told of the same versions, each on its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use base64::prelude::*;
use fastrand::Rng;
use serde_json::{Value, json};

use super::repository::{Key, Place, Repository, Scan, scan};

fn read_by(repository: &Repository, input: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .current_dir(&repository.path)
        .args(arguments)
        .stdin(Stdio::from(File::open(input).expect("an input")))
        .status();
    assert!(status.expect("git runs").success(), "git {arguments:?}");
}

fn word(random: &mut Rng) -> &'static str {
    const WORDS: [&str; 12] = [
        "a",
        "secret",
        "of",
        "AKIA",
        "aws",
        "client_secret:",
        "token",
        "lines",
        "that",
        "mean",
        "nothing",
        "9fceb02d0ae598e95dc970b74767f19372d61af8",
    ];
    WORDS[random.usize(..WORDS.len())]
}

fn line(random: &mut Rng) -> String {
    let words: Vec<&str> = (0..random.usize(2..9)).map(|_| word(random)).collect();
    words.join(" ")
}

/// A key as it may be written.
fn key(random: &mut Rng) -> String {
    let text = Key::new().text();
    let apart = |random: &mut Rng| {
        let between: String = (0..random.usize(..60))
            .map(|_| line(random) + "\n")
            .collect();
        text.replace("\naws_secret", &format!("\n{between}aws_secret"))
    };
    match random.u8(..5) {
        0 => text,
        1 => apart(random),
        2 => text.lines().nth(1).unwrap_or_default().to_owned(),
        3 => BASE64_STANDARD.encode(text),
        _ => BASE64_STANDARD.encode(BASE64_STANDARD.encode(text)),
    }
}

fn change(lines: &mut Vec<String>, random: &mut Rng) {
    let at = random.usize(..=lines.len());
    let some = at..lines.len().min(at + random.usize(..8));
    match random.u8(..8) {
        0 | 1 => lines.insert(at, line(random)),
        2 => drop(lines.drain(some)),
        3 => {
            let moved: Vec<String> = lines.drain(some).collect();
            let to = random.usize(..=lines.len());
            lines.splice(to..to, moved);
        }
        4 | 5 => lines.insert(at, key(random)),
        6 => lines.retain(|line| !line.contains("aws_")),
        _ => lines
            .iter_mut()
            .skip(at)
            .take(1)
            .for_each(|line| line.push('x')),
    }
}

/// What `git fast-import` makes a history of.
fn history(random: &mut Rng) -> String {
    let mut text = String::new();
    let mut files: Vec<Vec<String>> = [5, 50, 250, 900]
        .map(|count| (0..count).map(|_| line(random)).collect())
        .into();
    for commit in 0..120 {
        let _ = write!(
            text,
            "commit refs/heads/main\ncommitter A <a@b.c> {} +0000\ndata 1\nm\n",
            1_700_000_000 + commit
        );
        let number = random.usize(..files.len());
        for _ in 0..random.usize(1..4) {
            change(&mut files[number], random);
        }
        let content = files[number].join("\n") + "\n";
        let length = content.len();
        let _ = write!(
            text,
            "M 100644 inline f{number}\ndata {length}\n{content}\n"
        );
    }
    text
}

/// All that is told of each credential and file, but for the store: where it
/// is, and what its files are.
fn told(scan: &Scan) -> BTreeMap<String, Value> {
    let told = |finding: &Value| {
        let mut finding = finding.clone();
        let place = finding["location"].as_object_mut().expect("a location");
        place.remove("path");
        finding["id"] = json!(null);
        finding["file"] = json!(null);
        let name = ["rule", "access_key_id", "secret_fingerprint"].map(|name| &finding[name]);
        (
            format!("{name:?} {}", finding["location"]["member"]),
            finding,
        )
    };
    scan.findings.iter().map(told).collect()
}

#[test]
fn what_deltas_make_is_told_as_it_is_where_each_version_is_whole() {
    let mut random = Rng::with_seed(12);
    let mut count = 0;
    for _ in 0..3 {
        let place = Place::new();
        let [packed, loose] = ["packed", "loose"].map(|name| place.init(name, &["--bare"]));
        let input = place.path("history");
        fs::write(&input, history(&mut random)).expect("written");
        read_by(&packed, &input, &["fast-import", "--quiet"]);
        packed.git(&["repack", "-adfq", "--window=50"]);
        let listed = packed.git(&[
            "verify-pack",
            "--verbose",
            packed.pack().to_str().expect("UTF-8"),
        ]);
        assert!(listed.contains("chain length = 3"), "{listed}");
        read_by(&loose, &packed.pack(), &["unpack-objects", "-q"]);
        let head = packed.git(&["rev-parse", "main"]);
        loose.git(&["update-ref", "refs/heads/main", &head]);
        let [packed, loose] = [&packed, &loose].map(|repository| told(&scan(&repository.path)));
        assert_eq!(packed, loose);
        count += packed.len();
    }
    assert!(count > 100, "{count}");
}

//! The corpus against the real binary: what is in `found` is found, in its
//! place and with its secret, and what is in `silent` is not.

mod database;
mod interleaved;
mod readings;
mod serialized;
mod verdict;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use base64::prelude::*;
use rolecall::finding::secret_fingerprint;
use rolecall::secret::Secret;
use serde_json::Value;

use crate::support::corpus;
use crate::support::host::{Host, KeyPair};
use crate::support::rolecall::Rolecall;
use verdict::Found;

/// A seed that a file happens to suit proves little.
#[test]
fn the_corpus_is_found_and_noise_is_not() {
    let failures: Vec<String> = [1, 20_260_301]
        .into_iter()
        .filter_map(|seed| examine(seed).err())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Scans the corpus as `seed` makes it, and tells every miss in one table.
fn examine(seed: u64) -> Result<(), String> {
    let specimens = corpus::specimens(seed);
    assert!(specimens.len() > 150, "the corpus was not read");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let root = dir.path().canonicalize().expect("a real path");
    for specimen in &specimens {
        let path = root.join(&specimen.path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, &specimen.bytes).expect("a file");
    }
    let mut findings = scan(&root);

    let mut misses = Vec::new();
    for specimen in &specimens {
        let came = findings.remove(&specimen.path).unwrap_or_default();
        let wrong = verdict::wrong(specimen, &came);
        if !wrong.is_empty() {
            misses.push((specimen.path.as_str(), wrong, came));
        }
    }
    for path in findings.keys() {
        misses.push((path, vec!["no such file was planted".into()], Vec::new()));
    }
    if misses.is_empty() {
        return Ok(());
    }
    // The files stay for whoever has to look into them.
    let kept = dir.keep();
    let mut table = format!(
        "seed {seed}: {} of {} files are wrong; they are in {}\n",
        misses.len(),
        specimens.len(),
        kept.display()
    );
    for (path, wrong, came) in &misses {
        writeln!(table, "{path}").expect("a String takes everything");
        for expected in wrong {
            writeln!(table, "    expected  {expected}").expect("a String takes everything");
        }
        for finding in came {
            writeln!(table, "    came      {}", finding.show()).expect("a String takes everything");
        }
    }
    Err(table)
}

/// The findings of `rolecall scan`, by path relative to `root`.
fn scan(root: &Path) -> BTreeMap<String, Vec<Found>> {
    let output = Command::new(env!("CARGO_BIN_EXE_rolecall"))
        .args(["scan", "--format", "json"])
        .arg(root)
        .output()
        .expect("the binary runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "{}: {stderr}",
        output.status
    );
    let mut findings: BTreeMap<String, Vec<Found>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).expect("UTF-8").lines() {
        let value: Value = serde_json::from_str(line).expect("one JSON object a line");
        if value["type"] == "finding" {
            let path = value["location"]["path"].as_str().unwrap_or_default();
            let path = Path::new(path).strip_prefix(root).unwrap_or(path.as_ref());
            findings
                .entry(path.to_string_lossy().into_owned())
                .or_default()
                .push(Found::of(&value));
        }
    }
    findings
}

/// Asserts that each finding is a key with its own secret, in order.
fn assert_pairs(told: &[Value], keys: &[KeyPair]) {
    for (finding, key) in told.iter().zip(keys) {
        let fingerprint = secret_fingerprint(&Secret::new(key.secret.as_bytes()));
        assert_eq!(finding["access_key_id"], key.id.as_str());
        assert_eq!(finding["secret_fingerprint"], fingerprint.as_str());
    }
}

#[test]
fn keys_stay_together_where_a_long_encoded_text_is_read_in_parts() {
    let host = Host::new();
    let keys: Vec<_> = (0..1000).map(|_| host.key_pair()).collect();
    let id_first = |key: &KeyPair| key.env();
    let secret_first = |key: &KeyPair| {
        let lines: Vec<_> = key.env().lines().rev().map(str::to_owned).collect();
        lines.join("\n") + "\n"
    };
    let rows: [&dyn Fn(&KeyPair) -> String; 2] = [&id_first, &secret_first];
    for row in rows {
        let text: String = keys.iter().map(row).collect();
        let path = host.write("keys.b64", BASE64_STANDARD.encode(text));
        let ran = Rolecall::new(["scan", "--format", "json"]).arg(path).run();
        let told = ran.of_type("finding");
        assert_eq!(told.len(), keys.len());
        assert_pairs(&told, &keys);
    }
}

#[test]
fn behind_the_last_id_that_is_told_no_secret_is_given_to_another_one() {
    let host = Host::new();
    let keys: Vec<_> = (0..1100).map(|_| host.key_pair()).collect();
    let id_first = |key: &KeyPair| format!("{},{}\n", key.id, key.secret);
    let secret_first = |key: &KeyPair| format!("{},{}\n", key.secret, key.id);
    let section = |key: &KeyPair| format!("[a]\n{}\n", key.env());
    let rows: [&dyn Fn(&KeyPair) -> String; 3] = [&id_first, &secret_first, &section];
    for (number, row) in rows.into_iter().enumerate() {
        let table: String = keys.iter().map(row).collect();
        let name = format!("{number}.csv");
        for text in [table.clone(), BASE64_STANDARD.encode(&table)] {
            let path = host.write(&name, text);
            let ran = Rolecall::new(["scan", "--format", "json"]).arg(path).run();
            let mut told = ran.of_type("finding");
            // A secret with a name is told without an ID that is not told.
            told.retain(|finding| finding["rule"] != "aws.secret-access-key");
            assert_eq!(told.len(), 1024, "{name}");
            assert_pairs(&told, &keys);
        }
    }
}

/// Nothing under `tests` may look like a key to any scanner, ours included.
#[test]
fn the_repository_itself_holds_nothing_that_looks_like_a_key() {
    let shapes = regex::bytes::Regex::new(concat!(
        r"(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}",
        // Their base64, at each alignment.
        r"|(?:QUtJQ|FLSU[E-H]|BS0lB|QVNJQ|FTSU[E-H]|BU0lB)[A-Za-z0-9+/_-]{20}",
        r"|ABSK[A-Za-z0-9+/]{60}|bedrock-api-key-[A-Za-z0-9+/]{40}",
        r"|-----BEGIN[A-Z ]*PRIVATE KEY",
    ))
    .expect("a regular expression");
    let word = regex::bytes::Regex::new(r"[A-Za-z0-9+/]{40,}").expect("a regular expression");
    let mut suspects = Vec::new();
    for path in files_below(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests"))) {
        let bytes = fs::read(&path).expect("a file of the tests");
        let at = shapes.find(&bytes).map(|found| found.start());
        suspects.extend(at.map(|at| format!("{} at {at}", path.display())));
        for found in word.find_iter(&bytes) {
            let mixed = [
                u8::is_ascii_uppercase as fn(&u8) -> bool,
                u8::is_ascii_lowercase,
                u8::is_ascii_digit,
            ]
            .iter()
            .all(|class| found.as_bytes().iter().any(class));
            if found.len() == 40 && mixed {
                suspects.push(format!("{} at {}", path.display(), found.start()));
            }
        }
    }
    assert!(suspects.is_empty(), "{}", suspects.join("\n"));
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(folder)
        .expect("a folder of the tests")
        .flat_map(|entry| {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

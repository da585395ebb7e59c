//! The corpus against the real binary: what is in `found` is found, in its
//! place and with its secret, and what is in `silent` is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use rolecall::finding::{AccessKeyId, secret_fingerprint};
use rolecall::secret::Secret;
use serde_json::Value;

use crate::support::corpus::{self, Kind, Planted, Specimen};

/// Folders in which not even information is wanted: documentation quotes its
/// examples everywhere, and identifiers are no credentials.
const UTTERLY_SILENT: [&str; 2] = ["silent/documented", "silent/identifiers"];

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
        let wrong = if specimen.is_in("found") {
            found(specimen, &came)
        } else {
            silent(specimen, &came)
        };
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

/// What one `finding` line says, as far as the corpus asks.
#[derive(Debug)]
struct Found {
    rule: String,
    severity: String,
    confidence: String,
    id: Option<String>,
    account: Option<String>,
    fingerprint: Option<String>,
    canary: bool,
    line: Option<u64>,
}

impl Found {
    fn of(value: &Value) -> Self {
        let text = |name: &str| value[name].as_str().map(ToOwned::to_owned);
        Self {
            rule: text("rule").unwrap_or_default(),
            severity: text("severity").unwrap_or_default(),
            confidence: text("confidence").unwrap_or_default(),
            id: text("access_key_id"),
            account: text("account_id"),
            fingerprint: text("secret_fingerprint"),
            canary: value["canary"].as_bool().unwrap_or_default(),
            line: value["location"]["line"].as_u64(),
        }
    }

    fn is_on(&self, lines: &[usize]) -> bool {
        self.line
            .and_then(|line| usize::try_from(line).ok())
            .is_some_and(|line| lines.contains(&line))
    }

    fn is_notable(&self) -> bool {
        !["info", "low"].contains(&self.severity.as_str())
    }

    fn show(&self) -> String {
        let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        format!(
            "{} {}/{} {} account {} secret {} line {}{}",
            self.rule,
            self.severity,
            self.confidence,
            or(&self.id),
            or(&self.account),
            or(&self.fingerprint),
            self.line.map_or("-".into(), |line| line.to_string()),
            if self.canary { " canary" } else { "" }
        )
    }
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

/// What is wrong with the findings in a file of `silent`.
fn silent(specimen: &Specimen, came: &[Found]) -> Vec<String> {
    if UTTERLY_SILENT.iter().any(|folder| specimen.is_in(folder)) {
        return came
            .first()
            .map(|_| "nothing at all".into())
            .into_iter()
            .collect();
    }
    came.iter()
        .find(|found| found.is_notable())
        .map(|_| "nothing at medium or above".into())
        .into_iter()
        .collect()
}

/// What is wrong with the findings in a file of `found`.
fn found(specimen: &Specimen, came: &[Found]) -> Vec<String> {
    let mut wrong = Vec::new();
    // What a finding may rightly be; anything else of weight is an invention.
    let mut explained = BTreeSet::new();
    for planted in &specimen.planted {
        let secrets = of_number(specimen, planted.number, |kind| {
            matches!(kind, Kind::Secret | Kind::Smtp)
        });
        let ids = of_number(specimen, planted.number, Kind::is_access_key_id);
        let wanted = match planted.kind {
            kind if kind.is_access_key_id() => key(planted, &secrets),
            // A part of a key that its ID speaks for.
            _ if !ids.is_empty() => continue,
            Kind::Secret => vec![Wanted {
                rule: vec!["aws.secret-access-key"],
                fingerprint: Some(fingerprint(&planted.text)),
                ..Wanted::at(planted)
            }],
            Kind::Token | Kind::OldToken if !secrets.is_empty() => continue,
            Kind::Token | Kind::OldToken => vec![Wanted {
                rule: vec!["aws.temporary-credentials"],
                ..Wanted::at(planted)
            }],
            Kind::Bedrock | Kind::BedrockShort => vec![Wanted {
                rule: vec!["aws.bedrock-api-key"],
                ..Wanted::at(planted)
            }],
            _ => vec![Wanted {
                rule: vec!["aws.ses-smtp-credentials"],
                fingerprint: Some(fingerprint(&planted.text)),
                ..Wanted::at(planted)
            }],
        };
        for wanted in wanted {
            let met: Vec<usize> = (0..came.len())
                .filter(|i| wanted.is_met(&came[*i]))
                .collect();
            if met.is_empty() {
                wrong.push(wanted.show());
            }
            explained.extend(met);
        }
    }
    // Wherever something is amiss already, what came instead is listed below
    // it; only an addition to what was right has to be named here.
    if wrong.is_empty() {
        wrong.extend(
            (0..came.len())
                .filter(|i| !explained.contains(i) && came[*i].is_notable())
                .map(|i| format!("no other finding than those planted: {}", came[i].rule)),
        );
    }
    wrong
}

fn of_number(specimen: &Specimen, number: u32, of: impl Fn(Kind) -> bool) -> Vec<&Planted> {
    let is = |planted: &&Planted| planted.number == number && of(planted.kind);
    specimen.planted.iter().filter(is).collect()
}

fn fingerprint(secret: &str) -> String {
    secret_fingerprint(&Secret::new(secret))
}

/// What is wanted of an access key: a finding for each of its secrets, or one
/// for the ID alone.
fn key(id: &Planted, secrets: &[&Planted]) -> Vec<Wanted> {
    let parsed = AccessKeyId::parse(id.text.as_bytes()).expect("the shape of an ID");
    let base = Wanted {
        id: Some(id.text.clone()),
        account: Some(parsed.account_id()),
        canary: id.kind == Kind::Canary,
        ..Wanted::at(id)
    };
    let long_term = parsed.is_long_term();
    if secrets.is_empty() {
        let mut rule = vec!["aws.access-key-id"];
        if !long_term {
            rule.push("aws.temporary-credentials");
        }
        return vec![Wanted {
            rule,
            severity: (id.kind == Kind::Id).then_some("medium"),
            unsure: id.kind == Kind::Unissued,
            ..base
        }];
    }
    secrets
        .iter()
        .map(|secret| Wanted {
            rule: vec![match (secret.kind, long_term) {
                (Kind::Smtp, _) => "aws.ses-smtp-credentials",
                (_, true) => "aws.access-key-pair",
                (_, false) => "aws.temporary-credentials",
            }],
            severity: long_term.then_some("critical"),
            fingerprint: Some(fingerprint(&secret.text)),
            ..base.clone()
        })
        .collect()
}

/// A finding that has to come.
#[derive(Debug, Clone)]
struct Wanted {
    /// Any of these.
    rule: Vec<&'static str>,
    severity: Option<&'static str>,
    /// Whether the confidence must not be high.
    unsure: bool,
    id: Option<String>,
    /// The account to be named, or that none may be; `None`: no matter.
    account: Option<Option<String>>,
    fingerprint: Option<String>,
    canary: bool,
    lines: Vec<usize>,
}

impl Wanted {
    fn at(planted: &Planted) -> Self {
        Self {
            rule: Vec::new(),
            severity: None,
            unsure: false,
            id: None,
            account: None,
            fingerprint: None,
            canary: false,
            lines: planted.lines.clone(),
        }
    }

    fn is_met(&self, found: &Found) -> bool {
        let alone = self.id.is_some() && self.fingerprint.is_none();
        self.rule.contains(&found.rule.as_str())
            && found.is_on(&self.lines)
            && self
                .severity
                .is_none_or(|severity| severity == found.severity)
            && !(self.unsure && found.confidence == "high")
            && (self.id.is_none() || self.id == found.id)
            && self
                .account
                .as_ref()
                .is_none_or(|account| *account == found.account)
            && (self.fingerprint.is_none() || self.fingerprint == found.fingerprint)
            && !(alone && found.fingerprint.is_some())
            && self.canary == found.canary
    }

    fn show(&self) -> String {
        let mut text = self.rule.join(" or ");
        let mut say = |what: String| {
            text.push(' ');
            text.push_str(&what);
        };
        if let Some(severity) = self.severity {
            say(severity.into());
        }
        if self.unsure {
            say("not of high confidence".into());
        }
        if let Some(id) = &self.id {
            say(id.clone());
        }
        if let Some(account) = &self.account {
            say(format!("account {}", account.as_deref().unwrap_or("-")));
        }
        say(match &self.fingerprint {
            Some(fingerprint) => format!("secret {fingerprint}"),
            None => "secret -".into(),
        });
        say(format!("line {:?}", self.lines));
        if self.canary {
            say("canary".into());
        }
        text
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

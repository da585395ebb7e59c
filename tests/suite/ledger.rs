//! The memory of the service, driven through its own interface on real files.

mod bounds;
pub(crate) mod crash;
mod faults;
mod model;
mod power_cut;

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use rolecall::finding::{Confidence, Finding, Location, Rule, Severity, SourceKind, finding_id};
use rolecall::ledger::{
    Changes, Class, Entry, Error, Fate, Ledger, Limits, Notice, Open, Pass, Standing, Transition,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn finding(path: &str) -> Finding {
    let location = Location {
        path: Some(path.into()),
        line: Some(1),
        ..Location::new(SourceKind::File)
    };
    Finding {
        id: finding_id(["", "sha256:0123456789abcdef"], &location),
        rule: Rule::SecretAccessKey,
        severity: Severity::High,
        confidence: Confidence::High,
        title: "a secret".into(),
        access_key_id: None,
        account_id: None,
        same_account: None,
        canary: false,
        secret_fingerprint: Some("sha256:0123456789abcdef".into()),
        verified: None,
        location,
        also_in: Vec::new(),
        occurrences: 1,
        file: None,
        usage: None,
        controls: &[],
        remediation: "remove it".to_owned().into(),
    }
}

/// A directory where a sync costs nothing, if there is one.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

fn open(dir: &Path) -> Ledger {
    Ledger::open(dir, Limits::default(), at(0)).unwrap().0
}

fn entry(transition: &Transition<'_>) -> Entry {
    let (class, id, times) = match transition {
        Transition::Opened { finding, reopened } => (Class::Opened, &finding.id, *reopened),
        Transition::Changed { open, .. } => (Class::Changed, &open.id, open.reopened),
        Transition::Resolved { open, .. } => (Class::Resolved, &open.id, open.reopened),
    };
    Entry {
        id: format!("{}-{id}-{times}", class.name()),
        timestamp_ms: 0,
        class,
        body: format!("{{\"finding\":\"{id}\"}}"),
    }
}

fn try_record(
    ledger: &mut Ledger,
    found: &[Finding],
    standing: Standing,
    now: Timestamp,
) -> Result<(Changes, Vec<String>), Error> {
    let mut told = Vec::new();
    let pass = Pass {
        found,
        standing: &|_: &Open| standing,
    };
    let changes = ledger.record(&pass, now, &mut |transition| {
        let entry = entry(transition);
        told.push(entry.id.clone());
        Some(entry)
    })?;
    Ok((changes, told))
}

fn record(
    ledger: &mut Ledger,
    found: &[Finding],
    standing: Standing,
    now: Timestamp,
) -> (Changes, Vec<String>) {
    try_record(ledger, found, standing, now).unwrap()
}

#[test]
fn a_finding_is_opened_once_resolved_once_and_its_events_wait_in_order() {
    let dir = in_memory();
    let (mut ledger, notices) = Ledger::open(dir.path(), Limits::default(), at(0)).unwrap();
    assert_eq!(notices, [Notice::Created]);
    let found = [finding("/a"), finding("/b")];
    let (changes, _) = record(&mut ledger, &found, Standing::NotLooked, at(0));
    assert_eq!(changes.opened, 2);
    drop(ledger);

    let mut ledger = open(dir.path());
    let (changes, told) = record(&mut ledger, &found[..1], Standing::NotLooked, at(10));
    assert_eq!((changes, told.len()), (Changes::default(), 0));
    let (changes, _) = record(&mut ledger, &found[..1], Standing::Gone, at(20));
    assert_eq!(changes.resolved, 1);
    let left = ledger.open_findings().unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].first_seen, left[0].last_seen), (at(0), at(20)));

    let pending = ledger.pending(10, usize::MAX).unwrap();
    let ids: Vec<_> = pending.iter().map(|q| q.entry.id.clone()).collect();
    assert_eq!(
        ids,
        [
            format!("opened-{}-0", found[0].id),
            format!("opened-{}-0", found[1].id),
            format!("resolved-{}-0", found[1].id),
        ]
    );
    let fates = [
        (pending[0].seq, Fate::Accepted),
        (pending[1].seq, Fate::Rejected("too-old".into())),
    ];
    ledger.settle(&fates).unwrap();
    let depth = ledger.depth().unwrap();
    assert_eq!(
        (depth.events, depth.accepted, depth.rejected["too-old"]),
        (1, 1, 1)
    );
    assert_eq!(
        ledger.resolutions(at(0)).unwrap().mean.unwrap().as_secs(),
        20
    );
    assert_eq!(ledger.count_open().unwrap().credentials, 1);
}

#[test]
fn what_is_not_known_any_more_has_not_changed() {
    let dir = in_memory();
    let mut ledger = open(dir.path());
    let seen = |same_account| {
        [Finding {
            same_account,
            ..finding("/a")
        }]
    };
    record(&mut ledger, &seen(Some(false)), Standing::NotLooked, at(0));
    for (same_account, changed) in [(None, 0), (Some(false), 0), (None, 0), (Some(true), 1)] {
        let found = seen(same_account);
        let (changes, _) = record(&mut ledger, &found, Standing::NotLooked, at(1));
        assert_eq!(changes.changed, changed, "{same_account:?}");
    }
    let json = &ledger.open_findings().unwrap()[0].json;
    assert!(json.contains("\"same_account\":true"), "{json}");
}

#[test]
fn only_its_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = in_memory();
    let state = dir.path().join("below/state");
    let mut ledger = open(&state);
    record(&mut ledger, &[finding("/a")], Standing::NotLooked, at(0));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&state), 0o700);
    let mut files = 0;
    for entry in fs::read_dir(&state).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
        files += 1;
    }
    assert_eq!(files, 2, "the ledger and its journal");
}

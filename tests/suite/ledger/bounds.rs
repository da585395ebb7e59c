//! What the ledger may grow to, and who leaves when it is full.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rolecall::finding::Finding;
use rolecall::ledger::{Class, Entry, FILE_NAME, Fate, Ledger, Limits, RESOLVED_FOR, Standing};

use super::{at, finding, in_memory, open, record};

fn event(class: Class, n: usize, bytes: usize) -> Entry {
    Entry {
        id: format!("{}-{n}", class.name()),
        timestamp_ms: 0,
        class,
        body: "x".repeat(bytes),
    }
}

fn waiting(ledger: &Ledger) -> Vec<String> {
    let pending = ledger.pending(usize::from(u16::MAX), usize::MAX).unwrap();
    pending.into_iter().map(|queued| queued.entry.id).collect()
}

#[test]
fn the_oldest_and_least_telling_events_leave_a_full_outbox_and_are_counted() {
    let dir = in_memory();
    let size = event(Class::Opened, 0, 1000).size();
    let limits = Limits {
        outbox_bytes: 8 * size + 100,
        ..Limits::default()
    };
    let mut ledger = Ledger::open(dir.path(), limits, at(0)).unwrap().0;
    let of = |class, n| event(class, n, 1000 - class.name().len() + "opened".len());
    let mut enqueue = |class, n| ledger.enqueue(&[of(class, n)], at(0)).unwrap();
    let order = [
        Class::Opened,
        Class::Heartbeat,
        Class::Changed,
        Class::Resolved,
        Class::Posture,
        Class::Coverage,
        Class::Opened,
        Class::Opened,
    ];
    for (n, class) in order.into_iter().enumerate() {
        assert_eq!(enqueue(class, n), 0);
    }
    let mut lost = 0;
    for n in 10..19 {
        lost += enqueue(Class::Opened, n);
    }
    assert_eq!(lost, 9);
    // Even the newest of a lesser class gives way.
    assert_eq!(enqueue(Class::Heartbeat, 20), 1);
    let depth = ledger.depth().unwrap();
    assert_eq!(depth.events, 8);
    assert!(depth.bytes <= limits.outbox_bytes);
    let counted = [
        (Class::Opened, 4),
        (Class::Changed, 1),
        (Class::Resolved, 1),
        (Class::Posture, 1),
        (Class::Coverage, 1),
        (Class::Heartbeat, 2),
    ];
    assert_eq!(depth.lost, BTreeMap::from(counted));
    let kept: Vec<_> = (11..19).map(|n| format!("opened-{n}")).collect();
    assert_eq!(waiting(&ledger), kept);

    let mut ledger = Ledger::open(dir.path(), limits, at(0)).unwrap().0;
    assert_eq!(ledger.depth().unwrap(), depth, "counted for good");
    let huge = event(Class::Opened, 99, 10_000);
    assert_eq!(ledger.enqueue(&[huge], at(0)).unwrap(), 9);
}

#[test]
fn an_event_that_left_while_it_was_being_delivered_is_counted_once() {
    let dir = in_memory();
    let mut ledger = open(dir.path());
    ledger
        .enqueue(&[event(Class::Opened, 0, 10)], at(0))
        .unwrap();
    let seq = ledger.pending(1, 0).unwrap()[0].seq;
    for _ in 0..2 {
        ledger.settle(&[(seq, Fate::Accepted)]).unwrap();
    }
    assert_eq!(ledger.depth().unwrap().accepted, 1);
    ledger
        .enqueue(&[event(Class::Opened, 1, 10)], at(0))
        .unwrap();
    assert!(
        ledger.pending(1, 0).unwrap()[0].seq > seq,
        "never given again"
    );
}

#[test]
fn events_are_taken_a_batch_at_a_time_whatever_their_size() {
    let dir = in_memory();
    let mut ledger = open(dir.path());
    let events: Vec<_> = (0..9)
        .map(|n| event(Class::Opened, n, 100 * n + 1))
        .collect();
    ledger.enqueue(&events, at(7)).unwrap();
    let count = |events, bytes| ledger.pending(events, bytes).unwrap().len();
    assert_eq!(count(4, usize::MAX), 4);
    assert_eq!(
        count(9, 304),
        3,
        "1, 101 and 201 bytes are one less than fits"
    );
    assert_eq!(count(9, 0), 1, "one in any case");
    assert_eq!(count(0, usize::MAX), 0);
    assert_eq!(ledger.depth().unwrap().oldest, Some(at(7)));
}

#[test]
fn a_finding_that_does_not_fit_keeps_out_no_other() {
    let dir = in_memory();
    let mut ledger = open(dir.path());
    let large = Finding {
        title: "x".repeat(9 << 20).into(),
        ..finding("/b")
    };
    let found = [finding("/a"), large, finding("/c")];
    let (changes, told) = record(&mut ledger, &found, Standing::Gone, at(0));
    assert_eq!((changes.opened, changes.not_taken, told.len()), (2, 1, 2));
    assert_eq!(ledger.open_findings().unwrap().len(), 2);
}

#[test]
fn findings_beyond_the_limit_are_not_taken_until_others_are_resolved() {
    let dir = in_memory();
    let limits = Limits {
        open_findings: 2,
        ..Limits::default()
    };
    let mut ledger = Ledger::open(dir.path(), limits, at(0)).unwrap().0;
    let found = ["/a", "/b", "/c"].map(finding);
    let (changes, told) = record(&mut ledger, &found, Standing::NotLooked, at(0));
    assert_eq!((changes.opened, changes.not_taken, told.len()), (2, 1, 2));
    let (changes, _) = record(&mut ledger, &found[1..], Standing::Gone, at(1));
    assert_eq!((changes.resolved, changes.not_taken), (1, 1));
    let (changes, _) = record(&mut ledger, &found[1..], Standing::Gone, at(2));
    assert_eq!((changes.opened, changes.not_taken), (1, 0));
}

#[test]
fn resolved_findings_are_remembered_for_a_time_and_give_the_time_to_resolve() {
    let dir = in_memory();
    let mut ledger = open(dir.path());
    let ninety_days = i64::try_from(RESOLVED_FOR.as_secs()).unwrap();
    record(
        &mut ledger,
        &["/a", "/b"].map(finding),
        Standing::NotLooked,
        at(0),
    );
    record(&mut ledger, &[finding("/b")], Standing::Gone, at(10));
    record(&mut ledger, &[], Standing::Gone, at(40));
    let all = ledger.resolutions(at(0)).unwrap();
    assert_eq!((all.count, all.mean), (2, Some(Duration::from_secs(25))));
    assert_eq!(all.newest, [40, 10].map(Duration::from_secs));
    assert_eq!(ledger.resolutions(at(11)).unwrap().newest.len(), 1);
    assert_eq!(ledger.resolutions(at(41)).unwrap().mean, None);

    let (_, told) = record(&mut ledger, &[finding("/a")], Standing::Gone, at(50));
    assert!(told[0].ends_with("-1"), "{told:?}");
    record(&mut ledger, &[], Standing::Gone, at(41 + ninety_days));
    let found = ["/a", "/b"].map(finding);
    let (_, told) = record(&mut ledger, &found, Standing::Gone, at(42 + ninety_days));
    assert!(told[0].ends_with("-2"), "{told:?}");
    assert!(told[1].ends_with("-0"), "forgotten: {told:?}");
}

#[test]
fn a_life_of_many_findings_events_and_sweeps_does_not_let_the_file_grow() {
    let dir = in_memory();
    let mut ledger = open(dir.path());
    let size = || fs::metadata(dir.path().join(FILE_NAME)).unwrap().len();
    let mut sizes = Vec::new();
    for round in 0..5u32 {
        let found: Vec<_> = (0..4000)
            .map(|n| finding(&format!("/{round}/{n}")))
            .collect();
        let now = at(i64::from(round) * 100);
        record(&mut ledger, &found, Standing::Gone, now);
        let mut hashes: Vec<u64> = (0..20_000)
            .map(|n| (n ^ u64::from(round)).wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .collect();
        hashes.sort_unstable();
        ledger
            .store_scan_cache(&format!("rules-{}", round / 2), &hashes)
            .unwrap();
        loop {
            let pending = ledger.pending(5000, usize::MAX).unwrap();
            if pending.is_empty() {
                break;
            }
            let fates: Vec<_> = pending.iter().map(|q| (q.seq, Fate::Accepted)).collect();
            ledger.settle(&fates).unwrap();
        }
        sizes.push(size());
    }
    assert!(sizes[4] < sizes[3] + 200_000, "{sizes:?}");
    assert!(sizes[4] < 8_000_000, "{sizes:?}");
    record(&mut ledger, &[], Standing::Gone, at(10_000));
    let after = size();
    assert!(
        after + 1_000_000 < sizes[4],
        "room is given back: {sizes:?} {after}"
    );
}

#[test]
fn the_scan_cache_is_what_was_stored_for_these_rules() {
    let dir = in_memory();
    let mut ledger = open(dir.path());
    let key = ledger.scan_cache_key();
    assert!(ledger.load_scan_cache("").unwrap().is_empty());
    let mut rng = fastrand::Rng::with_seed(1);
    let mut hashes: Vec<u64> = (0..50_000).map(|_| rng.u64(..)).collect();
    hashes.extend([0, 1, u64::MAX]);
    hashes.sort_unstable();
    ledger.store_scan_cache("1", &hashes).unwrap();
    assert_eq!(ledger.load_scan_cache("1").unwrap(), hashes);
    assert!(ledger.load_scan_cache("2").unwrap().is_empty());
    hashes.retain(|hash| hash >> 60 != 7);
    hashes.push(u64::MAX);
    ledger.store_scan_cache("1", &hashes).unwrap();
    drop(ledger);
    let mut ledger = open(dir.path());
    assert_eq!(ledger.load_scan_cache("1").unwrap(), hashes);
    assert_eq!(ledger.scan_cache_key(), key);
    ledger.store_scan_cache("2", &[5]).unwrap();
    assert_eq!(ledger.load_scan_cache("2").unwrap(), [5]);
    assert!(ledger.load_scan_cache("1").unwrap().is_empty());
    let other = in_memory();
    assert_ne!(open(other.path()).scan_cache_key(), key);
}

#[test]
fn credentials_are_counted_once_wherever_they_stand() {
    use rolecall::finding::{AccessKeyId, Finding};
    let id = |prefix: &str| AccessKeyId::parse(format!("{prefix}{}", "A2".repeat(8)).as_bytes());
    let with = |path: &str, id: Option<AccessKeyId>, secret: Option<&str>| Finding {
        access_key_id: id,
        secret_fingerprint: secret.map(Into::into),
        ..finding(path)
    };
    let found = [
        with("/pair", id("AKIA"), Some("sha256:1")),
        with("/id", id("AKIA"), None),
        with("/secret", None, Some("sha256:1")),
        with("/temporary", id("ASIA"), Some("sha256:2")),
        with("/other-secret", None, Some("sha256:3")),
        with("/posture", None, None),
    ];
    let dir = in_memory();
    let mut ledger = open(dir.path());
    record(&mut ledger, &found, Standing::Gone, at(0));
    let counts = ledger.count_open().unwrap();
    assert_eq!((counts.findings, counts.high), (6, 6));
    assert_eq!((counts.credentials, counts.static_credentials), (3, 1));
}

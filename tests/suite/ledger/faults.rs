//! What a disk and an operator can do to the ledger.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rolecall::ledger::{
    Class, Entry, Error, FILE_NAME, Fate, Ledger, Limits, MAX_SET_ASIDE, Notice, Standing,
};
use rusqlite::Connection;

use super::{at, entry, finding, in_memory, open, record, try_record};
use crate::support::tmpfs::Tmpfs;

fn try_open(dir: &Path) -> Result<(Ledger, Vec<Notice>), Error> {
    Ledger::open(dir, Limits::default(), at(0))
}

fn filled(dir: &Path) -> Ledger {
    let mut ledger = open(dir);
    let found: Vec<_> = (0..40).map(|n| finding(&format!("/{n}"))).collect();
    record(&mut ledger, &found, Standing::NotLooked, at(0));
    let hashes: Vec<u64> = (0..4096).map(|n: u64| n << 51).collect();
    ledger.store_scan_cache("rules-1", &hashes).unwrap();
    ledger
}

fn heartbeat(n: usize, bytes: usize) -> Entry {
    Entry {
        id: n.to_string(),
        timestamp_ms: 0,
        class: Class::Heartbeat,
        body: "x".repeat(bytes),
    }
}

/// Makes something at a path.
type Make<'a> = &'a dyn Fn(&Path);

/// What was set aside, by what is told of it.
fn set_aside(notices: &[Notice]) -> Vec<&PathBuf> {
    notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::SetAside { to, .. } | Notice::Stray { to } => Some(to),
            _ => None,
        })
        .collect()
}

/// Every reading call; corruption may show in any.
fn read_all(ledger: &Ledger) -> Result<(), Error> {
    ledger.open_findings()?;
    ledger.count_open()?;
    ledger.pending(1000, usize::MAX)?;
    ledger.depth()?;
    ledger.load_scan_cache("rules-1")?;
    ledger.fact("sweep")?;
    ledger.resolutions(at(0))?;
    Ok(())
}

/// Whatever is wrong with the file: it is used, or set aside and told, and a
/// working ledger is the result; what shows in use only is told as corrupt and
/// can be set aside then.
fn assert_survives(dir: &Path, what: &str) {
    let (mut ledger, notices) = try_open(dir).unwrap_or_else(|error| panic!("{what}: {error}"));
    for to in set_aside(&notices) {
        assert!(fs::symlink_metadata(to).is_ok(), "{what}: {}", to.display());
    }
    let pass = || [finding("/0"), finding("/new")];
    let used = read_all(&ledger)
        .and_then(|()| try_record(&mut ledger, &pass(), Standing::Gone, at(9)).map(|_| ()))
        .and_then(|()| ledger.set_fact("sweep", &1.into()))
        .and_then(|()| ledger.store_scan_cache("rules-1", &[1, 2]))
        .and_then(|()| read_all(&ledger));
    match used {
        Ok(()) => {}
        Err(Error::Corrupt(why)) => {
            let (fresh, notices) = ledger.set_aside(&why, at(9)).unwrap();
            assert_eq!(set_aside(&notices).len(), 1, "{what}");
            ledger = fresh;
            record(&mut ledger, &pass(), Standing::Gone, at(9));
        }
        Err(error) => panic!("{what}: {error}"),
    }
    let open: Vec<_> = ledger
        .open_findings()
        .unwrap()
        .into_iter()
        .map(|o| o.id)
        .collect();
    assert!(
        pass().iter().all(|finding| open.contains(&finding.id)),
        "{what}"
    );
    drop(ledger);
    let (_, notices) = try_open(dir).unwrap();
    assert_eq!(notices, [], "{what}: the next start is an ordinary one");
}

#[test]
fn a_file_of_anything_is_set_aside_or_used_and_never_a_reason_to_stop() {
    let good = tempfile::tempdir().unwrap();
    drop(filled(good.path()));
    let whole = fs::read(good.path().join(FILE_NAME)).unwrap();
    let mut rng = fastrand::Rng::with_seed(6);
    let mut noise = |bytes: usize| -> Vec<u8> { (0..bytes).map(|_| rng.u8(..)).collect() };
    let headed = [&whole[..100], &noise(20_000)].concat();
    for (what, content) in [
        ("nothing", Vec::new()),
        ("one byte", vec![0]),
        ("a text", b"not a database\n".to_vec()),
        ("noise", noise(50_000)),
        ("a header and noise", headed),
        ("zeros", vec![0; 65_536]),
    ] {
        let dir = in_memory();
        fs::write(dir.path().join(FILE_NAME), content).unwrap();
        assert_survives(dir.path(), what);
    }
    for length in (1..40)
        .map(|n| whole.len() * n / 40)
        .chain([100, 4095, 4096, 4097])
    {
        let dir = in_memory();
        fs::write(dir.path().join(FILE_NAME), &whole[..length]).unwrap();
        assert_survives(dir.path(), &format!("cut at {length}"));
    }
}

#[test]
fn flipped_bits_are_survived() {
    let good = tempfile::tempdir().unwrap();
    drop(filled(good.path()));
    let whole = fs::read(good.path().join(FILE_NAME)).unwrap();
    for seed in 0..150 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut content = whole.clone();
        for _ in 0..rng.usize(1..30) {
            // The beginnings of pages tell what the rest is.
            let page = rng.usize(..whole.len() / 4096) * 4096;
            let within = if rng.bool() { 120 } else { 4096 };
            let at = page + rng.usize(..within);
            content[at] ^= 1 << rng.u8(..8);
        }
        let dir = in_memory();
        fs::write(dir.path().join(FILE_NAME), content).unwrap();
        assert_survives(dir.path(), &format!("seed {seed}"));
    }
}

#[test]
fn corruption_under_a_running_service_is_told_and_can_be_set_aside() {
    let dir = in_memory();
    let mut ledger = filled(dir.path());
    let file = OpenOptions::new()
        .write(true)
        .open(dir.path().join(FILE_NAME))
        .unwrap();
    // As if another process had written, so that nothing is taken from memory.
    file.write_all_at(&[0xa5; 4], 24).unwrap();
    for page in 1..file.metadata().unwrap().len() / 4096 {
        file.write_all_at(&[0xa5; 4096], page * 4096).unwrap();
    }
    let found = [finding("/0")];
    let error = try_record(&mut ledger, &found, Standing::Gone, at(9)).unwrap_err();
    let Error::Corrupt(why) = error else {
        panic!("{error}")
    };
    let (mut ledger, notices) = ledger.set_aside(&why, at(9)).unwrap();
    assert!(notices[0].to_string().contains("will be told anew"));
    let (changes, _) = record(&mut ledger, &found, Standing::Gone, at(9));
    assert_eq!(changes.opened, 1);
}

#[test]
fn files_beside_it_that_are_no_part_of_it_do_it_no_harm() {
    let other = tempfile::tempdir().unwrap();
    let path = other.path().join("other.sqlite");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
             CREATE TABLE other (x); INSERT INTO other SELECT randomblob(9000);",
        )
        .unwrap();
    let wal = fs::read(other.path().join("other.sqlite-wal")).unwrap();
    let shm = fs::read(other.path().join("other.sqlite-shm")).unwrap();

    let dir = in_memory();
    drop(filled(dir.path()));
    let beside = |suffix: &str| dir.path().join(format!("{FILE_NAME}{suffix}"));
    fs::write(beside("-wal"), wal).unwrap();
    fs::write(beside("-shm"), shm).unwrap();
    fs::remove_file(beside("-journal")).unwrap();
    fs::create_dir(beside("-journal")).unwrap();
    let (ledger, notices) = try_open(dir.path()).unwrap();
    assert_eq!(set_aside(&notices).len(), 3, "{notices:?}");
    assert_eq!(ledger.open_findings().unwrap().len(), 40);
    drop(ledger);

    // A journal of another database, as if it had to be put back: nothing in
    // it says whose it is.
    let journal = journal_of_another_database();
    fs::write(beside("-journal"), journal).unwrap();
    assert_survives(dir.path(), "another journal");
}

/// What a process that was killed within a transaction leaves.
fn journal_of_another_database() -> Vec<u8> {
    let dir = in_memory();
    let path = dir.path().join("other.sqlite");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "PRAGMA cache_size = 1; CREATE TABLE other (x);
             INSERT INTO other SELECT randomblob(9000) FROM pragma_module_list;
             BEGIN; UPDATE other SET x = randomblob(9000);",
        )
        .unwrap();
    let journal = fs::read(dir.path().join("other.sqlite-journal")).unwrap();
    assert!(journal.len() > 4096 && journal[0] != 0, "it is hot");
    journal
}

#[test]
fn a_ledger_of_a_later_release_is_set_aside_with_both_versions_named() {
    let dir = in_memory();
    drop(filled(dir.path()));
    Connection::open(dir.path().join(FILE_NAME))
        .unwrap()
        .pragma_update(None, "user_version", 77)
        .unwrap();
    let Err(Error::Corrupt(why)) = Ledger::open_read_only(dir.path()) else {
        panic!("it is not known how to read it");
    };
    assert!(
        why.contains("format 77") && why.contains("knows 1"),
        "{why}"
    );
    let (ledger, notices) = try_open(dir.path()).unwrap();
    assert!(notices[0].to_string().contains("format 77"));
    assert_eq!(ledger.open_findings().unwrap(), []);
    let later = Connection::open(set_aside(&notices)[0]).unwrap();
    let kept: u64 = later
        .query_row("SELECT COUNT(*) FROM content", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, 40, "the later release can have it back");
}

#[test]
fn what_is_no_file_or_not_ours_is_set_aside() {
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("target");
    fs::write(&target, "untouched").unwrap();
    let foreign = |path: &Path| {
        Connection::open(path)
            .unwrap()
            .execute_batch("CREATE TABLE finding (id)")
            .unwrap();
    };
    let makers: [(&str, Make<'_>); 4] = [
        ("a link", &|path| symlink(&target, path).unwrap()),
        ("a directory", &|path| fs::create_dir(path).unwrap()),
        ("a FIFO", &|path| {
            assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
        ("another database", &foreign),
    ];
    for (what, make) in makers {
        let dir = in_memory();
        make(&dir.path().join(FILE_NAME));
        assert!(Ledger::open_read_only(dir.path()).is_err(), "{what}");
        let (_, notices) = try_open(dir.path()).unwrap();
        assert_eq!(set_aside(&notices).len(), 1, "{what}");
        assert_survives(dir.path(), what);
    }
    assert_eq!(fs::read(&target).unwrap(), b"untouched");
}

#[test]
fn only_the_newest_that_were_set_aside_are_kept() {
    let dir = in_memory();
    for n in 0..2 * i64::try_from(MAX_SET_ASIDE).unwrap() {
        fs::write(dir.path().join(FILE_NAME), format!("garbage {n}")).unwrap();
        Ledger::open(dir.path(), Limits::default(), at(n / 2)).unwrap();
    }
    let mut kept: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().contains(".aside-"))
        .filter(|path| !path.to_str().unwrap().ends_with("-journal"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, ["garbage 3", "garbage 4", "garbage 5"]);
}

#[test]
fn a_directory_that_everyone_can_write_is_refused() {
    let dir = in_memory();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(try_open(dir.path()), Err(Error::Exposed { .. })));
}

#[test]
fn a_state_directory_that_is_a_file_is_an_error() {
    let dir = in_memory();
    let path = dir.path().join("state");
    File::create(&path).unwrap();
    assert!(matches!(try_open(&path), Err(Error::Directory { .. })));
    assert!(matches!(
        Ledger::open_read_only(&path.join("below")),
        Err(Error::Directory { .. })
    ));
}

#[test]
fn on_a_full_disk_nothing_is_lost_and_what_was_delivered_can_be_taken_out() {
    let Some(disk) = Tmpfs::mount("size=2m,mode=700") else {
        return;
    };
    let mut ledger = open(&disk.state());
    let first = [finding("/first")];
    record(&mut ledger, &first, Standing::NotLooked, at(0));
    let mut queued = 0;
    let full = loop {
        match ledger.enqueue(&[heartbeat(queued, 50_000)], at(1)) {
            Ok(_) => queued += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, Error::Full), "{full}");
    assert!(queued > 20, "{queued}");
    // Not a byte is left.
    let filler = disk.path("filler");
    while OpenOptions::new()
        .create(true)
        .append(true)
        .open(&filler)
        .and_then(|mut file| std::io::Write::write_all(&mut file, &[0; 512]))
        .is_ok()
    {}
    let mut found = first.to_vec();
    let error = loop {
        found.push(finding(&format!("/{}", found.len())));
        match try_record(&mut ledger, &found, Standing::NotLooked, at(2)) {
            Ok((changes, _)) => assert_eq!(changes.opened, 1),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Full), "{error}");
    assert_eq!(ledger.open_findings().unwrap().len(), found.len() - 1);
    let waiting = ledger.depth().unwrap().events;
    let pending = ledger.pending(10, usize::MAX).unwrap();
    let fates: Vec<_> = pending.iter().map(|q| (q.seq, Fate::Accepted)).collect();
    ledger.settle(&fates).unwrap();
    assert_eq!(ledger.depth().unwrap().accepted, 10);
    drop(ledger);

    // What was delivered made room for what is new.
    let mut ledger = open(&disk.state());
    assert_eq!(ledger.depth().unwrap().events, waiting - 10);
    let (changes, _) = record(&mut ledger, &found, Standing::NotLooked, at(3));
    assert_eq!(changes.opened, 1);
}

#[test]
fn a_disk_without_room_for_a_ledger_is_an_error_and_no_ruin() {
    let Some(disk) = Tmpfs::mount("size=4k,mode=700") else {
        return;
    };
    let error = try_open(&disk.state()).unwrap_err();
    assert!(matches!(error, Error::Full | Error::Io(_)), "{error}");
    assert!(disk.remount("remount,size=4m", &[]));
    let (_, notices) = try_open(&disk.state()).unwrap();
    assert_eq!(set_aside(&notices), Vec::<&PathBuf>::new(), "{notices:?}");
}

#[test]
fn a_read_only_file_system_can_be_read_and_says_so_when_written() {
    let Some(disk) = Tmpfs::mount("size=8m,mode=700") else {
        return;
    };
    drop(filled(&disk.state()));
    assert!(disk.remount("remount,ro", &[]));
    let error = try_open(&disk.state()).unwrap_err();
    assert!(matches!(error, Error::ReadOnly), "{error}");
    let read = Ledger::open_read_only(&disk.state()).unwrap().unwrap();
    assert_eq!(read.open_findings().unwrap().len(), 40);
    let error = try_open(&disk.path("new")).unwrap_err();
    assert!(error.to_string().contains("Read-only"), "{error}");
}

#[test]
fn whoever_reads_sees_what_is_committed_and_writes_nothing() {
    let dir = in_memory();
    assert!(
        Ledger::open_read_only(&dir.path().join("none"))
            .unwrap()
            .is_none()
    );
    assert!(Ledger::open_read_only(dir.path()).unwrap().is_none());
    let mut writer = filled(dir.path());
    let mut reader = Ledger::open_read_only(dir.path()).unwrap().unwrap();
    let error = reader.set_fact("x", &1.into()).unwrap_err();
    assert!(matches!(error, Error::ReadOnly), "{error}");
    let found = [finding("/0")];
    let mut during = 0;
    let pass = rolecall::ledger::Pass {
        found: &found,
        standing: &|_| Standing::Gone,
    };
    writer
        .record(&pass, at(1), &mut |transition| {
            // Half-way through the transaction.
            during = reader.open_findings().unwrap().len();
            Some(entry(transition))
        })
        .unwrap();
    assert_eq!((during, reader.open_findings().unwrap().len()), (40, 1));
}

#[test]
fn a_second_writer_is_told_and_leaves_the_ledger_as_it_is() {
    let dir = in_memory();
    let mut ledger = filled(dir.path());
    let first = ledger.pending(1, 0).unwrap()[0].seq;
    let other = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = ledger.settle(&[(first, Fate::Accepted)]).unwrap_err();
    assert!(matches!(error, Error::Busy), "{error}");
    assert!(matches!(try_open(dir.path()), Err(Error::Busy)));
    other.execute_batch("COMMIT").unwrap();
    // What was delivered meanwhile is not delivered again.
    let next = ledger.pending(1, 0).unwrap()[0].seq;
    assert!(next > first);
    ledger.settle(&[(next, Fate::Accepted)]).unwrap();
    let depth = ledger.depth().unwrap();
    assert_eq!((depth.accepted, depth.events), (2, 38));
}

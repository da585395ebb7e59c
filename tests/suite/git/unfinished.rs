//! Packs that git left unfinished, and objects that are cut short.

use std::fs;
use std::path::{Path, PathBuf};

use super::damage;
use super::repository::{Key, Place, Repository, Scan, scan};

/// The end of a pack: the hash of all of it.
const HASH: usize = 20;

/// A line that compresses to half of it.
fn line(random: &mut fastrand::Rng) -> String {
    format!("{:016x}{:016x}\n", random.u64(..), random.u64(..))
}

/// A pack of small files, none of which is a delta. Each begins with a key.
fn small() -> (Place, Repository, Vec<Key>) {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let keys: Vec<Key> = (0..5).map(|_| Key::new()).collect();
    let mut random = fastrand::Rng::with_seed(5);
    for (number, key) in keys.iter().enumerate() {
        let lines: String = (0..120).map(|_| line(&mut random)).collect();
        repository.write(&format!("{number}.ini"), &(key.text() + &lines));
    }
    repository.git(&["add", "--all"]);
    repository.git(&["commit", "--quiet", "--message", "keys"]);
    repository.git(&["repack", "-adfq", "--window=0"]);
    (place, repository, keys)
}

/// What `git add` makes of files that it does not hold in memory: a pack of them.
/// Each begins with a key and goes on for that many lines.
fn added(lines: &[u32]) -> (Place, Repository, Vec<Key>) {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let keys: Vec<Key> = lines.iter().map(|_| Key::new()).collect();
    let mut random = fastrand::Rng::with_seed(6);
    for (number, key) in keys.iter().enumerate() {
        let rest: String = (0..lines[number]).map(|_| line(&mut random)).collect();
        repository.write(&format!("{number}.sql"), &(key.text() + &rest));
    }
    repository.git(&["-c", "core.bigFileThreshold=20k", "add", "--all"]);
    for number in 0..keys.len() {
        fs::remove_file(repository.path.join(format!("{number}.sql"))).expect("removed");
    }
    (place, repository, keys)
}

fn say_count(bytes: &mut [u8], count: u32) {
    bytes[8..12].copy_from_slice(&count.to_be_bytes());
}

/// Leaves of the only pack what git would if it were killed; where that is.
fn leave_unfinished(pack: &Path, count: u32, cut: usize) -> PathBuf {
    let unfinished = pack.with_file_name("tmp_pack_a1B2c3");
    let mut bytes = fs::read(pack).expect("a pack");
    say_count(&mut bytes, count);
    bytes.truncate(bytes.len() - cut);
    fs::write(&unfinished, bytes).expect("a pack");
    for other in ["pack", "idx", "rev"] {
        let _ = fs::remove_file(pack.with_extension(other));
    }
    unfinished
}

fn assert_each_once(found: &Scan, keys: &[Key]) {
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(found.told(key).len(), 1, "{number}");
    }
    assert_eq!(found.status, 1);
}

#[test]
fn what_an_import_wrote_that_was_killed_is_read() {
    for cut in [0, HASH, HASH + 900] {
        let (_place, repository, keys) = small();
        leave_unfinished(&repository.pack(), 0, cut);
        let found = scan(&repository.path.join(".git"));
        assert_each_once(&found, &keys);
        assert_eq!(found.skipped("git-corrupt"), 0, "what it lacks is nowhere");
    }
}

#[test]
fn large_files_whose_addition_was_killed_are_read() {
    for lines in [&[3000][..], &[3000, 40_000]] {
        let (place, repository, keys) = added(lines);
        let pack = repository.pack();
        let size = fs::metadata(&pack).expect("a pack").len();
        let cut = usize::try_from(size).expect("a size") / 3;
        let unfinished = leave_unfinished(&pack, 1, cut);
        let found = scan(&repository.path.join(".git"));
        assert_each_once(&found, &keys);
        assert_eq!(found.skipped("git-corrupt"), 0);

        // Elsewhere what it lacks may be a loss.
        let lone = place.path("lone.pack");
        fs::copy(unfinished, &lone).expect("a copy");
        let found = scan(&lone);
        assert_each_once(&found, &keys);
        assert_eq!(found.skipped("git-corrupt"), 1);
    }
}

#[test]
fn a_pack_that_has_more_objects_than_it_says_is_read_to_its_end() {
    let (_place, repository, keys) = small();
    let pack = repository.pack();
    fs::remove_file(pack.with_extension("idx")).expect("removed");
    damage(&pack, |bytes| say_count(bytes, 3));
    for stored in [&repository.path.join(".git"), &pack] {
        let found = scan(stored);
        assert_each_once(&found, &keys);
        assert_eq!(found.objects(), 1 + 5);
        assert_eq!(found.skipped("git-corrupt"), 1);
    }
}

#[test]
fn what_comes_before_the_damage_of_an_object_is_read() {
    // Larger than what is held in memory, than what is held twice, and small.
    for lines in [1_100_000, 40_000, 1000] {
        let (_place, repository, keys) = added(&[lines]);
        damage(&repository.pack(), |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle..middle + 100].fill(0x5a);
        });
        let found = scan(&repository.path.join(".git"));
        assert_each_once(&found, &keys);
        assert_eq!(found.skipped("git-corrupt"), 1);
    }
}

#[test]
fn what_deltas_add_to_an_object_that_is_damaged_is_read() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let mut random = fastrand::Rng::with_seed(7);
    let lines: String = (0..500).map(|_| line(&mut random)).collect();
    let key = Key::new();
    // Git keeps the longest one whole.
    repository.commit("a", &(key.text() + &lines));
    repository.commit("a", &(lines.clone() + &lines));
    repository.git(&["repack", "-adfq"]);
    let id = repository.git(&["rev-parse", "HEAD:a"]);
    let pack = repository.pack();
    let listed = repository.git(&["verify-pack", "--verbose", pack.to_str().expect("UTF-8")]);
    let entry = listed.lines().find(|line| line.starts_with(&id));
    let columns: Vec<&str> = entry.expect("a line").split_whitespace().collect();
    assert_eq!(columns.len(), 5, "not a delta");
    let offset: usize = columns[4].parse().expect("a number");
    damage(&pack, |bytes| bytes[offset + 5000..][..100].fill(0x5a));
    let found = scan(&repository.path.join(".git"));
    assert_each_once(&found, &[key]);
    assert_eq!(found.skipped("git-corrupt"), 2);
}

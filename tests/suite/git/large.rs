//! Versions of a file that is too large to be in memory twice.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use super::repository::{Key, Place, scan};

/// Lines of 10 MiB that compress to little.
fn lines() -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(3);
    let mut row = |number: u32| format!("{number:08} {:016x} {:>86}", random.u64(..1 << 20), "row");
    (0..92_000).map(&mut row).collect()
}

#[test]
fn keys_in_versions_of_a_large_file_are_found_each_in_its_own() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let mut lines = lines();
    // At the end, at the start, across two changes, and in what stays.
    let keys: Vec<Key> = (0..4).map(|_| Key::new()).collect();
    let mut commits = Vec::new();
    for (number, at) in [(0, 91_999), (1, 0), (2, 45_000), (3, 45_002)] {
        lines[at] = keys[number].text();
        let mut text = String::new();
        for line in &lines {
            writeln!(text, "{line}").expect("memory");
        }
        commits.push(repository.commit("dump.sql", &text));
        if number < 2 {
            lines[at] = "gone".to_owned();
        }
        lines[at + number / 2 * 7] += " more";
    }
    repository.git(&["repack", "-adfq", "--depth=50"]);
    let deltas = repository.git(&[
        "cat-file",
        "--batch-all-objects",
        "--batch-check=%(deltabase) %(objectsize)",
    ]);
    let is_large_delta = |line: &&str| {
        let (base, size) = line.split_once(' ').expect("two");
        base.bytes().any(|byte| byte != b'0')
            && size.parse::<u64>().is_ok_and(|size| size > 9 << 20)
    };
    assert_eq!(deltas.lines().filter(is_large_delta).count(), 3);
    repository.git(&["bundle", "create", "--quiet", "../bundle", "--all"]);
    // A bundle has no index.
    for stored in [repository.path.join(".git"), place.path("bundle")] {
        let found = scan(&stored);
        for (number, key) in keys.iter().enumerate() {
            let told = found.told(key);
            assert_eq!(told.len(), 1, "{number}: {told:?}");
            assert_eq!(told[0].0, Some("dump.sql"), "{number}");
        }
        assert_eq!(found.told(&keys[0])[0].1, Some(commits[0].as_str()));
        assert_eq!(found.told(&keys[1])[0].1, Some(commits[1].as_str()));
        assert_eq!(found.objects(), 12 - 4);
        assert_eq!(found.status, 1);
    }
}

/// A delta that names its base by its id, as thin packs have them.
#[test]
fn a_version_of_a_large_file_is_read_whose_base_is_told_by_its_id() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let mut lines = lines();
    repository.commit("dump.sql", &lines.join("\n"));
    let key = Key::new();
    lines[50_000] = key.text();
    repository.commit("dump.sql", &lines.join("\n"));
    repository.git(&["config", "repack.useDeltaBaseOffset", "false"]);
    repository.git(&["repack", "-adfq"]);
    let pack = repository.pack();
    let lone = place.path("lone.pack");
    fs::copy(&pack, &lone).expect("a copy");
    for stored in [&pack, &lone] {
        let found = scan(stored);
        assert_eq!(found.told(&key).len(), 1, "{}", stored.display());
        assert_eq!(found.skipped("git-corrupt"), 0, "{}", stored.display());
    }
}

#[test]
fn versions_are_read_of_a_large_file_that_is_in_another_pack() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let mut lines = lines();
    repository.commit("dump.sql", &lines.join("\n"));
    repository.git(&["repack", "-adfq"]);
    let keys = [(); 3].map(|()| Key::new());
    let commits = keys.each_ref().map(|key| {
        lines[50_000] = key.text();
        lines.remove(70_000);
        repository.commit("dump.sql", &lines.join("\n"))
    });
    let script = "printf 'main\n^main~3\n' |
        git pack-objects -q --revs --thin --stdout >pack/tmp_pack_a1B2c3 && rm -r ??";
    let objects = repository.path.join(".git/objects");
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).current_dir(&objects);
    assert!(shell.status().expect("a shell").success());
    // One of these names comes behind that of the other pack, one before it.
    let names = ["tmp_pack_a1B2c3", "pack-.pack"].map(|name| objects.join("pack").join(name));
    for name in &names {
        fs::rename(&names[0], name).expect("renamed");
        let found = scan(&repository.path.join(".git"));
        for (key, commit) in keys.iter().zip(&commits) {
            let told = found.told(key);
            assert_eq!(told.len(), 1, "{}: {told:?}", name.display());
            assert_eq!(told[0].1, Some(commit.as_str()));
        }
        for reason in ["git-corrupt", "git-limit"] {
            assert_eq!(found.skipped(reason), 0, "{}", name.display());
        }
    }
}

#[test]
fn a_version_of_which_nearly_half_is_new_is_read() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let mut lines = lines();
    let keys = [Key::new(), Key::new()];
    lines[90_000] = keys[0].text();
    repository.commit("dump.sql", &lines.join("\n"));
    // Numbers that nothing before has: a delta of more than 4 MiB.
    let mut random = fastrand::Rng::with_seed(4);
    for line in &mut lines[..40_000] {
        *line = (0..7).map(|_| format!("{:016x}", random.u64(..))).collect();
    }
    lines[20_000] = keys[1].text();
    repository.commit("dump.sql", &lines.join("\n"));
    repository.git(&["repack", "-adfq"]);
    let found = scan(&repository.path.join(".git"));
    for key in &keys {
        assert_eq!(found.told(key).len(), 1);
    }
    assert_eq!(found.skipped("git-limit"), 0);
}

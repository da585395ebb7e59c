//! Indexes of packs that are not as git wrote them.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::damage;
use super::repository::{Key, Place, Repository, scan};

/// A repository with one pack of versions, each with a key of its own. Deltas
/// name their base by its id, or by how far it is away.
fn versions(by_id: bool) -> (Place, Repository, Vec<Key>) {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let keys: Vec<Key> = (0..14).map(|_| Key::new()).collect();
    let lines: String = (0..300).map(|line| format!("{}\n", line * 7919)).collect();
    for key in &keys {
        repository.commit("k.ini", &format!("{}{lines}", key.text()));
    }
    let by = if by_id { "" } else { "--delta-base-offset" };
    let script = format!(
        "git rev-list --objects --all | cut -d' ' -f1 | git pack-objects -q --stdout {by} >../p \
         && rm -rf .git/objects/?? && git index-pack --stdin <../p"
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(&repository.path);
    assert!(shell.output().expect("a shell").status.success());
    (place, repository, keys)
}

/// Where in an index a table begins, and how many objects it has.
fn table(index: &Path, name: &str) -> (usize, usize) {
    let bytes = fs::read(index).expect("an index");
    let end = 8 + 256 * 4;
    let count = bytes[end - 4..end].try_into().expect("four bytes");
    let count = usize::try_from(u32::from_be_bytes(count)).expect("few");
    match name {
        "ids" => (end, count),
        "offsets" => (end + count * 24, count),
        _ => panic!("no table {name}"),
    }
}

#[test]
fn an_index_that_is_damaged_costs_nothing_that_its_pack_has() {
    for by_id in [true, false] {
        let (_place, repository, keys) = versions(by_id);
        let index = repository.pack().with_extension("idx");
        let whole = fs::read(&index).expect("an index");
        let sound = scan(&repository.path);
        assert_eq!(sound.skipped("git-corrupt"), 0);
        for (name, width) in [("ids", 20), ("offsets", 4)] {
            let (start, count) = table(&index, name);
            let one = |row: usize| vec![start + row * width + width - 1];
            let every = (start..start + count * width).step_by(3).collect();
            for flipped in [one(0), one(count / 2), every] {
                damage(&index, |bytes| {
                    bytes.clone_from(&whole);
                    for at in &flipped {
                        bytes[*at] ^= 1;
                    }
                });
                let found = scan(&repository.path);
                let what = format!("{name} {by_id} {}", flipped.len());
                for key in &keys {
                    assert_eq!(found.told(key), sound.told(key), "{what}");
                }
                let coverage = &found.coverage["git"]["skipped"];
                assert_eq!(found.skipped("git-corrupt"), 1, "{what}");
                assert_eq!(coverage[0]["examples"][0], index.to_str().expect("UTF-8"));
                assert_eq!(found.objects(), sound.objects(), "{what}");
            }
        }
    }
}

#[test]
fn where_a_pack_is_damaged_as_well_what_its_index_leads_to_is_read() {
    let (_place, repository, keys) = versions(false);
    let pack = repository.pack();
    let index = pack.with_extension("idx");
    let (offsets, _) = table(&index, "offsets");
    damage(&pack, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle..middle + 4].fill(0x5a);
    });
    let told = || {
        let found = scan(&repository.path);
        assert!(found.skipped("git-corrupt") > 0);
        let is_told = |key: &&Key| !found.told(key).is_empty();
        keys.iter().filter(is_told).count()
    };
    let by_index = told();
    damage(&index, |bytes| bytes[offsets - 1] ^= 1);
    assert_eq!(told(), by_index);
}

//! What a repository refers to, and no longer does.

use std::fs;
use std::os::unix::fs::symlink;

use super::repository::{Key, Place, Repository, scan};
use super::{HISTORY, NOWHERE};

/// A repository whose packed references name a commit with a key, which the
/// branch has left since.
fn rewritten(place: &Place) -> (Repository, Key) {
    let repository = place.init("r", &[]);
    let key = Key::new();
    repository.commit("readme", "hello\n");
    repository.commit("k.ini", &key.text());
    repository.git(&["pack-refs", "--all"]);
    rewrite(&repository);
    (repository, key)
}

fn rewrite(repository: &Repository) {
    repository.git(&["rm", "--quiet", "k.ini"]);
    let amend = ["commit", "--quiet", "--amend", "--allow-empty"];
    repository.git(&[&amend[..], &["--message", "better"]].concat());
}

fn state(repository: &Repository, key: &Key) -> String {
    let found = scan(&repository.path);
    let [told] = found.told(key)[..] else {
        panic!("{:?}", found.findings);
    };
    told.2.to_owned()
}

#[test]
fn what_only_an_overridden_line_of_the_packed_references_names_is_unreachable() {
    let place = Place::new();
    let (repository, key) = rewritten(&place);
    assert_eq!(state(&repository, &key), NOWHERE);

    // What the file of the branch says counts, as long as it says something.
    let main = repository.path.join(".git/refs/heads/main");
    fs::write(&main, "").expect("a file");
    assert_eq!(state(&repository, &key), HISTORY);
    fs::remove_file(&main).expect("removed");
    assert_eq!(state(&repository, &key), HISTORY);
    repository.git(&["update-ref", "refs/heads/other", "main~"]);
    fs::write(&main, "ref: refs/heads/other\n").expect("a file");
    assert_eq!(state(&repository, &key), NOWHERE);
    fs::remove_file(&main).expect("removed");
    symlink("refs/heads/other", &main).expect("a link");
    assert_eq!(state(&repository, &key), NOWHERE);
}

#[test]
fn a_packed_tag_that_was_moved_keeps_nothing() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let key = Key::new();
    repository.commit("readme", "hello\n");
    repository.commit("k.ini", &key.text());
    let tag = ["tag", "--force", "--annotate", "--message", "x", "v1"];
    repository.git(&tag);
    repository.git(&["pack-refs", "--all"]);
    rewrite(&repository);
    assert_eq!(state(&repository, &key), HISTORY);
    repository.git(&tag);
    assert_eq!(state(&repository, &key), NOWHERE);
}

#[test]
fn what_a_merge_with_conflicts_made_is_referred_to() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let key = Key::new();
    repository.commit("readme", "hello\n");
    repository.write("k.ini", &key.text());
    repository.git(&["add", "--all"]);
    let tree = repository.git(&["write-tree"]);
    repository.git(&["rm", "--quiet", "--force", "k.ini"]);
    assert_eq!(state(&repository, &key), NOWHERE);
    fs::write(repository.path.join(".git/AUTO_MERGE"), tree + "\n").expect("a file");
    assert_eq!(state(&repository, &key), HISTORY);
}

#[test]
fn what_a_clone_no_longer_has_of_its_origin_is_unreachable() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let key = Key::new();
    repository.commit("readme", "hello\n");
    repository.commit("k.ini", &key.text());
    place.git(&["clone", "--quiet", "r", "clone"]);
    rewrite(&repository);
    let clone = Repository::at(place.path("clone"));
    assert_eq!(state(&clone, &key), "in-working-tree");
    clone.git(&["fetch", "--quiet"]);
    assert_eq!(state(&clone, &key), "in-working-tree");
    clone.git(&["reset", "--quiet", "--hard", "origin/main"]);
    assert_eq!(state(&clone, &key), NOWHERE);
}

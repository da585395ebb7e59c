//! What the index of a working tree names, and what is still in that tree.

use std::fs;

use super::repository::{Key, Place, Repository, scan};
use super::{HISTORY, NOWHERE, TREE};

const STAGED: &str = "in-index-only";

/// A repository in which a key was staged and is still there, was changed
/// behind that, and was removed behind it; nothing was ever committed.
fn staged(options: &[&str], make: &[&[&str]]) -> (Place, Repository, [Key; 3]) {
    let place = Place::new();
    let repository = place.init("r", options);
    let keys = [(); 3].map(|()| Key::new());
    let names = ["a/there.ini", "a/there/changed.ini", "removed.ini"];
    for (name, key) in names.iter().zip(&keys) {
        repository.write(name, &key.text());
    }
    for number in 0..30 {
        repository.write(&format!("a/there/more{number}"), "nothing\n");
    }
    repository.git(&["add", "--all"]);
    repository.write("later", "nothing\n");
    repository.git(&["add", "--intent-to-add", "later"]);
    for arguments in make {
        repository.git(arguments);
    }
    repository.write("a/there/changed.ini", "nothing\n");
    fs::remove_file(repository.path.join("removed.ini")).expect("removed");
    (place, repository, keys)
}

#[test]
fn what_is_staged_is_told_by_its_path_in_every_form_of_the_index() {
    let sha256: &[&str] = &["--object-format=sha256"];
    let forms: [(&[&str], &[&[&str]]); 5] = [
        (&[], &[]),
        (
            &[],
            &[&[
                "update-index",
                "--index-version",
                "2",
                "--force-write-index",
            ]],
        ),
        (&[], &[&["update-index", "--index-version", "4"]]),
        (&[], &[&["update-index", "--split-index"]]),
        (sha256, &[&["update-index", "--index-version", "4"]]),
    ];
    for (options, make) in forms {
        let (_place, repository, keys) = staged(options, make);
        let found = scan(&repository.path);
        for (key, member, state) in [
            (&keys[0], "a/there.ini", TREE),
            (&keys[1], "a/there/changed.ini", STAGED),
            (&keys[2], "removed.ini", STAGED),
        ] {
            assert_eq!(found.told(key), [(Some(member), None, state)], "{make:?}");
        }
    }
}

#[test]
fn of_the_shared_parts_of_an_index_the_one_counts_that_it_names() {
    for options in [&[][..], &["--object-format=sha256"]] {
        let place = Place::new();
        let repository = place.init("r", options);
        repository.git(&["config", "core.splitIndex", "true"]);
        // Each change makes another one.
        repository.git(&["config", "splitIndex.maxPercentChange", "0"]);
        let [gone, staged] = [(); 2].map(|()| Key::new());
        repository.write("gone.ini", &gone.text());
        repository.git(&["add", "gone.ini"]);
        repository.git(&["rm", "--quiet", "--force", "gone.ini"]);
        for number in 0..12 {
            repository.write(&format!("more{number}"), "nothing\n");
            repository.git(&["add", "--all"]);
        }
        repository.write("staged.ini", &staged.text());
        repository.git(&["add", "--all"]);
        repository.write("staged.ini", "nothing\n");
        let state = |key: &Key| scan(&repository.path).told(key)[0].2.to_owned();
        assert_eq!((&*state(&staged), &*state(&gone)), (STAGED, NOWHERE));

        repository.git(&["rm", "--quiet", "--force", "--cached", "staged.ini"]);
        assert_eq!(state(&staged), NOWHERE);
        // Of an index that names none.
        repository.git(&["update-index", "--no-split-index"]);
        assert_eq!(state(&gone), NOWHERE);
    }
}

#[test]
fn a_damaged_index_costs_places_and_nothing_else() {
    let (_place, repository, keys) = staged(&[], &[]);
    let index = repository.path.join(".git/index");
    let whole = fs::read(&index).expect("an index");
    for cut in (0..whole.len()).step_by(97) {
        fs::write(&index, &whole[..cut]).expect("written");
        let found = scan(&repository.path);
        for key in &keys {
            assert_eq!(found.told(key).len(), 1, "of {cut} bytes");
        }
    }
}

#[test]
fn a_file_that_lies_at_two_paths_is_there_for_as_long_as_one_is() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let key = Key::new();
    repository.write("a/first.ini", &key.text());
    let commit = repository.commit("z/second.ini", &key.text());
    fs::remove_file(repository.path.join("a/first.ini")).expect("removed");
    let commit = Some(commit.as_str());
    let told = scan(&repository.path);
    assert_eq!(told.told(&key), [(Some("z/second.ini"), commit, TREE)]);
    fs::remove_file(repository.path.join("z/second.ini")).expect("removed");
    let told = scan(&repository.path);
    assert_eq!(told.told(&key), [(Some("a/first.ini"), commit, HISTORY)]);
}

#[test]
fn a_submodule_has_what_its_working_tree_has() {
    let place = Place::new();
    let inner = place.init("inner", &[]);
    let key = Key::new();
    inner.commit("key.ini", &key.text());
    let outer = place.init("outer", &[]);
    outer.git(&["submodule", "--quiet", "add", "../inner", "sub/module"]);
    let told = |state: &str| {
        let found = scan(&outer.path);
        let told: Vec<_> = found
            .told(&key)
            .iter()
            .map(|told| told.2.to_owned())
            .collect();
        assert_eq!(told, [state]);
    };
    told(TREE);
    fs::remove_file(outer.path.join("sub/module/key.ini")).expect("removed");
    told(HISTORY);
    outer.git(&["submodule", "--quiet", "deinit", "--force", "sub/module"]);
    told(HISTORY);
}

#[test]
fn a_submodule_with_a_sparse_checkout_has_what_its_working_tree_has() {
    let place = Place::new();
    let inner = place.init("inner", &[]);
    inner.commit("there/readme", "hello\n");
    let outer = place.init("outer", &[]);
    outer.git(&["submodule", "--quiet", "add", "../inner", "sub"]);
    let sub = Repository::at(outer.path.join("sub"));
    let key = Key::new();
    sub.commit("there/key.ini", &key.text());
    let told = |state: &str| {
        let found = scan(&outer.path);
        assert_eq!(found.told(&key)[0].2, state);
    };
    told(TREE);
    sub.git(&["sparse-checkout", "set", "there"]);
    told(TREE);
    fs::remove_file(sub.path.join("there/key.ini")).expect("removed");
    told(HISTORY);
    sub.git(&["checkout", "--quiet", "there/key.ini"]);
    told(TREE);
    // What nothing asks for is not read.
    sub.git(&["config", "extensions.worktreeConfig", "false"]);
    told(HISTORY);
}

#[test]
fn what_is_staged_behind_a_path_that_no_file_can_have_is_told() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let key = Key::new();
    repository.commit("a.ini", "nothing\n");
    let blob = repository.git(&["rev-parse", "HEAD:a.ini"]);
    let long = format!("b/{}x", "d".repeat(200) + "/").repeat(25);
    let entry = format!("100644,{blob},{long}");
    repository.git(&["update-index", "--add", "--cacheinfo", &entry]);
    repository.write("z.ini", &key.text());
    repository.git(&["add", "z.ini"]);
    repository.write("z.ini", "nothing\n");
    let found = scan(&repository.path);
    let told = found.told(&key);
    assert_eq!((told[0].0, told[0].2), (Some("z.ini"), STAGED));
}

#[test]
fn what_was_committed_is_not_told_as_staged_alone() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let key = Key::new();
    let commit = repository.commit("slip.ini", &key.text());
    repository.write("slip.ini", &format!("{}region = x\n", key.text()));
    repository.git(&["add", "--all"]);
    let told = |state| [(Some("slip.ini"), Some(commit.as_str()), state)];
    assert_eq!(scan(&repository.path).told(&key), told(TREE));
    repository.write("slip.ini", "region = x\n");
    let found = scan(&repository.path);
    assert_eq!(found.told(&key), told(HISTORY));
    let finding = found.in_git(&key).next().expect("one");
    assert_eq!(finding["occurrences"], 2);
    let title = finding["title"].as_str().expect("a text");
    assert!(title.ends_with("in git history only"), "{title}");
    let remediation = finding["remediation"].as_str().expect("a text");
    assert!(!remediation.contains("index"), "{remediation}");
}

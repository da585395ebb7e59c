//! Repositories to whose objects links lead, and what is lost of them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::repository::{Key, Place, Repository, scan};

/// A repository whose history alone has the key.
fn with_history(place: &Place) -> (Repository, Key) {
    let repository = place.init("r", &[]);
    let key = Key::new();
    repository.commit("k.ini", &key.text());
    repository.commit("k.ini", "nothing\n");
    (repository, key)
}

#[test]
fn a_link_leads_to_the_objects_of_a_working_tree_as_a_file_does() {
    let place = Place::new();
    let (repository, key) = with_history(&place);
    let dot_git = repository.path.join(".git");
    fs::rename(&dot_git, place.path("store")).expect("moved");
    symlink("../store", &dot_git).expect("a link");
    let alone = scan(&repository.path);
    assert_eq!(alone.in_git(&key).count(), 1, "{:?}", alone.coverage);
    assert_eq!(
        alone.objects(),
        scan(&place.path("")).objects(),
        "each once"
    );
}

#[test]
fn a_git_directory_may_have_the_objects_of_another_one() {
    let place = Place::new();
    let (repository, key) = with_history(&place);
    let theirs = repository.path.join(".git");
    let all = scan(&repository.path).objects();
    let own = |name: &str| {
        let directory = place.path(name).join(".git");
        fs::create_dir_all(&directory).expect("a folder");
        for file in ["HEAD", "index"] {
            fs::copy(theirs.join(file), directory.join(file)).expect("a copy");
        }
        directory
    };
    // As git-new-workdir makes it, and as the program repo does.
    let linked = own("linked");
    for name in ["objects", "refs", "logs", "info", "config"] {
        symlink(theirs.join(name), linked.join(name)).expect("a link");
    }
    let common = own("common");
    let named = format!("{}\n", theirs.display());
    fs::write(common.join("commondir"), named).expect("a file");
    fs::create_dir(place.path("project")).expect("a folder");
    symlink("../linked/.git", place.path("project/.git")).expect("a link");
    for name in ["linked", "common", "project"] {
        let alone = scan(&place.path(name));
        assert_eq!(alone.in_git(&key).count(), 1, "{name}");
        assert_eq!(alone.objects(), all, "{name}");
    }
    assert_eq!(scan(&place.path("")).objects(), all, "each once");
}

#[test]
fn a_working_tree_without_a_git_directory_is_told() {
    let place = Place::new();
    let tree = |name: &str| {
        let tree = place.path(name);
        fs::create_dir(&tree).expect("a folder");
        tree
    };
    let file = tree("file");
    fs::write(file.join(".git"), "gitdir: /nonexistent/.git/worktrees/w\n").expect("a file");
    let link = tree("link");
    symlink("/nonexistent/.git", link.join(".git")).expect("a link");
    for tree in [file, link] {
        let found = scan(&tree);
        // Nothing is there to be read.
        assert_eq!((found.skipped("absent"), found.status), (1, 0));
    }
    let common = tree("common").join(".git");
    fs::create_dir(&common).expect("a folder");
    fs::write(common.join("HEAD"), "ref: refs/heads/main\n").expect("a file");
    fs::write(common.join("commondir"), "/nonexistent/.git\n").expect("a file");
    let found = scan(&place.path("common"));
    assert_eq!((found.skipped("not-found"), found.status), (1, 2));
    // What is no git directory may have such names.
    let plain = tree("plain");
    symlink("/nonexistent", plain.join("objects")).expect("a link");
    fs::write(plain.join("commondir"), "/nonexistent\n").expect("a file");
    assert_eq!(scan(&plain).skipped("not-found"), 0);
}

#[test]
fn a_pack_or_an_object_that_is_lost_is_told() {
    let place = Place::new();
    let (repository, key) = with_history(&place);
    let lost = |what: &str, path: &Path| {
        let found = scan(&repository.path);
        assert_eq!(found.in_git(&key).count(), 0, "{what}");
        assert_eq!(
            (found.skipped("git-corrupt"), found.status),
            (1, 2),
            "{what}: {}",
            path.display()
        );
    };
    let blob = repository.git(&["rev-parse", "HEAD~:k.ini"]);
    let (folder, name) = blob.split_at(2);
    let loose = repository.path.join(".git/objects").join(folder).join(name);
    let whole = fs::read(&loose).expect("an object");
    fs::remove_file(&loose).expect("removed");
    fs::write(&loose, "").expect("a file");
    lost("an empty object", &loose);
    fs::write(&loose, whole).expect("a file");
    repository.git(&["gc", "--quiet"]);
    let pack = repository.pack();
    fs::remove_file(&pack).expect("removed");
    lost("an index alone", &pack);
    fs::write(&pack, "").expect("a file");
    lost("an empty pack", &pack);
}

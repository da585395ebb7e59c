//! Repositories to whose objects links lead, and what is lost of them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::repository::{Key, Place, Repository, scan};
use crate::support::rolecall::Rolecall;

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
    let all = scan(&place.path("")).objects();
    assert_eq!(alone.objects(), all, "each once");

    // To a file that leads on, and from the root of another host.
    let file = place.path("file");
    fs::write(&file, "gitdir: ../store\n").expect("a file");
    fs::remove_file(&dot_git).expect("removed");
    symlink(&file, &dot_git).expect("a link");
    assert_eq!(scan(&repository.path).objects(), all);
    fs::remove_file(&dot_git).expect("removed");
    symlink("/store", &dot_git).expect("a link");
    let run = Rolecall::new(["scan", "--format", "json", "--root"]);
    let ran = run.arg(place.path("")).arg("/r").run();
    let coverage = ran.of_type("coverage");
    let git = coverage.iter().find(|part| part["source"] == "git");
    assert_eq!(git.expect("a source")["scanned"], all, "{}", ran.stdout);
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

#[test]
fn a_pack_that_git_is_still_writing_is_no_damage() {
    let place = Place::new();
    let (repository, key) = with_history(&place);
    repository.git(&["gc", "--quiet"]);
    let whole = fs::read(repository.pack()).expect("a pack");
    for name in ["tmp_pack_x7Fd2K", ".tmp-123-pack-0f.pack"] {
        let path = repository.pack().with_file_name(name);
        for len in [0, 5, whole.len() / 2, whole.len()] {
            fs::write(&path, &whole[..len]).expect("a file");
            let found = scan(&repository.path);
            let told = (found.in_git(&key).count(), found.skipped("git-corrupt"));
            assert_eq!(told, (1, 0), "{name} {len}");
        }
        fs::remove_file(path).expect("removed");
    }
}

#[test]
fn what_a_link_in_a_store_leads_to_is_a_gap() {
    let place = Place::new();
    let (repository, key) = with_history(&place);
    repository.git(&["gc", "--quiet"]);
    let packs = repository.path.join(".git/objects/pack");
    fs::rename(&packs, place.path("packs")).expect("moved");
    symlink(place.path("packs"), &packs).expect("a link");
    let found = scan(&repository.path);
    let told = (found.in_git(&key).count(), found.skipped("git-limit"));
    assert_eq!((told, found.status), ((0, 1), 2));
}

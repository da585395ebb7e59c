//! Keys in repositories that git itself made: found in every form in which
//! git stores them, told with their place, and nothing changed on the way.

mod archives;
mod birth;
mod damage;
mod deltas;
mod history;
mod large;
mod links;
mod references;
mod repository;
mod rewriting;
mod staging;
mod unfinished;

use std::fs;
use std::process::Command;

use gix_hash::ObjectId;
use repository::{Key, Place, Repository, Scan, scan, scan_with};

const HISTORY: &str = "in-history-only";
const TREE: &str = "in-working-tree";
const NOWHERE: &str = "unreachable";

/// A repository with a key in each of the places that a branch does not show.
struct Everywhere {
    place: Place,
    repository: Repository,
    expected: Vec<(Key, Option<String>, String, &'static str)>,
}

fn everywhere(options: &[&str]) -> Everywhere {
    let place = Place::new();
    let repository = place.init("r", options);
    let mut expected = Vec::new();
    let mut expect = |key: Key, member: Option<&str>, commit: String, state| {
        expected.push((key, member.map(str::to_owned), commit, state));
    };
    repository.commit("readme", "hello\n");

    let deleted = Key::new();
    let commit = repository.commit("conf/app/old.ini", &deleted.text());
    repository.git(&["rm", "--quiet", "conf/app/old.ini"]);
    repository.git(&["commit", "--quiet", "--message", "gone"]);
    expect(deleted, Some("conf/app/old.ini"), commit, HISTORY);

    let live = Key::new();
    let commit = repository.commit("live.ini", &live.text());
    expect(live, Some("live.ini"), commit, TREE);

    for member in ["older.ini", "newer.ini"] {
        let key = Key::new();
        repository.write(member, &key.text());
        repository.git(&["add", "--all"]);
        repository.git(&["stash", "--quiet"]);
        // The stash's own commit comes after that of the index, in one second.
        expect(key, Some(member), String::new(), HISTORY);
    }

    let noted = Key::new();
    repository.git(&["notes", "add", "--message", &noted.text()]);
    let commit = repository.git(&["rev-parse", "refs/notes/commits"]);
    expect(noted, Some(&repository.head()), commit, HISTORY);

    let said = Key::new();
    let message = format!("change\n\n{}", said.text());
    repository.git(&["commit", "--quiet", "--allow-empty", "--message", &message]);
    expect(said, None, repository.head(), HISTORY);

    let tagged = Key::new();
    repository.git(&["tag", "--annotate", "--message", &tagged.text(), "v1"]);
    expect(tagged, Some("refs/tags/v1"), repository.head(), HISTORY);

    let amended = Key::new();
    let commit = repository.commit("slip.ini", &amended.text());
    repository.git(&["rm", "--quiet", "slip.ini"]);
    let amend = [
        "commit",
        "--quiet",
        "--amend",
        "--allow-empty",
        "--message",
        "better",
    ];
    repository.git(&amend);
    expect(amended, Some("slip.ini"), commit, NOWHERE);

    let branched = Key::new();
    repository.git(&["checkout", "--quiet", "-b", "other"]);
    let commit = repository.commit("branch.ini", &branched.text());
    repository.git(&["checkout", "--quiet", "main"]);
    expect(branched, Some("branch.ini"), commit, HISTORY);
    Everywhere {
        place,
        repository,
        expected,
    }
}

impl Everywhere {
    fn assert_told(&self, scan: &Scan) {
        assert_eq!(scan.status, 1);
        for (key, member, commit, state) in &self.expected {
            let told = scan.told(key);
            let [(told_member, told_commit, told_state)] = told[..] else {
                panic!("{member:?}: {told:?}");
            };
            assert_eq!(told_member, member.as_deref());
            assert_eq!(told_state, *state, "{member:?}");
            if commit.is_empty() {
                assert!(told_commit.is_some(), "{member:?}");
            } else {
                assert_eq!(told_commit, Some(commit.as_str()), "{member:?}");
            }
            for finding in scan.in_git(key) {
                let location = &finding["location"];
                assert_eq!(location["author_date"], "2026-02-03T04:05:06Z");
                assert_eq!(
                    location["path"],
                    self.repository.path.to_str().expect("UTF-8")
                );
            }
        }
        let count = self
            .repository
            .git(&["cat-file", "--batch-all-objects", "--batch-check"]);
        let others = count.lines().filter(|line| !line.contains(" tree "));
        assert_eq!(scan.objects(), others.count() as u64, "each object once");
        assert!(
            scan.coverage["git"]["skipped"]
                .as_array()
                .expect("skips")
                .is_empty()
        );
    }
}

#[test]
fn keys_are_found_in_loose_objects() {
    let made = everywhere(&[]);
    made.assert_told(&scan(&made.repository.path));
}

#[test]
fn keys_are_found_in_packs() {
    let made = everywhere(&[]);
    // Bare of reflogs, what nothing refers to goes to a pack of its own.
    made.repository
        .git(&["gc", "--quiet", "--cruft", "--prune=never"]);
    made.assert_told(&scan(&made.repository.path));
}

#[test]
fn objects_that_are_stored_twice_are_read_once() {
    let made = everywhere(&[]);
    made.repository.git(&["repack", "--quiet", "-a"]);
    made.repository.commit("readme", "another\n");
    made.repository.git(&["repack", "--quiet", "-a"]);
    made.assert_told(&scan(&made.repository.path));
}

#[test]
fn keys_are_found_where_ids_are_sha256() {
    let made = everywhere(&["--object-format=sha256"]);
    made.assert_told(&scan(&made.repository.path));
    made.repository
        .git(&["gc", "--quiet", "--cruft", "--prune=never"]);
    made.assert_told(&scan(&made.repository.path));
    made.repository
        .git(&["bundle", "create", "--quiet", "../x", "--all"]);
    let scan = scan(&made.place.path("x"));
    let (key, member, commit, state) = &made.expected[0];
    assert_eq!(
        scan.told(key),
        [(member.as_deref(), Some(commit.as_str()), *state)]
    );
}

#[test]
fn bare_repositories_and_bundles_are_read() {
    let made = everywhere(&[]);
    let (key, member, commit, state) = &made.expected[0];
    let expected = [(member.as_deref(), Some(commit.as_str()), *state)];

    made.place
        .git(&["clone", "--quiet", "--mirror", "r", "bare"]);
    let bare = scan(&made.place.path("bare"));
    assert_eq!(bare.told(key), expected);
    // Nothing is checked out there.
    let (live, member, commit, _) = &made.expected[1];
    assert_eq!(
        bare.told(live),
        [(member.as_deref(), Some(commit.as_str()), HISTORY)]
    );

    made.repository
        .git(&["bundle", "create", "--quiet", "../all.bundle", "--all"]);
    let bundle = made.place.path("all.bundle");
    let all = scan(&bundle);
    assert_eq!(all.told(key), expected);
    assert_eq!(
        all.in_git(key).next().expect("one")["location"]["path"],
        bundle.to_str().expect("UTF-8")
    );

    // Only what came after the first stash: bases are missing, keys are not.
    let second = Key::new();
    made.repository.commit("second.ini", &second.text());
    made.repository.git(&[
        "bundle",
        "create",
        "--quiet",
        "../thin.bundle",
        "main^..main",
    ]);
    let thin = scan(&made.place.path("thin.bundle"));
    assert_eq!(thin.told(&second).len(), 1);
}

#[test]
fn of_a_bundle_that_builds_upon_another_what_it_adds_is_read() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let lines: String = (0..20_000).map(|line| format!("{line}\n")).collect();
    repository.commit("big.ini", &lines);
    let key = Key::new();
    repository.commit("big.ini", &format!("{lines}{}", key.text()));
    for (name, arguments) in [
        (
            "more.bundle",
            "git bundle create --quiet ../more.bundle main^..main",
        ),
        (
            "more.pack",
            "printf 'main\\n^main^\\n' | git pack-objects --quiet --revs --thin --stdout > ../more.pack",
        ),
    ] {
        let mut shell = Command::new("sh");
        shell.args(["-c", arguments]).current_dir(&repository.path);
        assert!(shell.status().expect("a shell").success());
        let found = scan(&place.path(name));
        assert_eq!(found.told(&key).len(), 1, "{name}: {:?}", found.coverage);
        assert!(found.skipped("git-corrupt") > 0, "{name}");
    }
}

#[test]
fn an_index_that_leads_twice_to_one_object_hides_no_other() {
    let (_place, repository, key) = versions(2);
    let other = Key::new();
    repository.commit("other.ini", &other.text());
    repository.git(&["repack", "-adq"]);
    let index = repository.pack().with_extension("idx");
    damage(&index, |bytes| {
        let count = bytes[8 + 255 * 4..8 + 256 * 4]
            .try_into()
            .expect("four bytes");
        let count = usize::try_from(u32::from_be_bytes(count)).expect("few");
        let offsets = 8 + 256 * 4 + 24 * count;
        let first: [u8; 4] = bytes[offsets..offsets + 4].try_into().expect("four bytes");
        for row in 1..count {
            bytes[offsets + 4 * row..offsets + 4 * row + 4].copy_from_slice(&first);
        }
    });
    let found = scan(&repository.path);
    for key in [&key, &other] {
        assert_eq!(found.told(key).len(), 1, "{:?}", found.coverage);
    }
}

/// A file with a key that changes a little with every commit.
fn versions(count: usize) -> (Place, Repository, Key) {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let key = Key::new();
    for version in 0..count {
        let lines: String = (0..200)
            .map(|line| format!("line {}\n", line * 7919))
            .collect();
        let text = format!("{lines}{}version {version}\n", key.text());
        repository.commit("big.ini", &text);
    }
    repository.git(&["gc", "--quiet"]);
    (place, repository, key)
}

#[test]
fn versions_of_one_file_are_one_place() {
    let (_place, repository, key) = versions(12);
    let found = scan(&repository.path);
    assert_eq!(
        found.told(&key),
        [(Some("big.ini"), Some(repository.first().as_str()), TREE)]
    );
    assert_eq!(found.in_git(&key).next().expect("one")["occurrences"], 12);
}

#[test]
fn shallow_and_partial_clones_are_no_gap() {
    let (place, repository, key) = versions(4);
    let url = format!("file://{}", repository.path.display());
    place.git(&["clone", "--quiet", "--depth=1", &url, "shallow"]);
    let shallow = scan(&place.path("shallow"));
    assert_eq!(shallow.told(&key).len(), 1);
    assert_eq!(shallow.status, 1);
    assert_eq!(
        shallow.coverage["git"]["skipped"].as_array().map(Vec::len),
        Some(0)
    );

    let clone = [
        "clone",
        "--quiet",
        "--filter=blob:none",
        "--no-checkout",
        &url,
        "partial",
    ];
    repository.git(&["config", "uploadpack.allowFilter", "true"]);
    place.git(&clone);
    let partial = scan(&place.path("partial"));
    assert_eq!(partial.told(&key), []);
    assert_eq!(partial.status, 0);
    assert_eq!(partial.skipped("git-partial"), 1);
}

#[test]
fn borrowed_objects_are_read_once_and_not_from_outside() {
    let (place, repository, key) = versions(3);
    place.git(&[
        "clone",
        "--quiet",
        "--shared",
        "--no-checkout",
        "r",
        "borrower",
    ]);
    let borrower = place.path("borrower");
    let alone = scan(&borrower);
    assert_eq!(alone.told(&key).len(), 1, "alternates are followed");
    let both = scan(&place.path(""));
    assert_eq!(both.told(&key).len(), 1);
    assert_eq!(both.objects(), 6);

    // In a ring, and from nowhere.
    let list = repository.path.join(".git/objects/info/alternates");
    fs::write(
        &list,
        format!("{}\n", borrower.join(".git/objects").display()),
    )
    .expect("a file");
    let ring = scan(&place.path(""));
    assert_eq!(
        (ring.told(&key).len(), ring.objects(), ring.status),
        (1, 6, 1)
    );
    fs::write(&list, "/nonexistent/objects\n").expect("a file");
    let nowhere = scan(&repository.path);
    assert_eq!(nowhere.skipped("not-found"), 1);
    assert_eq!(nowhere.told(&key).len(), 1);
}

#[test]
fn what_is_borrowed_from_may_be_named_in_quotes() {
    let (place, _, key) = versions(1);
    for name in ["a \"b\"", "t\tä"] {
        let lender = format!("{name}.git");
        place.git(&["clone", "--quiet", "--bare", "r", &lender]);
        place.git(&["clone", "--quiet", "--shared", "--bare", &lender, "x.git"]);
        let borrower = place.path("x.git");
        let escaped = lender.replace('"', "\\\"").replace('\t', "\\t");
        let escaped = escaped.replace('ä', "\\303\\244");
        let list = format!("\"../../{escaped}/objects\"\n");
        fs::write(borrower.join("objects/info/alternates"), list).expect("a file");
        Repository::at(borrower.clone()).git(&["rev-list", "--objects", "--all"]);
        let found = scan(&borrower);
        assert_eq!(found.told(&key).len(), 1, "{lender}: {:?}", found.coverage);
        fs::remove_dir_all(borrower).expect("removed");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn objects_are_borrowed_from_a_disk_in_memory_too() {
    let (place, _, key) = versions(1);
    let Ok(memory) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("skipped: no /dev/shm to write to");
        return;
    };
    let lender = memory.path().join("lender.git");
    let lender = lender.to_str().expect("UTF-8");
    place.git(&["clone", "--quiet", "--bare", "r", lender]);
    place.git(&[
        "clone",
        "--quiet",
        "--shared",
        "--no-checkout",
        lender,
        "borrower",
    ]);
    let borrower = scan(&place.path("borrower"));
    assert_eq!(borrower.told(&key).len(), 1, "{:?}", borrower.coverage);
    assert_eq!(borrower.skipped("pseudo-filesystem"), 0);
}

#[test]
fn submodules_and_linked_working_trees_belong_to_their_repository() {
    let (place, repository, key) = versions(2);
    let outer = place.init("outer", &[]);
    outer.git(&["submodule", "--quiet", "add", "../r", "sub"]);
    outer.git(&["commit", "--quiet", "--message", "sub"]);
    let inner = scan(&outer.path);
    assert_eq!(
        inner.told(&key),
        [(Some("big.ini"), Some(repository.first().as_str()), TREE)]
    );
    let path = inner.in_git(&key).next().expect("one")["location"]["path"].clone();
    assert_eq!(
        path,
        outer.path.join(".git/modules/sub").to_str().expect("UTF-8")
    );

    let linked = Key::new();
    repository.git(&["worktree", "add", "--quiet", "-b", "side", "../linked"]);
    let side = Repository::at(place.path("linked"));
    let commit = side.commit("linked.ini", &linked.text());
    let found = scan(&repository.path);
    assert_eq!(
        found.told(&linked),
        [(Some("linked.ini"), Some(commit.as_str()), TREE)]
    );
}

#[test]
fn a_working_tree_alone_leads_to_the_objects_that_it_is_made_of() {
    let (place, repository, key) = versions(2);
    let outer = place.init("outer", &[]);
    outer.git(&["submodule", "--quiet", "add", "../r", "sub"]);
    repository.git(&["worktree", "add", "--quiet", "--detach", "../linked"]);
    for working_tree in ["outer/sub", "linked"] {
        let alone = scan(&place.path(working_tree));
        assert_eq!(alone.in_git(&key).count(), 1, "{working_tree}");
    }
    let all = scan(&place.path(""));
    let parts = ["r", "outer"].map(|name| scan(&place.path(name)).objects());
    assert_eq!(all.objects(), parts.iter().sum::<u64>(), "each once");

    // Whoever writes such a file can name anything, and it may be old.
    let link = place.path("linked/.git");
    for named in ["/nonexistent/.git", "../linked", "", "/proc/self/root"] {
        fs::write(&link, format!("gitdir: {named}\n")).expect("a file");
        let astray = scan(&place.path("linked"));
        assert_eq!(astray.in_git(&key).count(), 0, "{named}");
        assert_eq!(astray.findings.len(), 1, "the file itself");
    }
}

/// Writes over the middle of a file that git made read-only.
fn damage(path: &std::path::Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("a file");
    change(&mut bytes);
    fs::remove_file(path).expect("removed");
    fs::write(path, bytes).expect("a file");
}

#[test]
fn what_a_damaged_index_leads_to_is_not_said_to_be_unreachable() {
    let (_place, repository, key) = versions(2);
    repository.write("big.ini", "nothing\n");
    repository.git(&["commit", "--quiet", "--all", "--message", "gone"]);
    repository.git(&["gc", "--quiet"]);
    let whole = scan(&repository.path.join(".git"));
    assert_eq!(whole.told(&key)[0].2, HISTORY);
    damage(&repository.pack().with_extension("idx"), |bytes| {
        // Most of the ids, which stand behind the fan-out table.
        bytes[8 + 256 * 4 + 20..][..100].fill(0x5a);
    });
    let damaged = scan(&repository.path.join(".git"));
    let told: Vec<_> = damaged.in_git(&key).collect();
    assert!(!told.is_empty());
    for state in told.iter().map(|told| &told["location"]["git_state"]) {
        assert!(state.is_null() || *state == HISTORY, "{state}");
    }
    assert!(damaged.skipped("git-corrupt") > 0);
}

#[test]
fn what_a_damaged_pack_still_holds_is_read() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let keys: Vec<Key> = (0..40).map(|_| Key::new()).collect();
    for (number, key) in keys.iter().enumerate() {
        repository.write(&format!("{number}.ini"), &key.text());
    }
    repository.git(&["add", "--all"]);
    repository.git(&["commit", "--quiet", "--message", "keys"]);
    repository.git(&["gc", "--quiet"]);
    let pack = repository.pack();
    let told = |scan: &Scan| keys.iter().filter(|key| !scan.told(key).is_empty()).count();
    assert_eq!(told(&scan(&repository.path.join(".git"))), keys.len());

    let whole = fs::read(&pack).expect("a pack");
    let middle = whole.len() / 2;
    damage(&pack, |bytes| bytes[middle..middle + 30].fill(0x5a));
    let damaged = scan(&repository.path.join(".git"));
    assert!(told(&damaged) >= keys.len() - 6, "{}", told(&damaged));
    assert!(damaged.skipped("git-corrupt") > 0);
    let never = scan_with(&repository.path.join(".git"), &["--fail-on", "never"]);
    assert_eq!(never.status, 2, "a gap is told");

    damage(&pack, |bytes| {
        bytes.clone_from(&whole);
        bytes.truncate(middle);
    });
    let cut = scan(&repository.path.join(".git"));
    assert!(cut.skipped("git-corrupt") > 0);
    assert!(told(&cut) > 5, "{}", told(&cut));

    // Without its index.
    damage(&pack, |bytes| bytes.clone_from(&whole));
    fs::remove_file(pack.with_extension("idx")).expect("removed");
    let bare = scan(&repository.path.join(".git"));
    assert_eq!((told(&bare), bare.skipped("git-corrupt")), (keys.len(), 0));
}

#[test]
fn an_index_with_a_wrong_id_leads_to_no_wrong_place() {
    let (_place, repository, key) = versions(1);
    let index = repository.pack().with_extension("idx");
    let id = ObjectId::from_hex(repository.git(&["rev-parse", "HEAD:big.ini"]).as_bytes());
    let id = id.expect("an id");
    damage(&index, |bytes| {
        let at = memchr::memmem::find(bytes, id.as_bytes()).expect("an entry");
        // The order of the ids stays.
        bytes[at + id.as_bytes().len() - 1] ^= 1;
    });
    let path = repository.path.join(".git");
    let found = scan(&path);
    let head = repository.head();
    assert_eq!(
        found.told(&key),
        [(Some("big.ini"), Some(head.as_str()), TREE)]
    );
}

#[test]
fn a_folder_that_only_looks_like_git_hides_nothing() {
    let place = Place::new();
    let fake = place.path(".git");
    for folder in [
        "objects/pack",
        "objects/ab",
        "objects/deep/er",
        "refs/heads",
    ] {
        fs::create_dir_all(fake.join(folder)).expect("a folder");
    }
    fs::write(fake.join("HEAD"), "ref: refs/heads/../../../etc/passwd\n").expect("a file");
    let keys: Vec<Key> = (0..6).map(|_| Key::new()).collect();
    let name = "c".repeat(38);
    let paths = [
        "objects/pack/pack-1.pack".to_owned(),
        "objects/pack/pack-1.idx".to_owned(),
        format!("objects/ab/{name}"),
        "objects/deep/er/x".to_owned(),
        "objects/info".to_owned(),
        "objects/x.pack".to_owned(),
    ];
    for (path, key) in paths.iter().zip(&keys) {
        fs::write(fake.join(path), key.text()).expect("a file");
    }
    // With the beginning of a pack, and of a zlib stream.
    let with_head = |path: &str, head: &[u8], key: &Key| {
        let bytes = [head, key.text().as_bytes()].concat();
        fs::write(fake.join(path), bytes).expect("a file");
    };
    with_head(&paths[2], b"\x78\x9c", &keys[2]);
    let found = scan(&fake);
    for (path, key) in paths.iter().zip(&keys) {
        let in_file = found.findings.iter().any(|finding| {
            finding["location"]["source"] == "file" && finding["access_key_id"] == key.id.as_str()
        });
        assert!(in_file, "{path}");
    }
    assert!(found.skipped("git-corrupt") >= 2);
}

#[test]
fn git_can_be_left_out() {
    let (place, repository, key) = versions(2);
    let config = place.path("rolecall.toml");
    fs::write(&config, "[scan]\ngit = false\n").expect("a file");
    let config = config.to_str().expect("UTF-8").to_owned();
    let found = scan_with(&repository.path, &["--config", &config]);
    assert_eq!(found.told(&key), []);
    assert!(!found.coverage.contains_key("git"));
}

#[test]
fn what_is_staged_no_more_and_was_never_committed_is_told_by_its_id() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let key = Key::new();
    repository.write("staged.ini", &key.text());
    repository.git(&["add", "--all"]);
    repository.git(&["rm", "--quiet", "--cached", "staged.ini"]);
    fs::remove_file(repository.path.join("staged.ini")).expect("removed");
    let found = scan(&repository.path);
    let told = found.told(&key);
    assert!(
        matches!(told[..], [(Some(member), None, NOWHERE)] if member.starts_with("blob ")),
        "{told:?}"
    );
}

#[test]
fn what_is_gone_from_the_working_tree_is_in_history_only() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let [removed, changed, kept] = [(); 3].map(|()| Key::new());
    repository.write("removed.ini", &removed.text());
    repository.write("changed.ini", &changed.text());
    let commit = repository.commit("kept.ini", &kept.text());
    fs::remove_file(repository.path.join("removed.ini")).expect("removed");
    repository.write("changed.ini", "nothing\n");
    let found = scan(&repository.path);
    for (key, member, state) in [
        (&removed, "removed.ini", HISTORY),
        (&changed, "changed.ini", HISTORY),
        (&kept, "kept.ini", TREE),
    ] {
        let commit = Some(commit.as_str());
        assert_eq!(found.told(key), [(Some(member), commit, state)]);
    }
}

#[test]
fn of_more_packs_than_stay_open_no_place_is_made_up() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let keys: Vec<Key> = (0..204).map(|_| Key::new()).collect();
    for (number, key) in keys.iter().enumerate() {
        repository.git(&["checkout", "--quiet", "--orphan", &format!("b{number}")]);
        repository.commit("f", &key.text());
        repository.git(&["repack", "-dq"]);
    }
    repository.commit("f", "nothing\n");
    let found = scan(&repository.path);
    let mut unknown = 0;
    for key in &keys {
        match found.told(key)[..] {
            [(Some("f"), Some(_), HISTORY)] => {}
            [(Some(member), None, "unknown")] if member.starts_with("blob ") => unknown += 1,
            ref told => panic!("{told:?}"),
        }
    }
    assert_eq!(unknown, 4);
}

#[test]
fn a_working_tree_that_is_not_touched_has_a_history_all_the_same() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    repository.commit("readme", "hello\n");
    repository.git(&["worktree", "add", "--quiet", "--detach", "../linked"]);
    let linked = Repository::at(place.path("linked"));
    let key = Key::new();
    let commit = linked.commit("linked.ini", &key.text());
    // Where no walk goes.
    let gitdir = repository.path.join(".git/worktrees/linked/gitdir");
    fs::write(gitdir, "/proc/self/linked/.git\n").expect("a file");
    let found = scan(&repository.path);
    assert_eq!(
        found.told(&key),
        [(Some("linked.ini"), Some(commit.as_str()), HISTORY)]
    );
}

#[test]
fn what_a_tag_holds_without_a_commit_is_referred_to() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    repository.commit("readme", "hello\n");
    let [blob, annotated, in_tree] = [(); 3].map(|()| Key::new());
    let tag = |key: &Key, options: &[&str]| {
        repository.write("key.ini", &key.text());
        let id = repository.git(&["hash-object", "-w", "key.ini"]);
        repository.git(&[&["tag"], options, &[&id]].concat());
        fs::remove_file(repository.path.join("key.ini")).expect("removed");
        format!("blob {id}")
    };
    let blob_member = tag(&blob, &["blob"]);
    let annotated_member = tag(&annotated, &["--annotate", "--message=x", "annotated"]);
    repository.write("a/key.ini", &in_tree.text());
    repository.git(&["add", "--all"]);
    let tree = repository.git(&["write-tree"]);
    repository.git(&["tag", "tree", &tree]);
    repository.git(&["reset", "--quiet", "--hard"]);

    let found = scan(&repository.path);
    for (key, member) in [
        (&blob, blob_member.as_str()),
        (&annotated, &annotated_member),
        (&in_tree, "a/key.ini"),
    ] {
        assert_eq!(found.told(key), [(Some(member), None, HISTORY)]);
    }
}

#[test]
fn the_base_of_a_delta_may_be_a_loose_object() {
    // More than is held of bases, which this one has to be for all deltas.
    const LINES: usize = 450_000;
    let place = Place::new();
    let repository = place.init("r", &[]);
    let lines: String = (0..LINES)
        .map(|line| format!("line {}\n", line * 7919))
        .collect();
    repository.commit("big.ini", &lines);
    let keys = [(); 4].map(|()| Key::new());
    for (number, key) in keys.iter().enumerate() {
        let text = format!("{lines}{}", key.text());
        repository.commit(&format!("{number}/big.ini"), &text);
    }
    // As an interrupted fetch leaves it.
    let made = Command::new("sh")
        .current_dir(repository.path.join(".git/objects"))
        .args([
            "-c",
            "mkdir -p pack; printf 'main\n^main~4\n' |
            git pack-objects --quiet --revs --thin --stdout > pack/pack-1.pack",
        ])
        .status();
    assert!(made.expect("git").success());
    for number in 0..keys.len() {
        let name = format!("{number}/big.ini");
        let id = repository.git(&["rev-parse", &format!("main:{name}")]);
        let (folder, rest) = id.split_at(2);
        let loose = repository.path.join(".git/objects").join(folder);
        fs::remove_file(loose.join(rest)).expect("removed");
        fs::remove_file(repository.path.join(name)).expect("removed");
    }
    let found = scan(&repository.path);
    for (number, key) in keys.iter().enumerate() {
        let name = format!("{number}/big.ini");
        let commit = repository.git(&["rev-parse", &format!("main~{}", keys.len() - 1 - number)]);
        assert_eq!(
            found.told(key),
            [(Some(name.as_str()), Some(commit.as_str()), HISTORY)]
        );
    }
    assert_eq!(found.skipped("git-partial"), 0);
}

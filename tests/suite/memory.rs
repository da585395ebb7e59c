//! The most memory that a scan takes, with every source on, of a tree that
//! has of everything that could make it grow.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::host::Host;
use crate::support::side_by_side::give_way;

/// Kilobytes that a scan may take, whatever the files are.
const MOST: u64 = 64 * 1024;

/// Runs a command and tells how it ended and the most memory that it had.
const MEASURE: &str = "
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
";

/// The status of a scan and the kilobytes that it took at most.
fn measured(root: &Path) -> (String, u64) {
    let output = Command::new("python3")
        .args(["-c", MEASURE, env!("CARGO_BIN_EXE_rolecall"), "scan"])
        .arg(root)
        .output()
        .expect("python3 runs");
    let told = String::from_utf8_lossy(&output.stdout);
    let Some((status, peak)) = told.trim().split_once(' ') else {
        panic!("{}", String::from_utf8_lossy(&output.stderr));
    };
    (status.to_owned(), peak.parse().unwrap())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar of one member, compressed; gzip streams may follow one another.
fn large_archive(host: &Host) {
    const MIB: usize = 1024 * 1024;
    const PIECES: usize = 32;
    let piece = gzip(&b"some text, 32 bytes of it or so\n".repeat(16 * MIB / 32));
    let mut header = [0; 512];
    header[..5].copy_from_slice(b"large");
    let size = PIECES * 16 * MIB;
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[148..156].fill(b' ');
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = File::create(host.path("large.tar.gz")).unwrap();
    archive.write_all(&gzip(&header)).unwrap();
    for _ in 0..PIECES {
        archive.write_all(&piece).unwrap();
    }
    archive.write_all(&gzip(&[0; 1024])).unwrap();
}

/// More findings than are told one by one, in files and in a repository that
/// keeps them in versions of a large file.
fn many_keys(host: &Host) {
    let mut large = String::new();
    for number in 0..12_000 {
        let text = host.key_pair().env();
        host.write(&format!("etc/{}/{number}.env", number / 100), &text);
        if number % 24 == 0 {
            large += &text;
        }
    }
    let script = "git init -q -b main r && cd r && cp ../large . && git add large
        for n in 1 2 3; do
            echo $n >>large && git commit -qam v$n
        done
        git gc -q && rm ../large";
    host.write("large", "a line of text\n".repeat(300_000) + &large);
    git(host, script);
}

fn git(host: &Host, script: &str) {
    let mut git = Command::new("sh");
    git.args(["-ec", script]).current_dir(host.root());
    for role in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{role}_NAME"), "a");
        git.env(format!("GIT_{role}_EMAIL"), "a@b");
    }
    assert!(git.env("HOME", "/nonexistent").status().unwrap().success());
}

#[test]
fn a_scan_takes_no_more_memory_than_it_may() {
    give_way();
    let host = Host::new();
    many_keys(&host);
    large_archive(&host);
    let sparse = File::create(host.path("sparse")).unwrap();
    sparse.set_len(4 << 30).unwrap();
    let zeros = gzip(&vec![0; 32 << 20]);
    fs::write(host.path("bomb.gz.gz"), gzip(&zeros.repeat(64))).unwrap();
    let (status, peak) = measured(&host.root());
    assert_eq!(status, "1", "keys are found");
    assert!(peak <= MOST, "{peak} kB");
}

/// Objects below a folder whose name would fill the memory if each kept it.
fn long_names_in_git(host: &Host) {
    const FILES: usize = 200;
    let script = "git init -q -b main n && cd n
        while read -r name; do git hash-object -w \"../keys/$name\"; done <../names >../ids
        paste ../ids ../names | sed 's/^/100644 blob /' >../list
        files=$(git mktree <../list)
        name=$(head -c 1000000 /dev/zero | tr '\\0' n)
        printf '040000 tree %s\\t%s\\n' $files $name >../folder
        commit=$(git commit-tree -m m $(git mktree <../folder))
        git update-ref refs/heads/main $commit
        cd .. && rm -r keys names ids list folder";
    let names: Vec<String> = (0..FILES).map(|number| format!("{number}\n")).collect();
    for number in 0..FILES {
        host.write(&format!("keys/{number}"), host.key_pair().env());
    }
    host.write("names", names.concat());
    git(host, script);
}

#[test]
fn a_scan_takes_no_more_memory_for_long_names() {
    give_way();
    let host = Host::new();
    // As many findings as are told, in places with names of 4 kB.
    let below = vec!["d".repeat(250); 15].join("/");
    let mut text = String::new();
    for number in 0..12_000 {
        text += &host.key_pair().env();
        if number % 6 == 5 {
            let folder = &below[..below.len() - number / 50];
            host.write(&format!("{folder}/{number}.env"), &text);
            text.clear();
        }
    }
    long_names_in_git(&host);
    let (status, peak) = measured(&host.root());
    assert_eq!(status, "1", "keys are found");
    assert!(peak <= MOST, "{peak} kB");
}

/// Loose objects with keys, one of them by many names far below, and a large
/// one in a pack.
fn many_objects_in_git(host: &Host) {
    const OBJECTS: usize = 6000;
    for number in 0..OBJECTS {
        host.write(&format!("keys/{number}"), host.key_pair().env());
    }
    let script = "git init -q -b main o && cd o
        find ../keys -type f | git hash-object -w --stdin-paths >../ids && rm -r ../keys
        read -r id <../ids && rm ../ids
        tree=$(yes \"100644 blob $id\ta\" | head -n 200000 | git mktree)
        name=$(head -c 250 /dev/zero | tr '\\0' n)
        for depth in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
            tree=$(printf '040000 tree %s\\t%s\\n' $tree $name | git mktree)
        done
        git update-ref refs/heads/main $(git commit-tree -m m $tree)
        cd .. && git init -q p && cd p && mv ../noise . && git add . && git commit -qm n
        git repack -adq && rm noise";
    // What cannot be compressed is as large in its pack.
    let mut noise = vec![0; 16 << 20];
    fastrand::Rng::with_seed(1).fill(&mut noise);
    fs::write(host.path("noise"), noise).unwrap();
    git(host, script);
}

#[test]
fn a_scan_takes_no_more_memory_for_many_objects_or_many_names_of_one() {
    give_way();
    let host = Host::new();
    many_objects_in_git(&host);
    let (status, peak) = measured(&host.root());
    assert_eq!(status, "1", "keys are found");
    assert!(peak <= MOST, "{peak} kB");
}

/// Versions of a large text with a key: as loose objects, as a bundle, which has
/// no index, and as a pack of a repository.
fn large_text_in_git(host: &Host) {
    const LINES: usize = 300_000;
    let mut random = fastrand::Rng::with_seed(2);
    let row = |number| format!("{number:06} {:010x}{:>85}\n", random.u64(..1 << 40), "row");
    let text: String = (0..LINES).map(row).collect();
    host.write("text", text + &host.key_pair().env());
    let script = "git init -q -b main l && cd l
        for n in 1 2 3 4; do
            sed \"s/^00$n/$n$n$n/\" ../text >text && git add text && git commit -qm $n
        done
        git bundle create -q ../l.bundle --all
        rm text ../text && cp -r . ../packed && git -C ../packed repack -adq";
    git(host, script);
}

#[test]
fn a_scan_takes_no_more_memory_for_versions_of_a_large_text() {
    give_way();
    let host = Host::new();
    large_text_in_git(&host);
    for place in ["l", "l.bundle", "packed"] {
        let (status, peak) = measured(&host.path(place));
        assert_eq!(status, "1", "the key in {place} is found");
        assert!(peak <= MOST, "{place}: {peak} kB");
    }
}

#[test]
fn a_directory_takes_no_more_memory_for_the_files_in_it() {
    /// Kilobytes that may come on top; the paths alone would take 18,000.
    const MORE: u64 = 8 * 1024;
    give_way();
    let host = Host::new();
    host.write("few/0", "nothing");
    let (_, of_few) = measured(&host.path("few"));
    for number in 0..150_000 {
        let source = host.path(&format!("many/{}", number / 50_000));
        if number % 50_000 == 0 {
            host.write(&format!("many/{}", number / 50_000), "nothing");
        }
        let name = format!("many/a-name-as-those-of-sessions-are-{number:032}");
        fs::hard_link(source, host.path(&name)).unwrap();
    }
    let key = host.key_pair();
    host.write("many/key", key.env());
    let (status, of_many) = measured(&host.path("many"));
    assert_eq!(status, "1", "the key is found");
    assert!(of_many <= of_few + MORE, "{of_few} kB, {of_many} kB");
}

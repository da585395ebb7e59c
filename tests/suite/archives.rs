//! Archives as the real tools make them, and as nobody should: what lies in
//! them is found with every member on the way, and none of them hangs the
//! scan or makes it grow.

mod joined;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::support::corpus;
use crate::support::daemon::wait;
use crate::support::host::Host;
use crate::support::journal::Journal;
use crate::support::rolecall::Rolecall;

/// Kilobytes that a scan may take, whatever the files are.
const MOST_MEMORY: u64 = 64 * 1024;

/// Python that writes zips, with the options in front.
const ZIP: &str = "
import sys, zipfile, io
class Pipe(io.RawIOBase):
    def writable(self): return True
    def seekable(self): return False
    def write(self, data): return sys.stdout.buffer.write(data)
method, pipe, *names = sys.argv[1:]
out = Pipe() if pipe == 'pipe' else io.BytesIO()
with zipfile.ZipFile(out, 'w', int(method)) as z:
    for name in names: z.write(name)
if pipe != 'pipe': sys.stdout.buffer.write(out.getvalue())
";

/// Python that compresses its input without any frame but zlib's.
const ZLIB: &str = "
import sys, zlib
sys.stdout.buffer.write(zlib.compress(sys.stdin.buffer.read()))
";

/// Python that compresses its input behind a header with long fields.
const GZIP: &str = "
import sys, zlib
data, fields = sys.stdin.buffer.read(), b'x' * 100000 + bytes(1)
body = zlib.compressobj(wbits=-15)
head = b'\\x1f\\x8b\\x08\\x1e' + bytes(6) + b'\\xff\\xff' + bytes(65535) + 2 * fields
head += (zlib.crc32(head) & 0xffff).to_bytes(2, 'little')
end = (zlib.crc32(data) | len(data) << 32).to_bytes(8, 'little')
sys.stdout.buffer.write(head + body.compress(data) + body.flush() + end)
";

/// Three lines with a key of its own for each `name`; it starts on the second.
fn key(name: &str) -> Vec<u8> {
    let text = "[default]\naws_access_key_id = <<id:1>>\naws_secret_access_key = <<secret:1>>\n";
    corpus::expand(name, text, 1).bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// A folder to be scanned, and one to work in.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for folder in ["scan", "work"] {
            fs::create_dir(dir.path().join(folder)).expect("a folder");
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// A file to be scanned.
    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path("scan").join(name), bytes).expect("a file");
    }

    /// A file with a key to be packed.
    fn key(&self, name: &str) {
        let path = self.path("work").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, key(name)).expect("a file");
    }

    /// What a command writes that runs where the keys are; nothing where a
    /// tool is not installed, or not one that can do this.
    fn sh(&self, command: &str) -> Option<Vec<u8>> {
        let output = Command::new("bash")
            .args(["-o", "pipefail", "-ec", command])
            .env("WRITE_ZIP", ZIP)
            .env("WRITE_ZLIB", ZLIB)
            .env("WRITE_GZIP", GZIP)
            .current_dir(self.path("work"))
            .output()
            .expect("a shell");
        if output.status.code() == Some(127) {
            return None;
        }
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {told}");
        Some(output.stdout)
    }

    fn scan(&self, flags: &[&str]) -> Scan {
        let root = self.path("scan").canonicalize().expect("a real path");
        let (out, err) = (self.path("out"), self.path("err"));
        let started = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_rolecall"))
            .args(["scan", "--format", "json"])
            .args(flags)
            .arg(&root)
            .stdout(File::create(&out).expect("a file"))
            .stderr(File::create(&err).expect("a file"))
            .stdin(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let mut memory = 0;
        let status = loop {
            memory = peak(child.id()).unwrap_or(0).max(memory);
            if let Some(status) = child.try_wait().expect("a child") {
                break status;
            }
            assert!(started.elapsed() < Duration::from_mins(5), "it hangs");
            std::thread::sleep(Duration::from_millis(2));
        };
        let told = fs::read_to_string(err).expect("text");
        let status = status.code().unwrap_or_else(|| panic!("{status}: {told}"));
        let report = fs::read_to_string(out).expect("UTF-8");
        Scan::of(&report, &root, status, memory)
    }
}

/// The most memory that a process had, in kilobytes.
fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

struct Scan {
    /// Pairs, as `path!member:line`.
    pairs: BTreeSet<String>,
    found: usize,
    archives: Value,
    status: i32,
    memory: u64,
}

impl Scan {
    fn of(report: &str, root: &Path, status: i32, memory: u64) -> Self {
        let mut scan = Self {
            pairs: BTreeSet::new(),
            found: 0,
            archives: Value::Null,
            status,
            memory,
        };
        for line in report.lines() {
            let value: Value = serde_json::from_str(line).expect("one object a line");
            if value["type"] == "finding" {
                let place = &value["location"];
                let path = Path::new(place["path"].as_str().expect("a path"));
                let path = path.strip_prefix(root).expect("below the root").display();
                let member = place["member"].as_str();
                let member = member.map_or(String::new(), |member| format!("!{member}"));
                scan.found += 1;
                if value["rule"] == "aws.access-key-pair" {
                    scan.pairs
                        .insert(format!("{path}{member}:{}", place["line"]));
                }
            } else if value["type"] == "coverage" && value["source"] == "archive" {
                scan.archives = value;
            }
        }
        scan
    }

    fn skipped(&self, reason: &str) -> u64 {
        self.archives["skipped"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|skip| skip["reason"] == reason)
            .filter_map(|skip| skip["count"].as_u64())
            .sum()
    }
}

/// What each command writes is a file, and the places in it are found, once.
fn assert_found(bench: &Bench, cases: &[(&str, &str, &[&str])]) {
    let mut expected = BTreeSet::new();
    for (name, command, places) in cases {
        if let Some(bytes) = bench.sh(command) {
            bench.put(name, &bytes);
            expected.extend(places.iter().map(|place| format!("{name}{place}")));
        }
    }
    let scan = bench.scan(&[]);
    assert_eq!(scan.pairs, expected);
    assert_eq!(scan.found, expected.len());
    assert_eq!(scan.archives["skipped"], Value::Array(Vec::new()));
    assert_eq!(scan.status, i32::from(!expected.is_empty()));
}

#[test]
fn compressed_files_are_read_whatever_their_name() {
    let bench = Bench::new();
    bench.key("a");
    bench.key("b");
    let twice: &[&str] = &[":2", ":5"];
    assert_found(
        &bench,
        &[
            ("gzip", "gzip -c a; gzip -nc b", twice),
            (
                "gzip-fields",
                "python3 -c \"$WRITE_GZIP\" <a; gzip -c b",
                twice,
            ),
            ("bzip2", "bzip2 -c a; bzip2 -c b", twice),
            ("xz", "xz -c a; head -c 8 /dev/zero; xz -9 -c b", twice),
            ("lzma", "xz --format=lzma -c a", &[":2"]),
            ("zstd", "zstd -qc a; zstd -q19c <b", twice),
            (
                "zstd-long",
                "cat a | zstd -qc --ultra -22 --long=27",
                &[":2"],
            ),
            ("lz4", "lz4 -qc a; lz4 -qc -BD -B7 b", twice),
            ("lz4-old", "lz4 -qlc a", &[":2"]),
            ("zlib", "python3 -c \"$WRITE_ZLIB\" <a", &[":2"]),
            (
                "loose object of git",
                "git init -q; git hash-object -w a >&2; cat .git/objects/??/*; rm -r .git",
                &[":2"],
            ),
            ("gz.xz.zst", "gzip -c a | xz | zstd -qc", &[":2"]),
        ],
    );
}

#[test]
fn archives_of_the_real_tools_are_read() {
    let bench = Bench::new();
    let long = format!("{}/{}/k", "d".repeat(120), "e".repeat(120));
    for name in ["a", "etc/b", &long] {
        bench.key(name);
    }
    bench
        .sh(
            "mkdir s; truncate -s 3M s/hole; cat a >>s/hole; truncate -s 6M s/hole; \
             ln -s ../a etc/link; mkfifo etc/fifo",
        )
        .expect("coreutils");
    let long = format!("!./{long}:2");
    let all: &[&str] = &["!./a:2", "!./etc/b:2", &long];
    let two: &[&str] = &["!a:2", "!etc/b:2"];
    let hole: &[&str] = &["!s/hole:2"];
    assert_found(
        &bench,
        &[
            ("tar-gnu", "tar --format=gnu --exclude=./s -c .", all),
            (
                "tar-pax",
                "tar --format=posix --exclude=./s -c . | gzip",
                all,
            ),
            ("tar-v7", "tar --format=v7 -c a etc/b", two),
            ("tar-ustar", "tar --format=ustar -c a etc | xz", two),
            ("sparse-gnu", "tar -S --format=gnu -c s", hole),
            ("sparse-pax", "tar -S --format=posix -c s | zstd -qc", hole),
            ("tar-tar", "tar c a; tar c etc/b", two),
            ("zip", "python3 -c \"$WRITE_ZIP\" 8 file a etc/b", two),
            (
                "zip-stored",
                "python3 -c \"$WRITE_ZIP\" 0 file a etc/b",
                two,
            ),
            (
                "zip-bzip2",
                "python3 -c \"$WRITE_ZIP\" 12 file a etc/b",
                two,
            ),
            ("zip-lzma", "python3 -c \"$WRITE_ZIP\" 14 file a etc/b", two),
            ("zip-piped", "python3 -c \"$WRITE_ZIP\" 8 pipe a etc/b", two),
            (
                "zip.gz",
                "python3 -c \"$WRITE_ZIP\" 8 file a etc/b | gzip",
                two,
            ),
            (
                "piped.gz",
                "python3 -c \"$WRITE_ZIP\" 8 pipe a etc/b | gzip",
                two,
            ),
            (
                "stored.gz",
                "python3 -c \"$WRITE_ZIP\" 0 pipe a etc/b | gzip",
                two,
            ),
            ("jar", "jar cf ../a.jar a etc/b && cat ../a.jar", two),
            ("ar", "ar rc ../x.a a && cat ../x.a", &["!a:2"]),
            (
                "pack-of-git.tgz",
                "git init -q; git hash-object -w a | git pack-objects -q --stdout >p; \
                 tar cz p; rm -r .git p",
                &["!p!blob@12:2"],
            ),
            (
                "cpio",
                "printf 'a\\netc/b\\n' | cpio --quiet -o -H newc | gzip",
                two,
            ),
            (
                "cpio-old",
                "printf 'a\\netc/b\\n' | cpio --quiet -o -H bin",
                two,
            ),
            (
                "cpio-old.gz",
                "printf 'a\\netc/b\\n' | cpio --quiet -o -H hpbin | gzip",
                two,
            ),
            (
                "installer",
                "printf '#!/bin/sh\\ntail -n +3 $0 | tar xz; exit\\n'; tar cz a etc/b",
                two,
            ),
            (
                "installer.run",
                "printf '#!/bin/sh\\n'; seq -f '# a licence that is shown, line %g' 700; \
                 printf 'exit\\n'; tar cz a etc/b",
                two,
            ),
            (
                "installer.tar",
                "(printf '#!/bin/sh\\nexit\\n'; xz -c a) >i; tar c i; rm i",
                &["!i:2"],
            ),
            (
                "cpio-odc",
                "printf 'a\\netc/b\\n' | cpio --quiet -o -H odc",
                two,
            ),
            (
                "deb",
                "mkdir -p p/DEBIAN p/etc; cp a p/etc/a; \
                 printf 'Package: p\\nVersion: 1\\nArchitecture: all\\nMaintainer: m\\n\
                 Description: d\\n' >p/DEBIAN/control; \
                 dpkg-deb -b p ../p.deb >&2 && cat ../p.deb; rm -r p",
                &["!data.tar.xz!./etc/a:2"],
            ),
        ],
    );
}

#[test]
fn a_key_that_was_logged_is_found_although_the_journal_compressed_it() {
    let Some(journal) = Journal::start() else {
        return;
    };
    let host = Host::new();
    let pair = host.key_pair();
    let logged = format!(
        "{}{}",
        pair.env().replace('\n', " "),
        " and so on".repeat(80)
    );
    let connect = journal.connect();
    let status = Command::new(&connect[0])
        .args(&connect[1..])
        .args(["sh", "-c", "echo \"$1\"", "sh", &logged])
        .status()
        .expect("the journal's tools");
    assert!(status.success());
    wait("an entry in the journal", || {
        journal.everything().contains(&pair.id).then_some(())
    });
    let files = journal.directory().canonicalize().expect("a real path");
    let ran = Rolecall::new(["scan", "--format", "json"])
        .arg(&files)
        .run();
    let as_it_is = ["scan", "--format", "json", "--config"];
    let plain = host.write("plain.toml", "[scan]\narchives = false\n");
    let as_it_is = Rolecall::new(as_it_is).arg(&plain).arg(&files).run();
    assert_eq!(
        as_it_is.of_type("finding").len(),
        0,
        "nothing is compressed"
    );
    let found = ran.of_type("finding");
    assert_eq!(found.len(), 1, "{}", ran.stdout);
    assert_eq!(found[0]["access_key_id"], pair.id);
    assert_eq!(found[0]["rule"], "aws.access-key-pair");
    assert_eq!(ran.skipped("archive", "archive-corrupt"), 0);
}

#[test]
fn every_member_on_the_way_is_named() {
    let bench = Bench::new();
    for name in ["a", "b", "c"] {
        bench.key(name);
    }
    let zip = "python3 -c \"$WRITE_ZIP\"";
    assert_found(
        &bench,
        &[
            (
                "nested",
                &format!(
                    "mkdir n; gzip -c a >n/a.gz; cp b n; cd n; {zip} 8 file a.gz b >x.zip; \
                     tar cz x.zip; rm -r ../n"
                ),
                &["!x.zip!a.gz:2", "!x.zip!b:2"],
            ),
            (
                "executable.jar",
                &format!(
                    "mkdir j; cp a b c j; cd j; {zip} 8 file a >in.jar; \
                     printf '#!/bin/sh\\n'; cat b; {zip} 0 file in.jar c; rm -r ../j"
                ),
                &[":3", "!in.jar!a:2", "!c:2"],
            ),
            (
                "image",
                &format!(
                    "mkdir -p i/l; cp a b i/l; cd i/l; {zip} 8 file a >a.jar; tar c a.jar >layer; \
                     tar cz b >blob; rm a a.jar b; tar c layer blob; rm -r ../../i"
                ),
                &["!layer!a.jar!a:2", "!blob!b:2"],
            ),
        ],
    );
}

#[test]
fn what_belongs_to_no_member_is_seen() {
    let bench = Bench::new();
    bench.key("a");
    let comment = "python3 -c 'import sys, zipfile\n\
         with zipfile.ZipFile(\"z\", \"w\") as z:\n    \
         z.writestr(\"e\", \"\"); z.comment = open(\"a\", \"rb\").read()' && cat z; rm z";
    bench.put("zip", &bench.sh(comment).expect("python"));
    let behind = [gzip(b"nothing"), key("a")].concat();
    bench.put("gzip", &behind);
    let scan = bench.scan(&[]);
    assert_eq!(scan.found, 2);
    assert!(scan.pairs.contains("gzip:2"), "{:?}", scan.pairs);
    assert_eq!(scan.status, 1);
}

#[test]
fn a_broken_archive_is_told_and_scanned_as_it_is() {
    let bench = Bench::new();
    let noise: String = (0..50_000).map(|_| fastrand::alphanumeric()).collect();
    let whole = gzip(&[key("a"), noise.into_bytes()].concat());
    bench.put("cut", &whole[..whole.len() / 2]);
    // All of it is there, and what says that it is whole is wrong or missing.
    let small = gzip(&key("c"));
    let body = &small[..small.len() - 8];
    bench.put("checksum", &[body, &[0; 8]].concat());
    bench.put("no-end", body);
    // Its beginning is read twice, and told once.
    let member = key("e");
    let padding = vec![0; 512 - member.len() % 512];
    let header = tar_header("e", b'0', member.len() as u64);
    let cut = [header, member, padding, tar_header("f", b'0', 1 << 20)].concat();
    bench.put("cut.tar", &cut);
    bench.put(
        "lzo",
        &[b"\x89LZO\0\r\n\x1a\n".as_slice(), &key("d")].concat(),
    );
    bench.put(
        "rar",
        &[b"Rar!\x1a\x07\x01\0".as_slice(), &key("b")].concat(),
    );
    let scan = bench.scan(&["--fail-on", "never"]);
    let expected = [
        "checksum:2",
        "cut.tar!e:2",
        "cut:2",
        "lzo:4",
        "no-end:2",
        "rar:2",
    ];
    assert_eq!(scan.pairs, BTreeSet::from(expected.map(String::from)));
    assert_eq!(scan.found, 6);
    assert_eq!(scan.skipped("archive-corrupt"), 4);
    assert_eq!(scan.skipped("archive-unsupported"), 2);
    assert_eq!(scan.status, 2);
}

#[test]
fn an_encrypted_member_is_told_and_is_no_gap() {
    let bench = Bench::new();
    bench.key("a");
    let Some(zip) = bench.sh("zip -qP password - a") else {
        return;
    };
    bench.put("zip", &zip);
    bench.put("zip.gz", &gzip(&zip));
    let scan = bench.scan(&[]);
    assert_eq!((scan.found, scan.status), (0, 0));
    assert_eq!(scan.skipped("archive-encrypted"), 2);
}

#[test]
fn the_last_volume_of_a_zip_is_read_as_far_as_its_entries_are_whole() {
    let bench = Bench::new();
    bench.key("b");
    let split = "head -c 200000 /dev/urandom >a; zip -q -s 64k z.zip a b >&2; cat z.zip; rm a z.*";
    let Some(last) = bench.sh(split) else {
        return;
    };
    assert!(!last.starts_with(b"PK"));
    bench.put("zip", &last);
    let scan = bench.scan(&["--fail-on", "never"]);
    assert_eq!(scan.pairs, BTreeSet::from(["zip!b:2".to_owned()]));
    assert_eq!((scan.skipped("archive-corrupt"), scan.status), (1, 2));
}

#[test]
fn archives_can_be_left_as_they_are() {
    let bench = Bench::new();
    bench.put("gzip", &gzip(&key("a")));
    let config = bench.path("config.toml");
    fs::write(&config, "[scan]\narchives = false\n").expect("a file");
    let config = config.to_str().expect("UTF-8").to_owned();
    let scan = bench.scan(&["--config", &config]);
    assert_eq!((scan.found, scan.archives), (0, Value::Null));
}

/// Gzip of `len` zeros behind `head`.
fn zeros(bench: &Bench, name: &str, head: &[u8], len: u64) {
    let file = File::create(bench.path("scan").join(name)).expect("a file");
    let mut encoder = GzEncoder::new(file, Compression::default());
    encoder.write_all(head).expect("a file");
    std::io::copy(&mut std::io::repeat(0).take(len), &mut encoder).expect("a file");
    encoder.finish().expect("a file");
}

/// The header of a tar member of that size.
fn tar_header(name: &str, kind: u8, size: u64) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[124] = 0x80;
    header[128..136].copy_from_slice(&size.to_be_bytes());
    header[148..156].fill(b' ');
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar  \0");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[test]
fn a_hard_link_in_a_tar_has_content_or_only_tells_the_size_of_it() {
    let bench = Bench::new();
    let member = |name: &str, kind| {
        let mut bytes = key(name);
        let header = tar_header(name, kind, bytes.len() as u64);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        [header, bytes].concat()
    };
    let zeros = vec![0; 1024];
    let [file, link] = [member("a", b'0'), member("b", b'1')];
    bench.put("with", &[link.as_slice(), &file, &zeros].concat());
    let header = &link[..512];
    bench.put("without", &[header, &file, header, &zeros].concat());
    bench.put("at-the-end", &[file.as_slice(), header].concat());
    let scan = bench.scan(&[]);
    let places = ["at-the-end!a:2", "with!a:2", "with!b:2", "without!a:2"];
    assert_eq!(scan.pairs, places.map(String::from).into());
    assert_eq!(scan.archives["skipped"], Value::Array(Vec::new()));
}

#[test]
fn a_large_archive_takes_no_more_memory_than_a_small_one() {
    let bench = Bench::new();
    let size = 2 << 30;
    let file = File::create(bench.path("scan").join("tgz")).expect("a file");
    let mut encoder = GzEncoder::new(file, Compression::fast());
    encoder
        .write_all(&tar_header("zeros", b'0', size))
        .expect("a file");
    std::io::copy(&mut std::io::repeat(0).take(size), &mut encoder).expect("a file");
    let text = key("a");
    encoder
        .write_all(&tar_header("a", b'0', text.len() as u64))
        .and_then(|()| encoder.write_all(&text))
        .and_then(|()| encoder.finish())
        .expect("a file");
    let scan = bench.scan(&[]);
    assert_eq!(scan.pairs, BTreeSet::from(["tgz!a:2".to_owned()]));
    assert_eq!(scan.status, 1);
    assert!(scan.memory <= MOST_MEMORY, "{} kB", scan.memory);
}

#[test]
fn bombs_are_cut_and_told() {
    let bench = Bench::new();
    // Gzip of gzip: a million times its size.
    zeros(&bench, "inner", b"", 1 << 30);
    let inner = fs::read(bench.path("scan/inner")).expect("a file");
    fs::remove_file(bench.path("scan/inner")).expect("a file");
    bench.put("bomb.gz.gz", &gzip(&inner));
    let mut doll = key("a");
    for _ in 0..40 {
        doll = gzip(&doll);
    }
    bench.put("matryoshka.gz", &doll);
    bench.put("lies.tar", &tar_header("a", b'0', 1 << 60));
    bench.put("long-name.tar", &tar_header("a", b'L', 1 << 60));
    let empty = tar_header("e", b'0', 0).repeat(1000);
    let mut empties = GzEncoder::new(
        File::create(bench.path("scan").join("empties.tgz")).expect("a file"),
        Compression::fast(),
    );
    for _ in 0..200 {
        empties.write_all(&empty).expect("a file");
    }
    empties.finish().expect("a file");
    // Streams that nothing comes out of cost as well.
    let nothing = Command::new("bzip2").stdin(Stdio::null()).output();
    let nothing = nothing.expect("bzip2 runs").stdout;
    bench.put("nothing.bz2.gz", &gzip(&nothing.repeat(1 << 20)));
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0];
    bench.put("nothing.zst", &frame.repeat(1 << 20));
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0].repeat(1 << 20);
    bench.put("skippable.zst.gz", &gzip(&skippable));
    let scan = bench.scan(&[]);
    assert_eq!(scan.skipped("archive-limit"), 4);
    assert_eq!(scan.skipped("archive-corrupt"), 2);
    assert_eq!(
        scan.archives["scanned"].as_u64().map(|n| n >= 200_000),
        Some(true)
    );
    assert_eq!(scan.status, 2);
    assert!(scan.memory <= MOST_MEMORY, "{} kB", scan.memory);
}

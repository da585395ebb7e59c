//! Archives that stand behind one another, entries that a zip's directory
//! hides, and compression in compression: all of it is read, as the programs
//! do that are less strict than the format.

use super::{Bench, assert_found};

/// Python that writes a zip of `a` and `b` and then runs what it is given,
/// before the directory is written.
const EDITED: &str = "
import sys, zipfile
with zipfile.ZipFile('z', 'w', 8) as z:
    for name in 'ab': z.write(name)
    first = z.filelist[0]
    exec(sys.argv[1])
sys.stdout.buffer.write(open('z', 'rb').read())
";

fn two_keys() -> Bench {
    let bench = Bench::new();
    bench.key("a");
    bench.key("b");
    bench
}

fn edited(bench: &Bench, name: &str, edit: &str) {
    let zip = bench.sh(&format!("python3 -c \"{EDITED}\" \"{edit}\""));
    bench.put(name, &zip.expect("python"));
}

#[test]
fn what_stands_behind_an_archive_is_looked_into_as_well() {
    let bench = two_keys();
    let zip = "python3 -c \"$WRITE_ZIP\" 8 file";
    let b = "{ echo; cat b; }";
    assert_found(
        &bench,
        &[
            ("gz-xz", &format!("gzip -c a; {b} | xz"), &[":2", ":3"]),
            (
                "gz-zeros-gz",
                &format!("gzip -c a; head -c 1000 /dev/zero; {b} | gzip"),
                &[":2", ":3"],
            ),
            ("gz-zip", &format!("gzip -c a; {zip} b"), &[":2", "!b:2"]),
            ("zip-gz", &format!("{zip} a; {b} | gzip"), &["!a:2", ":3"]),
            ("tar-zip", &format!("tar c a; {zip} b"), &["!a:2", "!b:2"]),
            ("tar-text", &format!("tar c a; {b}"), &["!a:2", ":3"]),
            (
                "ar-zeros",
                "ar rc ../x.a a && cat ../x.a && head -c 4096 /dev/zero",
                &["!a:2"],
            ),
            (
                "ramdisk",
                "echo a | cpio --quiet -o -H newc | gzip; \
                 echo b | cpio --quiet -o -H newc | xz --check=crc32",
                &["!a:2", "!b:2"],
            ),
        ],
    );
}

#[test]
fn old_frames_of_lz4_end_where_another_begins() {
    let bench = two_keys();
    let b = "{ echo; cat b; }";
    assert_found(
        &bench,
        &[
            ("twice", "lz4 -qlc a; lz4 -qlc b", &[":2", ":5"]),
            (
                "blocks",
                "{ cat a; head -c 9000000 /dev/zero | tr '\\0' '\\n'; cat b; } | lz4 -qlc",
                &[":2", ":9000005"],
            ),
            ("common", "lz4 -qlc a; lz4 -qc b", &[":2", ":5"]),
            (
                "without-content",
                "lz4 -qc a; printf '\\x5f\\x2a\\x4d\\x18\\x03\\0\\0\\0abc'; lz4 -qc b",
                &[":2", ":5"],
            ),
            ("zstd", &format!("lz4 -qc a; {b} | zstd -qc"), &[":2", ":3"]),
        ],
    );
}

#[test]
fn zeros_behind_an_old_frame_of_lz4_hide_nothing() {
    let bench = two_keys();
    let b = "{ echo; cat b; }";
    let zeros = |count| format!("lz4 -qlc a; head -c {count} /dev/zero; {b} | xz");
    let place: &[&str] = &[":2", ":3"];
    assert_found(
        &bench,
        &[
            ("3", &zeros(3), place),
            ("4", &zeros(4), place),
            ("512", &zeros(512), place),
            ("at-the-end", "lz4 -qlc a; head -c 4 /dev/zero", &[":2"]),
            (
                "ramdisk",
                ": | cpio --quiet -o -H newc; \
                 echo a | cpio --quiet -o -H newc | lz4 -qlc; head -c 8 /dev/zero; \
                 echo b | cpio --quiet -o -H newc | xz --check=crc32",
                &["!a:2", "!b:2"],
            ),
        ],
    );
}

#[test]
fn what_is_small_may_be_compressed_at_every_depth() {
    let bench = two_keys();
    let four = "cp a k; for i in 1 2 3 4; do tar c k | $PACK >n; mv n k; done; cat k";
    let place: &[&str] = &["!k!k!k!k:2"];
    assert_found(
        &bench,
        &[
            ("xz", &format!("PACK=xz; {four}"), place),
            ("zstd", &format!("PACK='zstd -q19'; {four}"), place),
            ("bzip2", &format!("PACK=bzip2; {four}"), place),
            ("old-lz4", &format!("PACK='lz4 -ql'; {four}"), place),
            ("old-lz4.bz2", "lz4 -qlc a | bzip2", &[":2"]),
            ("old-lz4.xz", "lz4 -qlc a | xz", &[":2"]),
            ("old-lz4.zst", "lz4 -qlc a | zstd -qc", &[":2"]),
            ("old-lz4.lz4", "lz4 -qlc a | lz4 -qc -B7", &[":2"]),
            // Blocks of 4 MiB beside a full dictionary of 8 MiB.
            (
                "lz4",
                "head -c 9M /dev/urandom >n; \
                 { cat a; head -c 9M /dev/zero; } | lz4 -qc -B7 >k; tar c n k | xz -6",
                &["!k:2"],
            ),
        ],
    );
}

#[test]
fn entries_that_the_directory_does_not_name_are_read() {
    let bench = two_keys();
    let zip = "python3 -c \"$WRITE_ZIP\" 8 file";
    let both: &[&str] = &["!a:2", "!b:2"];
    assert_found(
        &bench,
        &[
            ("zips", &format!("{zip} a; {zip} b"), both),
            ("zips.gz", &format!("{{ {zip} a; {zip} b; }} | gzip"), both),
        ],
    );
}

#[test]
fn a_directory_that_lies_hides_nothing() {
    let bench = two_keys();
    edited(&bench, "hidden", "del z.filelist[0]");
    edited(
        &bench,
        "elsewhere",
        "z.comment = b'PK\\x05\\x06' + bytes(18)",
    );
    edited(&bench, "encrypted", "first.flag_bits |= 1");
    let scan = bench.scan(&[]);
    let places = ["elsewhere", "encrypted", "hidden"]
        .iter()
        .flat_map(|name| [format!("{name}!a:2"), format!("{name}!b:2")]);
    assert_eq!(scan.pairs, places.collect());
    assert_eq!(scan.found, 6);
    assert_eq!(scan.archives["skipped"], serde_json::json!([]));

    let bench = two_keys();
    edited(&bench, "stored", "first.compress_type = 0");
    edited(&bench, "sum", "first.CRC ^= 1");
    let scan = bench.scan(&["--fail-on", "never"]);
    let places = ["stored!a:2", "stored!b:2", "sum!a:2", "sum!b:2"].map(String::from);
    assert_eq!(scan.pairs, places.into());
    assert_eq!(scan.skipped("archive-corrupt"), 2);
    assert_eq!(scan.status, 2);
}

#[test]
fn members_of_one_name_are_one_place() {
    let bench = two_keys();
    let again = "tar cf t a; echo more >>a; tar rf t a; tar rf t b; cat t";
    assert_found(&bench, &[("tar", again, &["!a:2", "!b:2"])]);
}

#[test]
fn long_descriptors_are_no_stretches_of_their_own() {
    let bench = two_keys();
    let many = "for i in $(seq 4200); do echo $i >f$i; done; zip -qfz - a f* b | cat";
    assert_found(&bench, &[("zip", many, &["!a:2", "!b:2"])]);
}

#[test]
fn a_zip_behind_other_bytes_is_seen_wherever_the_reads_end() {
    let bench = two_keys();
    let zip = bench
        .sh("python3 -c \"$WRITE_ZIP\" 8 file a")
        .expect("python");
    let mut places = std::collections::BTreeSet::new();
    for more in [1, 10, 21, 22] {
        let mut bytes = vec![b'\n'; 1024 * 1024 + more - zip.len()];
        bytes.extend(&zip);
        bench.put(&more.to_string(), &bytes);
        places.insert(format!("{more}!a:2"));
    }
    assert_eq!(bench.scan(&[]).pairs, places);
}

#[test]
fn a_zip_behind_a_program_is_seen_with_bytes_behind_it() {
    let bench = two_keys();
    // Stored, so that one that is not seen in time is told twice.
    let zip = "python3 -c \"$WRITE_ZIP\" 0 file a";
    let script = "printf '#!/bin/sh\\n'";
    let noise = "head -c 9000 /dev/urandom";
    let zeros = "head -c 70000 /dev/zero";
    let place: &[&str] = &["!a:2"];
    assert_found(
        &bench,
        &[
            ("script", &format!("{script}; {zip}; echo"), place),
            (
                "long-script",
                &format!("{script}; seq -f '# line %g' 100000; {zip}; echo; {noise}"),
                place,
            ),
            ("elf", &format!("cat /bin/true; {zip}; {zeros}"), place),
            (
                "elf-32",
                &format!("printf '\\x7fELF\\1\\1'; head -c 99 /dev/zero; {zip}; {noise}"),
                place,
            ),
            (
                "signed.exe",
                &format!("printf MZ; {noise}; {zip}; {noise}"),
                place,
            ),
            (
                "comment.exe",
                &format!(
                    "printf MZ; {zip} >z.zip; seq 2000 | zip -qz z.zip >&2; cat z.zip; {noise}; rm z.zip"
                ),
                place,
            ),
            (
                "signed.crx",
                &format!("printf 'Cr24\\3\\0\\0\\0'; head -c 500 /dev/zero; {zip}"),
                place,
            ),
            (
                "tar",
                &format!("{{ {script}; {zip}; {zeros}; }} >f; tar c f; rm f"),
                &["!f!a:2"],
            ),
            (
                "tar.gz",
                &format!("{{ printf MZ; {noise}; {zip}; {noise}; }} >f; tar cz f; rm f"),
                &["!f!a:2"],
            ),
        ],
    );
}

#[test]
fn the_mark_of_a_zip_in_a_program_makes_none_of_it() {
    let bench = two_keys();
    let mark = "printf 'PK\\5\\6'";
    let marks = format!("{mark}; head -c 40 /dev/zero; {mark}; seq 20; {mark}");
    assert_found(
        &bench,
        &[
            (
                "script",
                &format!("echo '#!/bin/sh'; {marks}; echo; cat a"),
                &[":24"],
            ),
            ("exe", &format!("echo MZ; {marks}; echo; cat a"), &[":24"]),
            (
                "tar",
                &format!("{{ echo '#!/bin/sh'; {marks}; echo; cat a; }} >f; tar c f; rm f"),
                &["!f:24"],
            ),
        ],
    );
}

//! Archives that stand behind one another, entries that a zip's directory
//! hides, and compression in compression: all of it is read, as the programs
//! do that are less strict than the format.

use super::{Bench, assert_found};

fn two_keys() -> Bench {
    let bench = Bench::new();
    bench.key("a");
    bench.key("b");
    bench
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
        ],
    );
}

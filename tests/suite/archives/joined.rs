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

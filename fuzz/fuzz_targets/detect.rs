//! The detector on any bytes: it neither panics nor depends on how the bytes
//! arrive, and what it tells of a place is so.
//!
//! The first eight bytes of an input say how the rest is fed: six sizes of
//! pieces, and how much stands before it, so that texts over the edge of the
//! detector's window are met too.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rolecall::detect::{Detection, Detector, Scanner};

static DETECTOR: LazyLock<Detector> = LazyLock::new(|| Detector::new(4));

/// Before this place the window slides for the first time.
const EDGE: usize = 1024 * 1024;

fuzz_target!(|input: &[u8]| {
    let Some((&[a, b, c, d, e, f, place, fill], text)) = input.split_first_chunk() else {
        return;
    };
    let sizes = [a, b, c, d, e, f].map(usize::from);
    // A window full of filler costs a hundred times what a text does: few
    // inputs have one.
    if place < 248 {
        examine(text, &sizes);
    } else {
        let before = EDGE - text.len().min(EDGE) * usize::from(place - 247) / 8;
        let mut blob = vec![fill; before];
        blob.extend(text);
        let sizes = sizes.map(|size| size * 513);
        examine(&blob, &sizes);
    }
});

fn examine(blob: &[u8], sizes: &[usize]) {
    let whole = DETECTOR.scan(blob);
    let pieces = in_pieces(blob, sizes);
    assert_eq!(told(&whole), told(&pieces));
    assert_eq!(
        (whole.excess, whole.undecoded),
        (pieces.excess, pieces.undecoded)
    );
    for found in &whole.matches {
        // Not told far inside a binary blob.
        let (Some(line), Some(column)) = (found.line, found.column) else {
            continue;
        };
        let line = usize::try_from(line).expect("a line") - 1;
        let column = usize::try_from(column).expect("a column") - 1;
        let text = blob.split(|byte| *byte == b'\n').nth(line);
        let rest = text.expect("the line is there").get(column..);
        let rest = rest.expect("the column is there");
        if let (Some(id), true) = (&found.access_key_id, found.encoding.is_empty()) {
            assert_eq!(rest.first(), id.as_str().as_bytes().first());
        }
    }
}

/// What the detector says when the bytes come in pieces of these sizes.
fn in_pieces(blob: &[u8], sizes: &[usize]) -> Detection {
    let mut scanner = Scanner::new(&DETECTOR);
    let mut sizes = sizes.iter().cycle();
    let mut rest = blob;
    while !rest.is_empty() {
        let space = scanner.space();
        let size = sizes.next().map_or(1, |size| *size).max(1);
        let (piece, behind) = rest.split_at(size.min(rest.len()).min(space.len()));
        space[..piece.len()].copy_from_slice(piece);
        scanner.advance(piece.len());
        rest = behind;
    }
    scanner.finish()
}

fn told(detection: &Detection) -> Vec<String> {
    let told = detection.matches.iter();
    told.map(|found| {
        let secret = found.secret.as_ref().map(rolecall::secret::Secret::expose);
        format!("{found:?} {secret:?}")
    })
    .collect()
}

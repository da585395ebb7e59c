//! UTF-16 in either byte order, with or without a mark: of the code units
//! only those below 128 matter, the others are read as `?`.

use super::{Decoded, Encoding, MAX_TEXT};

/// Code units in a row that are not ASCII before the text is taken to end.
const MAX_FOREIGN: usize = 16;

/// Bytes decoded again when a text is cut.
const OVERLAP: usize = 2048;

/// Bytes decoded before a hit; what is left of the longest text is behind it.
const MAX_BEFORE: usize = MAX_TEXT / 2;

/// Decodes the text around the low byte at `at`. Read from the low bytes the
/// two byte orders look alike; they differ in what stands before the first.
pub(in crate::detect) fn decode(bytes: &[u8], at: usize, from: usize) -> Decoded {
    let start = start_of(bytes, at, from);
    let mut decoded = Vec::new();
    let mut foreign = 0;
    for unit in bytes[start..].chunks(2).take(MAX_TEXT / 2) {
        match unit {
            [low @ (1..=0x7f), 0] => {
                foreign = 0;
                decoded.push(*low);
            }
            // The last unit of a big-endian text has no byte behind it.
            [low @ (1..=0x7f)] => decoded.push(*low),
            _ if foreign == MAX_FOREIGN => break,
            _ => {
                foreign += 1;
                // The text next to this one may be what belongs to it.
                decoded.push(if *unit == [0, 0] { 0 } else { b'?' });
            }
        }
    }
    let end = (start + decoded.len() * 2).min(bytes.len());
    let cut = end + 2 > bytes.len() || decoded.len() == MAX_TEXT / 2;
    let done = if cut && decoded.len() > OVERLAP {
        end - OVERLAP
    } else {
        end
    };
    // A zero ends a text of the other order too, which begins at an even place.
    let big_endian = start % 2 == 1 && bytes[start - 1] == 0;
    Decoded {
        encoding: if big_endian {
            Encoding::Utf16Be
        } else {
            Encoding::Utf16Le
        },
        source: (0..decoded.len())
            .map(|index| u32::try_from(start + index * 2).unwrap_or(u32::MAX))
            .collect(),
        bytes: decoded,
        done,
    }
}

fn start_of(bytes: &[u8], at: usize, from: usize) -> usize {
    let mut start = at;
    let mut place = at;
    let mut foreign = 0;
    while place >= from + 2 && at - place < MAX_BEFORE {
        place -= 2;
        match bytes[place..place + 2] {
            [1..=0x7f, 0] => {
                foreign = 0;
                start = place;
            }
            _ if foreign == MAX_FOREIGN => break,
            _ => foreign += 1,
        }
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hit_behind_a_long_text_is_decoded_with_what_follows_it() {
        let mut text: Vec<u8> = [b'a', 0].repeat(MAX_TEXT);
        let at = text.len();
        text.extend([b'B', 0].repeat(1000));
        let decoded = decode(&text, at, 0);
        assert!(decoded.bytes.ends_with(&[b'B'; 1000]));
    }
}

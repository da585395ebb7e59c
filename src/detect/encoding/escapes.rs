//! Texts in which every character is escaped: `\x41`, `\u0041`, `&#65;`,
//! `&#x41;`, `%41`.

use super::{Decoded, Encoding};
use crate::detect::glyph;

/// Bytes looked at before and behind a hit: the longest escape of a character
/// has eight, and a secret follows its ID within a few lines.
const BEFORE: usize = 4 * 1024;
const AFTER: usize = 16 * 1024;

/// Decodes all escapes near `at`; what is not escaped stays.
pub(in crate::detect) fn decode(bytes: &[u8], at: usize, from: usize) -> Decoded {
    let start = at.saturating_sub(BEFORE).max(from.min(at));
    let end = bytes.len().min(at + AFTER);
    let mut decoded = Vec::with_capacity(end - start);
    let mut source = Vec::with_capacity(end - start);
    let mut place = start;
    while place < end {
        let (byte, len) = unescape(&bytes[place..]).unwrap_or((bytes[place], 1));
        decoded.push(byte);
        source.push(u32::try_from(place).unwrap_or(u32::MAX));
        place += len;
    }
    Decoded {
        encoding: Encoding::Escaped,
        bytes: decoded,
        source,
        // A key over the cut is whole in the next piece.
        done: if end == bytes.len() {
            end
        } else {
            end - BEFORE / 2
        },
    }
}

fn unescape(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [b'%', rest @ ..] => Some((glyph::two_hex(rest)?, 3)),
        [b'&', b'#', b'x' | b'X', rest @ ..] => number(rest, 16).map(|(byte, len)| (byte, len + 3)),
        [b'&', b'#', rest @ ..] => number(rest, 10).map(|(byte, len)| (byte, len + 2)),
        [b'\\', ..] => {
            let slashes = text
                .iter()
                .take(16)
                .take_while(|byte| **byte == b'\\')
                .count();
            match &text[slashes..] {
                [b'x', rest @ ..] => Some((glyph::two_hex(rest)?, slashes + 3)),
                [b'u', b'0', b'0', rest @ ..] => Some((glyph::two_hex(rest)?, slashes + 5)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A character number and its semicolon.
fn number(text: &[u8], radix: u32) -> Option<(u8, usize)> {
    let end = text.iter().take(8).position(|byte| *byte == b';')?;
    let digits = std::str::from_utf8(&text[..end]).ok()?;
    let byte = u8::from_str_radix(digits, radix).ok()?;
    Some((byte, end + 1))
}

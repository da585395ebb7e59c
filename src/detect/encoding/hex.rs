//! Hexadecimal text, both cases, two digits a byte.

use super::{Decoded, Encoding, MAX_TEXT};
use crate::detect::glyph;

/// Bytes decoded again when a text is cut.
const OVERLAP: usize = 1024;

/// Decodes the digits around `at`, where a byte begins.
pub(in crate::detect) fn decode(bytes: &[u8], at: usize, from: usize) -> Decoded {
    let back = bytes[from..at]
        .iter()
        .rev()
        .take(MAX_TEXT)
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    let start = at - back / 2 * 2;
    let pairs = bytes[start..].chunks_exact(2).take(MAX_TEXT / 2);
    let decoded: Vec<u8> = pairs.map_while(glyph::two_hex).collect();
    let end = start + decoded.len() * 2;
    let cut = decoded.len() == MAX_TEXT / 2 || end + 1 >= bytes.len();
    let done = if cut && decoded.len() > 2 * OVERLAP {
        end - 2 * OVERLAP
    } else {
        end
    };
    Decoded {
        encoding: Encoding::Hex,
        source: (0..decoded.len())
            .map(|index| u32::try_from(start + index * 2).unwrap_or(u32::MAX))
            .collect(),
        bytes: decoded,
        done,
    }
}

/// Decodes a text that is hexadecimal throughout.
pub(in crate::detect) fn decode_all(text: &[u8]) -> Option<Vec<u8>> {
    text.chunks(2).map(glyph::two_hex).collect()
}

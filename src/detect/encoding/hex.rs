//! Hexadecimal text, both cases, two digits a byte, on one line or wrapped.

use super::{Decoded, Encoding, wrapped};
use crate::detect::glyph;

/// Digits decoded again when a text is cut.
const OVERLAP: usize = 2048;

/// Decodes the digits around `at`, where a byte begins. Bytes before `from`
/// are done already.
pub(in crate::detect) fn decode(bytes: &[u8], at: usize, from: usize) -> Decoded {
    let (mut places, after) = wrapped::places(bytes, at, from, |byte| byte.is_ascii_hexdigit());
    let skip = places.len() % 2;
    places.extend(after);
    let places = &places[skip..];
    let digits: Vec<u8> = places.iter().map(|place| bytes[*place as usize]).collect();
    let done = if wrapped::is_cut(bytes, places) && places.len() > 2 * OVERLAP {
        places[(places.len() - OVERLAP) / 2 * 2] as usize
    } else {
        places.last().map_or(at + 1, |last| *last as usize + 1)
    };
    let decoded: Vec<u8> = digits.chunks_exact(2).map_while(glyph::two_hex).collect();
    Decoded {
        encoding: Encoding::Hex,
        source: (0..decoded.len()).map(|index| places[index * 2]).collect(),
        bytes: decoded,
        done,
    }
}

/// Decodes a text that is hexadecimal throughout.
pub(in crate::detect) fn decode_all(text: &[u8]) -> Option<Vec<u8>> {
    text.chunks(2).map(glyph::two_hex).collect()
}

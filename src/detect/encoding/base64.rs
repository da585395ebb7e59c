//! Base64: standard and URL-safe alphabet, padded or not, at every alignment,
//! on one line or wrapped at any width.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};

use super::{Decoded, Encoding, wrapped};
use crate::detect::glyph;

/// Text from strangers ends anywhere: no padding asked for, loose bits of the
/// last character ignored.
pub(in crate::detect) const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Characters decoded again when a text is cut, so that a key on the cut is
/// whole in one of the pieces. A multiple of four.
const OVERLAP: usize = 2048;

/// Characters below which a text without an anchor is not decoded.
const MIN_TEXT: usize = 96;

/// Decodes the text around `at`, where a group of four characters began
/// `phase` characters earlier. Bytes before `from` are done already.
pub(in crate::detect) fn decode(
    bytes: &[u8],
    at: usize,
    phase: u8,
    from: usize,
) -> Option<Decoded> {
    let (mut places, after) = wrapped::places(bytes, at, from, in_alphabet);
    let skip = (places.len() + 4 - usize::from(phase)) % 4;
    places.extend(after);
    decode_places(bytes, places.get(skip..)?)
}

/// Decodes a long text somewhere inside which `at` lies, and which begins
/// where a group does. It may turn out to be hexadecimal.
pub(in crate::detect) fn decode_text(bytes: &[u8], at: usize, from: usize) -> Option<Decoded> {
    let (mut places, after) = wrapped::places(bytes, at, from, in_alphabet);
    places.extend(after);
    if places.len() < MIN_TEXT {
        return None;
    }
    let head = || {
        places[..MIN_TEXT]
            .iter()
            .map(|place| bytes[*place as usize])
    };
    if head().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(super::hex::decode(bytes, places[0] as usize, from));
    }
    // Identifiers and paths use fewer kinds of characters than base64 of
    // anything does.
    let is_mixed = head().any(|byte| byte.is_ascii_uppercase())
        && head().any(|byte| byte.is_ascii_lowercase())
        && head().any(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'/'));
    if !is_mixed {
        return None;
    }
    decode_places(bytes, &places)
}

fn in_alphabet(byte: u8) -> bool {
    glyph::is_base64(byte) || matches!(byte, b'-' | b'_')
}

fn decode_places(bytes: &[u8], places: &[u32]) -> Option<Decoded> {
    // One character more than whole groups says nothing.
    let len = if places.len() % 4 == 1 {
        places.len() - 1
    } else {
        places.len()
    };
    let places = &places[..len];
    let text: Vec<u8> = places
        .iter()
        .map(|place| match bytes[*place as usize] {
            b'-' => b'+',
            b'_' => b'/',
            byte => byte,
        })
        .collect();
    let decoded = LENIENT.decode(&text).ok()?;
    // A text cut by the end of the window goes on in the next one.
    let done = if wrapped::is_cut(bytes, places) && places.len() > 2 * OVERLAP {
        places[(places.len() - OVERLAP) / 4 * 4] as usize
    } else {
        places.last().map_or(0, |last| *last as usize + 1)
    };
    Some(Decoded {
        encoding: Encoding::Base64,
        source: (0..decoded.len())
            .map(|index| places[index * 4 / 3])
            .collect(),
        bytes: decoded,
        done,
    })
}

//! Base64: standard and URL-safe alphabet, padded or not, at every alignment,
//! on one line or wrapped at any width.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};

use super::{Decoded, Encoding, wrapped};
use crate::detect::glyph;
use crate::detect::prefilter::MIN_TEXT;
use crate::finding::AccessKeyId;

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

/// Characters by which a text without an anchor is judged.
const NEAR: usize = 32;

/// Decoded bytes below which nothing can be said of them.
const MIN_DECODED: usize = 15;

/// Whether an access key ID may begin with the prefix that the literal at `at`
/// encodes. Of a long text of noise one in a hundred holds such a literal by
/// chance, at an alignment of its own; decoded so, the text would seem done.
pub(in crate::detect) fn may_be_id(bytes: &[u8], at: usize, phase: u8) -> bool {
    // An ID and one joint of two literals.
    const NEAR: usize = 208;
    // The whole groups behind the literal's start, and where in them the
    // prefix ends, of whose last letter the literal does not hold all bits.
    let (skip, prefix_end) = match phase {
        0 => (0, 4),
        2 => (2, 2),
        _ => (1, 3),
    };
    let rest = bytes.get(at + skip..).unwrap_or_default();
    let line = rest.iter().take(NEAR);
    let text: Vec<u8> = line
        .take_while(|byte| in_alphabet(**byte))
        .map(|byte| to_standard(*byte))
        .collect();
    let decoded = LENIENT
        .decode(&text[..text.len() / 4 * 4])
        .unwrap_or_default();
    if decoded.len() >= prefix_end && !decoded[..prefix_end].ends_with(b"IA") {
        return false;
    }
    let (mut place, mut characters) = (prefix_end, 4);
    while let Some(byte) = decoded.get(place) {
        if characters == AccessKeyId::LEN {
            break;
        }
        if byte.is_ascii_uppercase() || byte.is_ascii_digit() {
            (place, characters) = (place + 1, characters + 1);
            continue;
        }
        match glyph::joint(&decoded, place).or_else(|| glyph::comma(&decoded, place)) {
            Some(next) => place = next,
            None => return false,
        }
    }
    true
}

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

/// Decodes a text that was noticed for its look only, somewhere inside which
/// `at` lies and which begins where a group does. Bytes before `from` are done
/// already. It may turn out to be hexadecimal, or no encoding of text at all;
/// `looked` is then moved to its end, so that no other probe looks again.
pub(in crate::detect) fn decode_text(
    bytes: &[u8],
    at: usize,
    from: usize,
    looked: &mut usize,
) -> Option<Decoded> {
    if !looks_encoded(bytes, at) {
        return None;
    }
    let (mut places, after) = wrapped::places(bytes, at, from, in_alphabet);
    places.extend(after);
    if places.len() < MIN_TEXT {
        return None;
    }
    *looked = places.last().map_or(at, |last| *last as usize + 1);
    let mut head = places.iter().take(NEAR).map(|place| bytes[*place as usize]);
    let decoded = if head.all(|byte| byte.is_ascii_hexdigit()) {
        places
            .first()
            .map(|first| super::hex::decode(bytes, *first as usize, from))
    } else {
        decode_places(bytes, &places)
    };
    decoded.filter(|decoded| is_text(&decoded.bytes))
}

/// Whether the characters around `at` decode to text at any alignment.
fn looks_encoded(bytes: &[u8], at: usize) -> bool {
    const GROUPS: usize = NEAR / 4;
    let start = at.saturating_sub(NEAR);
    let mut text = [0; NEAR + 4];
    let mut len = 0;
    for (place, byte) in bytes.iter().enumerate().take(at + 2 * NEAR).skip(start) {
        if in_alphabet(*byte) {
            if len < text.len() {
                text[len] = *byte;
                len += 1;
            }
        } else if !matches!(byte, b'\r' | b'\n') {
            if place >= at {
                break;
            }
            // The text begins behind this.
            len = 0;
        }
    }
    let mut decoded = [0; GROUPS * 3];
    let hex = text[..len].iter().all(u8::is_ascii_hexdigit);
    (0..4).any(|phase| {
        let Some(part) = text[..len].get(phase..) else {
            return false;
        };
        if hex {
            let bytes: Vec<u8> = part.chunks_exact(2).map_while(glyph::two_hex).collect();
            return is_text(&bytes);
        }
        let part = &part[..part.len().min(NEAR) / 4 * 4];
        let count = LENIENT.decode_slice(part, &mut decoded).unwrap_or(0);
        count >= MIN_DECODED && is_text(&decoded[..count])
    })
}

/// Whether decoded bytes are worth a look: text, in whatever encoding, or
/// gzip. Keys in other binary data are anchored in the encoded text already.
fn is_text(decoded: &[u8]) -> bool {
    let head = &decoded[..decoded.len().min(NEAR)];
    let printable = head
        .iter()
        .filter(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace() || **byte == 0)
        .count();
    super::is_gzip(decoded) || printable * 8 >= head.len() * 7
}

fn in_alphabet(byte: u8) -> bool {
    glyph::is_base64(byte) || matches!(byte, b'-' | b'_')
}

const fn to_standard(byte: u8) -> u8 {
    match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte => byte,
    }
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
        .map(|place| to_standard(bytes[*place as usize]))
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

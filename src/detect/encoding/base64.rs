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
    let near = places.len();
    places.extend(after);
    if places.len() < MIN_TEXT {
        return None;
    }
    *looked = places.last().map_or(at, |last| *last as usize + 1);
    let head = places.iter().take(NEAR + HEX_MARK);
    let head: Vec<u8> = head.map(|place| bytes[*place as usize]).collect();
    if let Some(skip) = hex_mark(&head) {
        let first = places[skip] as usize;
        let decoded = super::hex::decode(bytes, first, first);
        return Some(decoded).filter(|decoded| is_text(&decoded.bytes));
    }
    let phase = phase(bytes, &places, near)?;
    decode_places(bytes, &places[phase..])
}

/// Characters of [`hex_mark`] at most.
const HEX_MARK: usize = 2;

/// How many characters say that what follows is hexadecimal, as in `0x41` and
/// `\x41`, if it is: they are of the alphabet of base64, too.
fn hex_mark(head: &[u8]) -> Option<usize> {
    let marks: [&[u8]; 5] = [b"", b"0x", b"0X", b"x", b"X"];
    let found = marks.iter().find(|mark| {
        let rest = head.strip_prefix(**mark);
        rest.is_some_and(|rest| {
            rest.len() >= NEAR && rest[..NEAR].iter().all(u8::is_ascii_hexdigit)
        })
    });
    found.map(|mark| mark.len())
}

/// How many characters stand before the first whole group. The text begins with
/// one as a rule, but what is written right before it may be of the alphabet.
/// A probe saw text at the character `near`.
fn phase(bytes: &[u8], places: &[u32], near: usize) -> Option<usize> {
    let is_text_at = |start: usize| {
        let part = places.get(start..).unwrap_or_default().iter().take(NEAR);
        let part: Vec<u8> = part.map(|place| bytes[*place as usize]).collect();
        is_encoded_text(&part)
    };
    let around = [near.saturating_sub(NEAR), near];
    let around = around.into_iter().flat_map(|start| start..start + 4);
    let mut starts = [0].into_iter().chain(around);
    starts
        .find(|start| is_text_at(*start))
        .map(|start| start % 4)
}

/// Bytes on each side of a place that decide whether it looks encoded.
pub(in crate::detect) const LOOKED_AT: usize = 3 * NEAR;

/// Whether the characters around `at` decode to text at any alignment. Most do
/// not, so this is done with few instructions.
pub(in crate::detect) fn looks_encoded(bytes: &[u8], at: usize) -> bool {
    let mut start = at;
    while at - start < NEAR && start > 0 && value(bytes[start - 1]) <= LINE_END {
        start -= 1;
    }
    let mut text = [0; NEAR + 4];
    let mut len = 0;
    for byte in bytes[start..].iter().take(LOOKED_AT) {
        let value = value(*byte);
        if value > LINE_END || len == text.len() {
            break;
        }
        text[len] = *byte;
        len += usize::from(value < LINE_END);
    }
    let text = &text[..len];
    if text.iter().skip(HEX_MARK).all(u8::is_ascii_hexdigit) {
        let text = &text[hex_mark(text).unwrap_or(0)..];
        return text.starts_with(b"1f8b")
            || text.starts_with(b"1F8B")
            || (0..2).any(|phase| {
                let pairs = text.get(phase..).unwrap_or_default().chunks_exact(2);
                is_mostly_text(pairs.len(), pairs.filter_map(glyph::two_hex))
            });
    }
    (0..4).any(|phase| {
        let part = text.get(phase..).unwrap_or_default();
        is_encoded_text(&part[..part.len().min(NEAR)])
    })
}

/// Whether whole groups of characters, and enough of them, decode to text.
fn is_encoded_text(characters: &[u8]) -> bool {
    let groups = characters.chunks_exact(4);
    let count = groups.len() * 3;
    count >= MIN_DECODED && is_mostly_text(count, groups.flat_map(decode_group))
}

/// Whether decoded bytes are worth a look: text, in whatever encoding, or
/// gzip. Keys in other binary data are anchored in the encoded text already.
fn is_text(decoded: &[u8]) -> bool {
    let head = &decoded[..decoded.len().min(NEAR)];
    super::is_gzip(decoded) || is_mostly_text(head.len(), head.iter().copied())
}

/// Whether at most one in eight of `count` bytes is none of text. Noise is
/// given up after a few bytes.
fn is_mostly_text(count: usize, mut bytes: impl Iterator<Item = u8>) -> bool {
    let mut amiss = 0;
    bytes.all(|byte| {
        let is_text = byte.is_ascii_graphic() || byte.is_ascii_whitespace() || byte == 0;
        amiss += usize::from(!is_text);
        amiss * 8 <= count
    })
}

/// The bytes of four characters.
fn decode_group(group: &[u8]) -> [u8; 3] {
    let [a, b, c, d] = [0, 1, 2, 3].map(|place| value(group[place]));
    [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]
}

/// What a character of either alphabet stands for; [`LINE_END`], or more for
/// all other bytes.
fn value(byte: u8) -> u8 {
    VALUES[usize::from(byte)]
}

const LINE_END: u8 = 64;

static VALUES: [u8; 256] = {
    let mut values = [0; 256];
    let mut byte = 0u8;
    loop {
        values[byte as usize] = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'\n' | b'\r' => LINE_END,
            _ => u8::MAX,
        };
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    values
};

fn in_alphabet(byte: u8) -> bool {
    value(byte) < LINE_END
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

//! Base64: standard and URL-safe alphabet, padded or not, at every alignment,
//! on one line or wrapped at any width, also with the line ends written as
//! `\n` or as joined string literals.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};

use super::{Decoded, Encoding, MAX_TEXT};
use crate::detect::glyph;

/// Text from strangers ends anywhere: no padding asked for, loose bits of the
/// last character ignored.
pub(in crate::detect) const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Shortest line that a line break is taken to wrap.
const MIN_LINE: usize = 32;

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
    let before = characters_before(bytes, at, from);
    let after = characters_from(bytes, at);
    let mut places = before;
    places.reverse();
    let skip = (places.len() + 4 - usize::from(phase)) % 4;
    places.extend(after);
    decode_places(bytes, places.get(skip..)?)
}

/// Decodes a long text somewhere inside which `at` lies; its start is where a
/// group begins.
pub(in crate::detect) fn decode_text(bytes: &[u8], at: usize, from: usize) -> Option<Decoded> {
    let mut places = characters_before(bytes, at, from);
    places.reverse();
    places.extend(characters_from(bytes, at));
    if places.len() < MIN_TEXT || !is_mixed(bytes, &places) {
        return None;
    }
    decode_places(bytes, &places)
}

/// Identifiers, paths and hexadecimal texts use fewer kinds of characters
/// than base64 of anything does.
fn is_mixed(bytes: &[u8], places: &[u32]) -> bool {
    let head = || {
        places[..MIN_TEXT]
            .iter()
            .map(|place| bytes[*place as usize])
    };
    head().any(|byte| byte.is_ascii_uppercase())
        && head().any(|byte| byte.is_ascii_lowercase())
        && head().any(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'/'))
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
    let source = (0..decoded.len())
        .map(|index| places[index * 4 / 3])
        .collect();
    // A text cut by the end of the window goes on in the next one.
    let cut = places.len() >= MAX_TEXT / 2
        || places
            .last()
            .is_some_and(|last| *last as usize + 1 == bytes.len());
    let done = if cut && places.len() > 2 * OVERLAP {
        places[(places.len() - OVERLAP) / 4 * 4] as usize
    } else {
        places.last().map_or(0, |last| *last as usize + 1)
    };
    Some(Decoded {
        encoding: Encoding::Base64,
        bytes: decoded,
        source,
        done,
    })
}

fn in_alphabet(byte: u8) -> bool {
    glyph::is_base64(byte) || matches!(byte, b'-' | b'_')
}

/// Places of the characters from `at` on, line breaks crossed.
fn characters_from(bytes: &[u8], at: usize) -> Vec<u32> {
    let mut places = Vec::new();
    let mut place = at;
    let mut line = at - line_before(bytes, at);
    while places.len() < MAX_TEXT / 2 {
        match bytes.get(place) {
            Some(byte) if in_alphabet(*byte) => {
                places.push(u32::try_from(place).unwrap_or(u32::MAX));
                line += 1;
                place += 1;
            }
            Some(_) => match wrap_at(bytes, place) {
                Some(next) if line >= MIN_LINE && is_whole_line(bytes, next) => {
                    place = next;
                    line = 0;
                }
                _ => break,
            },
            None => break,
        }
    }
    places
}

/// Places of the characters before `at`, nearest first.
fn characters_before(bytes: &[u8], at: usize, from: usize) -> Vec<u32> {
    let mut places = Vec::new();
    let mut place = at;
    while place > from && places.len() < MAX_TEXT / 2 {
        if in_alphabet(bytes[place - 1]) {
            // The letter of a written `\n` is no character of the text.
            if place >= 2 && bytes[place - 2] == b'\\' && matches!(bytes[place - 1], b'n' | b'r') {
                let end = skip_wrap_back(bytes, place, from);
                if end == place || line_before(bytes, end) + MIN_LINE > end {
                    break;
                }
                place = end;
                continue;
            }
            place -= 1;
            places.push(u32::try_from(place).unwrap_or(u32::MAX));
            continue;
        }
        let end = skip_wrap_back(bytes, place, from);
        if end == place || line_before(bytes, end).max(from) + MIN_LINE > end {
            break;
        }
        place = end;
    }
    places
}

/// Start of the characters that end at `at`.
fn line_before(bytes: &[u8], at: usize) -> usize {
    let back = bytes[..at]
        .iter()
        .rev()
        .take_while(|byte| in_alphabet(**byte));
    at - back.take(MAX_TEXT).count()
}

/// Where the text goes on behind a line break at `at`: a real one with its
/// indentation, one written as an escape, or a joint of two literals.
fn wrap_at(bytes: &[u8], at: usize) -> Option<usize> {
    let blank = |place: usize| {
        place
            + bytes[place.min(bytes.len())..]
                .iter()
                .take(64)
                .take_while(|byte| matches!(byte, b' ' | b'\t'))
                .count()
    };
    match &bytes[at..bytes.len().min(at + 4)] {
        [b'\r', b'\n', ..] => Some(blank(at + 2)),
        [b'\n', ..] => Some(blank(at + 1)),
        [b'\\', b'r', b'\\', b'n'] => Some(at + 4),
        [b'\\', b'n', ..] => Some(at + 2),
        _ => glyph::joint(bytes, at),
    }
}

/// The end of the previous line where a line break ends at `at`.
fn skip_wrap_back(bytes: &[u8], at: usize, from: usize) -> usize {
    const REACH: usize = 96;
    let floor = at.saturating_sub(REACH).max(from);
    // The break that `wrap_at` would cross to get here, if there is one.
    (floor..at)
        .rev()
        .filter(|end| *end > 0 && in_alphabet(bytes[end - 1]) && !in_alphabet(bytes[*end]))
        .take(2)
        .find(|end| wrap_at(bytes, *end) == Some(at))
        .unwrap_or(at)
}

/// Whether the line at `at` is all base64, up to its end or padding, and not
/// the name of something.
fn is_whole_line(bytes: &[u8], at: usize) -> bool {
    let rest = &bytes[at.min(bytes.len())..];
    let len = rest
        .iter()
        .take(MAX_TEXT)
        .take_while(|byte| in_alphabet(**byte))
        .count();
    let after = &rest[len..];
    len > 0
        && match after {
            [] | [b'\n' | b'\r' | b'"' | b'\'' | b'<' | b'\\', ..] => true,
            [b'=', rest @ ..] => !matches!(
                rest,
                [
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'"' | b'\'' | b' ',
                    ..,
                ]
            ),
            _ => false,
        }
}

//! Access key IDs in plain text, with exact boundaries.

use super::glyph;
use super::placeholder;
use super::sighting::{IdSighting, Place};
use crate::finding::{AccessKeyId, Structure};

/// The ID whose prefix stands at `at`.
pub(super) fn read(bytes: &[u8], at: usize) -> Option<IdSighting> {
    let glued_left = left_boundary(bytes, at)?;
    let (raw, end) = read_characters(bytes, at)?;
    let glued_right = match bytes.get(end) {
        Some(b'A'..=b'Z' | b'0'..=b'9') => return None,
        Some(b'a'..=b'z') => true,
        _ => false,
    };
    if placeholder::is_placeholder_id(&raw) {
        return None;
    }
    let id = AccessKeyId::parse(&raw)?;
    let structure = id.structure();
    let common = raw.starts_with(b"AKIA") || raw.starts_with(b"ASIA");
    let glued = glued_left || glued_right;
    // Rare prefixes and IDs inside longer words need to look issued: DNA,
    // wasm and base64 are full of the other kind.
    if structure == Structure::Unissued && (glued || !common) {
        return None;
    }
    if glued && !in_prose(bytes, at, end) {
        return None;
    }
    Some(IdSighting {
        place: Place::at(at as u64),
        in_signature: in_signature(bytes, at, end),
        id,
        glued,
    })
}

/// `None` where a longer word of the ID's own alphabet begins before it, else
/// whether it is glued to lower-case text.
fn left_boundary(bytes: &[u8], at: usize) -> Option<bool> {
    match at.checked_sub(1).map(|before| bytes[before]) {
        Some(byte) if byte.is_ascii_alphanumeric() => {
            if glyph::escape_ends(bytes, at) {
                Some(false)
            } else {
                byte.is_ascii_lowercase().then_some(true)
            }
        }
        _ => Some(false),
    }
}

/// Twenty characters, crossing joints of string literals, and where they end.
fn read_characters(bytes: &[u8], at: usize) -> Option<([u8; AccessKeyId::LEN], usize)> {
    let mut raw = [0; AccessKeyId::LEN];
    let mut place = at;
    for slot in &mut raw {
        loop {
            match bytes.get(place) {
                Some(byte @ (b'A'..=b'Z' | b'0'..=b'9')) => {
                    *slot = *byte;
                    place += 1;
                    break;
                }
                Some(_) => place = glyph::joint(bytes, place)?,
                None => return None,
            }
        }
    }
    Some((raw, place))
}

/// Whether the text around a glued ID reads like words, as the string tables
/// of Go and Rust programs do, and not like base64.
fn in_prose(bytes: &[u8], at: usize, end: usize) -> bool {
    const REACH: usize = 24;
    let before = &bytes[at.saturating_sub(REACH)..at];
    let after = &bytes[end..bytes.len().min(end + REACH)];
    let around = before.iter().chain(after);
    let (mut total, mut foreign) = (0, 0);
    for byte in around {
        total += 1;
        if byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'/') {
            foreign += 1;
        }
    }
    // Random base64 has 38 of 64.
    foreign * 4 <= total
}

/// Whether the ID names the signer of a request, where it is expected alone:
/// a credential scope (`ID/20260101/region/…`), `AWSAccessKeyId=` of the old
/// signed URLs, `AWS ID:signature`.
fn in_signature(bytes: &[u8], at: usize, end: usize) -> bool {
    let after = &bytes[end..bytes.len().min(end + 512)];
    let before = &bytes[at.saturating_sub(512)..at];
    let scope = match after {
        [b'/', rest @ ..] | [b'%', b'2', b'F' | b'f', rest @ ..] => {
            rest.iter().take_while(|byte| byte.is_ascii_digit()).count() == 8
        }
        _ => false,
    };
    let query = before.ends_with(b"AWSAccessKeyId=")
        && (has(up_to_space(after), b"Signature=") || has(before, b"Signature="));
    let header = before.ends_with(b"AWS ") && after.first() == Some(&b':') && {
        let signature = after[1..]
            .iter()
            .take_while(|byte| glyph::is_base64(**byte));
        signature.count() == 27 && after.get(28) == Some(&b'=')
    };
    scope || query || header
}

fn up_to_space(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(u8::is_ascii_whitespace);
    &bytes[..end.unwrap_or(bytes.len())]
}

fn has(bytes: &[u8], text: &[u8]) -> bool {
    memchr::memmem::find(bytes, text).is_some()
}

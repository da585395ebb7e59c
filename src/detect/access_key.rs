//! Access key IDs in plain text, with exact boundaries.

use super::sighting::{IdSighting, Place};
use super::{glyph, placeholder, secret};
use crate::finding::{AccessKeyId, Mention, Structure};

/// The ID whose prefix stands at `at`; what is beside it is no part of it where
/// it is a column of a row.
pub(super) fn read(bytes: &[u8], at: usize, in_row: bool) -> Option<IdSighting> {
    let left = match before(bytes, at) {
        Neighbour::Letter | Neighbour::Same if in_row => Neighbour::Binary,
        left => left,
    };
    let Characters { raw, end, listed } = read_characters(bytes, at)?;
    if left == Neighbour::Same || placeholder::is_placeholder_id(&raw) {
        return None;
    }
    let id = AccessKeyId::parse(&raw)?;
    let issued = id.structure() != Structure::Unissued;
    let right = match bytes.get(end) {
        // Fields of a binary format may follow each other without a mark.
        Some(b'A'..=b'Z' | b'0'..=b'9') if left == Neighbour::Binary => Neighbour::Binary,
        Some(byte) if in_row && byte.is_ascii_alphanumeric() => Neighbour::Binary,
        Some(b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9')
            if glyph::is_counted(bytes, at, AccessKeyId::LEN) =>
        {
            Neighbour::Binary
        }
        Some(b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9') if secret::follows(bytes, end) => {
            Neighbour::Binary
        }
        Some(b'A'..=b'Z' | b'0'..=b'9') => return None,
        Some(b'a'..=b'z') if is_field(bytes[end..].iter()) => Neighbour::Binary,
        Some(b'a'..=b'z') => Neighbour::Letter,
        _ => Neighbour::Foreign,
    };
    let in_record = left == Neighbour::Binary || right == Neighbour::Binary;
    let glued = (left == Neighbour::Letter || right == Neighbour::Letter) && !in_record;
    let doubtful = glued || listed || in_record;
    // Rare prefixes and IDs without clear boundaries have to look issued:
    // DNA, wasm and base64 are full of the other kind.
    let common = raw.starts_with(b"AKIA") || raw.starts_with(b"ASIA");
    if !issued && (doubtful || !common) {
        return None;
    }
    if glued && !in_prose(bytes, at, end) {
        return None;
    }
    Some(IdSighting {
        place: Place::in_text(bytes, at),
        mention: mention(bytes, at, end),
        id,
        glued,
    })
}

/// What stands beside an ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Neighbour {
    /// No letter and no digit, or the start or end of the text.
    Foreign,
    /// A lower-case letter.
    Letter,
    /// The ID's own alphabet: it is part of a longer word.
    Same,
    /// A length or a type in a binary record that happens to be a letter or
    /// digit, or the field before it.
    Binary,
}

fn before(bytes: &[u8], at: usize) -> Neighbour {
    let Some(byte) = at.checked_sub(1).map(|before| bytes[before]) else {
        return Neighbour::Foreign;
    };
    if !byte.is_ascii_alphanumeric()
        || glyph::escape_ends(bytes, at)
        || glyph::is_pickled(bytes, at)
    {
        return Neighbour::Foreign;
    }
    match at.checked_sub(2).map(|before| bytes[before]) {
        Some(byte) if is_binary(byte) && byte != 0x1b => Neighbour::Binary,
        _ if ends_as_name(&bytes[..at]) => Neighbour::Binary,
        _ if !byte.is_ascii_lowercase() => Neighbour::Same,
        _ if is_field(bytes[..at].iter().rev()) => Neighbour::Binary,
        _ => Neighbour::Letter,
    }
}

const fn is_binary(byte: u8) -> bool {
    byte >= 0x80 || glyph::is_mark(byte)
}

/// Whether the letters next to an ID are a type, a length or a short name of
/// a binary record (CBOR, serialised Java), and no text that goes on.
fn is_field<'a>(beside: impl Iterator<Item = &'a u8>) -> bool {
    const LONGEST: usize = 24;
    let mut rest = beside
        .take(LONGEST)
        .skip_while(|byte| glyph::is_base64(**byte));
    rest.next().is_some_and(|byte| is_binary(*byte))
}

/// Whether the text ends with the name of an ID: in a row of a database the
/// name and the value follow each other without a mark.
fn ends_as_name(before: &[u8]) -> bool {
    const NAMES: [&[u8]; 5] = [
        b"access_key_id",
        b"accesskeyid",
        b"access-key-id",
        b"access_key",
        b"accesskey",
    ];
    NAMES.iter().any(|name| {
        let start = before.len().checked_sub(name.len());
        start.is_some_and(|start| before[start..].eq_ignore_ascii_case(name))
    })
}

struct Characters {
    raw: [u8; AccessKeyId::LEN],
    end: usize,
    /// The parts were elements of a list.
    listed: bool,
}

/// Twenty characters, crossing joints of string literals.
fn read_characters(bytes: &[u8], at: usize) -> Option<Characters> {
    let mut raw = [0; AccessKeyId::LEN];
    let mut end = at;
    let mut listed = false;
    for slot in &mut raw {
        loop {
            match bytes.get(end) {
                Some(byte @ (b'A'..=b'Z' | b'0'..=b'9')) => {
                    *slot = *byte;
                    end += 1;
                    break;
                }
                Some(_) => {
                    end = glyph::joint(bytes, end).or_else(|| {
                        listed = true;
                        glyph::comma(bytes, end)
                    })?;
                }
                None => return None,
            }
        }
    }
    Some(Characters { raw, end, listed })
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

fn mention(bytes: &[u8], at: usize, end: usize) -> Option<Mention> {
    if in_signature(bytes, at, end) {
        Some(Mention::Signature)
    } else {
        in_report(&bytes[..at], &bytes[end..]).then_some(Mention::Report)
    }
}

/// Whether the ID was told by rolecall: what it finds must not be found again
/// in the journal, or where somebody keeps its reports.
fn in_report(before: &[u8], after: &[u8]) -> bool {
    const FIELDS: [&[u8]; 3] = [
        b"ROLECALL_ACCESS_KEY_ID=",
        // OCSF's.
        b"\"AWS::IAM::AccessKey\",\"uid\":\"",
        b"\"User Credential ID\",\"type_id\":19,\"value\":\"",
    ];
    const SEVERITIES: [&[u8]; 5] = [b"critical", b"high", b"medium", b"low", b"info"];
    // Not as a shell's history has them, which tells of a key that is in use.
    const REMEDIES: [&[u8]; 2] = [b"` shows no more", b" --status Inactive --user-name <user>"];
    const TELLING: [&[u8]; 3] = [b" in ", b" SHADOWS THE ROLE", b", account "];
    let follows = |texts: &[&[u8]]| texts.iter().any(|text| after.starts_with(text));
    let word = before.trim_ascii_end();
    let severity = SEVERITIES.iter().any(|severity| {
        let start = word.len().checked_sub(severity.len());
        start.is_some_and(|start| word[start..].eq_ignore_ascii_case(severity))
    });
    FIELDS.iter().any(|field| before.ends_with(field))
        || (before.ends_with(b"\"access_key_id\":\"") && follows(&[b"\",\"account_id\":"]))
        || (severity && follows(&TELLING))
        || follows(&REMEDIES)
}

/// Whether the ID names the signer of a request, where it is expected alone:
/// a credential scope (`ID/20260101/region/…`), `AWSAccessKeyId=` of the old
/// signed URLs, `AWS ID:signature`.
fn in_signature(bytes: &[u8], at: usize, end: usize) -> bool {
    let after = &bytes[end..bytes.len().min(end + 512)];
    let before = &bytes[at.saturating_sub(512)..at];
    let scope = match after {
        [b'/', rest @ ..]
        | [b'%', b'2', b'F' | b'f', rest @ ..]
        | [b'%', b'2', b'5', b'2', b'F' | b'f', rest @ ..] => {
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

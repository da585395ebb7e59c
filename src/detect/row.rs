//! Rows of databases: columns follow each other without a mark, so that what
//! stands beside an ID may be the next column, and a secret has no beginning
//! of its own.

use zeroize::Zeroizing;

use super::encoding::Encoding;
use super::sighting::{Beginning, IdSighting, Place, SecretSighting};
use super::{access_key, glyph, secret};
use crate::finding::AccessKeyId;

/// Bytes before an ID in which the head of its row is looked for.
const REACH: usize = 1024;

/// The same where the length of a row is looked for first, which is of two
/// bytes there. As many are kept before a hit.
const FAR_REACH: usize = 32 * 1024;

/// Bytes behind an ID in text that are taken for text, too: as near as the head
/// of a row is, they were looked at for it.
const SAME_TEXT: usize = 8 * 1024;

/// IDs among other data that turn out to be in no row, after which no more are
/// looked at in one window: a file may be nothing but such.
const MAX_FAILURES: u32 = 4096;

/// The same for those whose row was looked for far away.
const MAX_FAR_FAILURES: u32 = 256;

/// The same for IDs in UTF-16, one after another: every text in it looks like a
/// row at first.
const MAX_WIDE_FAILURES: u32 = 64;

/// What was learned of one window.
#[derive(Debug, Default)]
pub(super) struct Window {
    failures: u32,
    far_failures: u32,
    wide_failures: u32,
    /// Up to here there was nothing but text around IDs: of a list of them no
    /// byte is looked at for each.
    text: usize,
}

impl Window {
    /// Of bytes in which no row is to be looked for.
    pub(super) const fn without_rows() -> Self {
        Self {
            failures: MAX_FAILURES,
            far_failures: 0,
            wide_failures: MAX_WIDE_FAILURES,
            text: 0,
        }
    }
}

/// Where the secrets begin that stand in the row of the ID at `at`, and what
/// tells so; `None` if that is in no row.
pub(super) fn secrets(
    bytes: &[u8],
    at: usize,
    window: &mut Window,
) -> Option<Vec<(usize, Beginning)>> {
    let end = at + AccessKeyId::LEN;
    AccessKeyId::parse(bytes.get(at..end)?)?;
    if window.failures >= MAX_FAILURES || end <= window.text {
        return None;
    }
    if !secret::is_binary(bytes, at) {
        // What comes next is still near the text that was looked at.
        window.text = at + SAME_TEXT;
        return None;
    }
    let columns = sqlite_columns(bytes, at, 1, window);
    let columns = columns.map(|columns| {
        let columns = columns.into_iter().filter(|at| secret::is_at(bytes, *at));
        columns.map(|at| (at, Beginning::Column)).collect()
    });
    let columns = columns.or_else(|| next_columns(bytes, at));
    window.failures += u32::from(columns.is_none());
    columns
}

/// The ID in UTF-16 whose first low byte is at `at`, if it is in a row of SQLite,
/// and the secrets in that: no zero ends a column.
pub(super) fn in_utf16(
    bytes: &[u8],
    at: usize,
    window: &mut Window,
) -> Option<(IdSighting, Vec<SecretSighting>)> {
    let id = text(bytes, at, AccessKeyId::LEN)?;
    AccessKeyId::parse(&id)?;
    if window.wide_failures >= MAX_WIDE_FAILURES {
        return None;
    }
    let orders = [(Encoding::Utf16Le, 0), (Encoding::Utf16Be, 1)];
    let found = orders.into_iter().find_map(|(encoding, low)| {
        let columns = sqlite_columns(bytes, at.checked_sub(low)?, 2, window)?;
        Some((encoding, low, columns))
    });
    let Some((encoding, low, columns)) = found else {
        window.wide_failures += 1;
        return None;
    };
    // Where there are rows, more of them come.
    window.wide_failures = 0;
    let place = |at: usize| Place {
        encoding: vec![encoding],
        ..Place::at(at as u64)
    };
    let secret = |start: usize| {
        let value = text(bytes, start + low, secret::LEN)?;
        secret::is_at(&value, 0).then(|| SecretSighting {
            place: place(start + low),
            ..secret::in_row(&value, 0, Beginning::Column)
        })
    };
    let found = access_key::read(&id, 0, true)?;
    let id = IdSighting {
        place: place(at),
        ..found
    };
    Some((id, columns.into_iter().filter_map(secret).collect()))
}

/// The characters of a text in UTF-16 whose first low byte is at `at`.
fn text(bytes: &[u8], at: usize, len: usize) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = bytes.get(at..at + 2 * len - 1)?;
    let is_ascii = bytes.iter().skip(1).step_by(2).all(|high| *high == 0);
    is_ascii.then(|| Zeroizing::new(bytes.iter().step_by(2).copied().collect()))
}

/// Where a secret begins that is the column behind the ID, as `PostgreSQL`,
/// `InnoDB` and Avro write it, and in Avro the one before it, too: both may be
/// there, and of one of them the ID is another one.
fn next_columns(bytes: &[u8], at: usize) -> Option<Vec<(usize, Beginning)>> {
    let end = at + AccessKeyId::LEN;
    // A column before an ID may end as one begins.
    let is_id = |at: usize| {
        let id = bytes.get(at..at + AccessKeyId::LEN);
        id.is_some_and(|id| AccessKeyId::parse(id).is_some())
    };
    if (at + 1..end).any(is_id) {
        return None;
    }
    // PostgreSQL has the length of a short text before it, itself included,
    // twice and one more: 43 is `+`, 83 is `S`. Avro has it twice: `(` and `P`.
    let marks = (bytes[..at].last(), bytes.get(end));
    let is_counted = matches!(marks, (Some(b'+'), Some(b'S')) | (Some(b'('), Some(b'P')));
    let behind = [is_counted.then_some(end + 1), Some(end)];
    let mut behind = behind.into_iter().flatten();
    let behind = behind.find(|start| secret::is_at(bytes, *start));
    let beginning = if is_counted || ends_in_field(&bytes[..at]) {
        Beginning::Field
    } else {
        Beginning::Guessed
    };
    let before = before(&bytes[..at]).map(|start| (start, Beginning::Field));
    let behind = behind.map(|start| (start, beginning));
    let columns: Vec<_> = before.into_iter().chain(behind).collect();
    (!columns.is_empty()).then_some(columns)
}

/// Whether what no text has stands last. A NUL ends the text before, and a symbol
/// behind the ID may be a separator then.
fn ends_in_field(before: &[u8]) -> bool {
    let is_character = |len: usize| {
        let start = before.len().checked_sub(len);
        start.is_some_and(|start| std::str::from_utf8(&before[start..]).is_ok())
    };
    match before.last() {
        None | Some(0) => false,
        Some(0x80..) => !(2..=4).any(is_character),
        Some(byte) => glyph::is_mark(*byte),
    }
}

/// Where a secret of Avro begins that ends before the length of what follows.
fn before(before: &[u8]) -> Option<usize> {
    let start = before.strip_suffix(b"(")?.len().checked_sub(secret::LEN)?;
    let is_counted = before[..start].ends_with(b"P");
    (is_counted && secret::is_at(before, start)).then_some(start)
}

/// Where the columns as long as a secret begin in the record of SQLite in which
/// the ID at `at` is a column: <https://www.sqlite.org/fileformat2.html>. Each
/// character takes `width` bytes.
fn sqlite_columns(
    bytes: &[u8],
    at: usize,
    width: usize,
    window: &mut Window,
) -> Option<Vec<usize>> {
    let from = at.saturating_sub(REACH);
    let near = (from..at)
        .rev()
        .find_map(|head| columns_of(bytes, head, at, width));
    if near.is_some() || window.far_failures >= MAX_FAR_FAILURES {
        return near;
    }
    let far = (at.saturating_sub(FAR_REACH)..from)
        .rev()
        .filter(|start| bytes[*start] >= 0x80)
        .flat_map(|start| heads(bytes, start, at))
        .flatten()
        .find_map(|head| columns_of(bytes, head, at, width));
    window.far_failures += u32::from(far.is_none());
    far
}

/// Where the head of a record would begin whose length is at `start`, with the
/// number of its row before it and without it, if it reaches up to `at`.
fn heads(bytes: &[u8], start: usize, at: usize) -> [Option<usize>; 2] {
    let head = |len: u64, rest: &[u8]| {
        let head = bytes.len() - rest.len();
        let is_long = usize::try_from(len).is_ok_and(|len| head.saturating_add(len) > at);
        (is_long && head < at).then_some(head)
    };
    let Some((len, rest)) = varint(&bytes[start..]) else {
        return [None; 2];
    };
    let numbered = varint(rest).and_then(|(_, rest)| head(len, rest));
    [numbered, head(len, rest)]
}

/// Those of the record whose head begins at `head`, if it is one and has a
/// column at `at` that is as long as an ID, or as an ID, a separator of the
/// alphabet and a secret: then that secret is one of them.
fn columns_of(bytes: &[u8], head: usize, at: usize, width: usize) -> Option<Vec<usize>> {
    // A head longer than this has more columns than tables have.
    const LONGEST: usize = 0x7f;
    let len = usize::from(bytes[head]);
    let body = head + len;
    if !(2..=LONGEST).contains(&len) || body > at {
        return None;
    }
    let is_separated = || {
        let separator = bytes[at + AccessKeyId::LEN * width..].get(..width);
        separator.is_some_and(|text| text.iter().any(|byte| b"/+".contains(byte)))
    };
    let both = (AccessKeyId::LEN + 1 + secret::LEN) * width;
    let mut types = &bytes[head + 1..body];
    let (mut start, mut has_id, mut columns) = (body, false, Vec::new());
    while !types.is_empty() {
        let (kind, rest) = varint(types)?;
        types = rest;
        let size = size(kind)?;
        has_id |= start == at && kind >= 12 && size == AccessKeyId::LEN * width;
        if start == at && kind >= 12 && size == both && is_separated() {
            has_id = true;
            columns.push(at + both - secret::LEN * width);
        }
        // What takes no room, as NULL does, may stand at the same place.
        if !has_id && start + usize::from(size > 0) > at {
            return None;
        }
        if kind >= 12 && size == secret::LEN * width {
            columns.push(start);
        }
        start = start.checked_add(size)?;
    }
    (has_id && is_told(&bytes[..head], start - head)).then_some(columns)
}

/// Whether the length of a record stands before it, and between the two the
/// number of its row, if it has one.
fn is_told(before: &[u8], len: usize) -> bool {
    const LONGEST_NUMBER: usize = 9;
    (0..=LONGEST_NUMBER.min(before.len())).any(|count| {
        let (before, number) = before.split_at(before.len() - count);
        let is_number = varint(number).is_some_and(|(_, rest)| rest.is_empty());
        (count == 0 || is_number) && ends_in(before, len)
    })
}

/// Whether the bytes end in this number.
fn ends_in(bytes: &[u8], number: usize) -> bool {
    let mut left = number;
    for (at, byte) in bytes.iter().rev().enumerate() {
        let part = usize::from(byte & 0x7f);
        if part != left & 0x7f || (byte & 0x80 != 0) != (at > 0) {
            return false;
        }
        left >>= 7;
        if left == 0 {
            return true;
        }
    }
    false
}

/// A number in groups of seven bits, the highest first, and what follows it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (at, byte) in bytes.iter().take(9).enumerate() {
        if at == 8 {
            return Some((number << 8 | u64::from(*byte), &bytes[at + 1..]));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[at + 1..]));
        }
    }
    None
}

/// Bytes of a value of this type.
fn size(kind: u64) -> Option<usize> {
    match kind {
        0 | 8 | 9 => Some(0),
        1..=4 => usize::try_from(kind).ok(),
        5 => Some(6),
        6 | 7 => Some(8),
        10 | 11 => None,
        kind => usize::try_from((kind - 12) / 2).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record as a leaf of a table has it, with the length and the row's
    /// number before it; what is empty is NULL.
    fn record(columns: &[&str]) -> Vec<u8> {
        let types: Vec<u8> = columns
            .iter()
            .flat_map(|text| {
                let kind = match text.len() {
                    0 => 0,
                    len => 2 * len + 13,
                };
                let low = u8::try_from(kind & 0x7f).unwrap();
                let high = u8::try_from(kind >> 7).unwrap();
                [high | 0x80, low].into_iter().skip(usize::from(high == 0))
            })
            .collect();
        let mut record = vec![u8::try_from(types.len() + 1).unwrap()];
        record.extend(types);
        record.extend(columns.concat().as_bytes());
        let len = record.len();
        let mut cell = vec![u8::try_from(len >> 7).unwrap() | 0x80];
        cell.extend([u8::try_from(len & 0x7f).unwrap(), 0x81, 7]);
        cell.extend(record);
        cell
    }

    #[test]
    fn an_id_and_its_secret_are_columns_of_a_row_whatever_is_beside_them() {
        let mut random = fastrand::Rng::with_seed(12);
        let mut pick = |alphabet: &[u8], count: usize| -> String {
            let pick = |_| char::from(alphabet[random.usize(..alphabet.len())]);
            (0..count).map(pick).collect()
        };
        let found = |bytes: &[u8], at| secrets(bytes, at, &mut Window::default());
        let alphabet: Vec<u8> = (b'a'..=b'z')
            .chain(b'A'..=b'Z')
            .chain(b'0'..=b'9')
            .collect();
        for round in 0..50 {
            let id = format!("AKIA{}", pick(b"QRSTUVWXYZ234567", 16));
            let secret = pick(&alphabet, 40);
            let words = "a text that is long enough for a length of two bytes ".repeat(3);
            let rows: [&[&str]; 8] = [
                &["", &id, &secret, "2026-01-01"],
                &["", &secret, "", &id, "", "x"],
                &[&id, &secret, "2026-01-01"],
                &["us-east-1", &id, "Alice", &secret],
                &[&secret, &id],
                &["USER", &id, &words, &secret, "x"],
                &[&words, &id],
                &[&id],
            ];
            for columns in rows {
                let mut bytes = pick(&alphabet, round).into_bytes();
                bytes.extend([0; 9]);
                bytes.extend(record(columns));
                bytes.extend(b"and the next cell");
                let find = |text: &str| memchr::memmem::find(&bytes, text.as_bytes());
                let at = find(&id).unwrap();
                let column = |at| (at, Beginning::Column);
                let expected: Vec<_> = find(&secret).into_iter().map(column).collect();
                let last = &bytes[..bytes.len() - b"and the next cell".len()];
                assert_eq!(found(last, at).as_ref(), Some(&expected), "{columns:?}");
                assert_eq!(found(&bytes, at), Some(expected), "{columns:?}");
                // Neither where the length does not fit nor in text.
                let mut other = bytes.clone();
                other[round + 10] ^= 1;
                let is_behind = secret::is_at(&other, at + AccessKeyId::LEN);
                assert_eq!(found(&other, at).is_some(), is_behind, "{columns:?}");
                let text: Vec<u8> = bytes.iter().map(|byte| (*byte).max(1)).collect();
                assert_eq!(found(&text, at), None, "{columns:?}");
            }
        }
    }
}

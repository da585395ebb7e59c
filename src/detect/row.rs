//! Rows of databases: columns follow each other without a mark, so that what
//! stands beside an ID may be the next column, and a secret has no beginning
//! of its own.

mod record;
mod setting;

use zeroize::Zeroizing;

use record::{Column, Text, varint};
pub(super) use setting::{secret as of_setting, secret_in_utf16 as of_setting_in_utf16};

use super::encoding::Decoded;
use super::owner::Owner;
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

/// The same for names of secrets that are in no row, more than those that are.
const MAX_NAME_FAILURES: u32 = 256;

/// A row in which an ID is a column.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// Where the secrets in it begin, and what tells so.
    pub(super) secrets: Vec<(usize, Beginning)>,
    /// Whose the ID is, if another column says so.
    pub(super) owner: Option<Owner>,
}

/// What was learned of one window.
#[derive(Debug, Default)]
pub(super) struct Window {
    failures: u32,
    far_failures: u32,
    wide_failures: u32,
    name_failures: u32,
    /// Where literals are that were read where this text was decoded from.
    settings: Vec<usize>,
    /// Up to here there was nothing but text around IDs: of a list of them no
    /// byte is looked at for each.
    text: usize,
}

impl Window {
    /// Of a text decoded from `bytes`, in which no row is to be looked for: what
    /// is in rows there is read as it stands, where its lengths are.
    pub(super) fn within(&mut self, bytes: &[u8], decoded: &Decoded) -> Self {
        Self {
            failures: MAX_FAILURES,
            wide_failures: MAX_WIDE_FAILURES,
            name_failures: MAX_NAME_FAILURES,
            settings: setting::names_in_utf16(bytes, decoded, self),
            ..Self::default()
        }
    }

    /// Whether the literal at `at` is the name of a setting in a row.
    pub(super) fn is_setting(&self, at: usize) -> bool {
        self.settings.binary_search(&at).is_ok()
    }

    pub(super) fn has_settings(&self) -> bool {
        !self.settings.is_empty()
    }

    /// Whether `at` is among other data than text.
    fn is_binary(&mut self, bytes: &[u8], at: usize) -> bool {
        let is_binary = secret::is_binary(bytes, at);
        if !is_binary {
            // What comes next is still near the text that was looked at.
            self.text = at + SAME_TEXT;
        }
        is_binary
    }

    fn count_name(&mut self, is_found: bool) {
        self.name_failures = if is_found {
            self.name_failures.saturating_sub(1)
        } else {
            self.name_failures + 1
        };
    }
}

/// The row of the ID at `at`; `None` if that is in no row.
pub(super) fn of_id(bytes: &[u8], at: usize, window: &mut Window) -> Option<Row> {
    let end = at + AccessKeyId::LEN;
    AccessKeyId::parse(bytes.get(at..end)?)?;
    if window.failures >= MAX_FAILURES || end <= window.text || !window.is_binary(bytes, at) {
        return None;
    }
    let row = sqlite_columns(bytes, at, Text::UTF8, window)
        .map(|columns| {
            let secrets = secrets(&columns, at, Text::UTF8);
            let secrets = secrets.filter(|at| secret::is_at(bytes, *at));
            let secrets: Vec<_> = secrets.map(|at| (at, Beginning::Column)).collect();
            let owner = secrets.is_empty();
            let owner = owner.then(|| setting::owner(bytes, &columns, at, Text::UTF8));
            Row {
                secrets,
                owner: owner.flatten(),
            }
        })
        .or_else(|| {
            next_columns(bytes, at).map(|secrets| Row {
                secrets,
                owner: None,
            })
        });
    window.failures += u32::from(row.is_none());
    row
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
    let found = Text::UTF16.into_iter().find_map(|text| {
        let start = at.checked_sub(text.low)?;
        let columns = sqlite_columns(bytes, start, text, window)?;
        Some((text, start, columns))
    });
    let Some((order, start, columns)) = found else {
        window.wide_failures += 1;
        return None;
    };
    // Where there are rows, more of them come.
    window.wide_failures = 0;
    let place = |at: usize| Place {
        encoding: order.encoding.into_iter().collect(),
        ..Place::at(at as u64)
    };
    let secret = |start: usize| {
        let value = text(bytes, start + order.low, secret::LEN)?;
        secret::is_at(&value, 0).then(|| SecretSighting {
            place: place(start + order.low),
            ..secret::in_row(&value, 0, Beginning::Column)
        })
    };
    let found = access_key::read(&id, 0, true)?;
    let secrets: Vec<_> = secrets(&columns, start, order).filter_map(secret).collect();
    let owner = secrets.is_empty();
    let owner = owner.then(|| setting::owner(bytes, &columns, start, order));
    let id = IdSighting {
        place: Place {
            owner: owner.flatten(),
            ..place(at)
        },
        ..found
    };
    Some((id, secrets))
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

/// The columns of the record of `SQLite` in which the ID at `at` is one, or an ID,
/// a separator of the alphabet and a secret are.
fn sqlite_columns(bytes: &[u8], at: usize, text: Text, window: &mut Window) -> Option<Vec<Column>> {
    let has_id = |column: Column| {
        let is_alone = column.len == AccessKeyId::LEN * text.width;
        column.start == at && (is_alone || is_separated(bytes, column, text))
    };
    let from = at.saturating_sub(REACH);
    let near = (from..at)
        .rev()
        .find_map(|head| record::columns(bytes, head, at, has_id));
    if near.is_some() || window.far_failures >= MAX_FAR_FAILURES {
        return near;
    }
    let far = (at.saturating_sub(FAR_REACH)..from)
        .rev()
        .filter(|start| bytes[*start] >= 0x80)
        .flat_map(|start| heads(bytes, start, at))
        .flatten()
        .find_map(|head| record::columns(bytes, head, at, has_id));
    window.far_failures += u32::from(far.is_none());
    far
}

/// Whether a column is as long as an ID, a separator and a secret.
fn is_separated(bytes: &[u8], column: Column, text: Text) -> bool {
    let separator = column.start + AccessKeyId::LEN * text.width;
    column.len == (AccessKeyId::LEN + 1 + secret::LEN) * text.width
        && bytes[separator..]
            .get(..text.width)
            .is_some_and(|text| text.iter().any(|byte| b"/+".contains(byte)))
}

/// Where the columns as long as a secret begin, and the secret in that of the ID
/// at `at`.
fn secrets(columns: &[Column], at: usize, text: Text) -> impl Iterator<Item = usize> {
    let len = secret::LEN * text.width;
    let columns = columns.iter().filter(|column| column.is_text);
    columns.filter_map(move |column| {
        let is_own = column.start == at && column.len > len;
        (is_own || column.len == len).then(|| column.start + column.len - len)
    })
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
        let found = |bytes: &[u8], at| {
            let row = of_id(bytes, at, &mut Window::default());
            row.map(|row| row.secrets)
        };
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

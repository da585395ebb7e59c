//! Settings in a table: a row for each, with its name in one column and its
//! value in another one. The name says what the value is, and whose.

use zeroize::Zeroizing;

use super::record::{self, Column, Text};
use super::{MAX_NAME_FAILURES, REACH, Window};
use crate::detect::encoding::Decoded;
use crate::detect::owner::Owner;
use crate::detect::sighting::{Beginning, Named, Place, SecretSighting};
use crate::detect::{glyph, name, run, secret};

/// What names of secrets are searched for by.
const LITERAL: &[u8] = b"ecret";

/// Characters of a name, and of one that it stands in a group of.
const MAX_NAME: usize = 128;

/// Characters of a value in which a secret is looked for, as in text.
const MAX_VALUE: usize = 192;

/// The secret whose name, the one of a setting, has the literal at `at` in it;
/// no more than one. `None` if that is in no such row.
pub(in crate::detect) fn secret(
    bytes: &[u8],
    at: usize,
    window: &mut Window,
) -> Option<Vec<SecretSighting>> {
    if window.name_failures >= MAX_NAME_FAILURES || at < window.text {
        return None;
    }
    let named = name::named(bytes, at);
    if named == Named::No || !window.is_binary(bytes, at) {
        return None;
    }
    let found = read(bytes, at, named, Text::UTF8);
    window.count_name(found.is_some());
    found
}

/// The same for a literal in UTF-16 whose first low byte is at `at`.
pub(in crate::detect) fn secret_in_utf16(
    bytes: &[u8],
    at: usize,
    window: &mut Window,
) -> Option<Vec<SecretSighting>> {
    const AROUND: usize = 2 * name::LOOKED_AT;
    let starts_name = |low: &u8| matches!(low, b'e' | b'E');
    if window.name_failures >= MAX_NAME_FAILURES || !bytes.get(at).is_some_and(starts_name) {
        return None;
    }
    let from = at - at.min(AROUND) / 2 * 2;
    let around = &bytes[from..bytes.len().min(at + AROUND)];
    let around: Zeroizing<Vec<u8>> = Zeroizing::new(around.iter().step_by(2).copied().collect());
    let named = name::named(&around, (at - from) / 2);
    if named == Named::No {
        return None;
    }
    let found = Text::UTF16
        .into_iter()
        .find_map(|text| read(bytes, at.checked_sub(text.low)?, named, text));
    window.count_name(found.is_some());
    found
}

/// Where in a decoded text the literals are that are read in rows of UTF-16.
pub(super) fn names_in_utf16(bytes: &[u8], decoded: &Decoded, window: &mut Window) -> Vec<usize> {
    let is_setting = |at: &usize| {
        let is_literal = decoded.bytes[*at..].get(..LITERAL.len());
        is_literal.is_some_and(|text| text.eq_ignore_ascii_case(LITERAL))
            && usize::try_from(decoded.source_of(*at as u64))
                .is_ok_and(|place| secret_in_utf16(bytes, place, window).is_some())
    };
    let starts = memchr::memchr2_iter(b'e', b'E', &decoded.bytes);
    starts.filter(is_setting).collect()
}

fn read(bytes: &[u8], at: usize, named: Named, text: Text) -> Option<Vec<SecretSighting>> {
    let is_name = |column: Column| {
        let from = column.start + text.width;
        let to = column.start.saturating_add(column.len);
        (from..to).contains(&at)
            && to >= at + LITERAL.len() * text.width
            && name_in(bytes, column, text).is_some()
    };
    let columns = (at.saturating_sub(REACH)..at)
        .rev()
        .find_map(|head| record::columns(bytes, head, at, is_name))?;
    let own = columns.iter().position(|column| is_name(*column))?;
    // A value stands behind its name, but where there is none.
    let (before, behind) = columns.split_at(own);
    let mut values = behind.iter().skip(1).chain(before.iter().rev());
    let owner = owner_of(bytes, &columns, own, text);
    let found = values.find_map(|column| value(bytes, *column, named, text));
    let found = found.map(|found| SecretSighting {
        place: Place {
            owner,
            ..found.place
        },
        ..found
    });
    Some(found.into_iter().collect())
}

/// The secret in a column.
fn value(bytes: &[u8], column: Column, named: Named, text: Text) -> Option<SecretSighting> {
    if !column.is_text || column.len < secret::LEN * text.width {
        return None;
    }
    let value = column.of(bytes)?;
    let value = text.read(&value[..value.len().min(MAX_VALUE * text.width)]);
    let mut place = 0;
    while let Some(run) = run::next_long_run(&value, place, value.len()) {
        place = run.end;
        let Some(found) = run.secret(named) else {
            continue;
        };
        let skip = usize::try_from(found.place.offset).ok()? * text.width;
        let encoding = text.encoding.into_iter().chain(found.place.encoding);
        return Some(SecretSighting {
            place: Place {
                encoding: encoding.collect(),
                ..Place::at((column.start + skip + text.low) as u64)
            },
            beginning: Beginning::Column,
            ..found
        });
    }
    None
}

/// Whose the value is that is the column over `at`.
pub(super) fn owner(bytes: &[u8], columns: &[Column], at: usize, text: Text) -> Option<Owner> {
    let own = columns
        .iter()
        .position(|column| column.start == at && column.len > 0)?;
    let before = (0..own).rev();
    let mut others = before.chain(own + 1..columns.len());
    others.find_map(|other| owner_of(bytes, columns, other, text))
}

/// Whom the name in this column tells: settings may stand in groups, whose name
/// comes first.
fn owner_of(bytes: &[u8], columns: &[Column], at: usize, text: Text) -> Option<Owner> {
    let name = name_in(bytes, *columns.get(at)?, text)?;
    let owner = Owner::of_name(&name)?;
    let group = at.checked_sub(1).and_then(|group| {
        let name = name_in(bytes, columns[group], text)?;
        is_group(&name).then_some(name)
    });
    let Some(mut group) = group else {
        return Some(owner);
    };
    group.push(b'.');
    group.extend_from_slice(&name);
    Owner::of_name(&group)
}

/// Whether this names a group: times and numbers of rows differ in every row.
fn is_group(name: &[u8]) -> bool {
    const MAX_DIGITS: usize = 2;
    let digits = name.iter().filter(|byte| byte.is_ascii_digit());
    digits.count() <= MAX_DIGITS
}

/// What a column holds, if it is nothing but a name.
fn name_in(bytes: &[u8], column: Column, text: Text) -> Option<Zeroizing<Vec<u8>>> {
    if !column.is_text || !(1..=MAX_NAME * text.width).contains(&column.len) {
        return None;
    }
    let name = text.read(column.of(bytes)?);
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.:/ ".contains(byte);
    let is_value = |word: &[u8]| word.len() >= secret::LEN;
    let is_name =
        name.iter().all(is_part) && !name.split(|byte| !glyph::is_base64(*byte)).any(is_value);
    is_name.then_some(name)
}

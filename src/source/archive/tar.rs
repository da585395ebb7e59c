//! tar, of every kind: v7, ustar, GNU with long names, old sparse files and
//! volume headers, and pax with its records.
//!
//! Links, devices and folders have no content, but for hard links of pax. A sparse
//! file is given as the bytes that are stored of it, without the holes. An archive
//! may be followed by others, as `cat` leaves them.

use std::io;

use super::input::{Input, invalid};
use super::limits::{MAX_MEMBERS, MAX_NAME, MAX_RECORDS};
use super::place::Place;
use super::walk::{Level, Walk};
use crate::finding::SkipReason;

const BLOCK: usize = 512;

/// What headers in front of a member say of it.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    /// pax 1.0: the map of the holes stands in front of the content.
    map_in_front: bool,
}

pub(super) fn walk(
    walk: &Walk<'_>,
    place: &Place<'_>,
    input: &mut Input<'_>,
    level: Level,
) -> io::Result<()> {
    let mut extended = Extended::default();
    let mut members = 0;
    let mut ended = false;
    loop {
        walk.go_on()?;
        let block = input.peek(BLOCK)?;
        if block.is_empty() {
            return Ok(());
        }
        if block.iter().all(|byte| *byte == 0) {
            let count = block.len() as u64;
            input.skip(count)?;
            ended = true;
            continue;
        }
        if !is_header(block) {
            if ended {
                return walk.behind(place, input, level.behind_archive());
            }
            return Err(invalid());
        }
        ended = false;
        let header: [u8; BLOCK] = input.array()?;
        let size = number(&header[124..136]).ok_or_else(invalid)?;
        match header[156] {
            b'L' => {
                let mut name = padded(input, size, MAX_NAME)?;
                name.truncate(end_of(&name));
                extended.name = Some(name);
            }
            b'K' | b'g' => skip(input, size)?,
            b'x' | b'X' => {
                let records = padded(input, size, MAX_RECORDS)?;
                records_into(&records, &mut extended);
            }
            kind => {
                let extended = std::mem::take(&mut extended);
                if kind == b'S' {
                    skip_old_map(&header, input)?;
                }
                let stored = extended.size.unwrap_or(size);
                // Links and their kin; a size there is that of the target.
                if matches!(kind, b'2'..=b'6')
                    || (kind == b'1' && (stored == 0 || ends_member(input.peek(BLOCK)?)))
                {
                    continue;
                }
                members += 1;
                if members > MAX_MEMBERS {
                    return Err(walk.breaks(level.layer, SkipReason::ArchiveLimit));
                }
                let name = extended.name.unwrap_or_else(|| name_of(&header));
                let member = place.member(&name);
                input.member(stored, |content| {
                    if extended.map_in_front {
                        skip_map(content)?;
                    }
                    walk.open(&member, content, level)
                })?;
                padding_of(input, stored)?;
            }
        }
    }
}

/// Whether `block` begins with a tar header: its checksum is right, and it
/// says `ustar` or has at least the fields of one.
pub(super) fn is_header(block: &[u8]) -> bool {
    let Some(header) = block.first_chunk::<BLOCK>() else {
        return false;
    };
    // What nearly every other file is not, before its sum is taken.
    let is_ustar = header[257..].starts_with(b"ustar");
    if !is_ustar && (header[0] == 0 || header[257..329].iter().any(|byte| *byte != 0)) {
        return false;
    }
    let Some(expected) = octal(&header[148..156]) else {
        return false;
    };
    let sum = |value: fn(u8) -> i64| -> i64 {
        let all = header.iter().map(|byte| value(*byte)).sum::<i64>();
        let own = header[148..156].iter().map(|byte| value(*byte));
        all - own.sum::<i64>() + 8 * i64::from(b' ')
    };
    // Some old writers took the bytes as signed.
    let right = [sum(i64::from), sum(|byte| i64::from(byte.cast_signed()))];
    i64::try_from(expected).is_ok_and(|expected| right.contains(&expected))
        && (is_ustar || (number(&header[124..136]).is_some() && octal(&header[100..108]).is_some()))
}

/// Whether `block` follows a hard link as if that had no content. With pax it
/// may have the target's; older writers tell the size and leave it at that.
fn ends_member(block: &[u8]) -> bool {
    is_header(block) || block.iter().all(|byte| *byte == 0)
}

fn name_of(header: &[u8; BLOCK]) -> Vec<u8> {
    let field = |from: usize, to: usize| {
        let field = &header[from..to];
        &field[..end_of(field)]
    };
    let (name, prefix) = (field(0, 100), field(345, 500));
    // GNU keeps times and offsets where ustar has a prefix.
    if prefix.is_empty() || !header[257..].starts_with(b"ustar\0") {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}

fn end_of(field: &[u8]) -> usize {
    memchr::memchr(0, field).unwrap_or(field.len())
}

/// Octal digits, or base 256 where the first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 == 0 {
        return octal(field);
    }
    let (high, low) = field.split_at(field.len() - 8);
    let fits = high[0] == 0x80 && high[1..].iter().all(|byte| *byte == 0);
    let low = u64::from_be_bytes(*low.first_chunk()?);
    (fits && low < 1 << 62).then_some(low)
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = field.trim_ascii_start();
    let end = text.iter().position(|byte| !(b'0'..=b'7').contains(byte));
    let (digits, after) = text.split_at(end.unwrap_or(text.len()));
    if !after.iter().all(|byte| matches!(byte, 0 | b' ')) && !matches!(after.first(), Some(0)) {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| {
        value.checked_mul(8)?.checked_add(u64::from(digit - b'0'))
    })
}

const fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn skip(input: &mut Input<'_>, size: u64) -> io::Result<()> {
    input.skip(size)?;
    padding_of(input, size)
}

fn padded(input: &mut Input<'_>, size: u64, keep: usize) -> io::Result<Vec<u8>> {
    let bytes = input.bytes(size, keep)?;
    padding_of(input, size)?;
    Ok(bytes)
}

/// The last member may end without its padding.
fn padding_of(input: &mut Input<'_>, size: u64) -> io::Result<()> {
    match input.skip(padding(size)) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        skipped => skipped,
    }
}

/// The records of a pax header: `LENGTH KEY=VALUE\n` each.
fn records_into(mut records: &[u8], extended: &mut Extended) {
    while let Some(space) = memchr::memchr(b' ', records) {
        let length = std::str::from_utf8(&records[..space]);
        let Some(length) = length.ok().and_then(|length| length.parse::<usize>().ok()) else {
            return;
        };
        let Some(record) = records.get(space + 1..length) else {
            return;
        };
        records = &records[length..];
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        let Some(equals) = memchr::memchr(b'=', record) else {
            continue;
        };
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        let text = || std::str::from_utf8(value).ok();
        match key {
            // The name of a sparse file's own header is a made-up one.
            b"GNU.sparse.name" => extended.name = Some(clipped(value)),
            b"path" if !extended.map_in_front => extended.name = Some(clipped(value)),
            b"size" => extended.size = text().and_then(|size| size.parse().ok()),
            b"GNU.sparse.major" => extended.map_in_front = value == b"1",
            _ => {}
        }
    }
}

fn clipped(name: &[u8]) -> Vec<u8> {
    name[..name.len().min(MAX_NAME)].to_vec()
}

/// The blocks that continue the map of an old GNU sparse file.
fn skip_old_map(header: &[u8; BLOCK], input: &mut Input<'_>) -> io::Result<()> {
    let mut more = header[482] == 1;
    while more {
        let block: [u8; BLOCK] = input.array()?;
        more = block[504] == 1;
    }
    Ok(())
}

/// The map of a sparse file: a count of pairs, the pairs, a number a line,
/// up to the end of a block.
fn skip_map(content: &mut Input<'_>) -> io::Result<()> {
    let mut left: Option<u64> = None;
    loop {
        let mut value = 0u64;
        loop {
            let [byte] = content.array()?;
            match byte {
                b'0'..=b'9' => {
                    value = value
                        .saturating_mul(10)
                        .saturating_add(u64::from(byte - b'0'));
                }
                b'\n' => break,
                _ => return Err(invalid()),
            }
        }
        let now = match left {
            None => value.saturating_mul(2),
            Some(left) => left - 1,
        };
        if now == 0 {
            return content.skip(padding(content.at()));
        }
        left = Some(now);
    }
}

//! ar, as static libraries and Debian packages are.

use std::io;

use super::input::{Input, invalid};
use super::limits::{MAX_MEMBERS, MAX_NAME, MAX_RECORDS};
use super::place::Place;
use super::walk::{Level, Walk};
use crate::finding::SkipReason;

pub(super) fn walk(
    walk: &Walk<'_>,
    place: &Place<'_>,
    input: &mut Input<'_>,
    level: Level,
) -> io::Result<()> {
    input.skip(b"!<arch>\n".len() as u64)?;
    // GNU: the names that do not fit into a header.
    let mut names = Vec::new();
    let mut members = 0;
    loop {
        walk.go_on()?;
        // Some writers fill up their last block with zeros.
        if matches!(input.peek(1)?, [] | [0]) {
            return walk.behind(place, input, level.behind_archive());
        }
        members += 1;
        if members > MAX_MEMBERS {
            return Err(walk.breaks(level.layer, SkipReason::ArchiveLimit));
        }
        let header: [u8; 60] = input.array()?;
        if header[58..] != *b"`\n" {
            return Err(invalid());
        }
        let size = decimal(&header[48..58]).ok_or_else(invalid)?;
        let field = header[..16].trim_ascii_end();
        if field == b"//" {
            names = input.bytes(size, MAX_RECORDS)?;
        } else if let Some(len) = field.strip_prefix(b"#1/").and_then(decimal) {
            // BSD: the name stands in front of the content.
            let content = size.checked_sub(len).ok_or_else(invalid)?;
            let mut name = input.bytes(len, MAX_NAME)?;
            name.truncate(memchr::memchr(0, &name).unwrap_or(name.len()));
            input.member(content, |member| {
                walk.open(&place.member(&name), member, level)
            })?;
        } else {
            let name = long_name(field, &names).unwrap_or_else(|| match field {
                b"/" => field,
                name => name.strip_suffix(b"/").unwrap_or(name),
            });
            input.member(size, |member| walk.open(&place.member(name), member, level))?;
        }
        // Members begin at even places; the last may end without.
        if size % 2 == 1 && !input.peek(1)?.is_empty() {
            input.skip(1)?;
        }
    }
}

/// `/NUMBER` is a place in the table of names.
fn long_name<'n>(field: &[u8], names: &'n [u8]) -> Option<&'n [u8]> {
    let start = usize::try_from(decimal(field.strip_prefix(b"/")?)?).ok()?;
    let name = names.get(start..)?;
    let end = memchr::memchr(b'\n', name).unwrap_or(name.len());
    let name = &name[..end.min(MAX_NAME)];
    Some(name.strip_suffix(b"/").unwrap_or(name))
}

fn decimal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field.trim_ascii()).ok()?;
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(())?;
    text.parse().ok()
}

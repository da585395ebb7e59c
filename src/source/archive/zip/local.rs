//! A zip from a stream, by its local headers.

use std::io::{self, Read};

use super::until::UntilDescriptor;
use super::{
    CENTRAL, DESCRIPTOR, ENCRYPTED, END, END_64, Entry, LOCAL, SIZES_BEHIND, local_entry,
    open_entry, zip64,
};
use crate::finding::SkipReason;
use crate::source::archive::input::{Input, invalid, le16, le32};
use crate::source::archive::kind;
use crate::source::archive::limits::{MAX_MEMBERS, MAX_NAME, MAX_RECORDS};
use crate::source::archive::place::Place;
use crate::source::archive::walk::{Level, Walk};

const HEADER_LEN: usize = 30;

pub(super) fn walk(
    walk: &Walk<'_>,
    place: &Place<'_>,
    input: &mut Input<'_>,
    level: Level,
) -> io::Result<()> {
    if input.peek(4)? == DESCRIPTOR {
        input.skip(4)?;
    }
    if entries(walk, place, input, level)? {
        return Ok(());
    }
    Err(invalid())
}

/// Reads entry after entry; whether a directory closed them.
fn entries(
    walk: &Walk<'_>,
    place: &Place<'_>,
    input: &mut Input<'_>,
    level: Level,
) -> io::Result<bool> {
    let mut members = 0;
    loop {
        walk.go_on()?;
        let signature = input.peek(4)?;
        if signature.is_empty() {
            return Ok(false);
        }
        if [CENTRAL, END, END_64].contains(&signature) {
            // The directory, with its comments; another zip may follow.
            walk.visit(place, &mut Prefix { input })?;
            if input.peek(1)?.is_empty() {
                return Ok(true);
            }
            continue;
        }
        if signature != LOCAL {
            return Err(invalid());
        }
        members += 1;
        if members > MAX_MEMBERS {
            return Err(walk.breaks(level.layer, SkipReason::ArchiveLimit));
        }
        let header: [u8; HEADER_LEN] = input.array()?;
        let name = input.bytes(u64::from(le16(&header, 26)), MAX_NAME)?;
        let extra = input.bytes(u64::from(le16(&header, 28)), MAX_RECORDS)?;
        let mut entry = local_entry(&header);
        zip64(&extra, &mut [&mut entry.size, &mut entry.compressed]);
        let place = place.member(&name);
        if entry.flags & SIZES_BEHIND != 0 && entry.compressed == 0 {
            unsized_entry(walk, &place, entry, input, level)?;
        } else {
            input.member(entry.compressed, |content| {
                open_entry(walk, &place, entry, content, level)
            })?;
            if entry.flags & SIZES_BEHIND != 0 && input.peek(4)? == DESCRIPTOR {
                skip_descriptor(input, entry.compressed)?;
            }
        }
    }
}

/// An entry that says only behind its content how long it is. What is
/// compressed ends by itself.
fn unsized_entry(
    walk: &Walk<'_>,
    place: &Place<'_>,
    entry: Entry,
    input: &mut Input<'_>,
    level: Level,
) -> io::Result<()> {
    let start = input.at();
    let ends_itself = entry.flags & ENCRYPTED == 0 && entry.method == 8;
    if ends_itself {
        let inside = level.inside_codec();
        let mut inflated = super::codec::deflate(walk, input, inside.layer);
        let result = walk
            .open(place, &mut Input::stream(&mut *inflated), inside)
            .and_then(|()| drain(&mut *inflated));
        drop(inflated);
        if result.is_err() {
            // Where the next entry is, nobody knows: the zip is broken, not
            // the entry alone.
            walk.moves_out(inside.layer, level.layer);
        }
        result?;
    } else {
        let mut content = UntilDescriptor {
            walk,
            layer: level.layer,
            input,
            given: 0,
        };
        open_entry(walk, place, entry, &mut Input::stream(&mut content), level)?;
        drain(&mut content)?;
    }
    let compressed = input.at() - start;
    skip_descriptor(input, compressed)
}

fn drain(content: &mut dyn Read) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A descriptor has a signature or not, and sizes of 32 or of 64 bits; what
/// stands behind it tells.
fn skip_descriptor(input: &mut Input<'_>, compressed: u64) -> io::Result<()> {
    let ahead = input.peek(28)?;
    let signed = ahead.starts_with(DESCRIPTOR);
    let lengths: &[usize] = if signed { &[16, 24] } else { &[12, 20] };
    let follows = |len: &&usize| {
        ahead
            .get(**len..**len + 4)
            .is_some_and(|signature| [LOCAL, CENTRAL, END, END_64].contains(&signature))
    };
    let size_at = if signed { 8 } else { 4 };
    if u64::from(le32(ahead, size_at)) != compressed & 0xffff_ffff {
        return Err(invalid());
    }
    let len = *lengths.iter().find(follows).ok_or_else(invalid)?;
    input.skip(len as u64)
}

/// A zip behind a program, both inside an archive: the program is scanned up
/// to the first bytes that can be nothing but a local header.
pub(in crate::source::archive) fn behind_prefix(
    walk: &Walk<'_>,
    place: &Place<'_>,
    input: &mut Input<'_>,
    level: Level,
) -> io::Result<()> {
    if let Some(section) = input.as_section() {
        // Here the end can be seen.
        let may_be = super::may_have_prefix(input.peek(kind::HEAD)?, section.len())
            && input.peek_all()?.is_none_or(super::may_end_in);
        if may_be && level.depth < walk.max_depth() && super::is_behind(section)? {
            let inside = level.inside_archive();
            let result = super::walk(walk, place, input, inside);
            return walk.settle(result, place, input, inside.layer);
        }
        return walk.visit(place, input);
    }
    walk.visit(place, &mut Prefix { input })?;
    if input.peek(1)?.is_empty() {
        return Ok(());
    }
    walk.open(place, input, level)
}

/// Entries that the directory does not name: of a zip that another was put
/// behind, of one that was written over, or hidden on purpose.
pub(super) fn unnamed(
    walk: &Walk<'_>,
    place: &Place<'_>,
    input: &mut Input<'_>,
    level: Level,
) -> io::Result<()> {
    let start = input.peek(kind::HEAD)?;
    if !start.starts_with(LOCAL) && kind::recognise(start).is_some() {
        return walk.open(place, input, level.behind_archive());
    }
    walk.visit_gap(place, &mut Prefix { input }, level)?;
    if input.peek(1)?.is_empty() {
        return Ok(());
    }
    let inside = level.inside_codec();
    let result = entries(walk, place, input, inside).map(drop);
    walk.settle(result, place, input, inside.layer)
}

/// Reads up to a local header.
struct Prefix<'i, 'b> {
    input: &'i mut Input<'b>,
}

const STEP: usize = 16 * 1024;

impl Read for Prefix<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let ahead = self.input.peek(STEP)?;
        let found = memchr::memmem::find_iter(ahead, LOCAL).find(|at| {
            // One that is cut off by the end of the step is seen the next time.
            ahead.len() < at + HEADER_LEN || is_likely(&ahead[*at..])
        });
        let count = match found {
            Some(0) if ahead.len() < HEADER_LEN => ahead.len(),
            Some(0) => return Ok(0),
            Some(at) => at,
            None if ahead.len() < STEP => ahead.len(),
            None => STEP - LOCAL.len(),
        };
        let count = count.min(out.len());
        out[..count].copy_from_slice(&ahead[..count]);
        self.input.skip(count as u64)?;
        Ok(count)
    }
}

/// Whether a local header says nothing that no zip says: these four bytes
/// stand in every program that reads zips.
fn is_likely(header: &[u8]) -> bool {
    let entry = local_entry(header);
    let name_len = usize::from(le16(header, 26));
    le16(header, 4) & 0xff <= 63
        && matches!(entry.method, 0 | 8 | 9 | 12 | 14 | 93 | 95 | 99)
        && (1..=MAX_NAME).contains(&name_len)
        && header
            .get(HEADER_LEN..)
            .is_some_and(|name| !name.iter().take(name_len).any(u8::is_ascii_control))
}

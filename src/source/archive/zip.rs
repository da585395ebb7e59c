//! zip and its kin: jar, war, whl, docx, apk.
//!
//! By the central directory where the zip lies in a file as it is
//! ([`central`]), else by the local headers ([`local`]).

mod central;
mod gaps;
mod local;
mod summed;
mod until;

use std::io;

use super::codec;
use super::input::{Input, Section, le16, le32, le64};
use super::kind::Codec;
use super::place::Place;
use super::walk::{Level, Walk};
use crate::finding::SkipReason;

pub(super) use local::behind_prefix;
use summed::Summed;

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const DESCRIPTOR: &[u8] = b"PK\x07\x08";
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";

const ENCRYPTED: u16 = 1;
/// The sizes stand behind the content.
const SIZES_BEHIND: u16 = 8;

/// What a header says of an entry.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    flags: u16,
    method: u16,
    compressed: u64,
    size: u64,
    /// Of the content; 0 where nobody says.
    crc: u32,
}

pub(super) fn walk(
    walk: &Walk<'_>,
    place: &Place<'_>,
    input: &mut Input<'_>,
    level: Level,
) -> io::Result<()> {
    match input.as_section() {
        Some(section) => central::walk(walk, place, section, level),
        None => local::walk(walk, place, input, level),
    }
}

/// Programs that a zip is put behind: scripts, ELF and Windows executables; and
/// the signature in front of a browser's extension. An ELF file that ends with
/// its section headers, as they all do, has nothing behind it.
pub(super) fn may_have_prefix(head: &[u8], size: u64) -> bool {
    let (at, sections) = if head.starts_with(b"\x7fELF\x02\x01") {
        (le64(head, 40), (58, 60))
    } else if head.starts_with(b"\x7fELF\x01\x01") {
        (le32(head, 32).into(), (46, 48))
    } else {
        return may_hide_behind(head);
    };
    let sections = u64::from(le16(head, sections.0)) * u64::from(le16(head, sections.1));
    size.saturating_sub(at.saturating_add(sections)) >= 22
}

/// The same, where the end cannot be seen.
pub(super) fn may_hide_behind(head: &[u8]) -> bool {
    [&b"#!"[..], b"MZ", b"\x7fELF", b"Cr24"]
        .iter()
        .any(|magic| head.starts_with(magic))
}

/// Whether the record that ends a zip may stand near the end of `bytes`: a look
/// that costs next to nothing, for nearly all of them have none.
pub(super) fn may_end_in(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(central::FAR)..];
    has_rare_byte(tail) && memchr::memmem::find(tail, END).is_some()
}

/// A byte of that record that texts do not have: most files are no zips.
fn has_rare_byte(tail: &[u8]) -> bool {
    memchr::memchr(END[2], tail).is_some()
}

/// Whether a zip is behind a program: at its end, or with a signature or
/// padding behind it.
pub(super) fn is_behind(section: Section<'_>) -> io::Result<bool> {
    let last = section.bytes_at(
        section.len().saturating_sub(super::TAIL as u64),
        super::TAIL,
    )?;
    Ok(ends_as_zip(&last) || central::is_in(&section)?)
}

/// Volumes of a zip; more are none that anybody made.
const MAX_DISKS: u16 = 4096;

/// Whether `tail` ends with the record that ends a zip, or the last volume of one.
pub(super) fn ends_as_zip(tail: &[u8]) -> bool {
    has_rare_byte(tail)
        && central::end_record(tail).is_some_and(|at| {
            let (this, first) = (le16(tail, at + 4), le16(tail, at + 6));
            (this < MAX_DISKS && first <= this) || (this, first) == (0xffff, 0xffff)
        })
}

/// Looks into an entry; `input` are its bytes as they are stored.
fn open_entry(
    walk: &Walk<'_>,
    place: &Place<'_>,
    entry: Entry,
    input: &mut Input<'_>,
    level: Level,
) -> io::Result<()> {
    if entry.flags & ENCRYPTED != 0 {
        walk.skip(SkipReason::ArchiveEncrypted, place);
        return Ok(());
    }
    let codec = match entry.method {
        0 => return walk.open(place, input, level),
        8 => {
            let inside = level.inside_codec();
            let whole = |bytes: &[u8]| codec::whole::deflate(bytes, entry.size, entry.crc);
            if let Some(whole) = input.peek_all()?.and_then(whole) {
                let result = walk.open_whole(place, whole, inside);
                return walk.settle(result, place, input, inside.layer);
            }
            let mut inflated = Summed::new(codec::deflate(walk, input, inside.layer));
            let result = walk.open(place, &mut Input::stream(&mut inflated), inside);
            let is_whole = inflated.is_whole(entry.crc);
            drop(inflated);
            let broken = || Err(walk.breaks(inside.layer, SkipReason::ArchiveCorrupt));
            let result = result.and_then(|()| if is_whole { Ok(()) } else { broken() });
            return walk.settle(result, place, input, inside.layer);
        }
        12 => Codec::Bzip2,
        14 => return open_lzma(walk, place, entry, input, level),
        93 => Codec::Zstd,
        95 => Codec::Xz,
        _ => {
            return walk.leave(SkipReason::ArchiveUnsupported, place, input, level);
        }
    };
    walk.decompress(codec, place, input, level)
}

/// lzma in a zip is what it is alone, under another header.
fn open_lzma(
    walk: &Walk<'_>,
    place: &Place<'_>,
    entry: Entry,
    input: &mut Input<'_>,
    level: Level,
) -> io::Result<()> {
    let header: [u8; 9] = input.array()?;
    // Where an end is marked, that is the end.
    let size = if entry.flags & 2 != 0 || entry.size == 0 {
        u64::MAX
    } else {
        entry.size
    };
    let mut alone = Vec::from(&header[4..]);
    alone.extend(size.to_le_bytes());
    let mut joined = io::Read::chain(alone.as_slice(), input);
    walk.decompress(Codec::Lzma, place, &mut Input::stream(&mut joined), level)
}

/// The sizes and the place of an entry that do not fit into 32 bits stand in
/// an extra field, in this order, as far as they are needed.
fn zip64(extra: &[u8], fields: &mut [&mut u64]) {
    let mut rest = extra;
    while rest.len() >= 4 {
        let len = usize::from(le16(rest, 2)).min(rest.len() - 4);
        if le16(rest, 0) == 1 {
            let mut at = 4;
            for field in fields.iter_mut() {
                if **field == u64::from(u32::MAX) && at + 8 <= 4 + len {
                    **field = le64(rest, at);
                    at += 8;
                }
            }
            return;
        }
        rest = &rest[4 + len..];
    }
}

/// The entry of a local header of 30 bytes, before its extra field is seen.
fn local_entry(header: &[u8]) -> Entry {
    Entry {
        flags: le16(header, 6),
        method: le16(header, 8),
        compressed: u64::from(le32(header, 18)),
        size: u64::from(le32(header, 22)),
        crc: le32(header, 14),
    }
}

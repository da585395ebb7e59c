//! A zip in a file, by its central directory.
//!
//! What belongs to no entry is given to the visitor as well: a program in
//! front, stretches between entries, the directory with its comments, and the
//! comment of the archive.

use std::io;

use super::gaps::Taken;
use super::{CENTRAL, ENCRYPTED, END, END_64, Entry, LOCAL, local, local_entry, open_entry, zip64};
use crate::finding::SkipReason;
use crate::source::archive::input::{Input, Section, invalid, le16, le32, le64};
use crate::source::archive::limits::{MAX_MEMBERS, MAX_NAME, MAX_RECORDS};
use crate::source::archive::place::Place;
use crate::source::archive::walk::{Level, Walk};

const END_LEN: usize = 22;
const LOCATOR_LEN: usize = 20;
const END_64_LEN: usize = 56;
const HEADER_LEN: usize = 46;

/// Bytes at the end that hold the record: it, the longest comment, and what
/// zip64 puts in front of it.
const TAIL: usize = END_LEN + 65535 + LOCATOR_LEN + END_64_LEN;

/// Bytes at the end that hold the record where a signature or padding follows.
pub(super) const FAR: usize = 2 * TAIL;

/// Where the directory is.
struct Directory {
    start: u64,
    len: u64,
    entries: u64,
    /// Behind the records that end the zip, and their comment.
    end: u64,
    /// What places in the directory lack: the length of a prefix that the
    /// writer did not know of.
    shift: u64,
}

impl Directory {
    const fn is_empty(&self) -> bool {
        self.entries == 0
    }
}

pub(super) fn walk(
    walk: &Walk<'_>,
    place: &Place<'_>,
    section: Section<'_>,
    level: Level,
) -> io::Result<()> {
    let mut directory = find(&section, TAIL)?;
    if directory.as_ref().is_none_or(Directory::is_empty) && section.len() > TAIL as u64 {
        directory = find(&section, FAR)?;
    }
    let Some(directory) = directory else {
        // Cut short: what is there can be read by its local headers.
        let mut input = Input::section(section);
        local::walk(walk, place, &mut input, level)?;
        return Err(invalid());
    };
    let mut taken = Taken::default();
    let mut input = Input::section(section.part(directory.start, directory.len));
    let mut members = 0;
    while input.peek(4)? == CENTRAL {
        walk.go_on()?;
        members += 1;
        if members > MAX_MEMBERS {
            return Err(walk.breaks(level.layer, SkipReason::ArchiveLimit));
        }
        let header: [u8; HEADER_LEN] = input.array()?;
        let name = input.bytes(u64::from(le16(&header, 28)), MAX_NAME)?;
        let extra = input.bytes(u64::from(le16(&header, 30)), MAX_RECORDS)?;
        input.skip(u64::from(le16(&header, 32)))?;
        let mut entry = Entry {
            flags: le16(&header, 8),
            method: le16(&header, 10),
            compressed: u64::from(le32(&header, 20)),
            size: u64::from(le32(&header, 24)),
            crc: le32(&header, 16),
        };
        let mut at = u64::from(le32(&header, 42));
        zip64(
            &extra,
            &mut [&mut entry.size, &mut entry.compressed, &mut at],
        );
        let at = at.saturating_add(directory.shift);
        let place = place.member(&name);
        read_entry(walk, &place, &section, entry, at, level, &mut taken)?;
    }
    if members < directory.entries {
        return Err(invalid());
    }
    if taken.scattered {
        return Err(walk.breaks(level.layer, SkipReason::ArchiveLimit));
    }
    taken.add(directory.start, directory.end);
    let named = section.part(
        directory.start,
        directory.end.saturating_sub(directory.start),
    );
    walk.visit_gap(place, &mut Input::section(named), level)?;
    for (start, len) in taken.gaps(section.len()) {
        walk.go_on()?;
        let mut gap = Input::section(section.part(start, len));
        local::unnamed(walk, place, &mut gap, level)?;
    }
    Ok(())
}

/// Reads the entry whose local header is at `at`.
fn read_entry(
    walk: &Walk<'_>,
    place: &Place<'_>,
    section: &Section<'_>,
    entry: Entry,
    at: u64,
    level: Level,
    taken: &mut Taken,
) -> io::Result<()> {
    let header = section.bytes_at(at, 30)?;
    if header.len() < 30 || !header.starts_with(LOCAL) {
        walk.skip(SkipReason::ArchiveCorrupt, place);
        return Ok(());
    }
    let own = local_entry(&header);
    let data = at + 30 + u64::from(le16(&header, 26)) + u64::from(le16(&header, 28));
    let content = section.part(data, entry.compressed);
    // Entries may overlap: what is stored has to be paid for like the rest.
    walk.spend(content.len())?;
    taken.add(at, data.saturating_add(entry.compressed));
    // The directory's word counts, but nobody encrypts what only one of the
    // two calls encrypted.
    let flags = entry.flags & (own.flags | !ENCRYPTED);
    let entry = Entry { flags, ..entry };
    open_entry(walk, place, entry, &mut Input::section(content), level)?;
    if own.method != entry.method {
        // Some programs go by the one and some by the other.
        walk.skip(SkipReason::ArchiveCorrupt, place);
        let method = own.method;
        let entry = Entry { method, ..entry };
        open_entry(walk, place, entry, &mut Input::section(content), level)?;
    }
    if content.len() < entry.compressed {
        walk.skip(SkipReason::ArchiveCorrupt, place);
    }
    Ok(())
}

/// The place in `tail` of the record that ends a zip, with its comment.
pub(super) fn end_record(tail: &[u8]) -> Option<usize> {
    let last = tail.len().checked_sub(END_LEN)?;
    memchr::memmem::rfind_iter(&tail[..last + END.len()], END)
        .find(|at| at + END_LEN + usize::from(le16(tail, at + 20)) == tail.len())
}

/// Whether a zip with entries ends in the last [`FAR`] bytes.
pub(super) fn is_in(section: &Section<'_>) -> io::Result<bool> {
    Ok(find(section, FAR)?.is_some_and(|directory| !directory.is_empty()))
}

/// The directory of the zip that ends in the last `len` bytes.
fn find(section: &Section<'_>, len: usize) -> io::Result<Option<Directory>> {
    let from = section.len().saturating_sub(len as u64);
    let tail = section.bytes_at(from, len)?;
    let places: Vec<usize> = memchr::memmem::find_iter(&tail, END).collect();
    let Some(last) = places.last() else {
        return Ok(None);
    };
    // Better one with something behind it than none.
    let first = end_record(&tail).unwrap_or(*last);
    let records = std::iter::once(first).chain(places.iter().rev().copied());
    let mut empty = None;
    for at in records {
        match directory(section, &tail, at)? {
            Some(directory) if !directory.is_empty() => return Ok(Some(directory)),
            directory => empty = empty.or(directory),
        }
    }
    Ok(empty)
}

/// The directory that the record at `at` in the `tail` of the file tells, if
/// there is one.
fn directory(section: &Section<'_>, tail: &[u8], at: usize) -> io::Result<Option<Directory>> {
    let from = section.len().saturating_sub(tail.len() as u64);
    if tail.len() < at + END_LEN {
        return Ok(None);
    }
    let mut end = from + at as u64;
    let behind = end + END_LEN as u64 + u64::from(le16(tail, at + 20));
    let mut entries = u64::from(le16(tail, at + 10));
    let mut len = u64::from(le32(tail, at + 12));
    let mut offset = u64::from(le32(tail, at + 16));
    // The zip64 record stands in front of its locator, which stands in front.
    if let Some(record) = at.checked_sub(LOCATOR_LEN + END_64_LEN)
        && tail[record..].starts_with(END_64)
        && tail[record + END_64_LEN..].starts_with(b"PK\x06\x07")
    {
        end = from + record as u64;
        entries = le64(tail, record + 32);
        len = le64(tail, record + 40);
        offset = le64(tail, record + 48);
    }
    for start in [end.checked_sub(len), Some(offset)].into_iter().flatten() {
        if entries == 0 || section.bytes_at(start, 4)? == CENTRAL {
            return Ok(Some(Directory {
                start,
                len,
                entries,
                end: behind.min(section.len()),
                shift: start.saturating_sub(offset),
            }));
        }
    }
    Ok(None)
}

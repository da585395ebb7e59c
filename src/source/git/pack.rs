//! One pack file, read with positioned reads. It is not mapped: whoever owns
//! the file can cut it short while we read, which would end a process that
//! has it mapped.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use gix_pack::data::Entry;

use super::inflate::{Inflater, Inflating, invalid};

/// A pack begins with its magic number, version and object count.
const HEADER: u64 = 12;

/// The longest head of an entry: a size, and the id or distance of its base.
const ENTRY_HEAD: usize = 64;

/// Read at once where an entry's end is not known: most commits and trees
/// are smaller.
const READ_AHEAD: usize = 1024;

/// The largest entry that is not read as a stream where its end is not known.
const MAX_AT_ONCE: u64 = 64 * 1024;

pub(super) struct Pack {
    pub(super) path: PathBuf,
    file: File,
    /// Where the pack begins in its file; behind the head of a bundle.
    start: u64,
    /// Where the entries end, counted from `start`.
    end: u64,
    /// As the pack itself says.
    pub(super) count: u32,
    pub(super) hash: gix_hash::Kind,
}

impl Pack {
    pub(super) fn open(
        path: PathBuf,
        file: File,
        start: u64,
        hash: gix_hash::Kind,
    ) -> io::Result<Self> {
        let mut head = [0; 12];
        file.read_exact_at(&mut head, start)?;
        let (_, count) =
            gix_pack::data::header::decode(&head).map_err(|error| invalid(error.to_string()))?;
        let size = file.metadata()?.len().saturating_sub(start);
        let end = size.saturating_sub(hash.len_in_bytes() as u64);
        Ok(Self {
            path,
            file,
            start,
            end,
            count,
            hash,
        })
    }

    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// The head of the entry at `offset`.
    pub(super) fn entry(&self, offset: u64) -> io::Result<Entry> {
        if !(HEADER..self.end).contains(&offset) {
            return Err(invalid("an offset outside of the pack"));
        }
        let mut head = [0; ENTRY_HEAD];
        let count = self.read_at(&mut head, offset)?;
        Entry::from_bytes(&head[..count], offset, self.hash)
            .map_err(|error| invalid(error.to_string()))
    }

    /// The entry at `offset`, which ends at `end` at the latest, and how much
    /// of it, from its head on, `buffer` holds: all of one that is small.
    pub(super) fn small_entry(
        &self,
        offset: u64,
        end: u64,
        buffer: &mut Vec<u8>,
    ) -> io::Result<(Entry, usize)> {
        let length = end.saturating_sub(offset);
        if length > MAX_AT_ONCE || !(HEADER..self.end).contains(&offset) {
            return self.entry(offset).map(|entry| (entry, 0));
        }
        let buffer = sized(buffer, usize::try_from(length).unwrap_or(0));
        let count = self.read_at(buffer, offset)?;
        let entry = Entry::from_bytes(&buffer[..count], offset, self.hash)
            .map_err(|error| invalid(error.to_string()))?;
        Ok((entry, count))
    }

    /// The bytes of an entry that ends at `end` at the latest.
    pub(super) fn compressed<'b>(
        &self,
        entry: &Entry,
        end: u64,
        buffer: &'b mut Vec<u8>,
    ) -> io::Result<&'b [u8]> {
        // A gap behind the entry is no reason to read it.
        let longest = longest_stream(entry.decompressed_size);
        let length = end.saturating_sub(entry.data_offset).min(longest);
        let length = usize::try_from(length).map_err(|_| super::inflate::too_large())?;
        let buffer = sized(buffer, length);
        let count = self.read_at(buffer, entry.data_offset)?;
        Ok(&buffer[..count])
    }

    /// The heads of the entries at `offsets`, which ascend, from the last to
    /// the first.
    pub(super) fn each_head(
        &self,
        offsets: &[u64],
        mut take: impl FnMut(usize, io::Result<Entry>),
    ) {
        // Where entries are small, one read covers many of them.
        let size = self.end / offsets.len().max(1) as u64;
        let window = if size < 8 * 1024 {
            64 * 1024
        } else {
            ENTRY_HEAD
        };
        let mut buffer = vec![0; window];
        let (mut start, mut end) = (0, 0);
        for (at, &offset) in offsets.iter().enumerate().rev() {
            let wanted = (offset + ENTRY_HEAD as u64).min(self.end);
            if offset >= self.end {
                take(at, Err(invalid("an offset outside of the pack")));
                continue;
            }
            if offset < start || wanted > end {
                start = wanted.saturating_sub(window as u64);
                end = match self.read_at(&mut buffer, start) {
                    Ok(count) => start + count as u64,
                    Err(error) => {
                        (start, end) = (0, 0);
                        take(at, Err(error));
                        continue;
                    }
                };
            }
            let range = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX);
            let head = &buffer[range(offset).min(window)..range(wanted.min(end)).min(window)];
            let entry = Entry::from_bytes(head, offset, self.hash);
            take(at, entry.map_err(|error| invalid(error.to_string())));
        }
    }

    /// The head of the entry at `offset`, with what stands behind it read to
    /// `ahead`.
    pub(super) fn entry_ahead(&self, offset: u64, ahead: &mut Ahead) -> io::Result<Entry> {
        if !(HEADER..self.end).contains(&offset) {
            return Err(invalid("an offset outside of the pack"));
        }
        ahead.at = offset;
        ahead.count = self.read_at(&mut ahead.bytes, offset)?;
        Entry::from_bytes(&ahead.bytes[..ahead.count], offset, self.hash)
            .map_err(|error| invalid(error.to_string()))
    }

    /// Inflates an entry of which only the head is known.
    pub(super) fn inflate(
        &self,
        entry: &Entry,
        inflater: &mut Inflater,
        ahead: &mut Ahead,
        output: &mut [u8],
    ) -> io::Result<()> {
        if ahead.at != entry.pack_offset() {
            self.entry_ahead(entry.pack_offset(), ahead)?;
        }
        let input = ahead.bytes[..ahead.count].get(entry.header_size()..);
        let input = input.unwrap_or_default();
        let is_all = ahead.count < READ_AHEAD
            || longest_stream(entry.decompressed_size) <= input.len() as u64;
        if is_all {
            return inflater.fill(input, output);
        }
        if entry.decompressed_size > MAX_AT_ONCE {
            let mut stream = self.stream(entry);
            stream.read_exact(output)?;
            return stream.drain(0).map(drop);
        }
        let input = self.compressed(entry, self.end, &mut ahead.more)?;
        inflater.fill(input, output)
    }

    pub(super) fn stream(&self, entry: &Entry) -> Inflating<At<'_>> {
        Inflating::new(At {
            pack: self,
            offset: entry.data_offset,
        })
    }

    /// Where the entries begin, found by inflating one after another; all that
    /// are whole, and whether that is all.
    pub(super) fn offsets_by_reading(
        &self,
        is_over: &dyn Fn() -> bool,
    ) -> (Vec<u64>, io::Result<()>) {
        let mut offsets = Vec::new();
        let mut offset = HEADER;
        for _ in 0..self.count {
            let next = self.entry(offset).and_then(|entry| {
                let mut stream = self.stream(&entry);
                let made = stream.drain(entry.decompressed_size)?;
                if made != entry.decompressed_size {
                    return Err(invalid("the object is shorter than it says"));
                }
                Ok(entry.data_offset + stream.consumed())
            });
            match next {
                _ if is_over() => return (offsets, Err(io::ErrorKind::TimedOut.into())),
                Ok(next) => offsets.push(std::mem::replace(&mut offset, next)),
                Err(error) => return (offsets, Err(error)),
            }
        }
        (offsets, Ok(()))
    }

    /// Reads up to the end of the entries.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let mut done = 0;
        while done < wanted {
            let at = self.start + offset + done as u64;
            match self.file.read_at(&mut buffer[done..wanted], at) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

/// What was read of a pack, in the hope that it is a whole entry.
pub(super) struct Ahead {
    bytes: Box<[u8]>,
    count: usize,
    at: u64,
    more: Vec<u8>,
}

impl Ahead {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; READ_AHEAD].into_boxed_slice(),
            count: 0,
            at: 0,
            more: Vec::new(),
        }
    }

    /// Another pack's bytes are of no use.
    pub(super) const fn forget(&mut self) {
        self.at = 0;
    }
}

/// A pack from an offset on.
pub(super) struct At<'p> {
    pack: &'p Pack,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.pack.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// What zlib makes of `size` bytes at worst, and some room for writers that
/// flush more often than they need to.
const fn longest_stream(size: u64) -> u64 {
    size.saturating_add(size / 256).saturating_add(1024)
}

/// The first `length` bytes of a buffer that is used again and again: it only
/// grows, so that it is not cleared each time.
pub(super) fn sized(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    &mut buffer[..length]
}

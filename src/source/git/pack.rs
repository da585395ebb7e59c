//! One pack file, read with positioned reads. It is not mapped: whoever owns
//! the file can cut it short while we read, which would end a process that
//! has it mapped.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use gix_pack::data::Entry;

use super::blocks::Blocks;
use super::inflate::{Inflater, Inflating, invalid};

/// A pack begins with its magic number, version and object count.
const HEADER: u64 = 12;

/// The longest head of an entry: a size, and the id or distance of its base.
const ENTRY_HEAD: u64 = 64;

/// The largest entry that is not read as a stream where its end is not known.
const MAX_AT_ONCE: u64 = 64 * 1024;

/// The largest one where it is known: it is in memory beside the object.
const MAX_STORED: u64 = 2 * 1024 * 1024;

pub(super) struct Pack {
    /// No other pack has it.
    pub(super) number: u64,
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
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut head = [0; 12];
        file.read_exact_at(&mut head, start)?;
        let (_, count) =
            gix_pack::data::header::decode(&head).map_err(|error| invalid(error.to_string()))?;
        let size = file.metadata()?.len().saturating_sub(start);
        let end = size.saturating_sub(hash.len_in_bytes() as u64);
        Ok(Self {
            number: COUNT.fetch_add(1, Ordering::Relaxed),
            path,
            file,
            start,
            end,
            count,
            hash,
        })
    }

    /// The hash of all of it, as it tells it.
    pub(super) fn trailer(&self) -> io::Result<Vec<u8>> {
        let mut trailer = vec![0; self.hash.len_in_bytes()];
        self.file
            .read_exact_at(&mut trailer, self.start + self.end)?;
        Ok(trailer)
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// The head of the entry at `offset`.
    pub(super) fn entry(&self, offset: u64, blocks: &mut Blocks) -> io::Result<Entry> {
        if !(HEADER..self.end).contains(&offset) {
            return Err(invalid("an offset outside of the pack"));
        }
        let head = blocks.get(self, offset..offset + ENTRY_HEAD)?;
        Entry::from_bytes(head, offset, self.hash).map_err(|error| invalid(error.to_string()))
    }

    /// Inflates an entry, which ends at `end` at the latest, if that is known.
    pub(super) fn inflate(
        &self,
        entry: &Entry,
        end: Option<u64>,
        inflater: &mut Inflater,
        blocks: &mut Blocks,
        output: &mut [u8],
    ) -> io::Result<()> {
        let is_streamed = match end {
            Some(end) => end.saturating_sub(entry.data_offset) > MAX_STORED,
            None => entry.decompressed_size > MAX_AT_ONCE,
        };
        if is_streamed {
            let mut stream = self.stream(entry);
            stream.read_exact(output)?;
            return stream.drain(0).map(drop);
        }
        // A gap behind the entry is no reason to read it.
        let longest = entry
            .data_offset
            .saturating_add(longest_stream(entry.decompressed_size));
        let end = longest.min(end.unwrap_or(self.end));
        inflater.fill(blocks.get(self, entry.data_offset..end)?, output)
    }

    /// The heads of the entries at `offsets`, which ascend, from the last to
    /// the first.
    pub(super) fn each_head(
        &self,
        offsets: &[u64],
        blocks: &mut Blocks,
        mut take: impl FnMut(usize, io::Result<Entry>),
    ) {
        for (at, &offset) in offsets.iter().enumerate().rev() {
            take(at, self.entry(offset, blocks));
        }
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
        let mut blocks = Blocks::new();
        for _ in 0..self.count {
            let entry = self.entry(offset, &mut blocks);
            let next = entry.and_then(|entry| {
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
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
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
/// grows, so that it is not cleared each time. What was in it is lost.
pub(super) fn sized(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if buffer.capacity() < length {
        // Pages that are new need not be cleared.
        *buffer = vec![0; length];
    } else if buffer.len() < length {
        buffer.resize(length, 0);
    }
    &mut buffer[..length]
}

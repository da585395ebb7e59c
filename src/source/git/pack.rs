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
use crate::finding::SkipReason;

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
    /// Where the file ends, counted from `start`.
    end: u64,
    /// Where the hash of all of it begins, before which every entry does. One that
    /// git left unfinished has none, and its entries go on up to the end.
    trailer: u64,
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
        let end = file.metadata()?.len().saturating_sub(start);
        let trailer = end.saturating_sub(hash.len_in_bytes() as u64);
        Ok(Self {
            number: COUNT.fetch_add(1, Ordering::Relaxed),
            path,
            file,
            start,
            end,
            trailer,
            count,
            hash,
        })
    }

    /// The hash of all of it, as it tells it.
    pub(super) fn trailer(&self) -> io::Result<Vec<u8>> {
        let mut trailer = vec![0; self.hash.len_in_bytes()];
        self.file
            .read_exact_at(&mut trailer, self.start + self.trailer)?;
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
        if !(HEADER..self.trailer).contains(&offset) {
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

    /// Where the entries begin, up to `most` of them, found by inflating one after
    /// another. They go on for as long as there are some: git counts them last.
    pub(super) fn offsets_by_reading(&self, most: usize, is_over: &dyn Fn() -> bool) -> ByReading {
        let mut offsets = Vec::new();
        let mut offset = HEADER;
        let mut blocks = Blocks::new();
        let mut ended = None;
        let mut is_last_damaged = false;
        while offset < self.trailer && ended.is_none() {
            if is_over() {
                ended = Some(SkipReason::TimeLimit);
            } else if offsets.len() == most {
                ended = Some(SkipReason::GitLimit);
            } else if let Ok(entry) = self.entry(offset, &mut blocks) {
                offsets.push(offset);
                if let Ok(next) = self.behind(&entry) {
                    offset = next;
                } else {
                    ended = Some(SkipReason::GitCorrupt);
                    is_last_damaged = true;
                }
            } else {
                ended = Some(SkipReason::GitCorrupt);
            }
        }
        let (counted, read) = (u64::from(self.count), offsets.len() as u64);
        if counted != read {
            ended = ended.or(Some(SkipReason::GitCorrupt));
        }
        let least = u64::from(!is_last_damaged);
        let left = counted.saturating_sub(read).max(least);
        ByReading {
            offsets,
            lost: ended.map(|reason| (reason, left)),
        }
    }

    /// Where the next entry begins.
    fn behind(&self, entry: &Entry) -> io::Result<u64> {
        let mut stream = self.stream(entry);
        let made = stream.drain(entry.decompressed_size)?;
        if made != entry.decompressed_size {
            return Err(invalid("the object is shorter than it says"));
        }
        Ok(entry.data_offset + stream.consumed())
    }

    /// Reads up to the end of the file.
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

/// What was found of a pack by reading it from its start.
pub(super) struct ByReading {
    /// Where the entries begin. The last of them may be damaged, which is seen
    /// when it is read.
    pub(super) offsets: Vec<u64>,
    /// Why those are not as many as there should be, and how many others are lost:
    /// none where only the last of them is damaged.
    pub(super) lost: Option<(SkipReason, u64)>,
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    const BLOB: &[u8] = b"what is in it";

    /// A pack of equal blobs that says that it has `count`, without its hash, and
    /// how long each of them is.
    fn blobs(number: usize, count: u32) -> (Vec<u8>, usize) {
        let mut stream = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        stream.write_all(BLOB).expect("memory");
        let head = 0x30 | u8::try_from(BLOB.len()).expect("small");
        let blob = [&[head], &stream.finish().expect("memory")[..]].concat();
        let head = [b"PACK\0\0\0\x02", &count.to_be_bytes()[..]].concat();
        ([head, blob.repeat(number)].concat(), blob.len())
    }

    fn read(bytes: &[u8], most: usize) -> ByReading {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("pack");
        fs::write(&path, bytes).expect("a pack");
        let file = File::open(&path).expect("a pack");
        let pack = Pack::open(path, file, 0, gix_hash::Kind::Sha1).expect("a pack");
        pack.offsets_by_reading(most, &|| false)
    }

    #[test]
    fn entries_are_found_whatever_their_count_is_said_to_be() {
        let hash = [0x77; 20];
        let corrupt = |left| Some((SkipReason::GitCorrupt, left));
        for (count, lost) in [(5, None), (3, corrupt(1)), (0, corrupt(1)), (7, corrupt(2))] {
            let (bytes, length) = blobs(5, count);
            let found = read(&[&bytes[..], &hash].concat(), 10);
            let each = (0..5).map(|at| HEADER + (at * length) as u64);
            assert_eq!(found.offsets, each.collect::<Vec<_>>());
            assert_eq!(found.lost, lost, "{count}");
        }
    }

    #[test]
    fn the_last_entry_may_be_damaged_and_reach_to_the_end() {
        for (count, left) in [(5, 0), (0, 0), (8, 3)] {
            let (bytes, length) = blobs(5, count);
            let found = read(&bytes, 10);
            assert_eq!(found.offsets.len(), 5);
            let whole = (count != 5).then_some((SkipReason::GitCorrupt, left.max(1)));
            assert_eq!(found.lost, whole, "{count}");
            let cut = read(&bytes[..bytes.len() - length + 21], 10);
            assert_eq!(cut.offsets.len(), 5);
            assert_eq!(cut.lost, Some((SkipReason::GitCorrupt, left)), "{count}");
        }
    }

    #[test]
    fn no_more_entries_are_read_than_there_may_be() {
        let (bytes, _) = blobs(9, 0);
        let found = read(&[&bytes[..], &[0; 20]].concat(), 4);
        assert_eq!(found.offsets.len(), 4);
        assert_eq!(found.lost, Some((SkipReason::GitLimit, 1)));
    }
}

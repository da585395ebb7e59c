//! What was read of packs last. A family of deltas and the trees of a history
//! are strewn over a pack, so that what is near an entry is often asked for,
//! but not next.

use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;

use lru::LruCache;

use super::pack::{Pack, sized};

/// Bytes of a pack that are read at a time.
const BLOCK: u64 = 8 * 1024;

/// Blocks that are kept.
const COUNT: NonZeroUsize = NonZeroUsize::new(128).unwrap();

/// Bytes from which on a range is read alone, and not kept.
const LARGE: u64 = 4 * BLOCK;

pub(super) struct Blocks {
    /// By the [`Pack::number`] and the number of the block. The last ones of
    /// packs are shorter.
    kept: LruCache<(u64, u64), Vec<u8>, foldhash::fast::FixedState>,
    /// A range that is large, or in more than one block.
    joined: Vec<u8>,
}

impl Blocks {
    pub(super) fn new() -> Self {
        Self {
            kept: LruCache::with_hasher(COUNT, foldhash::fast::FixedState::default()),
            joined: Vec::new(),
        }
    }

    /// What `pack` has at `range`: less, if its entries end before it does.
    pub(super) fn get(&mut self, pack: &Pack, range: Range<u64>) -> io::Result<&[u8]> {
        // A damaged index has entries that end before they begin.
        let end = range.end.min(pack.end()).max(range.start);
        let range = range.start..end;
        let (first, last) = (range.start / BLOCK, end.saturating_sub(1) / BLOCK);
        if first >= last {
            let bytes = self.block(pack, first)?;
            return Ok(part(bytes, first, &range));
        }
        let mut joined = std::mem::take(&mut self.joined);
        let length = end - range.start;
        let outcome = if length < LARGE {
            joined.clear();
            (first..=last).try_for_each(|number| {
                joined.extend_from_slice(part(self.block(pack, number)?, number, &range));
                Ok(())
            })
        } else {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let count = pack.read_at(sized(&mut joined, length), range.start);
            count.map(|count| joined.truncate(count))
        };
        self.joined = joined;
        outcome.map(|()| &self.joined[..])
    }

    /// Gives back what a large entry made grow.
    pub(super) fn shrink(&mut self) {
        if self.joined.capacity() as u64 > LARGE {
            self.joined = Vec::new();
        }
    }

    fn block(&mut self, pack: &Pack, number: u64) -> io::Result<&[u8]> {
        let key = (pack.number, number);
        if !self.kept.contains(&key) {
            let is_full = self.kept.len() == COUNT.get();
            let oldest = is_full.then(|| self.kept.pop_lru()).flatten();
            let mut bytes = oldest.map(|(_, bytes)| bytes).unwrap_or_default();
            bytes.resize(usize::try_from(BLOCK).unwrap_or(usize::MAX), 0);
            let count = pack.read_at(&mut bytes, number * BLOCK)?;
            bytes.truncate(count);
            self.kept.push(key, bytes);
        }
        Ok(self.kept.get(&key).map_or(&[], |bytes| &bytes[..]))
    }
}

/// What of `range` is in the block.
fn part<'a>(bytes: &'a [u8], number: u64, range: &Range<u64>) -> &'a [u8] {
    let index = |offset: u64| usize::try_from(offset.saturating_sub(number * BLOCK));
    let index = |offset| index(offset).unwrap_or(usize::MAX).min(bytes.len());
    &bytes[index(range.start)..index(range.end)]
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn what_the_pack_holds_is_seen_whatever_was_asked_for_before() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("pack");
        let mut bytes = b"PACK\0\0\0\x02\0\0\0\0".to_vec();
        bytes.extend((0..500_000_u32).flat_map(u32::to_le_bytes));
        fs::write(&path, &bytes).expect("a pack");
        let file = File::open(&path).expect("a pack");
        let pack = Pack::open(path, file, 0, gix_hash::Kind::Sha1).expect("a pack");
        let end = usize::try_from(pack.end()).expect("a size");
        let mut blocks = Blocks::new();
        let mut random = fastrand::Rng::with_seed(1);
        for round in 0..20_000 {
            let from = random.usize(..end + 10);
            // Also what ends before it begins.
            let longest = if round % 50 == 0 { 100_000 } else { 5000 };
            let to = (from + random.usize(..longest)).saturating_sub(500);
            let seen = blocks.get(&pack, from as u64..to as u64).expect("read");
            let (from, to) = (from.min(end), to.min(end));
            assert_eq!(seen, &bytes[from..to.max(from)], "{from}..{to}");
        }
        let all = blocks.get(&pack, 100..u64::MAX).expect("read");
        assert_eq!(all, &bytes[100..end]);
        blocks.shrink();
        assert!(blocks.joined.is_empty());
    }
}

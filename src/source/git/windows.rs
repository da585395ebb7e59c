//! What was read of packs last. Git writes a family of deltas, and a history's
//! commits, one behind the other, so that the next entry is often there.

use std::io;
use std::ops::Range;

use super::pack::Pack;

/// Read where nothing near was read before: most entries are smaller.
const MIN: usize = 2 * 1024;

/// Read at most, unless one entry is larger.
const MAX: usize = 64 * 1024;

/// Windows that are kept: a walk through a history goes to and fro between
/// its commits and a few families of trees.
const COUNT: usize = 8;

/// Some windows on packs, the one that was used last at the end.
pub(super) struct Windows(Vec<Window>);

struct Window {
    /// The [`Pack::number`] of the pack that it is of.
    pack: u64,
    at: u64,
    bytes: Vec<u8>,
    /// How many of the `bytes` were read.
    count: usize,
    /// How many were to be read.
    wanted: usize,
}

impl Windows {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// What `pack` has at `range`: less, if its entries end before it does.
    pub(super) fn get(&mut self, pack: &Pack, range: Range<u64>) -> io::Result<&[u8]> {
        // A damaged index has entries that end before they begin.
        let range = range.start..range.end.min(pack.end()).max(range.start);
        let known = self.0.iter().rposition(|window| window.has(pack, &range));
        if let Some(at) = known {
            self.0[at..].rotate_left(1);
        } else {
            let window = self.read(pack, &range)?;
            self.0.push(window);
        }
        let window = self.0.last();
        Ok(window.map(|window| window.part(&range)).unwrap_or_default())
    }

    /// Gives back what a large entry made grow.
    pub(super) fn shrink(&mut self) {
        self.0.retain(|window| window.bytes.len() <= MAX);
    }

    fn read(&mut self, pack: &Pack, range: &Range<u64>) -> io::Result<Window> {
        let near = self.0.iter().rfind(|window| window.is_near(pack, range));
        let wanted = near.map_or(MIN, |near| MAX.min(2 * near.wanted));
        let is_backward = near.is_some_and(|near| range.start < near.at);
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let length = length.max(wanted);
        if length > MAX {
            // One of that kind is enough.
            self.shrink();
        }
        let oldest = (self.0.len() >= COUNT).then(|| self.0.remove(0));
        let mut bytes = oldest.map(|window| window.bytes).unwrap_or_default();
        if bytes.len() < length {
            bytes.resize(length, 0);
        }
        let at = if is_backward {
            range.end.saturating_sub(length as u64)
        } else {
            range.start
        };
        let count = pack.read_at(&mut bytes[..length], at)?;
        Ok(Window {
            pack: pack.number,
            at,
            bytes,
            count,
            wanted,
        })
    }
}

impl Window {
    const fn end(&self) -> u64 {
        self.at + self.count as u64
    }

    fn has(&self, pack: &Pack, range: &Range<u64>) -> bool {
        pack.number == self.pack && self.at <= range.start && range.end <= self.end()
    }

    fn is_near(&self, pack: &Pack, range: &Range<u64>) -> bool {
        const NEAR: u64 = MAX as u64;
        pack.number == self.pack && self.at < range.end + NEAR && range.start < self.end() + NEAR
    }

    fn part(&self, range: &Range<u64>) -> &[u8] {
        let index = |offset: u64| usize::try_from(offset.saturating_sub(self.at));
        let index = |offset| index(offset).unwrap_or(usize::MAX).min(self.count);
        &self.bytes[index(range.start)..index(range.end)]
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn a_window_shows_what_the_pack_holds_wherever_it_is_put() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("pack");
        let mut bytes = b"PACK\0\0\0\x02\0\0\0\0".to_vec();
        bytes.extend((0..200_000_u32).flat_map(u32::to_le_bytes));
        fs::write(&path, &bytes).expect("a pack");
        let file = File::open(&path).expect("a pack");
        let pack = Pack::open(path, file, 0, gix_hash::Kind::Sha1).expect("a pack");
        let end = usize::try_from(pack.end()).expect("a size");
        let mut windows = Windows::new();
        let mut random = fastrand::Rng::with_seed(1);
        let mut near = 0;
        for round in 0..20_000 {
            if round % 7 == 0 {
                near = random.usize(..end + 10);
            }
            let from = (near + random.usize(..3000)).saturating_sub(1000);
            // Also what ends before it begins.
            let to = (from + random.usize(..5000)).saturating_sub(500);
            let seen = windows.get(&pack, from as u64..to as u64).expect("read");
            let (from, to) = (from.min(end), to.min(end));
            assert_eq!(seen, &bytes[from..to.max(from)], "{from}..{to}");
        }
        let large = |windows: &Windows| {
            let is_large = |window: &&Window| window.bytes.len() > MAX;
            windows.0.iter().filter(is_large).count()
        };
        for range in [100..200_000, 300_000..500_000, 400_000..u64::MAX] {
            let seen = windows.get(&pack, range.clone()).expect("read");
            let to = usize::try_from(range.end).expect("a size").min(end);
            assert!(seen == &bytes[usize::try_from(range.start).expect("a size")..to]);
            assert_eq!(large(&windows), 1);
        }
        windows.shrink();
        assert_eq!(large(&windows), 0);
    }
}

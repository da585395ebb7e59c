//! Objects that were read already, so that each is read once although a
//! repository may hold it loose and in several packs.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use gix_hash::oid;

/// Objects remembered; what comes on top is read again.
const MAX: usize = 2_000_000;

/// The first 64 bits of ids: enough to tell objects apart, in a quarter of the
/// memory. In sorted runs, each more than twice as long as the next, so that
/// thousands of small packs cost no more than a large one.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<Vec<u64>>);

/// The first 64 bits of ids, which are as good as random: hashing them again
/// would gain nothing.
pub(super) type ShortIds = HashSet<u64, BuildHasherDefault<Same>>;

#[derive(Default)]
pub(super) struct Same(u64);

impl Seen {
    pub(super) fn contains(&self, id: &oid) -> bool {
        let id = short(id);
        self.0.iter().any(|run| run.binary_search(&id).is_ok())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[expect(
        clippy::stable_sort_primitive,
        reason = "it finds the runs that there are, and merges them"
    )]
    pub(super) fn add(&mut self, mut run: Vec<u64>) {
        let known = self.0.iter().map(Vec::len).sum();
        run.truncate(MAX.saturating_sub(known));
        run.sort_unstable();
        while let Some(mut last) = self.0.pop_if(|last| last.len() <= 2 * run.len()) {
            run.append(&mut last);
            run.sort();
        }
        run.dedup();
        if !run.is_empty() {
            self.0.push(run);
        }
    }
}

pub(super) fn short(id: &oid) -> u64 {
    let start = id.as_bytes().first_chunk();
    start.map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

impl Hasher for Same {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use gix_hash::ObjectId;

    use super::*;

    #[test]
    fn what_was_added_is_known_and_in_few_runs() {
        let mut random = fastrand::Rng::with_seed(6);
        let mut seen = Seen::default();
        let mut added = Vec::new();
        for _ in 0..500 {
            let ids: Vec<u64> = (0..random.usize(..40)).map(|_| random.u64(..)).collect();
            added.extend_from_slice(&ids);
            seen.add(ids);
        }
        let id = |start: u64| {
            let mut bytes = [7; 20];
            bytes[..8].copy_from_slice(&start.to_be_bytes());
            ObjectId::Sha1(bytes)
        };
        assert!(added.iter().all(|start| seen.contains(&id(*start))));
        assert!(!seen.contains(&id(random.u64(..))));
        assert!(seen.0.len() <= 14, "{}", seen.0.len());
    }
}

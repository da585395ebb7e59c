//! Objects that were read already, so that each is read once although a
//! repository may hold it loose and in several packs.

use gix_hash::oid;

/// Objects remembered; what comes on top is read again.
const MAX: usize = 2_000_000;

/// The first 64 bits of ids, sorted: enough to tell objects apart, in a
/// quarter of the memory.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<u64>);

impl Seen {
    pub(super) fn contains(&self, id: &oid) -> bool {
        !self.0.is_empty() && self.0.binary_search(&short(id)).is_ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, mut ids: Vec<u64>) {
        ids.truncate(MAX.saturating_sub(self.0.len()));
        self.0.append(&mut ids);
        self.0.sort_unstable();
        self.0.dedup();
    }
}

pub(super) fn short(id: &oid) -> u64 {
    let start = id.as_bytes().first_chunk();
    start.map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

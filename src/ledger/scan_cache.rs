//! Which files need not be read again: a sorted set of 64-bit hashes, kept in
//! chunks by their highest bits, so that a few changed files change a few
//! chunks.

use std::collections::BTreeMap;

use rusqlite::params;

use super::{Error, Ledger};

/// Hashes that are kept; of more, the highest are dropped, and their files
/// are read again.
pub const MAX_HASHES: usize = 4_000_000;

/// A million files make chunks of 8 KiB.
const CHUNK_BITS: u32 = 10;

/// Chunks that are written in one transaction: each chunk is right by itself.
const CHUNKS_A_TRANSACTION: usize = 64;

const HASH_BYTES: usize = size_of::<u64>();

impl Ledger {
    /// The hashes that were stored for `rules`, sorted; none where the last
    /// ones were stored for others.
    pub fn load_scan_cache(&self, rules: &str) -> Result<Vec<u64>, Error> {
        if self.scan_cache_rules()? != rules {
            return Ok(Vec::new());
        }
        let mut hashes = Vec::new();
        let mut chunks = self
            .connection
            .prepare_cached("SELECT chunk, hashes FROM scan_cache ORDER BY chunk")?;
        let mut rows = chunks.query([])?;
        while let Some(row) = rows.next()? {
            let chunk: u64 = row.get(0)?;
            let bytes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            let from = hashes.len();
            hashes.extend(
                bytes
                    .chunks_exact(HASH_BYTES)
                    .filter_map(|bytes| bytes.try_into().ok().map(u64::from_be_bytes)),
            );
            let here: &[u64] = &hashes[from..];
            let right = bytes.len().is_multiple_of(HASH_BYTES)
                && here.is_sorted()
                && here.iter().all(|hash| chunk_of(*hash) == chunk);
            if !right {
                return Err(Error::Corrupt(format!("chunk {chunk} of the scan cache")));
            }
        }
        Ok(hashes)
    }

    /// Stores `sorted` in place of what was there. Only chunks that differ are
    /// written. A crash on the way leaves some chunks old and some new: both
    /// are hashes of files that were read under `rules`.
    pub fn store_scan_cache(&mut self, rules: &str, sorted: &[u64]) -> Result<(), Error> {
        if self.scan_cache_rules()? != rules {
            let transaction = self.write()?;
            transaction.execute("DELETE FROM scan_cache", [])?;
            transaction.execute("UPDATE ledger SET scan_cache_rules = ?1", [rules])?;
            transaction.commit()?;
        }
        let sorted = &sorted[..sorted.len().min(MAX_HASHES)];
        let mut changed = self.changed_chunks(sorted)?.into_iter();
        loop {
            let some: Vec<_> = changed.by_ref().take(CHUNKS_A_TRANSACTION).collect();
            if some.is_empty() {
                break;
            }
            let transaction = self.write()?;
            for (chunk, hashes) in some {
                let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_be_bytes()).collect();
                if bytes.is_empty() {
                    transaction.execute("DELETE FROM scan_cache WHERE chunk = ?1", [chunk])?;
                } else {
                    transaction
                        .prepare_cached("INSERT OR REPLACE INTO scan_cache VALUES (?1, ?2)")?
                        .execute(params![chunk, bytes])?;
                }
            }
            transaction.commit()?;
        }
        self.shrink();
        Ok(())
    }

    fn scan_cache_rules(&self) -> Result<String, Error> {
        let rules =
            self.connection
                .query_row("SELECT scan_cache_rules FROM ledger", [], |row| row.get(0))?;
        Ok(rules)
    }

    /// The chunks that differ from the stored ones; empty ones are to be
    /// deleted.
    fn changed_chunks<'a>(&self, sorted: &'a [u64]) -> Result<BTreeMap<u64, &'a [u64]>, Error> {
        let mut changed: BTreeMap<u64, &[u64]> = sorted
            .chunk_by(|a, b| chunk_of(*a) == chunk_of(*b))
            .map(|hashes| (chunk_of(hashes[0]), hashes))
            .collect();
        let mut stored = self
            .connection
            .prepare_cached("SELECT chunk, hashes FROM scan_cache")?;
        let mut rows = stored.query([])?;
        while let Some(row) = rows.next()? {
            let chunk: u64 = row.get(0)?;
            let bytes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            let new = changed.get(&chunk).copied().unwrap_or_default();
            let same = bytes.len() == new.len() * HASH_BYTES
                && bytes
                    .chunks_exact(HASH_BYTES)
                    .zip(new)
                    .all(|(bytes, hash)| bytes == hash.to_be_bytes());
            if same {
                changed.remove(&chunk);
            } else {
                changed.insert(chunk, new);
            }
        }
        Ok(changed)
    }
}

const fn chunk_of(hash: u64) -> u64 {
    hash >> (u64::BITS - CHUNK_BITS)
}

//! A stored entry whose size stands behind it, as a writer to a pipe leaves
//! it: it ends where a descriptor stands that gives the length so far.

use std::io::{self, Read};

use super::DESCRIPTOR;
use crate::finding::SkipReason;
use crate::source::archive::input::{Input, le32};
use crate::source::archive::walk::Walk;

pub(super) struct UntilDescriptor<'w, 'a, 'i, 'b> {
    pub(super) walk: &'w Walk<'a>,
    /// The zip's own.
    pub(super) layer: usize,
    pub(super) input: &'i mut Input<'b>,
    pub(super) given: u64,
}

/// Bytes looked at together.
const STEP: usize = 4096;

/// A descriptor up to the compressed size.
const START: usize = 12;

impl Read for UntilDescriptor<'_, '_, '_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let given = self.given;
        let ahead = self.input.peek(STEP)?;
        let ends = |at: &usize| {
            let size = given + *at as u64;
            ahead.len() >= at + START && u64::from(le32(ahead, at + 8)) == size & 0xffff_ffff
        };
        let found = memchr::memmem::find_iter(ahead, DESCRIPTOR).find(ends);
        let safe = match found {
            Some(0) => return Ok(0),
            Some(at) => at,
            // A descriptor may begin in the last bytes.
            None if ahead.len() == STEP => STEP - START,
            None => return Err(self.walk.breaks(self.layer, SkipReason::ArchiveCorrupt)),
        };
        let count = safe.min(out.len());
        out[..count].copy_from_slice(&ahead[..count]);
        self.input.skip(count as u64)?;
        self.given += count as u64;
        Ok(count)
    }
}

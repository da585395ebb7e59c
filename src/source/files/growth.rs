//! A file that grows, read on from where its last reading ended.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Mutex;

use super::{FileState, lock};
use crate::source::tail::{FileId, Plan, Reading, Tails};

/// One reading of a file that may have been read before.
pub(super) struct Growth<'a> {
    tails: &'a Mutex<Tails>,
    file: FileId,
    plan: Plan,
    reading: Reading,
}

impl<'a> Growth<'a> {
    pub(super) fn begin(tails: &'a Mutex<Tails>, file: &File, state: &FileState) -> Self {
        let id = (state.device, state.inode);
        let known = lock(tails).of(id);
        let plan = known.plan(id, state.size, &mut |offset, bytes| {
            file.read_exact_at(bytes, offset)
        });
        let reading = known.reading(id, plan);
        Self {
            tails,
            file: id,
            plan,
            reading,
        }
    }

    /// Where the reading begins: bytes and lines that are left out.
    pub(super) const fn start(&self) -> (u64, u64) {
        match self.plan {
            Plan::Whole => (0, 0),
            Plan::From { offset, lines } => (offset, lines),
        }
    }

    /// The file was read to its end, as a text that may grow or as something
    /// else.
    pub(super) fn end(self, may_grow: bool) {
        let tail = may_grow.then(|| self.reading.finish()).flatten();
        lock(self.tails).remember(self.file, tail);
    }
}

/// Content on its way to the visitor.
pub(super) struct Followed<'c, 'g, 'a> {
    pub(super) content: &'c mut dyn io::Read,
    pub(super) growth: Option<&'g mut Growth<'a>>,
}

impl io::Read for Followed<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        if let Some(growth) = &mut self.growth {
            growth.reading.feed(&buffer[..count]);
        }
        Ok(count)
    }
}

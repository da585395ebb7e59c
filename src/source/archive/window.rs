//! The memory that dictionaries may take, shared by the decoders at work on one
//! file.

use std::cell::Cell;
use std::io;

use super::limits::MAX_DICTIONARY;
use super::walk::Walk;
use crate::finding::SkipReason;

/// A decoder's dictionary. It holds no more than came out, whatever size is
/// declared: what is small takes little, however often it is packed.
pub(super) struct Window<'w, 'a> {
    walk: &'w Walk<'a>,
    /// Held by all.
    total: &'w Cell<u64>,
    layer: usize,
    held: u64,
    declared: u64,
}

impl<'w, 'a> Window<'w, 'a> {
    pub(super) const fn new(walk: &'w Walk<'a>, total: &'w Cell<u64>, layer: usize) -> Self {
        Self {
            walk,
            total,
            layer,
            held: 0,
            declared: 0,
        }
    }

    /// Accounts for a decoder that is made for one more stream, as if so much
    /// had come out: there may be millions from which nothing does.
    pub(super) fn open(&self, worth: u64) -> io::Result<()> {
        self.walk.spend(worth)
    }

    /// An empty dictionary of that size in place of the one before.
    pub(super) fn declare(&mut self, size: u64) {
        self.release();
        self.declared = size;
    }

    /// The dictionary turns out to be larger; it keeps what is in it.
    pub(super) const fn enlarge(&mut self, size: u64) {
        self.declared = size;
    }

    /// Takes all of it at once, for a decoder that fills it whatever comes.
    pub(super) fn claim(&mut self, size: u64) -> io::Result<()> {
        self.declare(size);
        if size > self.free() {
            return Err(self.exceeded());
        }
        self.hold(size);
        Ok(())
    }

    /// How much of `len` bytes may come out.
    pub(super) fn allows(&self, len: usize) -> io::Result<usize> {
        let wanted = self.declared.saturating_sub(self.held).min(len as u64);
        match self.free() {
            free if free >= wanted => Ok(len),
            0 => Err(self.exceeded()),
            free => Ok(usize::try_from(free).unwrap_or(len)),
        }
    }

    pub(super) fn came_out(&mut self, count: usize) {
        self.hold(self.declared.saturating_sub(self.held).min(count as u64));
    }

    pub(super) fn exceeded(&self) -> io::Error {
        self.walk.breaks(self.layer, SkipReason::ArchiveLimit)
    }

    fn free(&self) -> u64 {
        MAX_DICTIONARY.saturating_sub(self.total.get())
    }

    fn hold(&mut self, count: u64) {
        self.held += count;
        self.total.set(self.total.get() + count);
    }

    fn release(&mut self) {
        let held = std::mem::take(&mut self.held);
        self.total.set(self.total.get().saturating_sub(held));
    }
}

impl Drop for Window<'_, '_> {
    fn drop(&mut self) {
        self.release();
    }
}

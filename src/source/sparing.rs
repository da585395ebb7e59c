//! Reads a file and leaves the page cache as it was: what the workload has
//! there stays, what the read brings in is dropped again.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// Files up to this size are read at once.
const ONE_READ: u64 = 64 * 1024;

/// A file that is read sparingly.
#[derive(Debug)]
pub(super) struct Sparing<'a> {
    file: &'a File,
    /// Whether the file system tells what is cached.
    tells_cached: Cell<bool>,
}

impl<'a> Sparing<'a> {
    /// `file`, which has `size` bytes.
    pub(super) fn new(file: &'a File, size: u64) -> Self {
        // Even the question whether a page is cached starts reading ahead, and
        // what that brings in would look like the workload's.
        if size > ONE_READ {
            // Only advice: without it more stays cached.
            let _ = fadvise(file, 0, None, Advice::Random);
        }
        Self {
            file,
            tells_cached: Cell::new(true),
        }
    }

    /// Reads what is there at `offset`, at most a buffer full.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.tells_cached.get() {
            let mut slices = [IoSliceMut::new(buffer)];
            match preadv2(self.file, &mut slices, offset, ReadWriteFlags::NOWAIT) {
                Ok(count) => return Ok(count),
                Err(Errno::AGAIN) => {
                    let count = self.file.read_at(buffer, offset)?;
                    if let Some(len) = NonZeroU64::new(count as u64) {
                        let _ = fadvise(self.file, offset, Some(len), Advice::DontNeed);
                    }
                    return Ok(count);
                }
                // proc, overlay and old kernels.
                Err(_) => self.tells_cached.set(false),
            }
        }
        self.file.read_at(buffer, offset)
    }
}

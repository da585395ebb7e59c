//! The checksum of what comes out of an entry: deflate has none of its own,
//! and what is damaged may well come out as something else.

use std::io::{self, Read};

pub(super) struct Summed<R> {
    content: R,
    crc: flate2::Crc,
    ended: bool,
}

impl<R> Summed<R> {
    pub(super) fn new(content: R) -> Self {
        Self {
            content,
            crc: flate2::Crc::new(),
            ended: false,
        }
    }

    /// Whether nothing speaks against what came out, as far as it was read.
    pub(super) fn is_whole(&self, expected: u32) -> bool {
        !self.ended || expected == 0 || self.crc.sum() == expected
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(out)?;
        self.crc.update(&out[..count]);
        self.ended |= count == 0 && !out.is_empty();
        Ok(count)
    }
}

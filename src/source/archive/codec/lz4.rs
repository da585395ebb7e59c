//! lz4: frames as `lz4_flex` reads them, and two kinds that it does not: those
//! without content, and the old ones, which have no end of their own.

use std::io::{self, Read};

use lz4_flex::frame::FrameDecoder;

use crate::source::archive::input::{Input, invalid, le32};
use crate::source::archive::kind;

/// What a block of an old frame holds at most, and what it becomes at worst.
const OLD_BLOCK: usize = 8 * 1024 * 1024;
const OLD_COMPRESSED: usize = OLD_BLOCK + OLD_BLOCK / 255 + 16;

/// No block of the frame refers to another.
const INDEPENDENT: u8 = 1 << 5;

pub(super) enum Frame<'i, 'b> {
    Common(Box<FrameDecoder<&'i mut Input<'b>>>),
    Old(Old<'i, 'b>),
    /// Passed over when it is opened.
    Skippable(&'i mut Input<'b>),
}

/// One stream after another can follow.
pub(super) fn begins(head: &[u8]) -> bool {
    kind::is_lz4(head) || kind::is_skippable(head)
}

/// A compressed and a decompressed block, and one more when blocks refer to
/// one another, which the frame's first flag byte tells. The size stands in
/// the second; blocks of the old form have 8 MiB and stand for themselves.
pub(super) fn memory(head: &[u8]) -> u64 {
    if kind::is_skippable(head) {
        return 0;
    }
    if head.starts_with(kind::LZ4_OLD) {
        return 16 * 1024 * 1024;
    }
    let block = match head.get(5).map_or(7, |flags| flags >> 4 & 7) {
        ..=4 => 64 * 1024,
        5 => 256 * 1024,
        6 => 1024 * 1024,
        7.. => 4 * 1024 * 1024,
    };
    if head.get(4).is_some_and(|flags| flags & INDEPENDENT != 0) {
        return 2 * block;
    }
    3 * block + 64 * 1024
}

impl<'i, 'b> Frame<'i, 'b> {
    pub(super) fn open(input: &'i mut Input<'b>) -> io::Result<Self> {
        let head = input.peek(8)?;
        if kind::is_skippable(head) {
            let len = u64::from(le32(head, 4));
            input.skip(8 + len)?;
            return Ok(Self::Skippable(input));
        }
        if head.starts_with(kind::LZ4_OLD) {
            input.skip(kind::LZ4_OLD.len() as u64)?;
            return Ok(Self::Old(Old {
                input,
                block: Vec::new(),
                given: 0,
            }));
        }
        Ok(Self::Common(Box::new(FrameDecoder::new(input))))
    }

    pub(super) fn close(self) -> &'i mut Input<'b> {
        match self {
            Self::Common(decoder) => decoder.into_inner(),
            Self::Old(old) => old.input,
            Self::Skippable(input) => input,
        }
    }
}

impl Read for Frame<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Common(decoder) => decoder.read(out),
            Self::Old(old) => old.read(out),
            Self::Skippable(_) => Ok(0),
        }
    }
}

/// An old frame: sizes, and as many bytes each.
pub(super) struct Old<'i, 'b> {
    input: &'i mut Input<'b>,
    block: Vec<u8>,
    given: usize,
}

impl Old<'_, '_> {
    /// The next block; false where there is none, for what stands there is the
    /// end, the mark of another frame, or nothing that can be a size.
    fn next(&mut self) -> io::Result<bool> {
        let head = self.input.peek(4)?;
        let size = le32(head, 0) as usize;
        if head.len() < 4 || begins(self.input.peek(8)?) || size > OLD_COMPRESSED {
            return Ok(false);
        }
        self.input.skip(4)?;
        let compressed = self.input.bytes(size as u64, size)?;
        self.block.resize(OLD_BLOCK, 0);
        let count = lz4_flex::block::decompress_into(&compressed, &mut self.block);
        self.block.truncate(count.map_err(|_| invalid())?);
        self.given = 0;
        Ok(true)
    }
}

impl Read for Old<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.block.len() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let count = (&self.block[self.given..]).read(out)?;
        self.given += count;
        Ok(count)
    }
}

//! lz4: frames as `lz4_flex` reads them, and two kinds that it does not: those
//! without content, and the old ones, which have no end of their own.

use std::io::{self, Read};
use std::ops::Range;

use lz4_flex::frame::FrameDecoder;

use crate::source::archive::input::{Input, invalid, le32};
use crate::source::archive::kind;
use crate::source::archive::window::Window;

/// What a block of an old frame holds at most, and what it becomes at worst.
const OLD_BLOCK: usize = 8 * 1024 * 1024;
const OLD_COMPRESSED: usize = OLD_BLOCK + OLD_BLOCK / 255 + 16;

/// Bytes that one byte of a block can become.
const MAX_RATIO: usize = 255;

/// No block of the frame refers to another.
const INDEPENDENT: u8 = 1 << 5;

pub(super) enum Frame<'i, 'b, 'w, 'a> {
    Common(Box<FrameDecoder<&'i mut Input<'b>>>),
    Old(Old<'i, 'b, 'w, 'a>),
    /// Passed over when it is opened.
    Skippable(&'i mut Input<'b>),
}

/// One stream after another can follow.
pub(super) fn begins(head: &[u8]) -> bool {
    kind::is_lz4(head) || kind::is_skippable(head)
}

/// A compressed and a decompressed block, and one more when blocks refer to
/// one another, which the frame's first flag byte tells. The size stands in
/// the second. The old form tells the size of each block: see [`Old`].
pub(super) fn memory(head: &[u8]) -> u64 {
    if kind::is_skippable(head) || head.starts_with(kind::LZ4_OLD) {
        return 0;
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

impl<'i, 'b, 'w, 'a> Frame<'i, 'b, 'w, 'a> {
    pub(super) fn open(input: &'i mut Input<'b>, window: Window<'w, 'a>) -> io::Result<Self> {
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
                window,
                compressed: Vec::new(),
                block: Vec::new(),
                left: 0..0,
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

impl Read for Frame<'_, '_, '_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Common(decoder) => decoder.read(out),
            Self::Old(old) => old.read(out),
            Self::Skippable(_) => Ok(0),
        }
    }
}

/// An old frame: sizes, and as many bytes each.
pub(super) struct Old<'i, 'b, 'w, 'a> {
    input: &'i mut Input<'b>,
    /// For what both buffers hold.
    window: Window<'w, 'a>,
    compressed: Vec<u8>,
    block: Vec<u8>,
    /// Of the block.
    left: Range<usize>,
}

impl Old<'_, '_, '_, '_> {
    /// The next block; false where there is none, for what stands there is the
    /// end, padding, the mark of another frame, or nothing that can be a size.
    fn next(&mut self) -> io::Result<bool> {
        let head = self.input.peek(4)?;
        let size = le32(head, 0) as usize;
        let is_size = head.len() == 4 && (1..=OLD_COMPRESSED).contains(&size);
        if !is_size || begins(self.input.peek(8)?) {
            return Ok(false);
        }
        self.input.skip(4)?;
        self.make_room(size)?;
        let taken = Read::take(&mut *self.input, size as u64).read_to_end(&mut self.compressed)?;
        if taken < size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let made = lz4_flex::block::decompress_into(&self.compressed, &mut self.block);
        self.left = 0..made.map_err(|_| invalid())?;
        Ok(true)
    }

    /// Room for a block of `size` bytes and for what it becomes at most. What
    /// there is stays for the next one.
    fn make_room(&mut self, size: usize) -> io::Result<()> {
        self.compressed.clear();
        if size <= self.compressed.capacity() {
            return Ok(());
        }
        let inflated = OLD_BLOCK.min(size * MAX_RATIO);
        // Without the little by which a block can grow.
        self.window.claim((size.min(OLD_BLOCK) + inflated) as u64)?;
        self.compressed = Vec::new();
        self.compressed.reserve_exact(size);
        if self.block.len() < inflated {
            self.block = Vec::new();
            self.block = vec![0; inflated];
        }
        Ok(())
    }
}

impl Read for Old<'_, '_, '_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.left.is_empty() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let count = (&self.block[self.left.clone()]).read(out)?;
        self.left.start += count;
        Ok(count)
    }
}

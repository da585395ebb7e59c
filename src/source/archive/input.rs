//! Bytes to be read in order, with a look ahead; where they lie in a file as
//! they are, also at any place.

use std::io::{self, BufRead, Read};

use super::limits::BUFFER;
use crate::sparing::Sparing;

/// Bytes that can be read at any place.
pub trait ReadAt {
    /// As `pread`: 0 at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl ReadAt for &[u8] {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        self.get(offset..).unwrap_or_default().read(buffer)
    }
}

impl ReadAt for Sparing<'_> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        Self::read_at(self, buffer, offset)
    }
}

/// A stretch of something that can be read at any place.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    from: &'a dyn ReadAt,
    start: u64,
    len: u64,
}

impl<'a> Section<'a> {
    pub(super) const fn new(from: &'a dyn ReadAt, len: u64) -> Self {
        Self {
            from,
            start: 0,
            len,
        }
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// What of the stretch from `offset` on is there.
    pub(super) fn part(&self, offset: u64, len: u64) -> Self {
        let offset = offset.min(self.len);
        Self {
            from: self.from,
            start: self.start + offset,
            len: len.min(self.len - offset),
        }
    }

    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.len.saturating_sub(offset);
        let count = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if count == 0 {
            return Ok(0);
        }
        self.from.read_at(self.start + offset, &mut buffer[..count])
    }

    /// Up to `len` bytes; fewer at the end.
    pub(super) fn bytes_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len.min(left)];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read_at(offset + filled as u64, &mut bytes[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

enum Source<'a> {
    Section(Section<'a>),
    Stream(&'a mut dyn Read),
    /// All is in the buffer.
    Nothing,
}

/// What one layer reads from.
pub(super) struct Input<'a> {
    source: Source<'a>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes that have come from the source.
    taken: u64,
    /// How the source failed behind what is in the buffer.
    failure: Option<io::ErrorKind>,
}

impl<'a> Input<'a> {
    pub(super) fn stream(source: &'a mut dyn Read) -> Self {
        Self::new(Source::Stream(source), BUFFER)
    }

    pub(super) fn section(section: Section<'a>) -> Self {
        let size = usize::try_from(section.len).map_or(BUFFER, |len| len.clamp(64, BUFFER));
        Self::new(Source::Section(section), size)
    }

    /// Bytes that are in memory, and to be read in order like a stream's.
    pub(super) fn held(bytes: Vec<u8>) -> Self {
        Self {
            end: bytes.len(),
            taken: bytes.len() as u64,
            buffer: bytes,
            ..Self::new(Source::Nothing, 0)
        }
    }

    fn new(source: Source<'a>, size: usize) -> Self {
        Self {
            source,
            buffer: vec![0; size],
            start: 0,
            end: 0,
            taken: 0,
            failure: None,
        }
    }

    /// All of the input by place, also what was read of it already.
    pub(super) fn as_section(&self) -> Option<Section<'a>> {
        match &self.source {
            Source::Section(section) => Some(*section),
            Source::Stream(_) | Source::Nothing => None,
        }
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> u64 {
        self.taken - (self.end - self.start) as u64
    }

    fn pull(source: &mut Source<'_>, taken: &mut u64, out: &mut [u8]) -> io::Result<usize> {
        let count = loop {
            let read = match source {
                Source::Section(section) => section.read_at(*taken, out),
                Source::Stream(stream) => stream.read(out),
                Source::Nothing => Ok(0),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        *taken += count as u64;
        Ok(count)
    }

    /// Fails as the source did, once all before that is read.
    fn check(&self) -> io::Result<()> {
        self.failure.map_or(Ok(()), |kind| Err(kind.into()))
    }

    /// The next bytes, without reading them: as many as asked for unless the
    /// input ends, or fails, before.
    pub(super) fn peek(&mut self, len: usize) -> io::Result<&[u8]> {
        let len = len.min(BUFFER);
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
        if self.end - self.start < len && self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end - self.start < len && self.failure.is_none() {
            let space = &mut self.buffer[self.end..];
            match Self::pull(&mut self.source, &mut self.taken, space) {
                Ok(0) => break,
                Ok(count) => self.end += count,
                // What came before is still to be read.
                Err(error) => self.failure = Some(error.kind()),
            }
        }
        if self.start == self.end {
            self.check()?;
        }
        let end = self.end.min(self.start + len);
        Ok(&self.buffer[self.start..end])
    }

    /// All that is left, without reading it, if that is little. A stream is
    /// left alone: it may be damaged behind what has to be read first.
    pub(super) fn peek_all(&mut self) -> io::Result<Option<&[u8]>> {
        let left = match &self.source {
            Source::Section(section) => section.len.saturating_sub(self.at()),
            Source::Nothing => (self.end - self.start) as u64,
            Source::Stream(_) => return Ok(None),
        };
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        if left > BUFFER {
            return Ok(None);
        }
        let bytes = self.peek(left)?;
        Ok((bytes.len() == left).then_some(bytes))
    }

    /// Reads exactly `N` bytes, or fails.
    pub(super) fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut array = [0; N];
        self.read_exact(&mut array)?;
        Ok(array)
    }

    /// Reads `len` bytes, of which the first `keep` are given.
    pub(super) fn bytes(&mut self, len: u64, keep: usize) -> io::Result<Vec<u8>> {
        let kept = usize::try_from(len).map_or(keep, |len| len.min(keep));
        let mut bytes = Vec::new();
        Read::take(&mut *self, kept as u64).read_to_end(&mut bytes)?;
        if bytes.len() < kept {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.skip(len - kept as u64)?;
        Ok(bytes)
    }

    /// Passes over `count` bytes; fails if they are not there.
    pub(super) fn skip(&mut self, mut count: u64) -> io::Result<()> {
        let buffered = ((self.end - self.start) as u64).min(count);
        self.consume(usize::try_from(buffered).unwrap_or(0));
        count -= buffered;
        if let Source::Section(section) = &self.source {
            let left = section.len.saturating_sub(self.taken);
            self.taken += count.min(left);
            if count > left {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            return Ok(());
        }
        while count > 0 {
            let there = self.fill_buf()?.len();
            if there == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let step = usize::try_from(count).map_or(there, |count| count.min(there));
            self.consume(step);
            count -= step as u64;
        }
        Ok(())
    }

    /// Gives `with` the next `len` bytes as an input of their own and passes
    /// over them, whatever it read. It sees an end where they are cut short,
    /// which is told here.
    pub(super) fn member(
        &mut self,
        len: u64,
        with: impl FnOnce(&mut Input<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Some(section) = self.as_section() {
            with(&mut Input::section(section.part(self.at(), len)))?;
            return self.skip(len);
        }
        let mut member = Read::take(&mut *self, len);
        let size = usize::try_from(len).map_or(BUFFER, |len| len.clamp(64, BUFFER));
        with(&mut Input::new(Source::Stream(&mut member), size))?;
        let left = member.limit();
        self.skip(left)
    }
}

impl Read for Input<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end && out.len() >= self.buffer.len() {
            self.check()?;
            return Self::pull(&mut self.source, &mut self.taken, out);
        }
        let there = self.fill_buf()?;
        let count = there.len().min(out.len());
        out[..count].copy_from_slice(&there[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            self.check()?;
            self.end = Self::pull(&mut self.source, &mut self.taken, &mut self.buffer)?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
    }
}

/// Little-endian numbers out of a header; 0 beyond its end.
pub(super) fn le16(bytes: &[u8], at: usize) -> u16 {
    number(bytes, at).map_or(0, u16::from_le_bytes)
}

pub(super) fn le32(bytes: &[u8], at: usize) -> u32 {
    number(bytes, at).map_or(0, u32::from_le_bytes)
}

pub(super) fn le64(bytes: &[u8], at: usize) -> u64 {
    number(bytes, at).map_or(0, u64::from_le_bytes)
}

pub(super) fn be32(bytes: &[u8], at: usize) -> u32 {
    number(bytes, at).map_or(0, u32::from_be_bytes)
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// A damaged header.
pub(super) fn invalid() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

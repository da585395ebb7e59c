//! Files of systemd's journal: what is logged stands in them as it is, but
//! fields of 512 bytes and more are compressed, each for itself. They come out
//! here as if they were not.
//!
//! <https://systemd.io/JOURNAL_FILE_FORMAT/>

use std::io::{self, Read};

use liblzma::bufread::XzDecoder;
use liblzma::stream::Stream;

use crate::source::archive::input::{Input, invalid, le32, le64};
use crate::source::archive::kind;
use crate::source::archive::window::Window;

/// Bytes of the file's header that are looked at.
const HEADER: usize = 96;

/// In the header's flags: data objects have eight bytes more in front.
const COMPACT: u32 = 1 << 4;

/// The head of every object: its type, its flags, its size.
const OBJECT: usize = 16;

/// An object with the name and the value of a field.
const DATA: u8 = 1;

/// How a value is compressed; the third way is zstd.
const XZ: u8 = 1;
const LZ4: u8 = 2;

/// What liblzma needs for what journald makes: a dictionary of 8 MiB.
const XZ_MEMORY: u64 = 9 * 1024 * 1024;

/// Bytes of a field that is inflated, before and after; journald's own limit
/// is 768 MiB, and nobody logs that.
const MAX_FIELD: u64 = 2 * 1024 * 1024;

pub(super) struct Decoder<'i, 'b, 'w, 'a> {
    input: &'i mut Input<'b>,
    window: Window<'w, 'a>,
    /// Where the value of a data object begins.
    value_at: u64,
    state: State,
}

enum State {
    Start,
    /// As many bytes as they are, and then what is told.
    Raw(u64, Next),
    Inflated(io::Cursor<Vec<u8>>),
    Rest,
}

#[derive(Clone, Copy)]
enum Next {
    Object,
    /// The value of so many bytes, compressed as the flags tell.
    Value(u8, u64),
}

impl<'i, 'b, 'w, 'a> Decoder<'i, 'b, 'w, 'a> {
    pub(super) const fn new(input: &'i mut Input<'b>, window: Window<'w, 'a>) -> Self {
        Self {
            input,
            window,
            value_at: 0,
            state: State::Start,
        }
    }

    fn start(&mut self) -> io::Result<State> {
        let head = self.input.peek(HEADER)?;
        let size = le64(head, 88);
        if head.len() < HEADER || size < HEADER as u64 {
            return Err(invalid());
        }
        let is_compact = le32(head, 12) & COMPACT != 0;
        self.value_at = if is_compact { 72 } else { 64 };
        // Without its mark, so that nobody takes it for a journal again.
        self.input.skip(kind::JOURNAL.len() as u64)?;
        Ok(State::Raw(size - kind::JOURNAL.len() as u64, Next::Object))
    }

    /// The next object; where there is none, room for those to come.
    fn object(&mut self) -> io::Result<State> {
        let head = self.input.peek(OBJECT)?;
        let size = le64(head, 8);
        if head.len() < OBJECT || size < OBJECT as u64 {
            return Ok(State::Rest);
        }
        let flags = head[1] & 7;
        let value = size.saturating_sub(self.value_at);
        if head[0] != DATA || flags == 0 {
            return Ok(State::Raw(aligned(size), Next::Object));
        }
        if value > MAX_FIELD {
            return Err(self.window.exceeded());
        }
        Ok(State::Raw(self.value_at, Next::Value(flags, value)))
    }

    fn value(&mut self, flags: u8, size: u64) -> io::Result<State> {
        self.window
            .claim(2 * MAX_FIELD + if flags == XZ { XZ_MEMORY } else { 0 })?;
        let value = self.input.bytes(size, usize::try_from(size).unwrap_or(0))?;
        self.input.skip(aligned(size) - size)?;
        let mut inflated = Vec::new();
        match flags {
            XZ => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, 0).map_err(|_| invalid())?;
                XzDecoder::new_stream(&value[..], stream)
                    .take(MAX_FIELD)
                    .read_to_end(&mut inflated)?;
            }
            LZ4 => {
                let size = usize::try_from(le64(&value, 0).min(MAX_FIELD)).unwrap_or(0);
                inflated.resize(size, 0);
                let block = value.get(8..).unwrap_or_default();
                lz4_flex::block::decompress_into(block, &mut inflated).map_err(|_| invalid())?;
            }
            _ => {
                zstd::stream::read::Decoder::with_buffer(&value[..])?
                    .take(MAX_FIELD)
                    .read_to_end(&mut inflated)?;
            }
        }
        if inflated.len() as u64 == MAX_FIELD {
            return Err(self.window.exceeded());
        }
        // Nothing of the next object may look like a part of the value.
        inflated.push(0);
        Ok(State::Inflated(io::Cursor::new(inflated)))
    }
}

/// Objects begin at places that eight divides.
const fn aligned(size: u64) -> u64 {
    size.saturating_add(size.wrapping_neg() % 8)
}

impl Read for Decoder<'_, '_, '_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            self.state = match &mut self.state {
                State::Start => self.start()?,
                State::Rest => return self.input.read(out),
                State::Inflated(value) => match value.read(out)? {
                    0 => self.object()?,
                    count => return Ok(count),
                },
                State::Raw(0, Next::Object) => self.object()?,
                State::Raw(0, Next::Value(flags, size)) => {
                    let (flags, size) = (*flags, *size);
                    self.value(flags, size)?
                }
                State::Raw(left, _) => {
                    let most = usize::try_from(*left).map_or(out.len(), |left| left.min(out.len()));
                    let count = self.input.read(&mut out[..most])?;
                    if count == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    *left -= count as u64;
                    return Ok(count);
                }
            };
        }
    }
}

//! zstd, through its own library.

use std::io::{self, BufRead, Read};

use zstd::stream::raw::{self, Operation};
use zstd::zstd_safe::DParameter;

use crate::source::archive::input::{Input, invalid, le32};
use crate::source::archive::kind;
use crate::source::archive::limits::MAX_DECLARED;
use crate::source::archive::window::Window;

/// The longest frame header.
const HEADER: usize = 18;

/// What zstd keeps besides the window: two blocks and its tables.
const OVERHEAD: u64 = 512 * 1024;

/// Bytes that cost as much as to make a decoder.
const WORTH: u64 = 16 * 1024;

pub(super) struct Decoder<'i, 'b, 'w, 'a> {
    input: &'i mut Input<'b>,
    window: Window<'w, 'a>,
    context: Option<raw::Decoder<'static>>,
    within: bool,
}

impl<'i, 'b, 'w, 'a> Decoder<'i, 'b, 'w, 'a> {
    pub(super) const fn new(input: &'i mut Input<'b>, window: Window<'w, 'a>) -> Self {
        Self {
            input,
            window,
            context: None,
            within: false,
        }
    }

    /// Goes to the next frame with content; false at the end of them.
    fn next(&mut self) -> io::Result<bool> {
        loop {
            let head = self.input.peek(HEADER)?;
            if kind::is_skippable(head) {
                let len = u64::from(le32(head, 4));
                self.input.skip(8 + len)?;
                continue;
            }
            if !head.starts_with(kind::ZSTD) {
                return Ok(false);
            }
            let declared = window_size(head).ok_or_else(invalid)?;
            if declared > MAX_DECLARED {
                return Err(self.window.exceeded());
            }
            self.window.declare(declared + OVERHEAD);
            self.window.open(WORTH)?;
            // A new context: an old one keeps the largest window that it had.
            let mut context = raw::Decoder::new()?;
            context.set_parameter(DParameter::WindowLogMax(MAX_DECLARED.ilog2()))?;
            self.context = Some(context);
            self.within = true;
            return Ok(true);
        }
    }
}

impl Read for Decoder<'_, '_, '_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.within && !self.next()? {
                return Ok(0);
            }
            let Some(context) = &mut self.context else {
                return Ok(0);
            };
            let allowed = self.window.allows(out.len())?;
            let chunk = self.input.fill_buf()?;
            let at_end = chunk.is_empty();
            let status = context.run_on_buffers(chunk, &mut out[..allowed])?;
            self.input.consume(status.bytes_read);
            self.window.came_out(status.bytes_written);
            if status.remaining == 0 {
                self.within = false;
            } else if at_end && status.bytes_written == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if status.bytes_written > 0 {
                return Ok(status.bytes_written);
            }
        }
    }
}

/// The window that a frame header declares (RFC 8878, 3.1.1.1).
fn window_size(head: &[u8]) -> Option<u64> {
    let descriptor = *head.get(4)?;
    if descriptor & 0x20 == 0 {
        let byte = *head.get(5)?;
        let base = 1u64 << (10 + (byte >> 3));
        return Some(base + base / 8 * u64::from(byte & 7));
    }
    // A single segment: the window is the content, whose size stands behind
    // the dictionary's number.
    let at = 5 + [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = match descriptor >> 6 {
        0 => u64::from(*head.get(at)?),
        1 => u64::from(u16::from_le_bytes(*head.get(at..)?.first_chunk()?)) + 256,
        2 => u64::from(u32::from_le_bytes(*head.get(at..)?.first_chunk()?)),
        _ => u64::from_le_bytes(*head.get(at..)?.first_chunk()?),
    };
    Some(size)
}

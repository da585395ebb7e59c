//! xz, and lzma as it was before xz, through liblzma.

use std::io::{self, BufRead, Read};

use liblzma::stream::{Action, Error, Status, Stream};

use crate::source::archive::input::{Input, invalid};
use crate::source::archive::kind;
use crate::source::archive::limits::{MAX_DECLARED, MAX_DICTIONARY};
use crate::source::archive::window::Window;

/// What liblzma needs besides the dictionary.
const OVERHEAD: u64 = 1024 * 1024;

pub(super) struct Decoder<'i, 'b, 'w, 'a> {
    input: &'i mut Input<'b>,
    window: Window<'w, 'a>,
    /// The stream that is being read.
    stream: Option<Stream>,
    xz: bool,
    ended: bool,
}

impl<'i, 'b, 'w, 'a> Decoder<'i, 'b, 'w, 'a> {
    pub(super) const fn xz(input: &'i mut Input<'b>, window: Window<'w, 'a>) -> Self {
        Self {
            input,
            window,
            stream: None,
            xz: true,
            ended: false,
        }
    }

    /// A lone stream has no end that another could follow.
    pub(super) fn alone(input: &'i mut Input<'b>, window: Window<'w, 'a>) -> Self {
        Self {
            xz: false,
            ..Self::xz(input, window)
        }
    }

    fn start(&mut self) -> io::Result<()> {
        // The size of the dictionary shows only in each block: liblzma asks
        // when it needs more.
        self.window.declare(MAX_DICTIONARY / 2);
        let limit = MAX_DICTIONARY / 2 + OVERHEAD;
        let stream = if self.xz {
            Stream::new_stream_decoder(limit, 0)
        } else {
            Stream::new_lzma_decoder(limit)
        };
        self.stream = Some(stream.map_err(|_| invalid())?);
        Ok(())
    }

    /// Streams may be padded with zeros, by fours.
    fn next(&mut self) -> io::Result<bool> {
        if !self.xz {
            return Ok(!self.ended);
        }
        while self.ended && self.input.peek(4)? == [0; 4] {
            self.input.consume(4);
        }
        Ok(self.input.peek(kind::XZ.len())? == kind::XZ)
    }
}

impl Read for Decoder<'_, '_, '_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if self.stream.is_none() {
                if !self.next()? {
                    return Ok(0);
                }
                self.start()?;
            }
            let Some(stream) = &mut self.stream else {
                return Ok(0);
            };
            let allowed = self.window.allows(out.len())?;
            let chunk = self.input.fill_buf()?;
            let at_end = chunk.is_empty();
            let (before_in, before_out) = (stream.total_in(), stream.total_out());
            let status = stream.process(chunk, &mut out[..allowed], Action::Run);
            let consumed = usize::try_from(stream.total_in() - before_in).unwrap_or(0);
            let count = usize::try_from(stream.total_out() - before_out).unwrap_or(0);
            self.input.consume(consumed);
            self.window.came_out(count);
            match status {
                Ok(Status::StreamEnd) => {
                    self.stream = None;
                    self.ended = true;
                }
                Ok(_) if at_end && count == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                // A block with a larger dictionary: go on until more came out
                // than the share holds.
                Err(Error::MemLimit) if stream.memlimit() < MAX_DECLARED => {
                    let raised = stream.set_memlimit(MAX_DECLARED);
                    self.window.enlarge(MAX_DECLARED);
                    if raised.is_err() {
                        return Err(self.window.exceeded());
                    }
                }
                Err(Error::MemLimit) => return Err(self.window.exceeded()),
                Err(_) => return Err(invalid()),
            }
            if count > 0 {
                return Ok(count);
            }
        }
    }
}

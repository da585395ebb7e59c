//! zlib streams, in memory and as readers. What is wrong with a stream is an
//! `InvalidData` or `UnexpectedEof` error.
//!
//! Nearly all that a pack costs is inflating objects whose size is known, and
//! libdeflate does that in half the time; it cannot stream.

use std::io::{self, Read};

use gix_zlib::{Decompress, FlushDecompress, Status};
use libdeflater::{DecompressionError, Decompressor};

/// Compressed bytes read at a time.
const INPUT: usize = 32 * 1024;

/// Inflates streams that are in memory, one after another.
pub(super) struct Inflater(Decompressor);

impl Inflater {
    pub(super) fn new() -> Self {
        Self(Decompressor::new())
    }

    /// Inflates the stream at the start of `input`, which has to hold exactly
    /// as many bytes as `output` takes.
    pub(super) fn fill(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<()> {
        match self.0.zlib_decompress(input, output) {
            Ok(count) if count == output.len() => Ok(()),
            Ok(_) | Err(DecompressionError::InsufficientSpace) => {
                Err(invalid("the object has another size than it says"))
            }
            Err(error) => Err(invalid(error.to_string())),
        }
    }
}

/// What it takes to inflate a stream, used again and again.
pub(super) struct State {
    zlib: Decompress,
    input: Box<[u8]>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            zlib: Decompress::new(),
            input: vec![0; INPUT].into_boxed_slice(),
        }
    }
}

/// Reads what one zlib stream holds, and nothing behind it.
pub(super) struct Inflating<R> {
    source: R,
    state: State,
    from: usize,
    to: usize,
    ended: bool,
}

impl<R: Read> Inflating<R> {
    pub(super) fn new(source: R) -> Self {
        Self::with(source, State::default())
    }

    pub(super) fn with(source: R, mut state: State) -> Self {
        state.zlib.reset();
        Self {
            source,
            state,
            from: 0,
            to: 0,
            ended: false,
        }
    }

    /// Compressed bytes taken so far; the length of the stream, once it ended.
    pub(super) fn consumed(&self) -> u64 {
        self.state.zlib.total_in()
    }

    pub(super) fn into_state(self) -> State {
        self.state
    }

    /// Reads the rest and tells how much it was; fails beyond `limit`.
    pub(super) fn drain(&mut self, limit: u64) -> io::Result<u64> {
        let rest = io::copy(&mut self.by_ref().take(limit + 1), &mut io::sink())?;
        if rest > limit {
            return Err(invalid("the object is longer than it says"));
        }
        Ok(rest)
    }
}

impl<R: Read> Read for Inflating<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if output.is_empty() {
            return Ok(0);
        }
        while !self.ended {
            if self.from == self.to {
                self.from = 0;
                self.to = self.source.read(&mut self.state.input)?;
                if self.to == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let State { zlib, input } = &mut self.state;
            let (taken, made) = (zlib.total_in(), zlib.total_out());
            let status = zlib.decompress(&input[self.from..self.to], output, FlushDecompress::None);
            let taken = usize::try_from(zlib.total_in() - taken).unwrap_or(usize::MAX);
            let made = usize::try_from(zlib.total_out() - made).unwrap_or(usize::MAX);
            self.from += taken;
            self.ended = matches!(status, Ok(Status::StreamEnd));
            // What came before the damage comes first. That is met again then.
            if made > 0 {
                return Ok(made);
            }
            status.map_err(|error| invalid(error.to_string()))?;
            if taken == 0 && !self.ended {
                return Err(invalid("the stream does not go on"));
            }
        }
        Ok(0)
    }
}

pub(super) fn invalid(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Refuses what would take more memory than a scan may.
pub(super) fn too_large() -> io::Error {
    io::ErrorKind::FileTooLarge.into()
}

/// Reading an entry that claims more memory than there may be is refused.
pub(super) fn bounded(size: u64, limit: usize) -> io::Result<usize> {
    usize::try_from(size)
        .ok()
        .filter(|size| *size <= limit)
        .ok_or_else(too_large)
}

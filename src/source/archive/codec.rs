//! The decompressors. Each reads one stream after another for as long as the
//! next begins as its own kind does, and leaves what comes then unread.

mod gzip;
mod journal;
mod lz4;
mod lzma;
pub(super) mod whole;
mod zstd;

use std::io::{self, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};

use super::input::Input;
use super::kind::{self, Codec};
use super::walk::{Meter, Walk};
use super::window::Window;

/// What bzip2 needs for blocks of 900 kB.
const BZIP2_MEMORY: u64 = 4 * 1024 * 1024;

/// Bytes that cost as much as to make a decoder of bzip2.
const BZIP2_WORTH: u64 = 32 * 1024;

/// Output that came out of `input`, read through `codec` as `layer`.
pub(super) fn decoder<'i>(
    walk: &'i Walk<'_>,
    codec: Codec,
    input: &'i mut Input<'_>,
    layer: usize,
) -> Box<dyn Read + 'i> {
    let window = walk.window(layer);
    match codec {
        Codec::Gzip => {
            let gzip = Streams {
                step: Some(Step::Between(input)),
                begins: kind::is_gzip,
                memory: |_| 0,
                worth: 0,
                open: |input| gzip::skip_header(input).map(GzDecoder::new),
                close: |decoder: GzDecoder<gzip::Headed<'_, '_>>| {
                    decoder.into_inner().into_inner().1
                },
                window,
            };
            metered(walk, layer, gzip)
        }
        Codec::Bzip2 => {
            let bzip2 = Streams {
                step: Some(Step::Between(input)),
                begins: kind::is_bzip2,
                memory: |_| BZIP2_MEMORY,
                worth: BZIP2_WORTH,
                open: |input| Ok(BzDecoder::new(input)),
                close: BzDecoder::into_inner,
                window,
            };
            metered(walk, layer, bzip2)
        }
        Codec::Lz4 => {
            let lz4 = Streams {
                step: Some(Step::Between(input)),
                begins: lz4::begins,
                memory: lz4::memory,
                worth: 0,
                open: move |input| lz4::Frame::open(input, walk.window(layer)),
                close: lz4::Frame::close,
                window,
            };
            metered(walk, layer, lz4)
        }
        Codec::Xz => metered(walk, layer, lzma::Decoder::xz(input, window)),
        Codec::Lzma => metered(walk, layer, lzma::Decoder::alone(input, window)),
        Codec::Zstd => metered(walk, layer, zstd::Decoder::new(input, window)),
        Codec::Journal => metered(walk, layer, journal::Decoder::new(input, window)),
        Codec::Zlib => metered(walk, layer, ZlibDecoder::new(input)),
    }
}

/// Deflate without a frame, as a zip holds it.
pub(super) fn deflate<'i>(
    walk: &'i Walk<'_>,
    input: &'i mut Input<'_>,
    layer: usize,
) -> Box<dyn Read + 'i> {
    metered(walk, layer, DeflateDecoder::new(input))
}

fn metered<'i>(walk: &'i Walk<'_>, layer: usize, inner: impl Read + 'i) -> Box<dyn Read + 'i> {
    Box::new(Meter { inner, walk, layer })
}

/// One stream after another, through decoders that read exactly one.
struct Streams<'w, 'a, I, D, O> {
    /// `None` after a failure.
    step: Option<Step<I, D>>,
    begins: fn(&[u8]) -> bool,
    /// What the decoder needs for a stream that begins so.
    memory: fn(&[u8]) -> u64,
    /// Bytes that cost as much as to open one.
    worth: u64,
    open: O,
    close: fn(D) -> I,
    window: Window<'w, 'a>,
}

enum Step<I, D> {
    Between(I),
    Within(D),
}

impl<'i, 'b: 'i, D, O> Read for Streams<'_, '_, &'i mut Input<'b>, D, O>
where
    D: Read,
    O: Fn(&'i mut Input<'b>) -> io::Result<D>,
{
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match self.step.take() {
                None => return Err(super::input::invalid()),
                Some(Step::Between(input)) => {
                    let head = input.peek(16)?;
                    if !(self.begins)(head) {
                        self.step = Some(Step::Between(input));
                        return Ok(0);
                    }
                    self.window.claim((self.memory)(head))?;
                    self.window.open(self.worth)?;
                    self.step = Some(Step::Within((self.open)(input)?));
                }
                Some(Step::Within(mut decoder)) => match decoder.read(out)? {
                    0 => self.step = Some(Step::Between((self.close)(decoder))),
                    count => {
                        self.step = Some(Step::Within(decoder));
                        return Ok(count);
                    }
                },
            }
        }
    }
}

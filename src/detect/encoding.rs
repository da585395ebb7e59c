//! Encodings that a credential may be wrapped in. Each reader decodes the
//! text around a hit and keeps, byte by byte, where it came from.

pub(super) mod base64;
mod escapes;
mod gzip;
pub(super) mod hex;
pub(super) mod spelled;
mod utf16;
mod wrapped;

pub(super) use escapes::decode as decode_escapes;
pub(super) use gzip::{inflate, is_gzip};
pub(super) use utf16::decode as decode_utf16;

/// Longest text decoded at once. Longer ones are decoded piece by piece.
pub(super) const MAX_TEXT: usize = 256 * 1024;

/// Bytes that may still be decoded for one blob. An honest text comes nowhere
/// near it; a few kilobytes of gzip in gzip would inflate to terabytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance(u64);

impl Allowance {
    /// So much may be decoded whatever the size of the blob.
    const START: u64 = 32 * 1024 * 1024;

    /// Base64 in base64 decodes to 2.3 times its size in all.
    const PER_BYTE: u64 = 4;

    pub(super) const fn new() -> Self {
        Self(Self::START)
    }

    /// The blob has so many `bytes` more.
    pub(super) const fn earn(&mut self, bytes: usize) {
        self.0 += bytes as u64 * Self::PER_BYTE;
    }

    /// Whether `bytes` may be looked into, which uses them up.
    pub(super) const fn spend(&mut self, bytes: usize) -> bool {
        let enough = self.0 >= bytes as u64;
        self.0 = self.0.saturating_sub(bytes as u64);
        enough
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self::new()
    }
}

/// What a text was wrapped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    Base64,
    Hex,
    Utf16Le,
    Utf16Be,
    Gzip,
    /// Character escapes: percent, HTML entities, `\u` and `\x`.
    Escaped,
}

impl Encoding {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base64 => "base64",
            Self::Hex => "hex",
            Self::Utf16Le => "utf-16le",
            Self::Utf16Be => "utf-16be",
            Self::Gzip => "gzip",
            Self::Escaped => "escaped",
        }
    }
}

/// A decoded text.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) encoding: Encoding,
    pub(super) bytes: Vec<u8>,
    /// For each decoded byte, where the text that encodes it starts.
    pub(super) source: Vec<u32>,
    /// Up to here nothing has to be decoded again.
    pub(super) done: usize,
}

impl Decoded {
    /// The place in the encoded text of a place in the decoded one.
    pub(super) fn source_of(&self, offset: u64) -> u64 {
        usize::try_from(offset)
            .ok()
            .and_then(|offset| self.source.get(offset))
            .or(self.source.last())
            .map_or(0, |source| u64::from(*source))
    }
}

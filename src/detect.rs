//! Finds AWS credentials in bytes. Pure: no I/O, no clock, no configuration
//! beyond a depth; the same bytes give the same matches.
//!
//! One cheap pass over all bytes ([`prefilter`]) reports where a key may be,
//! plain or encoded. Readers look closer there ([`access_key`], [`name`],
//! [`token`], [`encoding`]); once an ID was seen, values in the shape of a
//! secret are collected ([`secret`]), and at the end [`pair`] decides what
//! belongs together. Memory is one window a [`Scanner`], however long the text.

mod access_key;
mod block;
mod cbor;
mod changes;
mod encoding;
mod entropy;
mod glyph;
mod known;
mod layer;
mod matches;
mod name;
mod owner;
mod pair;
mod placeholder;
mod prefilter;
mod row;
mod run;
mod secret;
mod sighting;
mod symbol;
mod token;
mod window;

pub use encoding::Encoding;
pub use known::{Known, Spot};
pub use matches::{Detection, Match};
pub use secret::{LEN as SECRET_LEN, is_like_secret};
pub use window::Scanner;

use prefilter::Prefilter;

/// What all scanners share.
#[derive(Debug)]
pub struct Detector {
    prefilter: Prefilter,
    /// Encodings within encodings that are looked into.
    max_depth: usize,
}

impl Detector {
    pub fn new(max_depth: usize) -> Self {
        Self {
            prefilter: Prefilter::new(),
            max_depth,
        }
    }

    /// The matches in a text that is in memory already.
    pub fn scan(&self, bytes: &[u8]) -> Detection {
        let mut scanner = Scanner::new(self);
        scanner.feed(bytes);
        scanner.finish()
    }
}

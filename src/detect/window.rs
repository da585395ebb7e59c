//! A window that slides over a blob of any length.
//!
//! Bytes are read into one buffer in slices small enough to be searched while
//! they are still in the processor's cache. Hits are followed when enough text
//! stands behind them, or at the end; so a key that lies over the edge of two
//! reads is seen like any other.

use memchr::{memchr_iter, memrchr};

use super::layer::Marks;
use super::matches::{self, Detection};
use super::prefilter::Hit;
use super::sighting::{Place, Sightings};
use super::{Detector, pair, secret};

/// Bytes of the window; all of a blob up to this size is seen at once.
const WINDOW: usize = 1024 * 1024;

/// Bytes read and searched at a time.
const SLICE: usize = 128 * 1024;

/// Text that has to stand behind a hit before it is followed, unless the blob
/// ends: the longest value, its name and a wrapped encoding of both fit.
const AHEAD: usize = 96 * 1024;

/// Text kept before the next hit when the window slides.
const BEHIND: usize = 64 * 1024;

/// Finds the credentials in one blob after another, through one buffer.
#[derive(Debug)]
pub struct Scanner<'d> {
    detector: &'d Detector,
    buffer: Box<[u8]>,
    /// Bytes in the buffer.
    len: usize,
    /// Up to here the buffer was searched.
    searched: usize,
    /// Up to here candidates for secrets were collected.
    collected: usize,
    /// Place of the buffer's first byte in the blob.
    base: u64,
    /// Line ends before `base`, and where the line of `base` started.
    lines: u64,
    line_start: u64,
    hits: Vec<Hit>,
    marks: Marks,
    sightings: Sightings,
}

impl<'d> Scanner<'d> {
    pub fn new(detector: &'d Detector) -> Self {
        Self {
            detector,
            buffer: vec![0; WINDOW].into_boxed_slice(),
            len: 0,
            searched: 0,
            collected: 0,
            base: 0,
            lines: 0,
            line_start: 0,
            hits: Vec::new(),
            marks: Marks::default(),
            sightings: Sightings::default(),
        }
    }

    /// Where the next bytes of the blob go; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        let end = WINDOW.min(self.len + SLICE);
        &mut self.buffer[self.len..end]
    }

    /// Takes the first `count` bytes of [`space`](Self::space) as read.
    pub fn advance(&mut self, count: usize) {
        self.len += count;
        self.sightings.allowance.earn(count);
        self.searched = self.detector.prefilter.search(
            &self.buffer[..self.len],
            self.searched,
            self.base,
            &mut self.hits,
        );
        if self.len == WINDOW {
            self.follow_hits(WINDOW - AHEAD);
            self.slide();
        }
    }

    /// Takes bytes that are in memory.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = self.space();
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            self.advance(count);
            bytes = &bytes[count..];
        }
    }

    /// The blob has ended: what was in it. The scanner is ready for another.
    pub fn finish(&mut self) -> Detection {
        self.follow_hits(self.len);
        let mut sightings = std::mem::take(&mut self.sightings);
        self.reset();
        pair::pair(&mut sightings);
        matches::conclude(sightings)
    }

    /// Forgets a blob that could not be read to its end.
    fn reset(&mut self) {
        self.len = 0;
        self.searched = 0;
        self.collected = 0;
        self.base = 0;
        self.lines = 0;
        self.line_start = 0;
        self.hits.clear();
        self.marks = Marks::default();
    }

    /// Follows the hits that start before `limit`.
    fn follow_hits(&mut self, limit: usize) {
        if self.hits.is_empty() && self.sightings.ids.is_empty() {
            return;
        }
        // The literal search and the probe each report in order.
        self.hits.sort_by_key(|hit| hit.at);
        let bytes = &self.buffer[..self.len];
        let ready = self.hits.partition_point(|hit| hit.at < limit);
        for hit in self.hits.drain(..ready) {
            self.detector.follow(
                hit,
                bytes,
                self.base,
                0,
                &mut self.marks,
                &mut self.sightings,
            );
        }
        if !self.sightings.ids.is_empty() {
            self.collected =
                secret::collect(bytes, self.collected, limit, self.base, &mut self.sightings);
        }
        // In their order, so that lines are counted once however many there are.
        let mut places: Vec<&mut Place> = self.sightings.unplaced().collect();
        places.sort_by_key(|place| place.offset);
        let (mut counted, mut lines, mut line_start) = (0, self.lines, self.line_start);
        for place in places {
            let offset = usize::try_from(place.offset - self.base).unwrap_or(0);
            let between = &bytes[counted..offset.clamp(counted, bytes.len())];
            lines += memchr_iter(b'\n', between).count() as u64;
            if let Some(end) = memrchr(b'\n', between) {
                line_start = self.base + (counted + end) as u64 + 1;
            }
            counted += between.len();
            place.line = 1 + lines;
            place.column = place.offset - line_start + 1;
        }
    }

    /// Drops what no hit to come can need.
    fn slide(&mut self) {
        let drop = self.len - AHEAD - BEHIND;
        let dropped = &self.buffer[..drop];
        self.lines += memchr_iter(b'\n', dropped).count() as u64;
        if let Some(end) = memrchr(b'\n', dropped) {
            self.line_start = self.base + end as u64 + 1;
        }
        self.buffer.copy_within(drop..self.len, 0);
        self.base += drop as u64;
        self.len -= drop;
        self.searched -= drop;
        self.collected = self.collected.saturating_sub(drop);
        self.marks.shift(drop);
        for hit in &mut self.hits {
            hit.at -= drop;
        }
    }
}

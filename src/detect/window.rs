//! A window that slides over a blob of any length.
//!
//! Bytes are read into one buffer in slices small enough to be searched while
//! they are still in the processor's cache. Hits are followed when enough text
//! stands behind them, or at the end; so a key that lies over the edge of two
//! reads is seen like any other.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memrchr};

use super::layer::Marks;
use super::matches::{self, Detection};
use super::prefilter::{self, Hit};
use super::run::{self, Run, Runs};
use super::sighting::{Place, Position, Sightings};
use super::{Detector, name, pair, secret};

/// Bytes of the window; all of a blob up to this size is seen at once.
pub(super) const WINDOW: usize = 1024 * 1024;

/// Bytes read and searched at a time.
const SLICE: usize = 128 * 1024;

/// Text that has to stand behind a hit before it is followed, unless the blob
/// ends: the longest value, its name and a wrapped encoding of both fit.
const AHEAD: usize = 64 * 1024;

/// Text kept before the next hit when the window slides.
const BEHIND: usize = 32 * 1024;

impl Lines {
    /// Goes on over `bytes`, which stand at `base`.
    fn pass(&mut self, bytes: &[u8], base: u64) {
        self.count += memchr_iter(b'\n', bytes).count() as u64;
        if let Some(end) = memrchr(b'\n', bytes) {
            self.start = base + end as u64 + 1;
        }
    }
}

/// The bytes of the present line that continue a character of UTF-8, after
/// `bytes`, if `before` is their number ahead of these.
fn continuation_bytes(bytes: &[u8], before: Option<u64>) -> Option<u64> {
    let (line, before) = match memrchr(b'\n', bytes) {
        Some(end) => (&bytes[end + 1..], Some(0)),
        None => (bytes, before),
    };
    let count = |line: &[u8]| line.iter().filter(|byte| **byte & 0xc0 == 0x80).count();
    before.map(|before| before + count(line) as u64)
}

/// Bytes at the start of a blob in which a NUL tells that it is no text.
pub(super) const TEXT_HEAD: usize = 1024;

pub(super) fn is_text(head: &[u8]) -> bool {
    memchr(0, &head[..head.len().min(TEXT_HEAD)]).is_none()
}

/// Finds the credentials in one blob after another, through one buffer.
#[derive(Debug)]
pub struct Scanner<'d> {
    pub(super) detector: &'d Detector,
    buffer: Box<[u8]>,
    /// Bytes in the buffer.
    len: usize,
    /// Up to here the buffer was searched.
    searched: usize,
    /// Up to here it was probed for base64.
    probed: usize,
    /// Up to here candidates for secrets were collected.
    collected: usize,
    /// Place of the buffer's first byte in the blob.
    base: u64,
    /// Whether the blob begins as text does. In other data neither wrapped
    /// base64 is looked for nor are lines counted far from its start.
    is_text: bool,
    /// `None` in a binary blob, once the window has moved.
    lines_before: Option<Lines>,
    /// Places in the blob at which bytes of it are left out, ascending: those in
    /// the buffer and the last one before it.
    holes: Vec<u64>,
    pub(super) hits: Vec<Hit>,
    marks: Marks,
    pub(super) sightings: Sightings,
}

/// The lines before the window.
#[derive(Debug, Clone, Copy, Default)]
struct Lines {
    /// Line ends.
    count: u64,
    /// Where the line that reaches into the window started.
    start: u64,
}

impl<'d> Scanner<'d> {
    pub fn new(detector: &'d Detector) -> Self {
        Self {
            detector,
            buffer: vec![0; WINDOW].into_boxed_slice(),
            len: 0,
            searched: 0,
            probed: 0,
            collected: 0,
            base: 0,
            is_text: true,
            lines_before: Some(Lines::default()),
            holes: Vec::new(),
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
        self.search_on();
        if self.len == WINDOW {
            self.follow_hits_in_window(WINDOW - AHEAD);
            self.slide();
        }
    }

    /// Bytes of the blob that come next, none of them the end of a line, are left
    /// out: behind them nobody knows the column.
    pub fn pass_hole(&mut self) {
        self.holes.push(self.base + self.len as u64);
    }

    /// Finds the literals in what was read.
    fn search_on(&mut self) {
        let read = &self.buffer[..self.len];
        let prefilter = &self.detector.prefilter;
        self.searched = prefilter.search(read, self.searched, &mut self.hits);
    }

    /// Finds the literals of a stretch while it is in the processor's cache.
    pub(super) fn search(&mut self, bytes: &[u8], range: Range<usize>) {
        debug_assert!(self.len == 0, "between two blobs");
        let prefilter = &self.detector.prefilter;
        let (mut searched, mut to) = (range.start, range.start);
        while to < range.end {
            to = range.end.min(to + SLICE);
            searched = prefilter.search(&bytes[..to], searched, &mut self.hits);
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
        self.follow_hits_in_window(self.len);
        self.conclude()
    }

    /// Whether all of the blob is one value in the shape of a secret, so that only
    /// its own name can tell what it is: daemontools, Kubernetes and docker give
    /// each setting a file.
    pub fn holds_lone_value(&self) -> bool {
        const LONGEST: usize = 80;
        let value = &self.buffer[..self.len.min(LONGEST)];
        let value = value.strip_prefix(b"\xef\xbb\xbf").unwrap_or(value);
        let value = value.trim_ascii();
        let quoted = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""));
        self.base == 0 && self.len <= LONGEST && run::has_shape(quoted.unwrap_or(value))
    }

    /// As [`finish`](Self::finish), for a blob that is the value of a setting of
    /// that name.
    pub fn finish_named(&mut self, name: &[u8]) -> Detection {
        if !name::is_secrets_own(name) {
            return self.finish();
        }
        // As a line of its own, which leaves the columns as they are.
        let before = name.len() + 1;
        self.buffer.copy_within(..self.len, before);
        self.buffer[..name.len()].copy_from_slice(name);
        self.buffer[name.len()] = b'\n';
        self.len += before;
        self.hits.clear();
        self.searched = 0;
        self.search_on();
        let mut detection = self.finish();
        for found in &mut detection.matches {
            found.line = found.line.map(|line| line.saturating_sub(1).max(1));
        }
        detection
    }

    /// Follows the hits, those of the probes among them, in a blob that is in
    /// memory and no longer than the window. The `runs` are all that may be
    /// secrets; tells where those start that are, if an ID was seen.
    pub(super) fn follow_all<'a, R: Iterator<Item = Run<'a>>>(
        &mut self,
        bytes: &'a [u8],
        runs: impl FnOnce() -> R,
    ) -> (Detection, Option<Vec<usize>>) {
        self.sightings.allowance.earn(bytes.len());
        self.follow_before(bytes, bytes.len());
        let has_id = !self.sightings.ids.is_empty();
        let starts = has_id.then(|| secret::collect(runs(), 0, &mut self.sightings));
        self.place_sightings(bytes);
        (self.conclude(), starts)
    }

    fn conclude(&mut self) -> Detection {
        let mut sightings = std::mem::take(&mut self.sightings);
        self.reset();
        pair::pair(&mut sightings);
        matches::conclude(sightings)
    }

    /// Forgets a blob that could not be read to its end.
    fn reset(&mut self) {
        self.len = 0;
        self.searched = 0;
        self.probed = 0;
        self.collected = 0;
        self.base = 0;
        self.lines_before = Some(Lines::default());
        self.holes.clear();
        self.hits.clear();
        self.marks = Marks::default();
    }

    fn follow_hits_in_window(&mut self, limit: usize) {
        let buffer = std::mem::take(&mut self.buffer);
        self.follow_hits(&buffer[..self.len], limit);
        self.buffer = buffer;
    }

    /// Follows the hits that start before `limit`, and collects candidates for
    /// secrets up to there if an ID was seen.
    fn follow_hits(&mut self, bytes: &[u8], limit: usize) {
        if self.base == 0 {
            self.is_text = is_text(bytes);
        }
        if self.is_text {
            // Not as the bytes come: a text is judged when all of it is there.
            prefilter::probe(bytes, self.probed, limit, self.base, &mut self.hits);
            self.probed = limit;
        }
        if self.hits.is_empty() && self.sightings.ids.is_empty() {
            return;
        }
        self.follow_before(bytes, limit);
        if !self.sightings.ids.is_empty() {
            let mut runs = Runs::new(bytes, self.collected, limit);
            secret::collect(&mut runs, self.base, &mut self.sightings);
            self.collected = runs.at();
        }
        self.place_sightings(bytes);
    }

    /// Looks closer at the hits that start before `limit`.
    fn follow_before(&mut self, bytes: &[u8], limit: usize) {
        // The literal search and the probes each report in order.
        self.hits.sort_by_key(|hit| hit.at);
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
    }

    /// Gives the sightings in the window their lines.
    fn place_sightings(&mut self, bytes: &[u8]) {
        // In their order, so that lines are counted once however many there are.
        let mut places: Vec<&mut Place> = self.sightings.unplaced().collect();
        places.sort_by_key(|place| place.offset);
        let mut counted = 0;
        let mut lines = self.lines_before;
        let line_starts_here = lines.is_some_and(|lines| lines.start == self.base);
        let mut continued = line_starts_here.then_some(0);
        for place in places {
            let offset = usize::try_from(place.offset.saturating_sub(self.base)).unwrap_or(0);
            let between = counted..offset.clamp(counted, bytes.len());
            counted = between.end;
            if let Some(lines) = &mut lines {
                lines.pass(&bytes[between.clone()], self.base + between.start as u64);
            }
            continued = continuation_bytes(&bytes[between], continued);
            let of_line = |lines: &Lines| lines.start..=place.offset;
            let has_hole = |lines: &Lines| {
                let mut holes = self.holes.iter();
                holes.any(|hole| of_line(lines).contains(hole))
            };
            let lines = lines.filter(|lines| !has_hole(lines));
            let column = lines.map(|lines| place.offset - lines.start + 1);
            place.position = Some(Position {
                line: lines.map(|lines| lines.count + 1),
                column,
                character: column.and_then(|column| column.checked_sub(continued?)),
            });
        }
    }

    /// Drops what no hit to come can need.
    fn slide(&mut self) {
        let drop = self.len - AHEAD - BEHIND;
        let dropped = &self.buffer[..drop];
        // Counting the lines of everything costs a part of the whole scan,
        // and those of a program or an image say nothing.
        if !self.is_text {
            self.lines_before = None;
        }
        if let Some(lines) = &mut self.lines_before {
            lines.pass(dropped, self.base);
        }
        self.buffer.copy_within(drop..self.len, 0);
        self.base += drop as u64;
        let passed = self.holes.partition_point(|hole| *hole < self.base);
        self.holes.drain(..passed.saturating_sub(1));
        self.len -= drop;
        self.searched -= drop;
        self.probed = self.probed.saturating_sub(drop);
        self.collected = self.collected.saturating_sub(drop);
        self.marks.shift(drop);
        for hit in &mut self.hits {
            hit.at -= drop;
        }
    }
}

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
use super::sighting::{Place, Position, Sightings};
use super::{Detector, pair, secret};

/// Bytes of the window; all of a blob up to this size is seen at once.
const WINDOW: usize = 1024 * 1024;

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
const TEXT_HEAD: usize = 1024;

fn is_text(head: &[u8]) -> bool {
    memchr(0, &head[..head.len().min(TEXT_HEAD)]).is_none()
}

/// Finds the credentials in one blob after another, through one buffer.
#[derive(Debug)]
pub struct Scanner<'d> {
    detector: &'d Detector,
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
    hits: Vec<Hit>,
    marks: Marks,
    sightings: Sightings,
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
        self.searched =
            self.detector
                .prefilter
                .search(&self.buffer[..self.len], self.searched, &mut self.hits);
        if self.len == WINDOW {
            self.follow_hits_in_window(WINDOW - AHEAD);
            self.slide();
        }
    }

    /// What is in a blob that is in memory, looked at where it is, and whether
    /// it is unmarked: no literal stands in it that a credential could begin
    /// with, nor a text that is one when it is decoded. Only `changes`, ranges
    /// which ascend, may hold the first of either.
    pub fn examine(&mut self, bytes: &[u8], changes: &[Range<usize>]) -> (Detection, bool) {
        debug_assert!(self.len == 0, "between two blobs");
        let is_marked = changes.iter().any(|range| {
            let start = range.start.saturating_sub(prefilter::OVERLAP);
            let end = bytes.len().min(range.end + prefilter::OVERLAP);
            self.search(bytes, start, end);
            !self.hits.is_empty()
        });
        if !is_marked {
            if is_text(bytes) {
                for range in changes {
                    let start = range.start.saturating_sub(prefilter::LONGEST_STRIDE);
                    let end = bytes.len().min(range.end + prefilter::LONGEST_STRIDE);
                    prefilter::probe(bytes, start, end, 0, &mut self.hits);
                }
            }
            if self.hits.is_empty() {
                return (Detection::default(), true);
            }
        }
        if bytes.len() > WINDOW {
            self.hits.clear();
            self.feed(bytes);
            return (self.finish(), false);
        }
        if !is_marked {
            self.probed = bytes.len();
        } else if changes.len() > 1 || changes[0] != (0..bytes.len()) {
            self.hits.clear();
            self.search(bytes, 0, bytes.len());
        }
        self.sightings.allowance.earn(bytes.len());
        self.follow_hits(bytes, bytes.len());
        let detection = self.conclude();
        let unmarked = !is_marked && detection.is_empty();
        (detection, unmarked)
    }

    /// Finds the literals of a stretch while it is in the processor's cache.
    fn search(&mut self, bytes: &[u8], start: usize, end: usize) {
        let prefilter = &self.detector.prefilter;
        let (mut searched, mut to) = (start, start);
        while to < end {
            to = end.min(to + SLICE);
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
        self.hits.clear();
        self.marks = Marks::default();
    }

    fn follow_hits_in_window(&mut self, limit: usize) {
        let buffer = std::mem::take(&mut self.buffer);
        self.follow_hits(&buffer[..self.len], limit);
        self.buffer = buffer;
    }

    /// Follows the hits that start before `limit`.
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
        if !self.sightings.ids.is_empty() {
            self.collected =
                secret::collect(bytes, self.collected, limit, self.base, &mut self.sightings);
        }
        self.place_sightings(bytes);
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

#[cfg(test)]
mod tests {
    use base64::prelude::*;

    use super::*;

    #[test]
    fn what_a_change_brings_is_found_by_a_look_at_the_change() {
        let detector = Detector::new(4);
        let mut random = fastrand::Rng::with_seed(3);
        let mut pick = |alphabet: &[u8], count: usize| -> String {
            let pick = |_| char::from(alphabet[random.usize(..alphabet.len())]);
            (0..count).map(pick).collect()
        };
        let lines = |pick: &mut dyn FnMut(&[u8], usize) -> String, count: usize| -> String {
            (0..count).map(|_| pick(b"abc def.", 70) + "\n").collect()
        };
        for round in 0..200 {
            let id = format!("AKIA{}", pick(b"QRSTUVWXYZ234567", 16));
            let text = format!("a file with {id} in it, and no more than this");
            let added = match round % 3 {
                0 => text,
                1 => BASE64_STANDARD.encode(text),
                _ => BASE64_STANDARD.encode(BASE64_STANDARD.encode(text)),
            };
            let beside = BASE64_STANDARD.encode(pick(b"abc def.", 90));
            let added = format!("\n{added}\n");
            let before = lines(&mut pick, round % 40) + &beside + "\n";
            let whole = format!("{before}{added}{}", lines(&mut pick, 30));
            let changes = before.len()..before.len() + added.len();
            let mut scanner = Scanner::new(&detector);
            let (of_all, _) =
                scanner.examine(whole.as_bytes(), std::slice::from_ref(&(0..whole.len())));
            let (of_change, unmarked) = scanner.examine(whole.as_bytes(), &[changes]);
            let ids = |detection: &Detection| -> Vec<String> {
                let ids = detection
                    .matches
                    .iter()
                    .filter_map(|found| found.access_key_id.as_ref());
                ids.map(|id| id.as_str().to_owned()).collect()
            };
            assert_eq!(ids(&of_all), [id], "{whole}");
            assert_eq!(ids(&of_change), ids(&of_all), "{whole}");
            assert!(!unmarked, "{whole}");
            let nothing =
                scanner.examine(before.as_bytes(), std::slice::from_ref(&(0..before.len())));
            assert!(nothing.0.is_empty() && nothing.1, "{before}");
        }
    }
}

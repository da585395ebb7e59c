//! The one pass over every byte: a packed multi-literal search (Teddy) for the
//! few byte strings that hardly a credential can do without, plain or encoded,
//! and probes for base64 texts, whose line breaks may hide them, and which may
//! hold another base64 text.
//!
//! What this pass costs decides what a scan costs: each literal makes every
//! byte of the host dearer, so those for rare forms are left to the probes.
//!
//! Everything dearer looks only at windows around what this pass reports.

use std::ops::Range;

use aho_corasick::packed;
use wide::u8x16;

use super::block::{self, BLOCK};

/// What a literal that was hit may be part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    /// A credential-bearing prefix, in plain text.
    AccessKeyId,
    /// The end of a word such as `secret`, before its last two letters.
    SecretName,
    /// A prefix inside base64. The literal's first character stands at this
    /// place in its group of four.
    Base64 {
        phase: u8,
    },
    /// A gzip header in base64.
    Base64Gzip,
    /// Somewhere inside a long base64 text.
    Base64Text,
    Hex,
    Utf16,
    /// A character escape (`\x41`, `\u0041`, `&#65;`, `%41`).
    Escapes,
    SessionToken,
    BedrockApiKey,
}

/// A place to look at more closely.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    pub(super) at: usize,
    pub(super) anchor: Anchor,
}

/// The literals, a row for each of the eight buckets of the packed searcher:
/// it puts the literals into them in turn, except that those whose first three
/// bytes agree in their lower halves share the bucket of the first one.
///
/// A bucket is told by the halves of three bytes, each for itself, so unlike
/// literals in one bucket stand for many byte strings that are none of them,
/// and each costs a closer look. These rows were chosen by measuring: in
/// programs, libraries and documents 0.5 % of the blocks of 32 bytes need a
/// look, where the same literals in an order that only looks tidy made it 14 %.
///
/// The base64 forms are those characters of an encoded prefix that depend on
/// nothing else, at the three places it can have in its group.
const LITERALS: [[(&[u8], Anchor); 4]; BUCKETS] = [
    [
        (b"BU0lB", Anchor::Base64 { phase: 3 }),
        // The same bytes stand in both byte orders.
        (b"A\0K\0I\0A", Anchor::Utf16),
        (b"FwoGZXIvYXdz", Anchor::SessionToken),
        (b"AQoDYXdz", Anchor::SessionToken),
    ],
    [
        (b"QUtJQ", Anchor::Base64 { phase: 0 }),
        (b"QVNJQ", Anchor::Base64 { phase: 0 }),
        (b"\\x41", Anchor::Escapes),
        (b"\\u0041", Anchor::Escapes),
    ],
    [
        (b"414b4941", Anchor::Hex),
        (b"41534941", Anchor::Hex),
        (b"IQoJb3JpZ2lu", Anchor::SessionToken),
        (b"FQoGZXIvYXdz", Anchor::SessionToken),
    ],
    [
        (b"FTSU", Anchor::Base64 { phase: 2 }),
        (b"H4sI", Anchor::Base64Gzip),
        // Short, so that three bytes decide and not four.
        (b"%41", Anchor::Escapes),
        (b"FQoDYXdz", Anchor::SessionToken),
    ],
    [
        (b"ECRET", Anchor::SecretName),
        (b"ecret", Anchor::SecretName),
        (b"&#65;", Anchor::Escapes),
        (b"&#x41;", Anchor::Escapes),
    ],
    [
        (b"AKIA", Anchor::AccessKeyId),
        (b"ASIA", Anchor::AccessKeyId),
        (b"ABIA", Anchor::AccessKeyId),
        (b"ACCA", Anchor::AccessKeyId),
    ],
    [
        (b"FLSU", Anchor::Base64 { phase: 2 }),
        (b"A\0S\0I\0A", Anchor::Utf16),
        (b"E\0C\0R\0E\0T", Anchor::Utf16),
        (b"ABSKQmVkcm9ja", Anchor::BedrockApiKey),
    ],
    [
        (b"414B4941", Anchor::Hex),
        (b"BS0lB", Anchor::Base64 { phase: 3 }),
        (b"e\0c\0r\0e\0t", Anchor::Utf16),
        (b"bedrock-api-key-", Anchor::BedrockApiKey),
    ],
];

const BUCKETS: usize = 8;

/// The literals in the order of the searcher's pattern numbers.
pub(super) fn literals() -> impl Iterator<Item = (&'static [u8], Anchor)> {
    (0..LITERALS.as_flattened().len()).map(literal)
}

fn literal(pattern: usize) -> (&'static [u8], Anchor) {
    LITERALS[pattern % BUCKETS][pattern / BUCKETS]
}

/// Bytes of the longest literal.
const LONGEST: usize = 16;

/// Bytes of a literal that can stand on the other side of an edge.
pub(super) const OVERLAP: usize = LONGEST - 1;

/// Up to a place in the blob, the distance of two probes, and how many
/// characters of base64 one has to see at once: a text of their sum has them
/// behind one of the probes. The starts of files are a small part of all bytes,
/// and hold most of the secrets.
const STRIDES: [(u64, usize, usize); 3] = [
    (4 * 1024, 24, MIN_TEXT - 24 + 1),
    (64 * 1024, 96, 9),
    LONGEST_STRIDE,
];

const LONGEST_STRIDE: (u64, usize, usize) = (u64::MAX, 512, 9);

const _: () = assert!(STRIDES[0].2 <= BLOCK && LONGEST_STRIDE.2 <= BLOCK);

/// Characters below which a text is not decoded for its look: an access key
/// ID in base64 in base64 has 36, padding left out.
pub(super) const MIN_TEXT: usize = 36;

#[derive(Debug)]
pub(super) struct Prefilter {
    searcher: packed::Searcher,
}

impl Prefilter {
    pub(super) fn new() -> Self {
        let mut builder = packed::Config::new().builder();
        builder.extend(literals().map(|(literal, _)| literal));
        // `None` only for no, empty or more than 128 patterns.
        let searcher = builder
            .build()
            .expect("the literals suit the packed searcher");
        Self { searcher }
    }

    /// Appends every literal in `bytes` that starts at or after `from`. Returns
    /// where the next call has to start when more bytes follow these: hits
    /// before that are complete.
    pub(super) fn search(&self, bytes: &[u8], from: usize, hits: &mut Vec<Hit>) -> usize {
        let mut at = from;
        while let Some(found) = self.searcher.find_in(bytes, (at..bytes.len()).into()) {
            hits.push(Hit {
                at: found.start(),
                anchor: literal(found.pattern().as_usize()).1,
            });
            // Literals overlap: `AKIAKIA` holds two.
            at = found.start() + 1;
        }
        bytes.len().saturating_sub(OVERLAP).max(at)
    }
}

/// Appends the texts of base64 that probes of `bytes[from..to]` land in: all
/// that are longer than the stride. `base` is where `bytes` stand in the blob.
pub(super) fn probe(bytes: &[u8], from: usize, to: usize, base: u64, hits: &mut Vec<Hit>) {
    let mut start = from;
    for (end, stride, seen) in STRIDES {
        let end = usize::try_from(end.saturating_sub(base)).unwrap_or(usize::MAX);
        let end = end.min(to);
        if start < end {
            probe_every((stride, seen), bytes, start..end, hits);
            start = end;
        }
    }
}

/// A text that is as long as a probe needs reaches one this far from any of its
/// bytes. The longest distance holds for all places: of a text that goes on
/// beside a change, a part may look encoded that is not near it.
pub(super) const PROBE_REACH: usize = LONGEST_STRIDE.1 + LONGEST_STRIDE.2;

/// Bytes from a change to the furthest one that decides what the probes near it
/// report.
pub(super) const PROBED: usize = PROBE_REACH + 2 * MIN_TEXT;

fn probe_every(
    (stride, seen): (usize, usize),
    bytes: &[u8],
    range: Range<usize>,
    hits: &mut Vec<Hit>,
) {
    let last = range.end.min((bytes.len() + 1).saturating_sub(seen));
    let mut at = range.start.next_multiple_of(stride);
    while at < last {
        let here = at;
        at += stride;
        let is_text = match bytes[here..].first_chunk() {
            Some(block) => begins_as_text(*block, seen),
            None => bytes[here..here + seen].iter().all(|b| kind(*b) != 0),
        };
        if !is_text {
            continue;
        }
        let (mut len, mut kinds) = (0, 0);
        let behind = bytes[here..].iter().copied().map(kind).take(MIN_TEXT);
        for kind in behind.take_while(|kind| *kind != 0) {
            len += 1;
            kinds |= kind;
        }
        let goes_on = len == MIN_TEXT;
        if !goes_on || kinds & DIGIT == 0 {
            let before = bytes[..here].iter().rev().copied().map(kind);
            for kind in before.take(MIN_TEXT).take_while(|kind| *kind != 0) {
                len += 1;
                kinds |= kind;
            }
        }
        // Words have no digits, identifiers seldom; base64 of 26 bytes of text
        // and hexadecimal hardly ever have none.
        if len >= MIN_TEXT && kinds & DIGIT != 0 {
            hits.push(Hit {
                at: here,
                anchor: Anchor::Base64Text,
            });
            // The next probe that is this near lands in the same text.
            if goes_on && stride < MIN_TEXT {
                at += stride;
            }
        }
    }
}

/// Whether the first `count` bytes of a block have a [`kind`].
fn begins_as_text(bytes: [u8; BLOCK], count: usize) -> bool {
    let block = u8x16::new(bytes);
    let texts = block::base64(block) | block::any_of(block, [b'\n', b'\r']);
    texts.to_bitmask().trailing_ones() as usize >= count
}

const LETTER: u8 = 1;
const DIGIT: u8 = 2;
const OTHER: u8 = 4;

fn kind(byte: u8) -> u8 {
    KINDS[usize::from(byte)]
}

/// The kinds of the base64 alphabet and of line ends; 0 for the rest.
static KINDS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0u8;
    loop {
        table[byte as usize] = match byte {
            b'A'..=b'Z' | b'a'..=b'z' => LETTER,
            b'0'..=b'9' => DIGIT,
            b'+' | b'/' | b'\n' | b'\r' => OTHER,
            _ => 0,
        };
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use base64::prelude::*;

    use super::*;

    #[test]
    fn no_literal_is_longer_than_the_overlap() {
        assert_eq!(
            literals().map(|(literal, _)| literal.len()).max(),
            Some(LONGEST)
        );
    }

    #[test]
    fn base64_literals_stand_where_their_phase_says() {
        let prefilter = Prefilter::new();
        for prefix in ["AKIA", "ASIA"] {
            let plain = prefix.as_bytes();
            {
                for before in 0..3 {
                    for filler in [b'a', b'~', 0xff] {
                        let mut text = vec![filler; before];
                        text.extend(plain);
                        text.extend([filler; 6]);
                        let encoded = BASE64_STANDARD.encode(&text);
                        let mut hits = Vec::new();
                        prefilter.search(encoded.as_bytes(), 0, &mut hits);
                        let right = hits.iter().any(|hit| {
                            matches!(hit.anchor, Anchor::Base64 { phase } if hit.at % 4 == usize::from(phase))
                        });
                        assert!(right, "{encoded}: {hits:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_text_that_is_long_enough_for_its_place_is_reported() {
        let text = b"4Bc+".repeat(200);
        let is_reported = |at: usize, len: usize, range: Range<usize>| {
            let bytes = [&vec![b' '; at][..], &text[..len]].concat();
            let mut hits = Vec::new();
            probe(
                &bytes,
                range.start,
                range.end.min(bytes.len()),
                0,
                &mut hits,
            );
            !hits.is_empty()
        };
        for (places, len) in [(0..4060, 36), (4060..65_400, 104), (65_400..66_500, 520)] {
            for at in places.step_by(7) {
                assert!(is_reported(at, len, 0..usize::MAX), "{at}");
                // Where it begins, something changed.
                let near = at.saturating_sub(PROBE_REACH)..at + 5 + PROBE_REACH;
                assert!(is_reported(at, len, near), "{at}");
            }
        }
    }

    #[test]
    fn the_packed_search_finds_what_a_comparison_at_every_byte_finds() {
        let prefilter = Prefilter::new();
        let known: Vec<_> = literals().collect();
        let mut random = fastrand::Rng::with_seed(9);
        let (mut told, mut seen) = (0, vec![false; known.len()]);
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            for _ in 0..random.usize(..12) {
                let mut piece = known[random.usize(..known.len())].0.to_vec();
                match random.u8(..4) {
                    0 => piece.truncate(random.usize(..piece.len())),
                    1 => {
                        let at = random.usize(..piece.len());
                        piece[at] ^= 1 << random.u8(..8);
                    }
                    2 => piece = (0..random.usize(..40)).map(|_| random.u8(..)).collect(),
                    _ => {}
                }
                bytes.extend(piece);
            }
            let mut hits = Vec::new();
            prefilter.search(&bytes, 0, &mut hits);
            let hits: Vec<_> = hits.iter().map(|hit| (hit.at, hit.anchor)).collect();
            let mut expected = Vec::new();
            for at in 0..bytes.len() {
                for (pattern, (literal, anchor)) in known.iter().enumerate() {
                    if bytes[at..].starts_with(literal) {
                        expected.push((at, *anchor));
                        seen[pattern] = true;
                    }
                }
            }
            told += expected.len();
            assert_eq!(hits, expected, "{bytes:?}");
        }
        assert!(told > 10_000 && seen.iter().all(|seen| *seen));
    }

    #[test]
    fn hits_are_the_same_wherever_the_bytes_are_cut() {
        let prefilter = Prefilter::new();
        let bytes = b"..AKIAKIA..bedrock-api-key-x..ECRET..A\0K\0I\0A".repeat(3);
        let mut whole = Vec::new();
        prefilter.search(&bytes, 0, &mut whole);
        for cut in 0..bytes.len() {
            let mut parts = Vec::new();
            let next = prefilter.search(&bytes[..cut], 0, &mut parts);
            prefilter.search(&bytes, next, &mut parts);
            let places = |hits: &[Hit]| hits.iter().map(|hit| hit.at).collect::<Vec<_>>();
            assert_eq!(places(&parts), places(&whole), "cut at {cut}");
        }
    }
}

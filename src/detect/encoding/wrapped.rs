//! The characters of an encoded text around a place, line breaks crossed:
//! real ones with their indentation, ones written as `\n`, joints of string
//! literals.

use super::MAX_TEXT;
use crate::detect::glyph;

/// Shortest line that a line break is taken to wrap.
const MIN_LINE: usize = 32;

/// Most characters on each side of the place.
const MAX_SIDE: usize = MAX_TEXT / 2;

/// Places of the characters before `at`, but not before `from`, and of those
/// from `at` on, each in the order of the text.
pub(super) fn places(
    bytes: &[u8],
    at: usize,
    from: usize,
    alphabet: impl Fn(u8) -> bool,
) -> (Vec<u32>, Vec<u32>) {
    let text = Text { bytes, alphabet };
    let mut before = text.before(at, from);
    before.reverse();
    (before, text.from(at))
}

/// Whether the text with these places ends because the window does.
pub(super) fn is_cut(bytes: &[u8], places: &[u32]) -> bool {
    places.len() >= MAX_SIDE
        || places
            .last()
            .is_some_and(|last| *last as usize + 1 == bytes.len())
}

struct Text<'a, A> {
    bytes: &'a [u8],
    /// Which bytes the encoding is written with.
    alphabet: A,
}

impl<A: Fn(u8) -> bool> Text<'_, A> {
    fn holds(&self, byte: u8) -> bool {
        (self.alphabet)(byte)
    }

    fn from(&self, at: usize) -> Vec<u32> {
        let mut places = Vec::new();
        let mut place = at;
        let mut line = at - self.line_start(at);
        while places.len() < MAX_SIDE {
            match self.bytes.get(place) {
                Some(byte) if self.holds(*byte) => {
                    places.push(index(place));
                    line += 1;
                    place += 1;
                }
                Some(_) => match self.wrap(place) {
                    Some(next) if line >= MIN_LINE && self.is_whole_line(next) => {
                        place = next;
                        line = 0;
                    }
                    _ => break,
                },
                None => break,
            }
        }
        places
    }

    /// Nearest first.
    fn before(&self, at: usize, from: usize) -> Vec<u32> {
        let bytes = self.bytes;
        let mut places = Vec::new();
        let mut place = at;
        while place > from && places.len() < MAX_SIDE {
            // The letter of a written `\n` is no character of the text.
            let escaped =
                place >= 2 && bytes[place - 2] == b'\\' && matches!(bytes[place - 1], b'n' | b'r');
            if !escaped && self.holds(bytes[place - 1]) {
                place -= 1;
                places.push(index(place));
                continue;
            }
            match self.line_end_before(place, from) {
                Some(end) if self.line_start(end).max(from) + MIN_LINE <= end => place = end,
                _ => break,
            }
        }
        places
    }

    /// Start of the characters that end at `at`.
    fn line_start(&self, at: usize) -> usize {
        let back = self.bytes[..at].iter().rev().take(MAX_TEXT);
        at - back.take_while(|byte| self.holds(**byte)).count()
    }

    /// Where the text goes on behind a line break at `at`.
    fn wrap(&self, at: usize) -> Option<usize> {
        let bytes = self.bytes;
        let indented = |place: usize| {
            let rest = bytes.get(place..).unwrap_or_default().iter().take(64);
            // A comment or a quoted mail begins each line with a mark.
            let indent = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'#' | b'>' | b'*');
            place + rest.take_while(indent).count()
        };
        match &bytes[at..bytes.len().min(at + 4)] {
            [b'\r', b'\n', ..] => Some(indented(at + 2)),
            [b'\n', ..] => Some(indented(at + 1)),
            [b'\\', b'r', b'\\', b'n'] => Some(at + 4),
            [b'\\', b'n', ..] => Some(at + 2),
            _ => glyph::joint(bytes, at),
        }
    }

    /// The end of the line from which a break leads to `at`.
    fn line_end_before(&self, at: usize, from: usize) -> Option<usize> {
        const REACH: usize = 96;
        let floor = at.saturating_sub(REACH).max(from);
        (floor..at)
            .rev()
            .filter(|end| {
                *end > 0 && self.holds(self.bytes[end - 1]) && !self.holds(self.bytes[*end])
            })
            .take(2)
            .find(|end| self.wrap(*end) == Some(at))
    }

    /// Whether the line at `at` is all of the alphabet, up to its end or to
    /// padding, and not the name of something.
    fn is_whole_line(&self, at: usize) -> bool {
        let rest = self.bytes.get(at..).unwrap_or_default();
        let line = rest
            .iter()
            .take(MAX_TEXT)
            .take_while(|byte| self.holds(**byte))
            .count();
        line > 0
            && match &rest[line..] {
                [] | [b'\n' | b'\r' | b'"' | b'\'' | b'<' | b'\\', ..] => true,
                [b'=', b'"' | b'\'', rest @ ..] => {
                    matches!(
                        rest,
                        [] | [b'\n' | b'\r' | b')' | b']' | b'}' | b',' | b';', ..]
                    )
                }
                [b'=', rest @ ..] => {
                    !matches!(rest, [b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b' ', ..])
                }
                _ => false,
            }
    }
}

fn index(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

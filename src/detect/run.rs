//! Runs of the base64 alphabet, read through the escapes and literals that
//! split them.

mod long;

use std::ops::{Deref, Range};

pub(super) use long::Runs;

use super::glyph;
use crate::finding::AccessKeyId;

/// Characters of a secret access key.
pub const LEN: usize = 40;

/// Characters of an SES SMTP password.
pub(super) const SMTP_LEN: usize = 44;

/// Longest run of the alphabet whose decoded form is looked at: base64 of
/// base64 of a secret has 76 characters, hexadecimal with its prefix 82.
pub(super) const MAX_ENCODED: usize = 82;

/// A maximal run of characters of the alphabet.
pub(super) struct Run<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) characters: Characters,
    /// `-` or `_` beside it: part of a longer word of the URL-safe alphabet.
    pub(super) in_word: bool,
}

/// The characters of a run; one more than any value has tells that it is too
/// long.
#[derive(Clone, Copy)]
pub(super) struct Characters {
    bytes: [u8; MAX_ENCODED + 1],
    len: usize,
}

impl Characters {
    fn push(&mut self, byte: u8) {
        if let Some(free) = self.bytes.get_mut(self.len) {
            *free = byte;
            self.len += 1;
        }
    }

    fn extend(&mut self, word: &[u8]) {
        let free = &mut self.bytes[self.len..];
        let taken = word.len().min(free.len());
        free[..taken].copy_from_slice(&word[..taken]);
        self.len += taken;
    }
}

impl Deref for Characters {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The first run at or after `from` that starts before `to`.
pub(super) fn next_run(bytes: &[u8], from: usize, to: usize) -> Option<Run<'_>> {
    (from..to.min(bytes.len()))
        .find(|at| glyph::read(bytes, *at).is_some())
        .map(|at| read_run(bytes, at))
}

/// The first run at or after `from` that starts before `to`, leaving out words
/// that are too short and end where they seem to.
pub(super) fn next_long_run(bytes: &[u8], from: usize, to: usize) -> Option<Run<'_>> {
    let to = to.min(bytes.len());
    let mut at = from;
    while at < to {
        let end = word_end(bytes, at);
        if end - at >= LEN || goes_on(bytes, at, end) {
            return Some(read_run(bytes, at));
        }
        at = end + 1;
    }
    None
}

/// Whether a value has the length and the characters of a secret access key, as it
/// is or in base64.
pub(super) fn has_shape(value: &[u8]) -> bool {
    const ENCODED: usize = (LEN * 4).div_ceil(3);
    let unpadded = value.strip_suffix(b"==").unwrap_or(value);
    let is_long = value.len() == LEN || unpadded.len() == ENCODED;
    is_long && unpadded.iter().all(|byte| glyph::is_base64(*byte))
}

/// The run that begins at `at`, whatever stands before it.
pub(super) fn run_at(bytes: &[u8], at: usize) -> Option<Run<'_>> {
    glyph::read(bytes, at).map(|_| read_run(bytes, at))
}

/// Where the plain characters that begin at `at` end.
fn word_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes[at..].iter();
    at + rest.take_while(|byte| glyph::is_base64(**byte)).count()
}

/// Where the plain characters that end before `end` begin, which is not
/// before `from`.
fn word_start(bytes: &[u8], from: usize, end: usize) -> usize {
    let rest = bytes[from..end].iter().rev();
    end - rest.take_while(|byte| glyph::is_base64(**byte)).count()
}

/// Whether a run may go on where its plain characters end: with an escape, or
/// in another literal.
fn goes_on(bytes: &[u8], start: usize, end: usize) -> bool {
    match bytes.get(end) {
        Some(b'\\' | b'%' | b'&') => {
            glyph::read(bytes, end).is_some() || (end > start && glyph::joint(bytes, end).is_some())
        }
        Some(b'=' | b'"' | b'\'' | b'`') if end > start => {
            glyph::joint(bytes, end).is_some() || glyph::comma(bytes, end).is_some()
        }
        _ => false,
    }
}

fn read_run(bytes: &[u8], start: usize) -> Run<'_> {
    let mut characters = Characters {
        bytes: [0; MAX_ENCODED + 1],
        len: 0,
    };
    let mut at = start;
    loop {
        let word = &bytes[at..word_end(bytes, at)];
        characters.extend(word);
        at += word.len();
        if let Some((byte, next)) = glyph::read(bytes, at) {
            characters.push(byte);
            at = next;
            continue;
        }
        // A value that is whole ends here, whatever literal comes next.
        let is_whole = || {
            matches!(characters.len, LEN | SMTP_LEN)
                || characters.len > MAX_ENCODED
                || AccessKeyId::parse(&characters).is_some()
        };
        match glyph::joint(bytes, at) {
            Some(next) if !is_whole() && is_part(bytes, next) => at = next,
            _ => break,
        }
    }
    if characters.len < LEN
        && let Some((joined, end)) = join_list(bytes, start..at, characters)
    {
        (characters, at) = (joined, end);
    }
    let word = |at: Option<&u8>| matches!(at, Some(b'-' | b'_'));
    Run {
        bytes,
        start,
        end: at.max(start + 1),
        in_word: (word(bytes[..start].last()) && !glyph::is_marshalled(bytes, start))
            || word(bytes.get(at)),
        characters,
    }
}

/// Whether the literal at `at` is too short to be a whole value of its own.
fn is_part(bytes: &[u8], at: usize) -> bool {
    let characters = bytes[at..].iter().take(LEN);
    let len = characters
        .take_while(|byte| glyph::is_base64(**byte))
        .count();
    len < LEN && glyph::read(bytes, at).is_some()
}

/// The literals of a list that holds nothing but the parts of a secret, as in
/// `['…', '…'].join('')` and `concat('…', '…')`; `characters` are those of the
/// `first`. Gives all of them, and where the last one ends.
fn join_list(
    bytes: &[u8],
    first: Range<usize>,
    characters: Characters,
) -> Option<(Characters, usize)> {
    const MAX_PARTS: usize = 8;
    const MAX_BLANKS: usize = 64;
    if !is_first_in_list(bytes, first.start) {
        return None;
    }
    let mut place = glyph::comma(bytes, first.end)?;
    let mut joined = characters;
    for _ in 1..MAX_PARTS {
        while let Some((byte, next)) = glyph::read(bytes, place) {
            joined.push(byte);
            place = next;
            if joined.len > LEN {
                return None;
            }
        }
        if joined.len == LEN {
            let behind = bytes.get(place + 1..).unwrap_or_default();
            let behind = &behind[..behind.len().min(MAX_BLANKS)];
            let closes = matches!(behind.trim_ascii_start(), [b']' | b')', ..]);
            return closes.then_some((joined, place));
        }
        place = glyph::comma(bytes, place)?;
    }
    None
}

/// Whether the literal whose text begins at `start` is the first of a list.
fn is_first_in_list(bytes: &[u8], start: usize) -> bool {
    match bytes[..start].split_last() {
        Some((_quote, before)) => matches!(before.trim_ascii_end(), [.., b'[' | b'(']),
        None => false,
    }
}

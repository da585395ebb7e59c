//! Runs of the base64 alphabet, read through the escapes and literals that
//! split them, and the search for those long enough to be a secret.

use std::ops::{Deref, Range};

use super::glyph;
use crate::finding::AccessKeyId;

/// Characters of a secret access key.
pub(super) const LEN: usize = 40;

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
        in_word: word(start.checked_sub(1).and_then(|before| bytes.get(before)))
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

/// The runs in a part of a text that have the characters of a secret at least,
/// in their order: those that [`next_long_run`] gives, without the short ones.
///
/// Where words end cannot be predicted, so the words are not looked at one by
/// one, but the few bytes at which one can go on, and bytes at such distances
/// that a long one is not missed.
pub(super) struct Runs<'a> {
    bytes: &'a [u8],
    /// Where the next run can start.
    at: usize,
    /// No run starts here or behind it.
    to: usize,
    /// Where the last word that starts before `to` ends.
    end: usize,
    /// Behind the byte at which it ends.
    limit: usize,
    /// Where the next long word starts, if that is not before `at`.
    long: usize,
    /// The same for the next short one that goes on.
    short: usize,
}

impl<'a> Runs<'a> {
    /// Those that start at or after `from` and before `to`.
    pub(super) fn new(bytes: &'a [u8], from: usize, to: usize) -> Self {
        let to = to.min(bytes.len());
        let (end, limit) = match bytes[..to].last() {
            Some(last) if glyph::is_base64(*last) => {
                let end = word_end(bytes, to);
                (end, bytes.len().min(end + 1))
            }
            _ => (to, to),
        };
        let mut runs = Self {
            bytes,
            at: from,
            to,
            end,
            limit,
            long: 0,
            short: 0,
        };
        if from < to {
            runs.long = runs.next_long();
            runs.short = runs.next_short();
        }
        runs
    }

    /// Where the next run can start. Behind the last run, this is at or behind
    /// the end of the part.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Where the next word of the length of a secret starts; `usize::MAX` if
    /// there is none.
    fn next_long(&self) -> usize {
        // Two bytes at this distance from each other are in every such word.
        const STEP: usize = LEN / 2;
        let mut at = self.at;
        let bytes = &self.bytes[..self.end];
        while let Some(seen) = bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk::<{ STEP + 1 }>())
        {
            let between = [0, STEP, 10, 5, 15].map(|step| glyph::is_base64(seen[step]));
            if !between.into_iter().fold(true, |all, one| all & one) {
                at += STEP;
                continue;
            }
            let start = word_start(self.bytes, self.at, at);
            let end = word_end(self.bytes, at);
            if end - start >= LEN {
                return start;
            }
            at += (end - at).next_multiple_of(STEP);
        }
        usize::MAX
    }

    /// Where the next word starts that goes on behind its plain characters.
    fn next_short(&self) -> usize {
        const BLOCK: usize = 16;
        let mut at = self.at;
        while at < self.limit {
            let rest = &self.bytes[at..self.limit];
            let block = rest.first_chunk::<BLOCK>().copied().unwrap_or_else(|| {
                let mut block = [0; BLOCK];
                block[..rest.len()].copy_from_slice(rest);
                block
            });
            let marks = block.map(|byte| u8::from(ends_word(byte)));
            let mut marks = u128::from_le_bytes(marks);
            while marks != 0 {
                let end = at + (marks.trailing_zeros() / u8::BITS) as usize;
                if let Some(start) = self.going_on(end) {
                    return start;
                }
                marks &= marks - 1;
            }
            at += BLOCK;
        }
        usize::MAX
    }

    /// Where the word starts that ends at `end`, if it goes on there.
    fn going_on(&self, end: usize) -> Option<usize> {
        let bytes = self.bytes;
        let next = *bytes.get(end + 1)?;
        let is_word = || end > self.at && glyph::is_base64(bytes[end - 1]);
        let is_joined = || {
            let next = glyph::joint(bytes, end);
            next.is_some_and(|next| is_part(bytes, next))
        };
        let is_listed = || glyph::comma(bytes, end).is_some();
        let start = || word_start(bytes, self.at, end);
        let goes_on = match bytes[end] {
            b'%' => next == b'2' && glyph::read(bytes, end).is_some(),
            b'\\' => glyph::read(bytes, end).is_some() || (is_word() && is_joined()),
            b'=' => matches!(next, b'\n' | b'\r') && is_word() && is_joined(),
            b'"' | b'\'' | b'`' => {
                BEHIND_QUOTE[usize::from(next)]
                    && is_word()
                    && (is_joined() || (is_first_in_list(bytes, start()) && is_listed()))
            }
            _ => glyph::read(bytes, end).is_some(),
        };
        goes_on.then(start)
    }
}

impl<'a> Iterator for Runs<'a> {
    type Item = Run<'a>;

    fn next(&mut self) -> Option<Run<'a>> {
        while self.at < self.to {
            if self.long < self.at {
                self.long = self.next_long();
            }
            if self.short < self.at {
                self.short = self.next_short();
            }
            let start = self.long.min(self.short);
            if start == usize::MAX {
                self.at = self.end.max(self.to);
                break;
            }
            let run = read_run(self.bytes, start);
            self.at = run.end;
            if run.characters.len >= LEN {
                return Some(run);
            }
        }
        None
    }
}

/// Whether a run may go on behind a word that ends with this byte. Without a
/// branch, so that many are compared at once.
const fn ends_word(byte: u8) -> bool {
    (byte == b'"')
        | (byte == b'\'')
        | (byte == b'`')
        | (byte == b'\\')
        | (byte == b'=')
        | (byte == b'%')
        | (byte == b'&')
}

/// The bytes that can stand behind the quote of a literal that another one is
/// joined to or follows in a list.
static BEHIND_QUOTE: [bool; 256] = {
    let bytes = b" \t\r\n\x0c\\()+.&|~<_#/`bruLf\"',";
    let mut table = [false; 256];
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// A text of what runs consist of, and of what ends them.
    fn text(random: &mut fastrand::Rng) -> Vec<u8> {
        let joints: Vec<&[u8]> = br#"' + '|" "|','|', '|['|("|"|'|`|", "|\"|\" + \"|"."|')"#
            .split(|byte| *byte == b'|')
            .chain(
                br"\/|\u002f|\\x2B|\n|%2F|%252b|%3D|%2|&#47;|&plus;|&amp;|= |=="
                    .split(|byte| *byte == b'|'),
            )
            .chain([
                &b"\\\n  "[..],
                b"=\n",
                b"=\r\n",
                b"\" +\n \"",
                b"' # a\n '",
                b"\n",
                b" ",
                b"-",
                b"|",
            ])
            .collect();
        let alphabet: Vec<u8> = (0..=255).filter(|byte| glyph::is_base64(*byte)).collect();
        let mut text = Vec::new();
        for _ in 0..random.usize(1..60) {
            let len = match random.u8(..8) {
                0..3 => random.usize(..8),
                3 => random.usize(8..24),
                4 => random.usize(36..46),
                5 => random.usize(71..85),
                6 => 20,
                _ => 0,
            };
            if len == 20 {
                text.extend(b"AKIA");
                text.extend((0..16).map(|_| random.u8(b'A'..=b'Z')));
            } else {
                text.extend((0..len).map(|_| alphabet[random.usize(..64)]));
            }
            if random.u8(..8) > 0 {
                text.extend(joints[random.usize(..joints.len())]);
            }
        }
        text
    }

    #[test]
    fn the_runs_are_those_that_a_look_at_every_word_gives() {
        let mut random = fastrand::Rng::with_seed(11);
        let shown = |run: &Run<'_>| (run.start, run.end, run.characters.to_vec(), run.in_word);
        let mut told = 0;
        for _ in 0..6_000 {
            let text = text(&mut random);
            let cut = random.usize(..=text.len());
            let (mut expected, mut found) = (Vec::new(), Vec::new());
            let mut at = random.usize(..=cut);
            let mut next = at;
            for to in [cut, text.len()] {
                while let Some(run) = next_long_run(&text, at, to) {
                    at = run.end;
                    expected.extend((run.characters.len() >= LEN).then(|| shown(&run)));
                }
                let mut runs = Runs::new(&text, next, to);
                found.extend(runs.by_ref().map(|run| shown(&run)));
                next = runs.at();
            }
            told += found.len();
            let text = String::from_utf8_lossy(&text);
            assert_eq!(found, expected, "{cut} {text:?}");
        }
        assert!(told > 3_000, "{told}");
    }
}

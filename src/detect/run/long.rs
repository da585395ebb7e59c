//! The search for the runs that are long enough to be a secret. Once a text
//! has an ID, all of it is searched: this is most of what such a text costs.

use wide::u8x16;

use super::{LEN, Run, is_first_in_list, is_part, read_run, word_end, word_start};
use crate::detect::block::{BLOCK, Bits, any_of, base64};
use crate::detect::glyph;

/// The runs in a part of a text that have at least the characters of a secret,
/// in their order: those of [`next_long_run`](super::next_long_run), without
/// the short ones.
///
/// Where words end cannot be predicted, so the words are not looked at one by
/// one, but the few bytes at which one can go on, and bytes at such distances
/// that a long one is not missed.
pub(in crate::detect) struct Runs<'a> {
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
    pub(in crate::detect) fn new(bytes: &'a [u8], from: usize, to: usize) -> Self {
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
    pub(in crate::detect) fn at(&self) -> usize {
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
            let is_plain = |at: usize| u8::from(glyph::is_base64(seen[at]));
            if is_plain(0) & is_plain(STEP) & is_plain(10) & is_plain(5) & is_plain(15) == 0 {
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
        let mut at = self.at;
        while at < self.limit {
            let around = at.checked_sub(1).and_then(|before| {
                let around = self.bytes.get(before..)?;
                around.first_chunk::<{ BLOCK + 2 }>()
            });
            let Some(around) = around.filter(|_| at + BLOCK <= self.limit) else {
                if let Some(start) = self.going_on(at) {
                    return start;
                }
                at += 1;
                continue;
            };
            let mut left = marks(around);
            while left != 0 {
                let end = at + left.trailing_zeros() as usize;
                if let Some(start) = self.going_on(end) {
                    return start;
                }
                left &= left - 1;
            }
            at += BLOCK;
        }
        usize::MAX
    }

    /// Where the word starts that ends at `end`, if it goes on there.
    fn going_on(&self, end: usize) -> Option<usize> {
        let bytes = self.bytes;
        let (byte, next) = (bytes[end], *bytes.get(end + 1)?);
        let follows = FOLLOWS[usize::from(byte)] & BEHIND[usize::from(next)];
        let is_word = end > self.at && glyph::is_base64(bytes[end - 1]);
        if follows == 0 || (follows & ESCAPED == 0 && !is_word) {
            return None;
        }
        let is_joined = || {
            let next = glyph::joint(bytes, end);
            next.is_some_and(|next| is_part(bytes, next))
        };
        let is_listed = || glyph::comma(bytes, end).is_some();
        let start = || word_start(bytes, self.at, end);
        let goes_on = if follows & ESCAPED == 0 {
            (next != b',' && is_joined()) || (is_listed() && is_first_in_list(bytes, start()))
        } else {
            glyph::read(bytes, end).is_some() || (is_word && is_joined())
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

/// Where, in a block with a byte on either side of it, a word may go on.
fn marks(around: &[u8; BLOCK + 2]) -> Bits {
    let from = |start: usize| {
        let bytes = around[start..].first_chunk::<BLOCK>();
        u8x16::new(*bytes.expect("a block and what is around it"))
    };
    let (before, here, next) = (from(0), from(1), from(2));
    let is_escape = any_of(here, [b'\\', b'%', b'&']);
    let is_quote = any_of(here, [b'"', b'\'', b'`']);
    let is_broken = any_of(here, [b'=']) & any_of(next, [b'\n', b'\r']);
    (is_escape | ((is_quote | is_broken) & base64(before))).to_bitmask()
}

const QUOTED: u8 = 1;
const BROKEN: u8 = 2;
/// An escape can stand without a word before it.
const ESCAPED: u8 = 4 | 8 | 16;

/// What a byte behind a word may be the start of.
static FOLLOWS: [u8; 256] = {
    let mut table = [0; 256];
    table[b'"' as usize] = QUOTED;
    table[b'\'' as usize] = QUOTED;
    table[b'`' as usize] = QUOTED;
    table[b'=' as usize] = BROKEN;
    table[b'\\' as usize] = 4;
    table[b'%' as usize] = 8;
    table[b'&' as usize] = 16;
    table
};

/// What the byte behind that one may go on with: all that [`glyph::read`],
/// [`glyph::joint`] and [`glyph::comma`] take there.
static BEHIND: [u8; 256] = {
    let bytes: [(&[u8], u8); 5] = [
        (b" \t\r\n\x0c\\()+.&|~<_#/`bruLf\"',", QUOTED),
        (b"\r\n", BROKEN),
        (b"\\/+ux0\r\n\"'`", 4),
        (b"2", 8),
        (b"#sSpP", 16),
    ];
    let mut table = [0; 256];
    let mut row = 0;
    while row < bytes.len() {
        let mut at = 0;
        while at < bytes[row].0.len() {
            table[bytes[row].0[at] as usize] |= bytes[row].1;
            at += 1;
        }
        row += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::run::next_long_run;

    /// A text of what runs consist of, and of what ends them.
    fn text(random: &mut fastrand::Rng) -> Vec<u8> {
        let joints: Vec<&[u8]> = br#"' + '|" "|','|', '|['|("|"|'|`|", "|\"|\" + \"|"."|')"#
            .split(|byte| *byte == b'|')
            .chain(
                br"\/|\+|\u002f|\\x2B|\n|%2F|%252b|%3D|%2|&#47;|&plus;|&amp;|= |=="
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

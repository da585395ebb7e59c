//! Characters that are written as numbers, one by one, in other forms than
//! those that have an anchor of their own: `\u{41}`, `\U00000041`, `\101`,
//! `&#065;`, `%2541`, `=41`, `41:4b`, `0x41, 0x4b`, `65, 75`.

use super::{Decoded, Encoding};

/// Characters in a row that tell a text from other numbers: an access key ID
/// has as many.
const MIN_LEN: usize = 20;

/// Bytes before and behind a name in which its value and the ID are looked
/// for: spelled out at most length they have 600.
const BEFORE: usize = 768;
pub(in crate::detect) const AFTER: usize = 768;

/// Bytes between two numbers: a comma, a line end and its indentation.
const MAX_GAP: usize = 24;

/// How a character is written.
struct Form {
    before: &'static [u8],
    radix: u32,
    /// Most digits, and fewest.
    digits: (usize, usize),
    after: &'static [u8],
}

const fn form(
    before: &'static [u8],
    radix: u32,
    digits: (usize, usize),
    after: &'static [u8],
) -> Form {
    Form {
        before,
        radix,
        digits,
        after,
    }
}

/// Longer ones before those that they begin with.
const ESCAPES: [Form; 9] = [
    form(b"\\u{", 16, (6, 1), b"}"),
    form(b"\\x{", 16, (6, 1), b"}"),
    form(b"\\U", 16, (8, 8), b""),
    form(b"\\", 8, (3, 3), b""),
    form(b"&#x", 16, (6, 2), b";"),
    form(b"&#X", 16, (6, 2), b";"),
    form(b"&#", 10, (6, 2), b";"),
    form(b"%25", 16, (2, 2), b""),
    form(b"=", 16, (2, 2), b""),
];
const HEX: [Form; 2] = [form(b"0x", 16, (2, 2), b""), form(b"", 16, (2, 2), b"")];
const DECIMAL: [Form; 1] = [form(b"", 10, (3, 1), b"")];

/// The texts around the name at `at`, read in each way that makes sense of
/// them. Bytes before `from` are done already.
pub(in crate::detect) fn decode(bytes: &[u8], at: usize, from: usize) -> Vec<Decoded> {
    let start = at.saturating_sub(BEFORE).max(from.min(at));
    let near = start..bytes.len().min(at + AFTER);
    // Each printable character has a decimal digit, however it is spelled.
    let digits = bytes[near.clone()]
        .iter()
        .filter(|byte| byte.is_ascii_digit());
    if digits.count() < MIN_LEN {
        return Vec::new();
    }
    let ways = [
        (&ESCAPES[..], false, Encoding::Escaped),
        (&HEX, true, Encoding::Hex),
        (&DECIMAL, true, Encoding::Escaped),
    ];
    let texts = ways.into_iter().filter_map(|(forms, apart, encoding)| {
        let way = Way {
            bytes,
            forms,
            apart,
        };
        let mut places = near.clone().filter(|place| way.may_begin(*place));
        let start = places.find(|start| way.characters(*start).take(MIN_LEN).count() == MIN_LEN)?;
        Some(way.decode(start, near.end, encoding))
    });
    texts.collect()
}

/// One way to read a text.
struct Way<'a> {
    bytes: &'a [u8],
    forms: &'a [Form],
    /// Numbers stand apart from one another.
    apart: bool,
}

impl Way<'_> {
    /// Whether a number may begin at `at`, by what is there and beside it.
    fn may_begin(&self, at: usize) -> bool {
        let byte = self.bytes[at];
        let next = self.bytes.get(at + 1).copied().unwrap_or_default();
        if !self.apart {
            return match byte {
                b'\\' => matches!(next, b'u' | b'x' | b'U' | b'0'..=b'3'),
                b'&' => next == b'#',
                b'%' => next == b'2',
                b'=' => next.is_ascii_hexdigit(),
                _ => false,
            };
        }
        let is_first = if self.forms[0].radix == 16 {
            byte.is_ascii_hexdigit() && (next.is_ascii_hexdigit() || next == b'x')
        } else {
            byte.is_ascii_digit()
        };
        let before = at.checked_sub(1).map(|before| self.bytes[before]);
        is_first && before.is_none_or(|before| !before.is_ascii_alphanumeric())
    }

    /// The characters from `at` on, for as long as there are such.
    fn characters(&self, at: usize) -> impl Iterator<Item = (u8, usize)> {
        let first = self.character(at);
        std::iter::successors(first, |(_, next)| self.character(*next))
    }

    /// What stands between these places; what is not spelled out stays.
    fn decode(&self, start: usize, end: usize, encoding: Encoding) -> Decoded {
        let mut decoded = Decoded {
            encoding,
            bytes: Vec::new(),
            source: Vec::new(),
            done: end,
        };
        let mut place = start;
        while place < end {
            let plain = (self.bytes[place], place + 1);
            let (byte, next) = self.character(place).unwrap_or(plain);
            decoded.bytes.push(byte);
            decoded
                .source
                .push(u32::try_from(place).unwrap_or(u32::MAX));
            place = next;
        }
        decoded
    }

    /// The character that is spelled at `at`, and where the next one is.
    fn character(&self, at: usize) -> Option<(u8, usize)> {
        let (byte, end) = character(self.bytes, at, self.forms)?;
        if !self.apart {
            return Some((byte, end));
        }
        let gap = self.bytes[end..].iter().take(MAX_GAP);
        let len = gap.take_while(|byte| is_gap(**byte)).count();
        let is_inside = self.bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
        (!is_inside).then_some((byte, end + len))
    }
}

const fn is_gap(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' | b'-')
}

/// The character written at `at`, and where it ends.
fn character(bytes: &[u8], at: usize, forms: &[Form]) -> Option<(u8, usize)> {
    let rest = bytes.get(at..)?;
    let form = forms.iter().find(|form| rest.starts_with(form.before))?;
    let rest = &rest[form.before.len()..];
    let (most, fewest) = form.digits;
    let digits = rest.iter().take(most);
    let digits = digits.map_while(|byte| char::from(*byte).to_digit(form.radix));
    let (mut len, mut value) = (0, 0);
    for digit in digits {
        (len, value) = (len + 1, value * form.radix + digit);
    }
    let ends = len >= fewest && rest[len..].starts_with(form.after);
    let byte = u8::try_from(value).ok().filter(|_| ends)?;
    let is_text = byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    is_text.then(|| (byte, at + form.before.len() + len + form.after.len()))
}

//! Reads the characters of a key through what surrounds and splits them in
//! source text: escapes of single characters, string literals that are
//! concatenated, escapes that end right before the key.

/// Whether the byte is of the standard base64 alphabet, which is also the
/// alphabet of secret access keys.
pub(super) const fn is_base64(byte: u8) -> bool {
    BASE64[byte as usize]
}

static BASE64: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    loop {
        table[byte as usize] =
            matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/');
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    table
};

/// One character of the base64 alphabet at `at`, plain or escaped, and where
/// the next one starts.
pub(super) fn read(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let byte = *bytes.get(at)?;
    if is_base64(byte) {
        return Some((byte, at + 1));
    }
    let rest = &bytes[at..];
    match byte {
        // `\/` of JSON, `\+` of a shell, `\u002f`, `\x2b`, `\053`, with any depth
        // of doubling.
        b'\\' => {
            let slashes = rest.iter().take(16).take_while(|b| **b == b'\\').count();
            let after = &rest[slashes..];
            let (byte, len) = match after {
                [symbol @ (b'/' | b'+'), ..] => (*symbol, 1),
                [b'u', b'0', b'0', hex @ ..] => (two_hex(hex)?, 5),
                [b'x', hex @ ..] => (two_hex(hex)?, 3),
                [b'0', b'5', b'3', ..] => (b'+', 3),
                [b'0', b'5', b'7', ..] => (b'/', 3),
                _ => return None,
            };
            symbol(byte).map(|byte| (byte, at + slashes + len))
        }
        // `%2F`, and `%252F` of a URL that is part of another one.
        b'%' => {
            let again = 2 * rest[1..].chunks(2).take_while(|two| *two == b"25").count();
            symbol(two_hex(&rest[1 + again..])?).map(|byte| (byte, at + 3 + again))
        }
        b'&' => ENTITIES
            .iter()
            .find(|(entity, _)| {
                rest.get(..entity.len())
                    .is_some_and(|text| text.eq_ignore_ascii_case(entity))
            })
            .map(|(entity, byte)| (*byte, at + entity.len())),
        _ => None,
    }
}

const ENTITIES: [(&[u8], u8); 6] = [
    (b"&#47;", b'/'),
    (b"&#43;", b'+'),
    (b"&#x2f;", b'/'),
    (b"&#x2b;", b'+'),
    (b"&sol;", b'/'),
    (b"&plus;", b'+'),
];

/// Only the two symbols of the alphabet are ever escaped one by one; a text
/// escaped throughout is decoded as a whole.
const fn symbol(byte: u8) -> Option<u8> {
    match byte {
        b'+' | b'/' => Some(byte),
        _ => None,
    }
}

pub(super) fn two_hex(bytes: &[u8]) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    match bytes {
        [high, low, ..] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    }
}

/// Bytes that a joint of two literals may take: operator and indentation.
const MAX_JOINT: usize = 128;

/// Where the text goes on when one string literal ends at `at` and another is
/// joined to it (`'…' + '…'`, `"…" "…"`, `'…' . '…'`, or a backslash at the
/// end of the line), or when a line of quoted-printable mail goes on.
pub(super) fn joint(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) == Some(&b'=') {
        return soft_break(bytes, at);
    }
    let window = &bytes[at..bytes.len().min(at + MAX_JOINT)];
    let (escapes, rest) = split_run(window, b'\\');
    match rest.first()? {
        b'\n' | b'\r' if escapes == 1 => {
            let skip = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
            Some(at + escapes + skip)
        }
        quote @ (b'"' | b'\'' | b'`') => {
            let mut place = escapes + 1;
            let mut operators = 0;
            loop {
                let byte = *window.get(place)?;
                place += 1;
                match byte {
                    b' ' | b'\t' | b'\r' | b'\n' | b'\\' | b'(' | b')' => {}
                    b'+' | b'.' | b'&' | b'|' | b'~' | b'<' | b'_' if operators < 2 => {
                        operators += 1;
                    }
                    // A comment, and PowerShell's sign for a line that goes on.
                    b'#' => place += rest_of_line(&window[place..])?,
                    b'/' if window.get(place) == Some(&b'/') => {
                        place += rest_of_line(&window[place..])?;
                    }
                    b'`' if matches!(window.get(place), Some(b'\r' | b'\n')) => {}
                    // String prefixes of Python and C++.
                    b'b' | b'r' | b'u' | b'L' | b'f' if window.get(place) == Some(quote) => {}
                    _ if byte == *quote || matches!(byte, b'"' | b'\'') => {
                        return Some(at + place);
                    }
                    _ => return None,
                }
            }
        }
        _ => None,
    }
}

/// Length of what is left of a line, if its end is there.
fn rest_of_line(text: &[u8]) -> Option<usize> {
    text.iter().position(|byte| *byte == b'\n')
}

/// Columns at which encoders of quoted-printable text break a line: 76 at
/// most with the `=`, three fewer where an escape would not fit.
const SOFT_BREAK: std::ops::RangeInclusive<usize> = 72..=75;

/// Where the text goes on behind a `=` at the end of a line that is as long as
/// such lines are.
fn soft_break(bytes: &[u8], at: usize) -> Option<usize> {
    let end = match bytes[at + 1..] {
        [b'\n', ..] => at + 2,
        [b'\r', b'\n', ..] => at + 3,
        _ => return None,
    };
    let line = bytes[..at].iter().rev().take(SOFT_BREAK.end() + 1);
    let column = line.take_while(|byte| **byte != b'\n').count();
    SOFT_BREAK.contains(&column).then_some(end)
}

/// Where the next element of a list of string literals starts (`'…', '…'`),
/// as in `['…', '…'].join('')`.
pub(super) fn comma(bytes: &[u8], at: usize) -> Option<usize> {
    let window = &bytes[at..bytes.len().min(at + MAX_JOINT)];
    let quote @ (b'"' | b'\'' | b'`') = window.first()? else {
        return None;
    };
    let blank = |at: usize| {
        window[at..]
            .iter()
            .take_while(|b| b.is_ascii_whitespace())
            .count()
    };
    let comma = 1 + blank(1);
    (window.get(comma) == Some(&b',')).then_some(())?;
    let next = comma + 1 + blank(comma + 1);
    (window.get(next) == Some(quote)).then_some(at + next + 1)
}

fn split_run(bytes: &[u8], byte: u8) -> (usize, &[u8]) {
    let run = bytes.iter().take_while(|b| **b == byte).count();
    (run, &bytes[run..])
}

/// Whether the length of a value of `len` bytes stands right before `at`, as
/// binary formats write it: in one byte, or in four with the lowest first.
pub(super) fn is_counted(bytes: &[u8], at: usize, len: usize) -> bool {
    let is_len = |byte: u8| usize::from(byte) == len;
    match &bytes[..at] {
        [.., count, 0, 0, 0] | [.., count] => is_len(*count),
        [] => false,
    }
}

/// Whether what is before `at` is how Python writes that a text begins there, in
/// the first protocol of its pickles: a letter at the beginning of a line, or
/// behind marks of what holds the text.
pub(super) fn is_pickled(bytes: &[u8], at: usize) -> bool {
    const MOST: usize = 3;
    let Some(before) = bytes[..at].strip_suffix(b"V") else {
        return false;
    };
    let is_mark = |byte: &&u8| b"(astl".contains(byte);
    let marks = before.iter().rev().take_while(is_mark).count();
    let line = &before[..before.len() - marks];
    marks <= MOST && (line.is_empty() || line.ends_with(b"\n"))
}

/// Whether what is before `at` is the length of a secret, as Ruby's Marshal
/// writes it behind another value or mark.
pub(super) fn is_marshalled(bytes: &[u8], at: usize) -> bool {
    match bytes[..at].strip_suffix(b"\"-") {
        Some([.., before]) => before.is_ascii_alphanumeric() || is_mark(*before),
        _ => false,
    }
}

/// Whether a byte is a control that no text has.
pub(super) const fn is_mark(byte: u8) -> bool {
    byte < 0x20 && !byte.is_ascii_whitespace()
}

/// Whether an escape ends right before `at`, so that the letter or digit
/// there belongs to it and not to the key: `\n`, `\u000a`, `\x0a`, `\040`,
/// `%0A`, `=3D`, a terminal's control sequence.
pub(super) fn escape_ends(bytes: &[u8], at: usize) -> bool {
    let before = &bytes[at.saturating_sub(16)..at];
    let hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    match before {
        [
            ..,
            b'\\',
            b'n' | b'r' | b't' | b'b' | b'f' | b'v' | b'a' | b'e' | b'0',
        ] => true,
        [.., b'\\', b'u', a, b, c, d] if hex(&[*a, *b, *c, *d]) => true,
        [.., b'\\', b'x', a, b] if hex(&[*a, *b]) => true,
        // As histories of libedit and C write a blank.
        [.., b'\\', b'0'..=b'3', b'0'..=b'7', b'0'..=b'7'] => true,
        [head @ .., a, b] if hex(&[*a, *b]) && percent_ends(head) => true,
        [.., b'=', a, b] if hex(&[*a, *b]) && !a.is_ascii_lowercase() => true,
        [head @ .., letter] if letter.is_ascii_alphabetic() => {
            // ESC [ parameters letter, the escape as such or written.
            let parameters = head
                .iter()
                .rev()
                .take_while(|b| b.is_ascii_digit() || **b == b';')
                .count();
            matches!(
                head[..head.len() - parameters],
                [.., 0x1b, b'[']
                    | [.., b'1', b'b' | b'B', b'[']
                    | [.., b'3', b'3', b'[']
                    | [.., b'\\', b'e', b'[']
            )
        }
        _ => false,
    }
}

/// Whether the text ends in a percent sign, escaped itself or not.
fn percent_ends(text: &[u8]) -> bool {
    match text {
        [head @ .., b'2', b'5'] => percent_ends(head),
        [.., b'%'] => true,
        _ => false,
    }
}

/// Bytes of the escape that a run of the alphabet starting at `at` begins
/// with: `n` of `\n`, `0A` of `%0A`, `253A` of `%253A`, `31m` of a colour code.
pub(super) fn escape_len(bytes: &[u8], at: usize) -> usize {
    if at == 0 || !matches!(bytes[at - 1], b'\\' | b'%' | b'=' | b'[' | b';') {
        return 0;
    }
    // `\0` is an escape, and so is the `\040` that it may be the start of.
    let octal = |digits: &[u8]| digits.iter().all(|b| matches!(b, b'0'..=b'7'));
    let is_octal = bytes[at - 1] == b'\\' && bytes.get(at..at + 3).is_some_and(octal);
    let shortest = if is_octal { 3 } else { 1 };
    (shortest..=8)
        .take_while(|len| at + len <= bytes.len())
        .find(|len| escape_ends(bytes, at + len) && !bytes[..at + len].ends_with(b"%25"))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> String {
        let (mut at, mut out) = (0, String::new());
        while let Some((byte, next)) = read(text.as_bytes(), at) {
            out.push(char::from(byte));
            at = next;
        }
        out
    }

    #[test]
    fn escaped_symbols_are_read_as_what_they_stand_for() {
        for text in [
            "a/b+c",
            r"a\/b+c",
            r"a\/b\+c",
            r"a\\/b\u002Bc",
            r"a\x2fb\\u002bc",
            r"a\057b\053c",
            "a%2Fb%2bc",
            "a%252Fb%25252bc",
            "a&#47;b&#x2B;c",
        ] {
            assert_eq!(read_all(text), "a/b+c", "{text}");
        }
    }

    #[test]
    fn other_escapes_end_the_text() {
        assert_eq!(read_all(r"ab\ncd"), "ab");
        assert_eq!(read_all("ab%3Dcd"), "ab");
    }

    #[test]
    fn joints_of_many_languages_are_crossed() {
        for text in [
            "' + 'x",
            "\" \"x",
            "' . 'x",
            "\"\n   \"x",
            "\\\n  x",
            "' \\\n 'x",
            "\" +\n \"x",
            "\" & \"x",
            "' + // why\n 'x",
            "' # why\n 'x",
            "' +`\n 'x",
        ] {
            let next = joint(text.as_bytes(), 0);
            assert_eq!(next.map(|next| &text[next..]), Some("x"), "{text:?}");
        }
    }

    #[test]
    fn a_soft_line_break_of_a_mail_is_crossed() {
        for (columns, crossed) in [(75, true), (72, true), (20, false), (90, false)] {
            for end in ["=\n", "=\r\n"] {
                let text = format!("Hello\n{}{end}x", "a".repeat(columns));
                let at = "Hello\n".len() + columns;
                let next = joint(text.as_bytes(), at);
                assert_eq!(next.is_some(), crossed, "{text:?}");
                assert!(next.is_none_or(|next| &text[next..] == "x"));
            }
        }
    }

    #[test]
    fn separate_literals_are_not_joined() {
        for text in ["', 'x", "\": \"x", "' = 'x", "'; 'x", "x"] {
            assert_eq!(joint(text.as_bytes(), 0), None, "{text:?}");
        }
    }

    #[test]
    fn escapes_before_a_key_are_told_from_its_neighbours() {
        for text in [
            r"\n",
            r"\u000a",
            r"\x0A",
            "%0A",
            "%253A",
            "%25252F",
            "\x1b[31m",
            r"\033[1;32m",
            r"\x1b[0m",
            "=3D",
            r"\040",
        ] {
            assert!(escape_ends(text.as_bytes(), text.len()), "{text:?}");
        }
        for text in ["n", "km", "[31x", "000a"] {
            assert!(!escape_ends(text.as_bytes(), text.len()), "{text:?}");
        }
    }
}

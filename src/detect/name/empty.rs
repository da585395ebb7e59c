//! Settings that have the name of a secret and hold none: what follows them may
//! be the value of another setting, such as a token of another service.

use std::ops::Range;

use crate::detect::owner::beside::{is_part, last};

/// What names a value of whatever it is told of before.
const OF_ALL: [&[u8]; 8] = [
    b"content", b"data", b"default", b"string", b"text", b"v", b"val", b"value",
];

/// Values that are none.
const NOTHING: [&[u8]; 6] = [b"null", b"none", b"nil", b"undefined", b"~", b"false"];

/// How references to what is elsewhere begin.
const REFERENCES: [&[u8]; 6] = [b"${", b"$(", b"{{", b"<%", b"%(", b"!"];

/// Whether the name is given nothing, or a reference, or is one itself, and the
/// value at `value` comes behind that with a name of its own.
pub(super) fn is_anothers(bytes: &[u8], name: Range<usize>, value: usize) -> bool {
    let Range { start, end } = name;
    let between = &bytes[end..value];
    let is_reference = [&b"${"[..], b"$", b"{{"]
        .iter()
        .any(|sign| bytes[..start].trim_ascii_end().ends_with(sign));
    let line = memchr::memrchr(b'\n', &bytes[..end]).map_or(0, |end| end + 1);
    let behind = if is_reference {
        memchr::memchr(b'\n', between)
    } else {
        behind_nothing(between, indent(&bytes[line..end]))
    };
    let Some(behind) = behind else {
        return false;
    };
    let own = own_name(&between[behind..]);
    own.is_some_and(|name| {
        let says_no_more = OF_ALL.iter().any(|one| name.eq_ignore_ascii_case(one));
        let is_secret = memchr::memmem::find(&name.to_ascii_lowercase(), b"secret").is_some();
        !says_no_more && !is_secret
    })
}

/// Where what follows the empty value or reference begins that a name is given at
/// the start of `text`, in a line that is indented so far.
fn behind_nothing(text: &[u8], indented: usize) -> Option<usize> {
    let is_before_sign = |byte: &u8| b" \t\"'`]".contains(byte);
    let sign = count(text, is_before_sign);
    let signs = count(&text[sign..], |byte| b"=:>".contains(byte));
    let start = sign + signs;
    let line = text[start..].split(|byte| *byte == b'\n').next()?;
    let has_more = start + line.len() < text.len();
    let given = line.trim_ascii();
    if !is_given(&text[sign..start]) || given.ends_with(b"\\") {
        return None;
    }
    if given.is_empty() {
        let mut lines = text[start + line.len()..].split(|byte| *byte == b'\n');
        let next = lines.find(|line| !line.trim_ascii().is_empty());
        let is_below =
            text[sign..start].ends_with(b":") && next.is_some_and(|line| indent(line) > indented);
        return (has_more && !is_below).then_some(start + line.len());
    }
    // `"", "other": …` and `null, …` in one line.
    let first = given.split(|byte| b",;}".contains(byte)).next()?;
    let first_end = start + indent(line) + first.len();
    let bare = first.trim_ascii();
    let is_nothing = [&b"\"\""[..], b"''", b"``"].contains(&bare)
        || NOTHING.iter().any(|word| bare.eq_ignore_ascii_case(word));
    if is_nothing {
        return Some(first_end);
    }
    let opening = count(given, |byte| b"\"'`".contains(byte));
    let refers = REFERENCES
        .iter()
        .any(|sign| given[opening..].starts_with(sign))
        || matches!(given[opening..], [b'$', first, ..] if first.is_ascii_alphabetic());
    (refers && has_more).then_some(start + line.len())
}

/// How far a line is indented.
fn indent(line: &[u8]) -> usize {
    count(line, u8::is_ascii_whitespace)
}

/// The name in front of the value that `text` ends before, if a sign says that it
/// is one.
fn own_name(text: &[u8]) -> Option<&[u8]> {
    let is_quote = |byte: &u8| b" \t\"'`".contains(byte);
    let text = &text[..text.len() - last(text, is_quote)];
    let signs = last(text, |byte| b"=:>".contains(byte));
    let (text, signs) = text.split_at(text.len() - signs);
    let is_given = is_given(signs);
    let text = &text[..text.len() - last(text, is_quote)];
    let name = &text[text.len() - last(text, |byte| is_part(*byte))..];
    (is_given && !name.is_empty()).then_some(name)
}

/// Whether these signs say that a name is given what is behind them.
fn is_given(signs: &[u8]) -> bool {
    signs.iter().any(|sign| b"=:".contains(sign))
}

fn count(bytes: &[u8], is_such: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| is_such(byte)).count()
}

#[cfg(test)]
mod tests {
    fn is_anothers(text: &str) -> bool {
        super::is_anothers(text.as_bytes(), 0..0, text.len())
    }

    #[test]
    fn what_follows_a_setting_without_a_value_is_another_ones() {
        for text in [
            "=\nTOKEN=",
            "=\nAWS_DEFAULT_REGION=us-east-1\nTOKEN=",
            "=\"\"\nexport TOKEN=\"",
            ": ''\ntoken: ",
            "\": \"\", \"region\": \"x\", \"mapsKey\": \"",
            "\": null,\n  \"mapbox\": \"",
            "\": null, \"mapbox\": \"",
            ": ${AWS_SECRET_ACCESS_KEY}\nCONSUMER_KEY: ",
            "=\"$SECRET\"\nTOKEN=",
            ":\ntoken: ",
            ": {{ secret }}\ntoken: ",
            "' => '',\n'token' => '",
        ] {
            assert!(is_anothers(text), "{text}");
        }
        let below = "env:\n  SECRET:\n  TOKEN: ";
        let name = 7..7 + "SECRET".len();
        assert!(super::is_anothers(below.as_bytes(), name, below.len()));
        let reference = "x: ${SECRET}\ntoken: ";
        let name = 5..5 + "SECRET".len();
        assert!(super::is_anothers(
            reference.as_bytes(),
            name,
            reference.len()
        ));
    }

    #[test]
    fn a_value_that_is_given_to_the_name_is_its_own() {
        for text in [
            "=",
            "=\n",
            "=\\\n",
            "\": \"",
            ":\n  value: ",
            ":\n  Type: String\n  Default: ",
            "\n  value: ",
            "\",\n  \"value\": \"",
            "\", \"v\": \"",
            "</name>\n<value>",
            ">\n  <plain>",
            "=${SECRET:-",
            ": process.env.X ? process.env.X : '",
            " || '",
            ": &str = \"",
            ": string | undefined = '",
            "=\"\"\nvalue=",
            " changed from: \"\" to: \"",
        ] {
            assert!(!is_anothers(text), "{text}");
        }
    }
}

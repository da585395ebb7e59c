//! The name of a value, which stands beside it.

use super::Owner;

/// Bytes before a value in which its name is looked for.
const REACH: usize = 192;

/// Words between a name and its value: tags, what names every value, and what
/// else is told of this one.
const MAX_WORDS: usize = 6;

/// What names every value.
const OF_ALL: [&[u8]; 4] = [b"value", b"string", b"default", b"defaultvalue"];

/// What may be told of a value between its name and the value.
const ATTRIBUTES: [&[u8]; 5] = [
    b"type",
    b"description",
    b"noecho",
    b"sensitive",
    b"nullable",
];

/// The name before the value at `at`: `NAME=…`, `"name": "…"`, `NAME', '…`,
/// `<name>…`, `name: NAME` and `value: …` below it; or behind it, where what is
/// before it names every value.
pub(super) fn name(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let from = at.saturating_sub(REACH);
    let quoted = matches!(bytes[from..at], [.., b'"' | b'\'' | b'`']);
    let mut end = before_operator(bytes, from, at);
    let mut is_unnamed = false;
    for count in 0..MAX_WORDS {
        let is_sign = |byte: &u8| match byte {
            b' ' | b'\t' | b'"' | b'\'' | b'`' | b'\\' => true,
            b'=' | b':' | b'>' | b'?' | b'-' | b'(' | b'[' | b']' => true,
            b',' => quoted || count > 0,
            b'\r' | b'\n' | b'<' | b'/' | b'{' => count > 0,
            _ => false,
        };
        let signs = last(&bytes[from..end], is_sign);
        let is_assigned = bytes[end - signs..end].contains(&b'=');
        end -= signs;
        let start = end - last(&bytes[from..end], |byte| is_part(*byte));
        if (signs == 0 && end == at) || start == end {
            return is_unnamed.then(|| name_behind(bytes, at)).flatten();
        }
        let (before, word) = (&bytes[from..start], &bytes[start..end]);
        is_unnamed = count == 0 && is_one_of(word, &OF_ALL);
        // An item of a list begins here, and its name may stand below.
        let is_item = before.trim_ascii_end().ends_with(b"-") && before.ends_with(b" ");
        if is_item && count == 0 && is_one_of(word, &OF_ALL) {
            return name_behind(bytes, at);
        }
        if let Some(attribute) = (count > 0).then(|| attribute(before, word)).flatten() {
            end = from + attribute;
            continue;
        }
        if before.ends_with(b"</") || is_one_of(word, &OF_ALL) {
            end = start;
            continue;
        }
        if is_assigned
            && Owner::of_name(word).is_none()
            && let Some(before) = before_type(before)
        {
            end = from + before;
            continue;
        }
        // `\nNAME=…` in a string.
        let is_escape = before.ends_with(b"\\") && matches!(word[0], b'n' | b'r' | b't');
        return Some(&word[usize::from(is_escape)..]);
    }
    None
}

/// Where what is before a default ends, as in `NAME || '…'`, `NAME') or '…'` and
/// `NAME'] ||= '…'`.
fn before_operator(bytes: &[u8], from: usize, at: usize) -> usize {
    let is_sign = |byte: &u8| matches!(byte, b' ' | b'"' | b'\'' | b'`' | b'=');
    let text = &bytes[from..at];
    let text = &text[..text.len() - last(text, is_sign)];
    let operators: [&[u8]; 4] = [b"||", b"??", b"?:", b" or"];
    let mut before = operators.iter().filter_map(|sign| text.strip_suffix(*sign));
    let Some(before) = before.next() else {
        return at;
    };
    let is_end = |byte: &u8| matches!(byte, b' ' | b')' | b']' | b'}' | b'"' | b'\'' | b'`');
    from + before.len() - last(before, is_end)
}

/// Where the name ends of which the word behind `before` is the type, as in
/// `NAME: &'static str = …`.
fn before_type(before: &[u8]) -> Option<usize> {
    let before = before.trim_ascii_end();
    let before = before.strip_suffix(b"'static").unwrap_or(before);
    let before = before.strip_suffix(b"&").unwrap_or(before).trim_ascii_end();
    let name = before.strip_suffix(b":")?;
    name.last()
        .is_some_and(|byte| is_part(*byte))
        .then_some(name.len())
}

/// Where the attribute begins that `word` is the end of: a line of its own, an
/// element, or a name and a value.
fn attribute(before: &[u8], word: &[u8]) -> Option<usize> {
    let is_quote = |byte: &u8| matches!(byte, b' ' | b'\t' | b'"' | b'\'');
    if before.ends_with(b"</") {
        let opens = |start: &usize| {
            let tag = before[*start..].strip_prefix(b"<");
            tag.is_some_and(|tag| tag.starts_with(word))
        };
        let start = (0..before.len()).rev().find(opens);
        return start.filter(|_| is_one_of(word, &ATTRIBUTES));
    }
    let line = memchr::memrchr(b'\n', before).map_or(0, |end| end + 1);
    let indent = before[line..].iter().take_while(|byte| is_quote(byte));
    let first = line + indent.count();
    let len = before[first..].iter().take_while(|byte| is_part(**byte));
    let (first, rest) = before[first..].split_at(len.count());
    let is_given = |rest: &[u8]| {
        let sign = rest.iter().find(|byte| !is_quote(byte));
        matches!(sign, Some(b':' | b'='))
    };
    if line > 0 && is_one_of(first, &ATTRIBUTES) && is_given(rest) {
        return Some(line);
    }
    let is_sign = |byte: &u8| is_quote(byte) || matches!(byte, b':' | b'=');
    let signs = last(before, is_sign);
    let (before, signs) = before.split_at(before.len() - signs);
    let start = before.len() - last(before, |byte| is_part(*byte));
    (is_one_of(&before[start..], &ATTRIBUTES) && is_given(signs)).then_some(start)
}

/// The name in `"value": "…", "name": "NAME"`.
fn name_behind(bytes: &[u8], at: usize) -> Option<&[u8]> {
    const NAMES: [&[u8]; 2] = [b"name", b"key"];
    const LONGEST: usize = 64;
    let behind = &bytes[at..bytes.len().min(at + REACH)];
    let value = behind.iter().take(LONGEST);
    let end = value
        .take_while(|byte| !b"\"', \r\n".contains(byte))
        .count();
    let mut rest = &behind[end..];
    let mut next_word = |signs: &[u8]| {
        let skip = rest.iter().take_while(|byte| signs.contains(byte)).count();
        let word = &rest[skip..];
        let (word, behind) = word.split_at(word.iter().take_while(|byte| is_part(**byte)).count());
        rest = behind;
        word
    };
    if !is_one_of(next_word(b"\"', \t\r\n"), &NAMES) {
        return None;
    }
    Some(next_word(b"\"': =")).filter(|name| !name.is_empty())
}

fn is_one_of(word: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|one| word.eq_ignore_ascii_case(one))
}

pub(in crate::detect) fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)
}

/// How many bytes at the end are such.
pub(in crate::detect) fn last(bytes: &[u8], is_such: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().rev().take_while(|byte| is_such(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_value_stands_before_it() {
        for text in [
            "NAME=",
            "export NAME=\"",
            "\0NAME=",
            "-e NAME=",
            "{\"NAME\": \"",
            "{\\\"NAME\\\":\\\"",
            "'NAME' => '",
            "os.environ[\"NAME\"] = \"",
            "setenv(\"NAME\", \"",
            "NAME := \"",
            "${NAME:-",
            "--NAME ",
            "<NAME>",
            "<add key=\"NAME\" value=\"",
            "<name>NAME</name>\n  <value>",
            "<key>NAME</key>\n\t<string>",
            "- name: NAME\n  value: ",
            "{\"name\": \"NAME\", \"value\": \"",
            "variable \"NAME\" {\n  default = \"",
            "\"x\\nNAME=",
            "NAME: str = \"",
            "pub const NAME: &str = \"",
            "static NAME: &'static str = \"",
            "NAME = os.environ.get(\"NAME\") or \"",
            "process.env.NAME = NAME || '",
            "$key = getenv('NAME') ?: '",
            "ENV['NAME'] ||= '",
            "NAME:\n  Type: String\n  NoEcho: true\n  Default: ",
            "NAME:\n  Type: String\n  Description: One of ours\n  Default: '",
            "variable \"NAME\" {\n  type = string\n  default = \"",
            "variable \"NAME\" {\n  default = \"",
            "{\"Name\":\"NAME\",\"Type\":\"SecureString\",\"Value\":\"",
            "{\n  \"Name\": \"NAME\",\n  \"Type\": \"SecureString\",\n  \"Value\": \"",
            "<name>NAME</name>\n<description>of prod</description>\n<defaultValue>",
        ] {
            let name = name(text.as_bytes(), text.len());
            let name = name.map(|name| std::str::from_utf8(name).unwrap());
            assert_eq!(
                name.map(|name| name.trim_matches('-')),
                Some("NAME"),
                "{text}"
            );
        }
        let other_item = "- name: NAME\n- value: ";
        for text in [
            "", "NAME", "NAME,", "NAME\n", "NAME:\n", "NAME;", other_item,
        ] {
            assert_eq!(name(text.as_bytes(), text.len()), None, "{text}");
        }
    }
}

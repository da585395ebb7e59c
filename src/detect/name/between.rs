//! Whether a value some way behind the name of a secret is that of another
//! setting: the secret itself may be empty, a reference, or left out.

use std::ops::Range;

use super::LITERAL_LEN;
use crate::detect::label::{self, Said};
use crate::detect::owner::Owner;

/// Whether the value at `value` has a name of its own, which takes it from the
/// `name` before it, of which `at` is the literal.
pub(super) fn is_anothers(bytes: &[u8], name: &Range<usize>, at: usize, value: usize) -> bool {
    let Some(own) = label::of(bytes, value).filter(|own| own.start >= name.end) else {
        return false;
    };
    let own_name = &bytes[own.clone()];
    let says_no_more = Owner::of_name(own_name) == Some(Owner::NOBODY);
    if says_no_more || is_prose(bytes, name, at) {
        return false;
    }
    let between = &bytes[name.end..own.start];
    if is_in_value(between)
        || (is_in_comment(bytes, name, between) && label::said_by(own_name) != Said::Service)
    {
        return false;
    }
    let is_inside = opens(between) || is_below(bytes, name, &own);
    let may_be = label::is_of_all(own_name) || is_named(bytes, name);
    !is_inside && (!may_be || is_over(between, own_name))
}

/// Whether the name is one of a text or a comment: "the secret access key".
fn is_prose(bytes: &[u8], name: &Range<usize>, at: usize) -> bool {
    let words = &bytes[at + LITERAL_LEN..name.end.max(at + LITERAL_LEN)];
    let before = &bytes[name.start..at - 1];
    let before = before.to_ascii_lowercase();
    let of_aws = [&b"aws "[..], b"amazon ", b"s3 "];
    words.contains(&b' ') || of_aws.iter().any(|owner| before.ends_with(owner))
}

/// Whether nothing but signs is between, so that the value goes on: `key: arn:…`.
fn is_in_value(between: &[u8]) -> bool {
    let is_sign = |byte: &u8| b" \t\"'`=:>?[](|-!".contains(byte);
    let is_empty = |quotes: &&[u8]| memchr::memmem::find(between, quotes).is_some();
    let sign = between.iter().find(|byte| b"=:>".contains(byte));
    sign.is_some() && between.iter().all(is_sign) && ![&b"\"\" "[..], b"'' "].iter().any(is_empty)
}

/// Whether the name is a word of a comment above the line of the second one.
fn is_in_comment(bytes: &[u8], name: &Range<usize>, between: &[u8]) -> bool {
    let start = memchr::memrchr(b'\n', &bytes[..name.end]).map_or(0, |end| end + 1);
    let line = bytes[start..name.end].trim_ascii_start();
    let marks = [&b"#"[..], b"//", b"--", b"/*", b"*", b";", b"<!--"];
    let is_set = matches!(between.trim_ascii_start(), [b'=' | b':', ..]);
    !is_set && marks.iter().any(|mark| line.starts_with(mark))
}

/// Whether a list or block opens right behind the name and is not over.
fn opens(between: &[u8]) -> bool {
    let is_before = |byte: &u8| byte.is_ascii_alphanumeric() || b" \t\"'`=:>_.$".contains(byte);
    let Some(open) = between.iter().position(|byte| !is_before(byte)) else {
        return false;
    };
    let mut depth = 0;
    b"{[(".contains(&between[open])
        && between[open..].iter().all(|byte| {
            match byte {
                b'{' | b'[' | b'(' => depth += 1,
                b'}' | b']' | b')' => depth -= 1,
                _ => {}
            }
            depth > 0
        })
}

/// Whether the second name is in the block that the first one's line begins.
fn is_below(bytes: &[u8], name: &Range<usize>, own: &Range<usize>) -> bool {
    let between = &bytes[name.end..own.start];
    let Some(end) = memchr::memchr(b'\n', between) else {
        return false;
    };
    let start = memchr::memrchr(b'\n', &bytes[..name.start]).map_or(0, |end| end + 1);
    let line = &bytes[start..name.end];
    let indent = indent(line);
    let mut lines = bytes[name.end + end + 1..own.end].split(|byte| *byte == b'\n');
    between[..end].trim_ascii_end().ends_with(b":")
        && lines.all(|line| line.trim_ascii().is_empty() || self::indent(line) > indent)
}

fn indent(line: &[u8]) -> usize {
    line.len() - line.trim_ascii_start().len()
}

/// Whether the name is what another setting holds: `name: …`, `<id>…`.
fn is_named(bytes: &[u8], name: &Range<usize>) -> bool {
    const NAMING: [&[u8]; 7] = [
        b"description",
        b"id",
        b"key",
        b"label",
        b"name",
        b"title",
        b"variable",
    ];
    let text = &bytes[name.clone()];
    let start = name.start + indent(text);
    let Some(label) = label::of(bytes, start) else {
        return false;
    };
    let lower = bytes[label].to_ascii_lowercase();
    let is_secrets = memchr::memmem::find(&lower, b"secret").is_some();
    !is_secrets && NAMING.iter().any(|word| lower.ends_with(word))
}

/// Whether what the name is part of ends between, or has a value like `own` there.
fn is_over(between: &[u8], own: &[u8]) -> bool {
    let mut depth = 0;
    let closes = between.iter().any(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        depth < 0
    });
    let after_tag = match between {
        [b'<', b'/', tag @ ..] => memchr::memchr(b'>', tag).map_or(tag, |end| &tag[end..]),
        _ => between,
    };
    let mut items = between.split(|byte| *byte == b'\n').skip(1);
    let is_item = |line: &[u8]| line.trim_ascii_start().starts_with(b"- ");
    let ends = [&b"/>"[..], b"{}"].map(|end| memchr::memmem::find(between, end));
    closes
        || items.any(is_item)
        || ends.into_iter().any(|end| end.is_some())
        || memchr::memmem::find(&after_tag.to_ascii_lowercase(), &own.to_ascii_lowercase())
            .is_some()
}

/// Whether the run that begins at `start` is a part of a JSON Web Token.
pub(super) fn is_in_token(bytes: &[u8], start: usize) -> bool {
    const LONGEST: usize = 4096;
    let near = &bytes[start.saturating_sub(LONGEST)..start];
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let before = &near[near.len() - near.iter().rev().take_while(is_part).count()..];
    before.starts_with(b"eyJ") && before.contains(&b'.')
}

//! Makes text from strangers (file names, process names, remote answers) safe
//! to show on a terminal or in a log.
//!
//! Control characters, escape sequences, line and paragraph separators and the
//! bidirectional formatting characters (<https://trojansource.codes>) are
//! written as escapes; everything else stays as it is.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a terminal or a log reader could act on this character.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            // Soft hyphen, Arabic letter mark, zero-width and directional
            // marks, separators, embeddings and isolates, BOM, interlinear
            // annotation, tag characters.
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// `text` with every unsafe character written as `\n`, `\x1b` or `\u{202e}`.
pub fn line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        push_escaped(&mut out, c);
    }
    Cow::Owned(out)
}

/// Bytes as text: valid UTF-8 as it is, any other byte as `\xNN`. Unlike
/// lossy conversion two different names never become the same text, unless a
/// name spells out an escape itself.
pub fn bytes(raw: &[u8]) -> String {
    let mut out = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// The host of a URL, with its port, from what follows the scheme: without a user
/// and a password, in which anything may stand where nobody encoded them. Empty
/// where it is not plain which part is the host.
pub fn host(rest: &str) -> &str {
    let (before, behind) = split_query(rest);
    // A password may have such characters as well.
    if behind.contains('@') {
        return "";
    }
    let from_host = before.rsplit('@').next().unwrap_or_default();
    let host = from_host.split('/').next().unwrap_or_default();
    let (name, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((address, port)) => (address, port.strip_prefix(':')),
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte));
    let is_port = port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    if is_name && is_port && port != Some("") {
        host
    } else {
        ""
    }
}

/// Host and path, and what follows them.
fn split_query(rest: &str) -> (&str, &str) {
    let end = rest.find(|c: char| "?#".contains(c) || c.is_whitespace());
    rest.split_at(end.unwrap_or(rest.len()))
}

/// The URL in a line, as far as it can hold no secret: scheme, host and the
/// beginning of its path.
pub fn url(line: &str) -> String {
    // Longer parts of a path may be tokens.
    const LONGEST: usize = 20;
    let Some((before, rest)) = line.split_once("://") else {
        return String::new();
    };
    let is_scheme = |c: char| c.is_ascii_alphanumeric();
    let scheme = before.rsplit(|c: char| !is_scheme(c)).next();
    let scheme = scheme
        .filter(|scheme| scheme.len() < LONGEST)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let host = host(rest);
    let from_host = split_query(rest).0.rsplit('@').next();
    let path = from_host.filter(|_| !host.is_empty());
    let path = path
        .and_then(|path| path.strip_prefix(host))
        .unwrap_or_default();
    let is_plain = |part: &&str| {
        let mut bytes = part.bytes();
        part.len() < LONGEST
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let parts: Vec<&str> = path.split('/').skip(1).take_while(is_plain).collect();
    let mut told = format!("{scheme}://{host}");
    for part in parts {
        told.push('/');
        told.push_str(part);
    }
    told
}

/// JSON with every unsafe character written as `\uXXXX`, which JSON itself
/// leaves bare. Such characters stand inside strings only, so that the value
/// stays the same to whoever parses it.
pub fn json(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if is_unsafe(c) && (c as u32) < 0x80 => {
            let _ = write!(out, "\\x{:02x}", c as u32);
        }
        c if is_unsafe(c) => {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        }
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_nothing_is_told_that_may_be_a_secret() {
        for (line, told) in [
            ("https://host/a/b", "https://host/a/b"),
            ("s3://bucket", "s3://bucket"),
            ("https://host:8443/a?x=y#z", "https://host:8443/a"),
            ("https://[::1]:80/a", "https://[::1]:80/a"),
            ("https://user:pa/ss@host/a", "https://host/a"),
            ("https://user:/pass@host/a", "https://host/a"),
            ("https://us/er@host/a", "https://host/a"),
            ("https://user:pa#ss@host/a", "https://"),
            ("https://user:pa?ss@host/a", "https://"),
            ("https://host?mail=a@b&token=secret", "https://"),
            ("https://user:/pass", "https://"),
            ("https://user:pass", "https://"),
            (
                "https://host/x AWS_SECRET_ACCESS_KEY=secret",
                "https://host/x",
            ),
            ("https://host/x;key=secret", "https://host"),
            ("https://host/x/key=secret/y", "https://host/x"),
            (
                "https://host/hook/ssssssssssssssssssssssssssssssssssssssss",
                "https://host/hook",
            ),
            ("curl -u user:secret https://host/x", "https://host/x"),
            ("key=secret https://host/x", "https://host/x"),
        ] {
            assert_eq!(url(line), told, "{line}");
        }
    }

    #[test]
    fn ordinary_text_is_borrowed() {
        assert!(matches!(line("/srv/äöü 日本.txt"), Cow::Borrowed(_)));
    }

    #[test]
    fn escape_sequences_and_bidi_are_spelled_out() {
        assert_eq!(
            line("a\x1b[31mb\u{202e}c\nd\u{9b}"),
            "a\\x1b[31mb\\u{202e}c\\nd\\u{9b}"
        );
    }

    #[test]
    fn invalid_utf8_keeps_names_apart() {
        assert_eq!(bytes(b"a\xffb\xfe"), "a\\xffb\\xfe");
        assert_ne!(bytes(b"\xff"), bytes(b"\xfe"));
    }

    #[test]
    fn what_a_terminal_could_act_on_in_json_is_escaped_and_parses_back() {
        let text = "a\u{202e}b\u{9b}31m\u{7f}\u{e0041}\"\\ä\n";
        let written = serde_json::to_string(text).unwrap();
        let written = json(&written);
        assert!(!written.contains(is_unsafe), "{written}");
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    }
}

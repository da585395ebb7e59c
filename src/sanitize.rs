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

/// What follows the scheme of a URL, from its host on: without a user and a
/// password, in which anything may stand where nobody encoded them. Of what may
/// be one without a host nothing is left.
pub fn from_host(rest: &str) -> &str {
    let authority = rest.split('/').next().unwrap_or_default();
    if !authority.contains([':', '@']) {
        return rest;
    }
    if let Some((_, from_host)) = rest.rsplit_once('@') {
        return from_host;
    }
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if is_port || authority.ends_with(']') {
        rest
    } else {
        ""
    }
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
    fn a_url_is_told_from_its_host_on() {
        for (rest, told) in [
            ("host/a@b", "host/a@b"),
            ("host:80/a", "host:80/a"),
            ("user:/pass@host/a", "host/a"),
            ("user:12/pass@host/a", "host/a"),
            ("user:pa#ss@host/a", "host/a"),
            ("user:/pass", ""),
            ("user@host/a", "host/a"),
            ("user:pa/ss@host/a", "host/a"),
            ("user:pa@ss@host:80", "host:80"),
            ("[::1]:80/a", "[::1]:80/a"),
            ("[::1]/a", "[::1]/a"),
        ] {
            assert_eq!(from_host(rest), told);
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

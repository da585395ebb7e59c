//! The syntax of unit files: see systemd.syntax(7), and `config_parse` and
//! `extract_first_word` in systemd.

use zeroize::Zeroizing;

use super::Manager;
use super::facts::Facts;

/// One `key=value` of a unit file.
pub(super) struct Setting<'t> {
    pub(super) section: &'t [u8],
    pub(super) key: Zeroizing<Vec<u8>>,
    pub(super) value: Zeroizing<Vec<u8>>,
    /// Where it begins, from 1.
    pub(super) line: u64,
}

/// The settings of a file in its order.
pub(super) fn settings(text: &[u8]) -> Vec<Setting<'_>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut settings = Vec::new();
    let mut section: &[u8] = b"";
    // A line that a backslash continues, and where it began.
    let mut open: Option<(Zeroizing<Vec<u8>>, u64)> = None;
    let lines = text.split(|byte| *byte == b'\n').zip(1..);
    for (line, number) in lines {
        let line = line.trim_ascii_start();
        // A comment between continued lines does not end them.
        if line.starts_with(b"#") || line.starts_with(b";") {
            continue;
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if open.is_none() && line.starts_with(b"[") {
            let name = line.trim_ascii_end();
            section = name[1..].strip_suffix(b"]").unwrap_or(b"");
            continue;
        }
        let (mut whole, begin) = open
            .take()
            .unwrap_or_else(|| (Zeroizing::new(Vec::new()), number));
        whole.extend(line);
        let backslashes = whole.iter().rev().take_while(|b| **b == b'\\').count();
        if backslashes % 2 == 1 {
            whole.pop();
            whole.push(b' ');
            open = Some((whole, begin));
        } else {
            settings.extend(setting(section, &whole, begin));
        }
    }
    if let Some((whole, begin)) = open {
        settings.extend(setting(section, &whole, begin));
    }
    settings
}

fn setting<'t>(section: &'t [u8], line: &[u8], begin: u64) -> Option<Setting<'t>> {
    let equals = line.iter().position(|byte| *byte == b'=')?;
    let owned = |text: &[u8]| Zeroizing::new(text.trim_ascii().to_vec());
    Some(Setting {
        section,
        key: owned(&line[..equals]),
        value: owned(&line[equals + 1..]),
        line: begin,
    })
}

/// Words of one value that are looked at; commands have dozens.
const MAX_WORDS: usize = 4096;

/// The words of a value, unquoted and unescaped. A syntax error ends them, as
/// it does for systemd.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = Zeroizing<Vec<u8>>> {
    let mut rest = text.trim_ascii_start();
    let words = std::iter::from_fn(move || {
        let (word, tail) = word(rest).filter(|_| !rest.is_empty())?;
        rest = tail.trim_ascii_start();
        Some(word)
    });
    words.take(MAX_WORDS)
}

fn word(text: &[u8]) -> Option<(Zeroizing<Vec<u8>>, &[u8])> {
    // Room for all of it at once: what grows leaves copies behind.
    let mut word = Zeroizing::new(Vec::with_capacity(raw_len(text)));
    let mut quote = None;
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, quote) {
            (b'\\', _) => rest = unescape(tail, &mut word)?,
            (byte, Some(open)) if byte == open => quote = None,
            (b'"' | b'\'', None) => quote = Some(byte),
            (byte, None) if byte.is_ascii_whitespace() => return Some((word, rest)),
            (byte, _) => word.push(byte),
        }
    }
    quote.is_none().then_some((word, rest))
}

/// Length of the first word with its quotes and escapes.
fn raw_len(text: &[u8]) -> usize {
    let mut quote = None;
    let mut escaped = false;
    let end = text.iter().position(|byte| {
        match (byte, quote) {
            _ if escaped => escaped = false,
            (b'\\', _) => escaped = true,
            (byte, Some(open)) if byte == open => quote = None,
            (b'"' | b'\'', None) => quote = Some(byte),
            (byte, None) => return byte.is_ascii_whitespace(),
            _ => {}
        }
        false
    });
    end.unwrap_or(text.len())
}

/// Adds what stands behind a backslash to `word`; what is left of `text`.
fn unescape<'t>(text: &'t [u8], word: &mut Vec<u8>) -> Option<&'t [u8]> {
    let (&kind, rest) = text.split_first()?;
    let number = |text: &'t [u8], digits: usize, radix: u32| {
        let (number, rest) = text.split_at_checked(digits)?;
        let is_number = number.iter().all(u8::is_ascii_hexdigit);
        let number = std::str::from_utf8(number).ok().filter(|_| is_number)?;
        let number = u32::from_str_radix(number, radix).ok()?;
        (number != 0).then_some((number, rest))
    };
    let (byte, rest) = match kind {
        b'a' => (0x07, rest),
        b'b' => (0x08, rest),
        b'f' => (0x0c, rest),
        b'n' => (b'\n', rest),
        b'r' => (b'\r', rest),
        b't' => (b'\t', rest),
        b'v' => (0x0b, rest),
        b's' => (b' ', rest),
        b'\\' | b'"' | b'\'' => (kind, rest),
        b'x' => {
            let (number, rest) = number(rest, 2, 16)?;
            (u8::try_from(number).ok()?, rest)
        }
        b'0'..=b'7' => {
            let (number, rest) = number(text, 3, 8)?;
            (u8::try_from(number).ok()?, rest)
        }
        b'u' | b'U' => {
            let digits = if kind == b'u' { 4 } else { 8 };
            let (number, rest) = number(rest, digits, 16)?;
            let mut buffer = [0; 4];
            let c = char::from_u32(number)?;
            word.extend(c.encode_utf8(&mut buffer).bytes());
            return Some(rest);
        }
        _ => return None,
    };
    word.push(byte);
    Some(rest)
}

/// A name as systemd-escape(1) `--unescape` gives it.
fn unescaped_name(name: &str) -> String {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let hex = tail.strip_prefix(b"x").and_then(|hex| hex.get(..2));
        let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        match (byte, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'-', _) => plain.push(b'/'),
            (b'\\', Some(byte)) => {
                plain.push(byte);
                rest = &tail[3..];
            }
            _ => plain.push(byte),
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// What the specifiers of systemd.unit(5) stand for in one unit.
#[derive(Debug)]
pub(super) struct Specifiers<'a> {
    /// Full name, with the instance.
    pub(super) unit: &'a str,
    pub(super) manager: Manager<'a>,
    pub(super) host: &'a Facts,
}

impl Specifiers<'_> {
    /// `text` with those specifiers replaced that the unit's name, its manager
    /// and the host's files tell; the others stay as they are.
    pub(super) fn expand(&self, text: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut expanded = Zeroizing::new(Vec::with_capacity(text.len()));
        let mut bytes = text.iter().copied();
        while let Some(byte) = bytes.next() {
            if byte != b'%' {
                expanded.push(byte);
                continue;
            }
            match bytes.next() {
                Some(b'%') => expanded.push(b'%'),
                Some(specifier) => match self.value(specifier) {
                    Some(value) => expanded.extend(value.bytes()),
                    None => expanded.extend([b'%', specifier]),
                },
                None => expanded.push(b'%'),
            }
        }
        expanded
    }

    fn value(&self, specifier: u8) -> Option<String> {
        let stem = self
            .unit
            .rsplit_once('.')
            .map_or(self.unit, |(stem, _)| stem);
        let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
        let last = prefix.rsplit('-').next().unwrap_or(prefix);
        let (user, uid, home) = match self.manager {
            Manager::System => ("root", 0, "/root"),
            Manager::User { name, uid, home } => (name, uid, home),
        };
        let is_system = self.manager == Manager::System;
        let directory = |of_system: &str, of_user: &str| match self.manager {
            Manager::System => of_system.to_owned(),
            Manager::User { home, .. } => format!("{home}/{of_user}"),
        };
        Some(match specifier {
            b'n' => self.unit.to_owned(),
            b'N' => stem.to_owned(),
            b'p' => prefix.to_owned(),
            b'P' => unescaped_name(prefix),
            b'i' => instance.to_owned(),
            b'I' => unescaped_name(instance),
            b'j' => last.to_owned(),
            b'J' => unescaped_name(last),
            b'f' if instance.is_empty() => format!("/{}", unescaped_name(prefix)),
            b'f' => format!("/{}", unescaped_name(instance)),
            b'h' => home.to_owned(),
            b'u' => user.to_owned(),
            b'U' => uid.to_string(),
            b'g' if is_system => "root".into(),
            b'G' if is_system => "0".into(),
            b'E' => directory("/etc", ".config"),
            b'S' => directory("/var/lib", ".local/state"),
            b'C' => directory("/var/cache", ".cache"),
            b'L' => directory("/var/log", ".local/state/log"),
            b't' if is_system => "/run".into(),
            b't' => format!("/run/user/{uid}"),
            b'T' => "/tmp".into(),
            b'V' => "/var/tmp".into(),
            _ => return self.host.value(specifier),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        words(text.as_bytes())
            .map(|word| String::from_utf8(word.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn words_are_unquoted_and_unescaped() {
        assert_eq!(
            split(r#"A=1 "B=2 3" 'C="4"' D="5 6"7"#),
            ["A=1", "B=2 3", "C=\"4\"", "D=5 67"]
        );
        assert_eq!(split(r"A=\x41\102\u0043\sD\\"), ["A=ABC D\\"]);
        assert_eq!(split("A=1 B='open C=3"), ["A=1"]);
        assert_eq!(split(r"A=1 B=\q C=3"), ["A=1"]);
        assert_eq!(split(r"A=1 \"), ["A=1"]);
    }

    #[test]
    fn lines_go_on_past_comments() {
        let text = b"[Service]\nA = 1 \\\n# c\\\n  2\n;x=y\nB=3\\";
        let read: Vec<_> = settings(text)
            .into_iter()
            .map(|one| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                (
                    text(one.section),
                    text(&one.key),
                    text(&one.value),
                    one.line,
                )
            })
            .collect();
        assert_eq!(
            read,
            [
                ("Service".into(), "A".into(), "1  2".into(), 2),
                ("Service".into(), "B".into(), "3".into(), 6)
            ]
        );
    }

    #[test]
    fn specifiers_stand_for_parts_of_the_name() {
        let of = |unit: &str, text: &str| {
            let specifiers = Specifiers {
                unit,
                manager: Manager::System,
                host: &Facts::default(),
            };
            String::from_utf8(specifiers.expand(text.as_bytes()).to_vec()).unwrap()
        };
        assert_eq!(
            of(r"a-b@c-\x2dd.service", "%n %p %i %I %j %% %q %"),
            r"a-b@c-\x2dd.service a-b c-\x2dd c/-d b % %q %"
        );
    }
}

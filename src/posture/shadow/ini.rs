//! The files that SDKs and tools keep keys in: sections, and in them lines of
//! `name = value`.

use std::collections::BTreeMap;

use crate::secret::Secret;

/// Sections and entries taken from one file.
const MAX_ENTRIES: usize = 20_000;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) value: Secret,
    /// From 1.
    pub(super) line: u64,
}

impl Entry {
    /// Empty where the value is no UTF-8, as no SDK takes it then.
    pub(super) fn text(&self) -> &str {
        self.value.expose_str().unwrap_or_default()
    }
}

/// The entries of one section by their names, which are in lower case.
pub(super) type Section = BTreeMap<String, Entry>;

/// A file. Sections of one name are one; of two entries the last counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ini {
    sections: BTreeMap<String, Section>,
}

impl Ini {
    /// What stands before the first section is in one with an empty name.
    pub(super) fn parse(text: &[u8]) -> Self {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut ini = Self::default();
        let mut section = String::new();
        let mut entries = 0;
        // How far the last entry is indented; what is further in belongs to
        // its value, as `max_concurrent_requests` does to `s3 =`.
        let mut indent = usize::MAX;
        for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
            let from = line.len() - line.trim_ascii_start().len();
            let line = line.trim_ascii();
            if let [b'[', rest @ ..] = line {
                let end = rest.iter().position(|byte| *byte == b']');
                let name = String::from_utf8_lossy(&rest[..end.unwrap_or(rest.len())]);
                section = name.split_whitespace().collect::<Vec<_>>().join(" ");
                ini.sections.entry(section.clone()).or_default();
                entries += 1;
                indent = usize::MAX;
            } else if from <= indent
                && let Some((name, value)) = entry(line)
            {
                indent = from;
                let entry = Entry {
                    value: Secret::new(value),
                    line: number,
                };
                let known = ini.sections.entry(section.clone()).or_default();
                known.insert(name, entry);
                entries += 1;
            }
            if entries > MAX_ENTRIES {
                break;
            }
        }
        ini
    }

    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.get(name)
    }

    pub(super) fn sections(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.sections
            .iter()
            .map(|(name, entries)| (name.as_str(), entries))
    }
}

fn entry(line: &[u8]) -> Option<(String, &[u8])> {
    if matches!(line.first(), None | Some(b'#' | b';')) {
        return None;
    }
    let equals = line.iter().position(|byte| *byte == b'=')?;
    let name = std::str::from_utf8(line[..equals].trim_ascii()).ok()?;
    let value = line[equals + 1..].trim_ascii();
    let comment = value
        .windows(2)
        .position(|pair| pair[0].is_ascii_whitespace() && matches!(pair[1], b'#' | b';'));
    let value = value[..comment.unwrap_or(value.len())].trim_ascii_end();
    Some((name.to_ascii_lowercase(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'i>(ini: &'i Ini, section: &str, name: &str) -> Option<(&'i str, u64)> {
        let entry = ini.section(section)?.get(name)?;
        Some((entry.text(), entry.line))
    }

    #[test]
    fn a_file_as_people_write_it_is_read() {
        let ini = Ini::parse(
            b"\xef\xbb\xbfTop=1\n[default]\r\n# aws_access_key_id = no\r\nAWS_Access_Key_Id=A \r\n\
              ; c\n[ profile  x ] ; said\ns3 =\n  max = 3\nrole_arn = a=b # why\nbad line\n[default]\n\
              aws_access_key_id = B;C\n[open\n  k = \xff\n  l = 1\n",
        );
        assert_eq!(value(&ini, "", "top"), Some(("1", 1)));
        assert_eq!(
            value(&ini, "default", "aws_access_key_id"),
            Some(("B;C", 12))
        );
        assert_eq!(value(&ini, "profile x", "role_arn"), Some(("a=b", 9)));
        assert_eq!(value(&ini, "profile x", "max"), None);
        assert_eq!(value(&ini, "open", "k"), Some(("", 14)));
        assert_eq!(value(&ini, "open", "l"), Some(("1", 15)));
    }

    #[test]
    fn garbage_is_an_empty_file() {
        assert_eq!(Ini::parse(&[0xff; 4096]), Ini::default());
        assert_eq!(Ini::parse(b"[[[[\n=\n").sections().count(), 1);
    }
}

//! JSON Lines: one object a line, the summary last.

use std::io::{self, Write};

use serde::Serialize as _;
use serde_json::ser::{CompactFormatter, Formatter};

use super::{Exporter, Report};
use crate::finding::{Record, Versioned};
use crate::sanitize;

/// The contract's own format.
#[derive(Debug)]
pub struct Json;

impl Exporter for Json {
    fn write(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        let records = report
            .posture
            .iter()
            .map(Record::Posture)
            .chain(report.findings.iter().map(Record::Finding))
            .chain(report.coverage.iter().map(Record::Coverage))
            .chain([Record::Summary(&report.summary)]);
        for record in records {
            let mut serializer = serde_json::Serializer::with_formatter(&mut *out, Escaping);
            Versioned::from(record)
                .serialize(&mut serializer)
                .map_err(io::Error::from)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }
}

/// Compact JSON that writes what a terminal could act on as `\u` escapes. The
/// text stays the same to whoever parses it.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(sanitize::is_unsafe) {
            let (safe, tail) = rest.split_at(at);
            CompactFormatter.write_string_fragment(writer, safe)?;
            let mut characters = tail.chars();
            for unit in characters.next().into_iter().flat_map(|c| {
                let mut units = [0; 2];
                c.encode_utf16(&mut units).to_vec()
            }) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = characters.as_str();
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_could_act_on_is_escaped_and_parses_back() {
        let text = "a\u{202e}b\u{9b}31m\u{7f}\u{e0041}\"\\ä\n";
        let mut out = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, Escaping);
        text.serialize(&mut serializer).unwrap();
        let written = String::from_utf8(out).unwrap();
        assert!(!written.contains(sanitize::is_unsafe), "{written}");
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    }
}

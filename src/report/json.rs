//! JSON Lines: one object a line, the summary last.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

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
            write_line(&Versioned::from(record), out)?;
        }
        Ok(())
    }
}

/// Writes `value` and the end of the line. What a terminal could act on is
/// escaped.
pub(super) fn write_line(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut *out, Escaped))?;
    out.write_all(b"\n")
}

struct Escaped;

impl Formatter for Escaped {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + Write,
    {
        writer.write_all(sanitize::json(fragment).as_bytes())
    }
}

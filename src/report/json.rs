//! JSON Lines: one object a line, the summary last.

use std::io::{self, Write};

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
            let line = serde_json::to_string(&Versioned::from(record))?;
            writeln!(out, "{}", sanitize::json(&line))?;
        }
        Ok(())
    }
}

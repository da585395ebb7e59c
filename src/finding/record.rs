//! The JSON objects of the public contract: one a line, told apart by `type`.
//! Reports and log events are made of the same objects.

use serde::Serialize;

use super::{Coverage, Finding, PostureCheck};

/// Version of the field names and their meaning. It rises when a reader of
/// the previous version could misread the new one; added fields do not count.
pub const SCHEMA_VERSION: u32 = 1;

/// The last line of every run: what it amounts to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    pub instance_id: Option<String>,
    /// Distinct credentials; several findings can be one credential.
    pub credentials: u64,
    pub findings: u64,
    pub critical: u64,
    pub high: u64,
    pub medium: u64,
    pub low: u64,
    pub info: u64,
    /// Findings that the allow list set aside; they are not counted above.
    pub allowed: u64,
    /// Posture checks that could not be told.
    pub unknown: u64,
    /// Events that CloudWatch Logs accepted.
    pub shipped: u64,
    /// Events that were to be shipped and were not accepted.
    pub undelivered: u64,
    /// Events that will never arrive: rejected for good, or given up by the
    /// service because its outbox was full. Of the service, since its ledger
    /// was made.
    pub lost: u64,
    pub duration_ms: u64,
    /// Whether everything that was asked for was checked.
    pub complete: bool,
}

/// One line of the output.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Record<'a> {
    Finding(&'a Finding),
    Posture(&'a PostureCheck),
    Coverage(&'a Coverage),
    Summary(&'a Summary),
}

/// A record as it is written: with its schema version in front.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Versioned<'a> {
    schema: u32,
    #[serde(flatten)]
    record: Record<'a>,
}

impl<'a> From<Record<'a>> for Versioned<'a> {
    fn from(record: Record<'a>) -> Self {
        Self {
            schema: SCHEMA_VERSION,
            record,
        }
    }
}

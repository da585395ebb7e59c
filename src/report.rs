//! Tells people and programs what a run found.

pub mod journal;
mod json;
mod ocsf;
mod sarif;
mod text;

use std::collections::BTreeMap;
use std::io;

use crate::finding::{Coverage, Finding, Instance, PostureCheck, Severity, SourceKind, Summary};

pub use json::Json;
pub use ocsf::Ocsf;
pub use sarif::Sarif;
pub use text::Text;

/// Everything that a run has to say.
#[derive(Debug, Default)]
pub struct Report {
    pub instance: Instance,
    pub posture: Vec<PostureCheck>,
    /// Worst first; failed posture checks among them.
    pub findings: Vec<Finding>,
    pub coverage: Vec<Coverage>,
    /// One sentence each, for the reader only: what was not delivered and
    /// why, entries of the allow list that matched nothing.
    pub notes: Vec<String>,
    pub summary: Summary,
}

/// A format that a report can be written in.
pub trait Exporter {
    fn write(&self, report: &Report, out: &mut dyn io::Write) -> io::Result<()>;
}

/// The findings of one credential.
#[derive(Debug)]
pub struct Credential<'a> {
    /// Worst first; never empty.
    pub findings: Vec<&'a Finding>,
}

impl<'a> Credential<'a> {
    pub fn worst(&self) -> &'a Finding {
        self.findings[0]
    }
}

/// Credentials are what one deactivates: findings of the same key and secret
/// are one. An ID without its secret belongs to the credential with that ID,
/// if there is just one such.
pub fn credentials(findings: &[Finding]) -> Vec<Credential<'_>> {
    let keys = || {
        findings
            .iter()
            .filter(|finding| finding.location.source != SourceKind::Posture)
    };
    let mut by_id: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut by_secret: BTreeMap<&str, &str> = BTreeMap::new();
    for finding in keys() {
        let (id, secret) = finding.credential();
        if !id.is_empty() && !secret.is_empty() {
            let secrets = by_id.entry(id).or_default();
            if !secrets.contains(&secret) {
                secrets.push(secret);
            }
            by_secret.insert(secret, id);
        }
    }
    let mut groups: BTreeMap<(&str, &str), Vec<&Finding>> = BTreeMap::new();
    for finding in keys() {
        let (id, secret) = finding.credential();
        let whole = match (by_id.get(id).map(Vec::as_slice), by_secret.get(secret)) {
            (Some([only]), _) if secret.is_empty() => (id, *only),
            (_, Some(known)) if id.is_empty() => (*known, secret),
            _ => (id, secret),
        };
        groups.entry(whole).or_default().push(finding);
    }
    let mut credentials: Vec<Credential<'_>> = groups
        .into_values()
        .map(|mut findings| {
            findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
            Credential { findings }
        })
        .collect();
    credentials.sort_by_key(|credential| {
        let worst = credential.worst();
        (
            std::cmp::Reverse(worst.severity),
            std::cmp::Reverse(credential.findings.len()),
            worst.credential(),
        )
    });
    credentials
}

/// The summary's counts of `findings`; the rest is left for the caller.
pub fn count(findings: &[Finding]) -> Summary {
    let of = |severity: Severity| {
        findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count() as u64
    };
    Summary {
        credentials: credentials(findings).len() as u64,
        findings: findings.len() as u64,
        critical: of(Severity::Critical),
        high: of(Severity::High),
        medium: of(Severity::Medium),
        low: of(Severity::Low),
        info: of(Severity::Info),
        ..Summary::default()
    }
}

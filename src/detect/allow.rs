//! Findings that the operator has accepted, each with a reason.

use std::sync::atomic::{AtomicU64, Ordering};

use globset::GlobMatcher;

use crate::finding::{Finding, Rule};

/// One entry of the configuration. What it names has to hold all together.
#[derive(Debug, Default)]
pub struct AllowEntry {
    pub access_key_id: Option<String>,
    pub secret_fingerprint: Option<String>,
    pub path: Option<GlobMatcher>,
    pub rule: Option<Rule>,
    /// Written into the report when the entry is told as unused.
    pub reason: String,
    /// The entry's time is over: it allows nothing any more.
    pub expired: bool,
}

impl AllowEntry {
    fn matches(&self, finding: &Finding) -> bool {
        let id = finding.access_key_id.as_ref().map(|id| id.as_str());
        let holds = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        !self.expired
            && holds(&self.access_key_id, id)
            && holds(
                &self.secret_fingerprint,
                finding.secret_fingerprint.as_deref(),
            )
            && self.rule.is_none_or(|rule| rule == finding.rule)
            && self.path.as_ref().is_none_or(|glob| {
                finding
                    .location
                    .path
                    .as_ref()
                    .is_some_and(|path| glob.is_match(path))
            })
    }
}

/// All entries, with a count of what each has set aside.
#[derive(Debug, Default)]
pub struct AllowList(Vec<(AllowEntry, AtomicU64)>);

impl AllowList {
    pub fn new(entries: Vec<AllowEntry>) -> Self {
        Self(
            entries
                .into_iter()
                .map(|entry| (entry, AtomicU64::new(0)))
                .collect(),
        )
    }

    /// Whether an entry sets `finding` aside; it is counted where one does.
    pub fn allows(&self, finding: &Finding) -> bool {
        let entry = self.0.iter().find(|(entry, _)| entry.matches(finding));
        if let Some((_, used)) = entry {
            used.fetch_add(1, Ordering::Relaxed);
        }
        entry.is_some()
    }

    /// Entries that matched nothing, to be told and removed.
    pub fn unused(&self) -> impl Iterator<Item = &AllowEntry> {
        self.0
            .iter()
            .filter(|(_, used)| used.load(Ordering::Relaxed) == 0)
            .map(|(entry, _)| entry)
    }
}

//! Findings that the operator has accepted: set aside, counted, and told when
//! an entry sets nothing aside any more.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

use crate::config::Allow;
use crate::finding::Finding;

/// The allow entries of the configuration, each with a count of its findings.
#[derive(Debug)]
pub struct AllowList {
    entries: Vec<(Allow, AtomicU64)>,
    now: Timestamp,
}

impl AllowList {
    pub fn new(entries: &[Allow], now: Timestamp) -> Self {
        Self {
            entries: entries
                .iter()
                .map(|entry| (entry.clone(), AtomicU64::new(0)))
                .collect(),
            now,
        }
    }

    /// Whether an entry in force sets `finding` aside.
    pub(super) fn allows(&self, finding: &Finding) -> bool {
        let entry = self
            .entries
            .iter()
            .find(|(entry, _)| !entry.is_expired(self.now) && entry.covers(finding));
        if let Some((_, used)) = entry {
            used.fetch_add(1, Ordering::Relaxed);
        }
        entry.is_some()
    }

    /// Those of `findings` that are told, their IDs masked where `redact` asks
    /// for it, and how many are set aside.
    pub fn told(&self, findings: Vec<Finding>, redact: bool) -> (Vec<Finding>, u64) {
        let given = findings.len();
        let told: Vec<_> = findings
            .into_iter()
            .filter(|finding| !self.allows(finding))
            .map(|finding| if redact { finding.redacted() } else { finding })
            .collect();
        let aside = (given - told.len()) as u64;
        (told, aside)
    }

    /// One sentence for each entry that set nothing aside.
    pub fn unused(&self) -> impl Iterator<Item = String> {
        self.entries
            .iter()
            .filter(|(_, used)| used.load(Ordering::Relaxed) == 0)
            .map(|(entry, _)| {
                let (what, origin) = (&entry.reason, &entry.origin);
                if entry.is_expired(self.now) {
                    format!("allow entry at {origin} has expired: {what}")
                } else {
                    format!("allow entry at {origin} matches nothing and can go: {what}")
                }
            })
    }
}

//! What a change in the ledger is told as: an event for delivery, in the
//! transaction of the change, and a line for the journal once that is on disk.
//!
//! So a line never stands for a change that was taken back. A service that is
//! killed between the two leaves a change without its line: its event is
//! delivered all the same, and the next start says how much is open.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::finding::{Finding, Instance, Severity};
use crate::ledger::{Class, Entry, Transition};
use crate::report::journal;
use crate::ship::{Event, Resolution};

/// The lines of one transaction.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// What happened to findings of the pass, by `id`.
    seen: HashMap<String, &'static str>,
    resolved: Vec<Resolved>,
}

#[derive(Debug)]
struct Resolved {
    id: String,
    rule: String,
    severity: Severity,
    path: Option<String>,
    how: &'static str,
    open_seconds: u64,
}

impl Lines {
    /// Notes a transition for its line; its event.
    pub(super) fn note(
        &mut self,
        transition: &Transition<'_>,
        instance: &Instance,
        now: Timestamp,
    ) -> Entry {
        let now_ms = now.as_millisecond();
        match transition {
            Transition::Opened { finding, reopened } => {
                self.seen.insert(finding.id.clone(), "opened");
                let event = Event::reopened(finding, *reopened, instance, now_ms);
                entry(Class::Opened, event)
            }
            Transition::Changed {
                finding,
                open,
                fields,
            } => {
                self.seen.insert(finding.id.clone(), "changed");
                let event = Event::changed(finding, fields, open.first_seen, instance, now_ms);
                entry(Class::Changed, event)
            }
            Transition::Resolved {
                open,
                standing,
                resolved_at,
                open_for,
            } => {
                self.resolved.push(Resolved {
                    id: open.id.clone(),
                    rule: open.facts.rule.clone(),
                    severity: open.facts.severity,
                    path: open.facts.location.path.clone(),
                    how: standing.name(),
                    open_seconds: open_for.as_secs(),
                });
                let resolution = Resolution {
                    opened_at: open.first_seen,
                    resolved_at: *resolved_at,
                    open_for: *open_for,
                    standing: standing.name(),
                };
                let event = Event::resolved(&open.json, &resolution, instance, now_ms);
                entry(Class::Resolved, event)
            }
        }
    }

    /// Tells what was committed; `found` is what the pass found.
    pub(super) fn tell(mut self, found: &[Finding]) {
        for finding in found {
            if let Some(event) = self.seen.remove(&finding.id) {
                journal::finding(finding, event);
            }
        }
        for line in self.resolved {
            journal::resolved(
                &line.id,
                &line.rule,
                line.severity,
                line.path.as_deref(),
                line.how,
                line.open_seconds,
            );
        }
    }
}

/// An event as the outbox keeps it.
pub(super) fn entry(class: Class, event: Event) -> Entry {
    Entry {
        id: event.id,
        timestamp_ms: event.timestamp_ms,
        class,
        body: event.body,
    }
}

//! What a change in the ledger is told as: an event for delivery and a line
//! for the journal.

use jiff::Timestamp;

use crate::finding::Instance;
use crate::ledger::{Class, Entry, Transition};
use crate::report::journal;
use crate::ship::{Event, Resolution};

/// The event of a transition, and its line, told on the way.
pub(super) fn tell(transition: &Transition<'_>, instance: &Instance, now: Timestamp) -> Entry {
    let now_ms = now.as_millisecond();
    match transition {
        Transition::Opened { finding, reopened } => {
            journal::finding(finding, "opened");
            let event = Event::reopened(finding, *reopened, instance, now_ms);
            entry(Class::Opened, event)
        }
        Transition::Changed {
            finding,
            open,
            fields,
        } => {
            journal::finding(finding, "changed");
            let event = Event::changed(finding, fields, open.first_seen, instance, now_ms);
            entry(Class::Changed, event)
        }
        Transition::Resolved {
            open,
            standing,
            resolved_at,
            open_for,
        } => {
            journal::resolved(
                &open.id,
                &open.facts.rule,
                open.facts.location.path.as_deref(),
                standing.name(),
                open_for.as_secs(),
            );
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

/// An event as the outbox keeps it.
pub(super) fn entry(class: Class, event: Event) -> Entry {
    Entry {
        id: event.id,
        timestamp_ms: event.timestamp_ms,
        class,
        body: event.body,
    }
}

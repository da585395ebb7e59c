//! What the service says while it runs: a line for people, and fields for
//! `journalctl MESSAGE_ID=… -o json`. Without the journal the line goes to
//! standard error.
//!
//! The level is what an operator has to do: an error wants somebody now, a
//! warning wants a look, the rest is for the record.

use std::borrow::Cow;

use log::Level;

use crate::finding::{AccessKeyId, Finding, PostureCheck, Severity};
use crate::sanitize;

/// A finding was opened, or has become another one.
pub const MESSAGE_ID_OPENED: &str = "0c6f9b4f5a0e4c9a9a2b6f6d7c3e1a01";
/// A finding was resolved.
pub const MESSAGE_ID_RESOLVED: &str = "0c6f9b4f5a0e4c9a9a2b6f6d7c3e1a02";
/// A posture check cannot be told any more.
pub const MESSAGE_ID_UNKNOWN: &str = "0c6f9b4f5a0e4c9a9a2b6f6d7c3e1a03";
/// A sweep has ended.
pub const MESSAGE_ID_SWEEP: &str = "0c6f9b4f5a0e4c9a9a2b6f6d7c3e1a04";

/// `event` is `opened`, `changed`, or `unrecorded` where the ledger could not
/// take it down: it will be told as opened when that is possible again.
pub fn finding(finding: &Finding, event: &str) {
    let place = &finding.location;
    log::log!(
        level(finding.severity),
        MESSAGE_ID = MESSAGE_ID_OPENED,
        ROLECALL_EVENT = event,
        ROLECALL_FINDING = finding.id.as_str(),
        ROLECALL_RULE = finding.rule.name(),
        ROLECALL_SEVERITY = finding.severity.name(),
        ROLECALL_ACCESS_KEY_ID = finding.access_key_id.as_ref().map_or("", AccessKeyId::as_str),
        ROLECALL_ACCOUNT_ID = finding.account_id.as_deref().unwrap_or(""),
        ROLECALL_SOURCE = place.source.name(),
        ROLECALL_PATH = named(place.path.as_deref()).as_ref(),
        ROLECALL_MEMBER = named(place.member.as_deref()).as_ref();
        "{} finding {event}: {}{}",
        finding.severity.name(),
        finding.title,
        at(place.path.as_deref(), place.line)
    );
}

/// `how` it came to an end, such as `clean` or `gone`.
pub fn resolved(
    id: &str,
    rule: &str,
    severity: Severity,
    path: Option<&str>,
    how: &str,
    open_seconds: u64,
) {
    log::info!(
        MESSAGE_ID = MESSAGE_ID_RESOLVED,
        ROLECALL_EVENT = "resolved",
        ROLECALL_FINDING = id,
        ROLECALL_RULE = rule,
        ROLECALL_SEVERITY = severity.name(),
        ROLECALL_PATH = named(path).as_ref(),
        ROLECALL_OPEN_SECONDS = open_seconds;
        "resolved ({how}) after {open_seconds} s: {rule}{}",
        at(path, None)
    );
}

/// A check cannot be told any more; one that fails is a finding.
pub fn unknown(check: &PostureCheck) {
    log::warn!(
        MESSAGE_ID = MESSAGE_ID_UNKNOWN,
        ROLECALL_EVENT = "posture",
        ROLECALL_RULE = check.check.name(),
        ROLECALL_VERDICT = check.verdict.name();
        "{} cannot be told: {}",
        check.check.name(),
        check.reason
    );
}

/// A sweep has ended.
pub fn sweep(findings: u64, complete: bool, duration_ms: u64) {
    let level = if complete { Level::Info } else { Level::Warn };
    log::log!(
        level,
        MESSAGE_ID = MESSAGE_ID_SWEEP,
        ROLECALL_EVENT = "sweep",
        ROLECALL_FINDINGS = findings,
        ROLECALL_COMPLETE = complete,
        ROLECALL_DURATION_MS = duration_ms;
        "sweep {}: {findings} findings are open",
        if complete { "complete" } else { "INCOMPLETE" }
    );
}

const fn level(severity: Severity) -> Level {
    match severity {
        Severity::Critical | Severity::High => Level::Error,
        Severity::Medium => Level::Warn,
        Severity::Low | Severity::Info => Level::Info,
    }
}

/// As a field: journalctl shows it to terminals as it is, and as numbers in
/// JSON, if it holds control characters.
fn named(name: Option<&str>) -> Cow<'_, str> {
    sanitize::line(name.unwrap_or_default())
}

fn at(path: Option<&str>, line: Option<u64>) -> String {
    match (path, line) {
        (Some(path), Some(line)) => format!(", {path}:{line}"),
        (Some(path), None) => format!(", {path}"),
        (None, _) => String::new(),
    }
}

//! What a reader of the results has to know besides: what was not checked,
//! and why.

use serde_json::{Value, json};

use super::sentence;
use crate::finding::{Skip, SourceKind, Verdict};
use crate::report::Report;

const RESULT_LIMIT: &str = "result-limit";
const POSTURE_UNKNOWN: &str = "posture-unknown";
const SKIPPED: &str = "skipped";
const UNDELIVERED: &str = "undelivered";
const NOTE: &str = "note";

const DESCRIPTIONS: [(&str, &str); 5] = [
    (RESULT_LIMIT, "Findings that the format has no room for."),
    (POSTURE_UNKNOWN, "A posture check that could not be told."),
    (SKIPPED, "Places that were not scanned."),
    (
        UNDELIVERED,
        "Events that CloudWatch Logs has not taken in time.",
    ),
    (NOTE, "What an operator should know."),
];

pub(super) fn descriptors() -> Value {
    DESCRIPTIONS
        .iter()
        .map(|(id, text)| {
            json!({
                "id": id,
                "shortDescription": {"text": text},
                "fullDescription": {"text": text},
                "help": {"text": text},
            })
        })
        .collect()
}

/// The gravest first.
pub(super) fn all(report: &Report, max_results: usize) -> Vec<Value> {
    let mut all = Vec::new();
    let cut = report.findings.len().saturating_sub(max_results);
    if cut > 0 {
        let text = format!("{cut} findings beyond the {max_results} gravest are not in this file");
        all.push(notification(RESULT_LIMIT, "error", &text));
    }
    for check in &report.posture {
        if check.verdict == Verdict::Unknown {
            let text = format!("{} could not be told: {}", check.check, check.reason);
            all.push(notification(POSTURE_UNKNOWN, "error", &text));
        }
    }
    for is_gap in [true, false] {
        for part in &report.coverage {
            for skip in part.skips() {
                if skip.reason.leaves_a_gap() == is_gap {
                    let level = if is_gap { "error" } else { "note" };
                    all.push(notification(SKIPPED, level, &skipped(part.source, skip)));
                }
            }
        }
    }
    if report.summary.undelivered > 0 {
        let text = format!(
            "{} events were not accepted by CloudWatch Logs",
            report.summary.undelivered
        );
        all.push(notification(UNDELIVERED, "warning", &text));
    }
    let notes = report.notes.iter();
    all.extend(notes.map(|note| notification(NOTE, "warning", note)));
    all
}

fn skipped(source: SourceKind, skip: &Skip) -> String {
    let mut text = format!(
        "not scanned ({}): {}, {} times",
        source.name(),
        skip.reason.name(),
        skip.count
    );
    if !skip.examples.is_empty() {
        text = format!("{text}, such as {}", skip.examples.join(", "));
    }
    if let Some(remedy) = skip.reason.remedy() {
        text = format!("{text}; {remedy}");
    }
    text
}

fn notification(id: &str, level: &str, text: &str) -> Value {
    let index = DESCRIPTIONS.iter().position(|(known, _)| *known == id);
    json!({
        "descriptor": {"id": id, "index": index},
        "level": level,
        "message": {"text": sentence(text)},
    })
}

//! The run as a Scan Activity: how much was looked at, and whether it was all.

use serde_json::{Value, json};

use super::{Class, extend};
use crate::finding::{Coverage, SkipReason, SourceKind, Verdict};
use crate::report::Report;

const CLASS: Class = Class {
    uid: 6007,
    name: "Scan Activity",
    category_uid: 6,
    category: "Application Activity",
};

pub(super) fn event(report: &Report, time: i64) -> Value {
    let summary = &report.summary;
    let has = |reason: SkipReason| {
        let mut skips = report.coverage.iter().flat_map(Coverage::skips);
        skips.any(|skip| skip.reason == reason)
    };
    let activity = if has(SkipReason::TimeLimit) {
        (4, "Duration Violation")
    } else {
        (2, "Completed")
    };
    let name = if report.coverage.is_empty() {
        "posture"
    } else {
        "scan"
    };
    let (status_id, status) = if summary.complete {
        (1, "Success")
    } else {
        (2, "Failure")
    };
    let scanned = |is_counted: fn(SourceKind) -> bool| -> u64 {
        let parts = report.coverage.iter();
        let counted = parts.filter(|part| is_counted(part.source));
        counted.map(|part| part.scanned).sum()
    };
    let duration = i64::try_from(summary.duration_ms).unwrap_or(i64::MAX);
    let mut event = CLASS.event(activity, name, &report.instance, time);
    extend(
        &mut event,
        json!({
            "severity_id": 1,
            "severity": "Informational",
            "status_id": status_id,
            "status": status,
            "status_detail": (!summary.complete).then(|| gaps(report)),
            "message": format!(
                "rolecall {name}: {} findings{}",
                summary.findings,
                if summary.complete { "" } else { ", INCOMPLETE" }
            ),
            "scan": {"name": format!("rolecall {name}"), "type_id": 0, "type": "Unknown"},
            "start_time": time.saturating_sub(duration),
            "end_time": time,
            "duration": duration,
            "total": scanned(|_| true),
            "num_files": scanned(|source| source == SourceKind::File),
            "num_processes": scanned(|source| source == SourceKind::Process),
            "num_detections": summary.findings,
            "num_skipped_items": report.coverage.iter().map(Coverage::skipped).sum::<u64>(),
            "unmapped": {"summary": summary, "coverage": report.coverage},
        }),
    );
    event
}

/// What was not checked although it was asked for.
fn gaps(report: &Report) -> String {
    let unknown = report
        .posture
        .iter()
        .filter(|check| check.verdict == Verdict::Unknown)
        .map(|check| format!("{} is unknown", check.check));
    let skipped = report.coverage.iter().flat_map(|part| {
        let gaps = part.skips().filter(|skip| skip.reason.leaves_a_gap());
        gaps.map(|skip| {
            let (source, reason) = (part.source.name(), skip.reason.name());
            format!("{source}: {reason}, {} times", skip.count)
        })
    });
    unknown.chain(skipped).collect::<Vec<_>>().join("; ")
}

//! A posture check, whatever it came to, as a Compliance Finding.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Class, extend, of_check, resource, severity};
use crate::finding::{Location, PostureCheck, SourceKind, Verdict, finding_id};
use crate::report::Report;

const CLASS: Class = Class {
    uid: 2003,
    name: "Compliance Finding",
    category_uid: 2,
    category: "Findings",
};

pub(super) fn event(check: &PostureCheck, report: &Report, time: i64) -> Value {
    let rule = check.check;
    // As the finding has it, so that it is one thing whatever it comes to.
    let uid = finding_id([rule.name(), ""], &Location::new(SourceKind::Posture));
    let mut event = CLASS.event((1, "Create"), &uid, &report.instance, time);
    let finding = report.findings.iter().find(|finding| finding.rule == rule);
    let (severity_id, severity) = match (check.verdict, finding) {
        (Verdict::Fail, Some(finding)) => severity(finding.severity),
        (Verdict::Fail | Verdict::Unknown, _) => (0, "Unknown"),
        (Verdict::Pass | Verdict::NotApplicable, _) => (1, "Informational"),
    };
    let (status_id, status) = match check.verdict {
        Verdict::Pass => (1, "Pass"),
        Verdict::Fail => (3, "Fail"),
        Verdict::Unknown => (0, "Unknown"),
        Verdict::NotApplicable => (99, "Not Applicable"),
    };
    let standards: BTreeSet<&str> = check
        .controls
        .iter()
        .filter_map(|control| control.split('/').next())
        .collect();
    let remediation = finding
        .filter(|finding| of_check(finding))
        .map(|finding| json!({"desc": finding.remediation}));
    extend(
        &mut event,
        json!({
            "severity_id": severity_id,
            "severity": severity,
            "message": format!("{rule}: {}", check.reason),
            "finding_info": {
                "uid": uid,
                "title": if check.verdict == Verdict::Fail { rule.title() } else { rule.name() },
                "desc": check.reason,
                "types": [rule.name()],
                "created_time": time,
                "data_sources": [SourceKind::Posture.name()],
            },
            "compliance": {
                "control": rule.name(),
                "standards": standards,
                "requirements": check.controls,
                "status_id": status_id,
                "status": status,
                "status_detail": check.reason,
            },
            "remediation": remediation,
            "resources": resource(&report.instance).map(|instance| [instance]),
            "unmapped": {"posture": check},
        }),
    );
    event
}

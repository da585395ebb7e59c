//! SARIF 2.1.0, as GitHub code scanning takes it: one run, its results the
//! findings, and as notifications whatever was not checked.
//!
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>,
//! <https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning>.
//!
//! Results are written one by one: a report of many findings needs no memory
//! beyond its own.

mod notification;
mod place;
mod rules;

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::{Exporter, Report, json};
use crate::finding::{Finding, Rule, Severity, SourceKind};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// GitHub refuses a run with more.
const MAX_RESULTS: usize = 25_000;

/// For code scanning, from an image bake or a build.
#[derive(Debug)]
pub struct Sarif {
    /// What the process is about to exit with.
    pub exit_code: u8,
    /// When the run ended.
    pub ended: Timestamp,
}

#[derive(Serialize)]
struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Value,
    automation_details: Value,
    invocations: [Value; 1],
    original_uri_base_ids: Value,
    column_kind: &'static str,
    results: Results<'a>,
    properties: Value,
}

struct Results<'a>(&'a Report);

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Worst first: what is cut is the least.
        let told = self.0.findings.iter().take(MAX_RESULTS);
        serializer.collect_seq(told.map(|finding| result(finding, self.0)))
    }
}

impl Exporter for Sarif {
    fn write(&self, report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
        let run = Run {
            tool: json!({"driver": {
                "name": "rolecall",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "language": "en-US",
                "rules": rules::descriptors(),
                "notifications": notification::descriptors(),
            }}),
            automation_details: json!({"id": category(report)}),
            invocations: [self.invocation(report)],
            original_uri_base_ids: place::base_ids(),
            column_kind: "unicodeCodePoints",
            results: Results(report),
            properties: json!({"summary": report.summary, "instance": report.instance}),
        };
        let log = Log {
            schema: SCHEMA,
            version: "2.1.0",
            runs: [run],
        };
        json::write_line(&log, out)
    }
}

impl Sarif {
    /// A run that left something out has not succeeded: nobody is to take an
    /// empty list of results for a clean host.
    fn invocation(&self, report: &Report) -> Value {
        let duration = Duration::from_millis(report.summary.duration_ms);
        let started = self.ended.checked_sub(duration).unwrap_or(self.ended);
        json!({
            "executionSuccessful": report.summary.complete,
            "exitCode": self.exit_code,
            "startTimeUtc": format!("{started:.3}"),
            "endTimeUtc": format!("{:.3}", self.ended),
            "toolExecutionNotifications": notification::all(report, MAX_RESULTS),
        })
    }
}

/// What the results replace when they are uploaded again: those of the same
/// command, on the same instance.
fn category(report: &Report) -> String {
    let command = match (report.posture.is_empty(), report.coverage.is_empty()) {
        (true, _) => "scan",
        (false, true) => "posture",
        (false, false) => "check",
    };
    match &report.instance.instance_id {
        Some(id) => format!("rolecall/{command}/{id}/"),
        None => format!("rolecall/{command}/"),
    }
}

fn result(finding: &Finding, report: &Report) -> Value {
    let index = Rule::ALL.iter().position(|rule| *rule == finding.rule);
    let mut fingerprints = json!({"rolecallFindingId/v1": finding.id});
    if matches!(
        finding.location.source,
        SourceKind::Posture | SourceKind::Process | SourceKind::UserData
    ) {
        // GitHub makes one of the line of the file, where there is a file.
        fingerprints["primaryLocationLineHash"] = format!("{}:1", finding.id).into();
    }
    let mut result = json!({
        "ruleId": finding.rule.name(),
        "ruleIndex": index,
        "level": level(finding.severity),
        "message": {"text": format!(
            "{} {}",
            sentence(&finding.title),
            sentence(&finding.remediation.to_string())
        )},
        "locations": [place::location(finding, &report.instance)],
        "partialFingerprints": fingerprints,
        "occurrenceCount": finding.occurrences.max(1),
        "properties": {
            "security-severity": score(finding.severity),
            "finding": finding,
        },
    });
    if !finding.also_in.is_empty() {
        result["relatedLocations"] = place::copies(finding);
    }
    result
}

/// An error fails a build that is set up so, a note does not.
const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// In the middle of what GitHub shows as the severity of the same name; it
/// has none below low.
const fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
        Severity::Info => "0.1",
    }
}

/// As SARIF's messages are written, with no text in brackets that a viewer
/// would take for a link.
fn sentence(text: &str) -> String {
    let text = text.replace("](", "] (");
    let mut rest = text.trim_end_matches('.').chars();
    match rest.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), rest.as_str()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Instance, PostureCheck, Verdict};

    fn log(report: &Report) -> Value {
        let sarif = Sarif {
            exit_code: 1,
            ended: Timestamp::UNIX_EPOCH,
        };
        let mut out = Vec::new();
        sarif.write(report, &mut out).expect("a vector takes it");
        serde_json::from_slice(&out).expect("JSON")
    }

    #[test]
    fn what_github_would_refuse_is_cut_from_the_end_and_counted() {
        let check = PostureCheck::new(Rule::RoleMissing, Verdict::Fail, "no role");
        let finding = Finding::of_check(&check, &Instance::default()).expect("it failed");
        let report = Report {
            findings: vec![finding; MAX_RESULTS + 2],
            ..Report::default()
        };
        let run = &log(&report)["runs"][0];
        assert_eq!(run["results"].as_array().map(Vec::len), Some(MAX_RESULTS));
        let told = &run["invocations"][0]["toolExecutionNotifications"][0];
        assert_eq!(told["descriptor"]["id"], "result-limit");
        let text = told["message"]["text"].as_str().expect("a text");
        assert!(text.starts_with("2 findings"), "{text}");
    }

    #[test]
    fn a_text_of_a_stranger_makes_no_link_in_a_message() {
        assert_eq!(
            sentence("the key in [a](http://b)."),
            "The key in [a] (http://b)."
        );
    }
}

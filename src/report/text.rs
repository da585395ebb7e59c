//! The report for a person, often at night and often through a console that
//! cuts after 2,000 characters: so what matters stands first, by credential.

mod credential;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use super::{Credential, Exporter, Report, credentials};
use crate::finding::{Finding, Rule, SourceKind, Verdict};
use crate::sanitize;
use credential::{credential_block, credential_line};

/// Plain text, no colours.
#[derive(Debug)]
pub struct Text;

/// Characters of the part that has to stand alone.
const HEAD: usize = 2_000;

/// Characters of the head that lists may fill; the rest is for its frame.
const HEAD_LISTS: usize = 1_300;

/// Longest line of a list in the head.
const HEAD_LINE: usize = 150;

/// Notes in the head; the others stand below.
const HEAD_NOTES: usize = 2;

/// Characters of the line that says how many a list leaves out.
const MORE: usize = 30;

impl Exporter for Text {
    fn write(&self, report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
        let credentials = credentials(&report.findings);
        let mut text = head(report, &credentials);
        debug_assert!(text.chars().count() <= HEAD, "the head is cut by consoles");
        let cut = cut_lines(report, &text);
        for credential in &credentials {
            text.push('\n');
            credential_block(&mut text, credential);
            out.write_all(text.as_bytes())?;
            text.clear();
        }
        for finding in posture_findings(report) {
            text.push('\n');
            let _ = writeln!(
                text,
                "{} {}\n  {}\n  fix: {}",
                finding.severity.name().to_uppercase(),
                finding.rule,
                sanitize::line(&finding.title),
                sanitize::line(&finding.remediation.to_string())
            );
        }
        coverage_block(&mut text, report);
        if !cut.is_empty() {
            let _ = writeln!(text, "\n{}", cut.join("\n"));
        }
        if !report.findings.is_empty() {
            let _ = writeln!(text, "\n{}", verdict_line(report));
        }
        out.write_all(text.as_bytes())
    }
}

fn posture_findings(report: &Report) -> impl Iterator<Item = &Finding> {
    report
        .findings
        .iter()
        .filter(|finding| finding.location.source == SourceKind::Posture)
}

/// The part that stands alone.
fn head(report: &Report, credentials: &[Credential<'_>]) -> String {
    let mut text = clip(&verdict_line(report), HEAD_LINE * 2);
    text.push('\n');
    if let Some(line) = posture_line(report) {
        text.push_str(&clip(&line, HEAD_LINE * 2));
        text.push('\n');
    }
    let foot = foot(report);
    let frame = text.chars().count() + foot.chars().count() + MORE;
    let budget = HEAD_LISTS.min(HEAD.saturating_sub(frame));
    let count = credentials.len() + posture_findings(report).count();
    let lines = credentials.iter().map(credential_line);
    let lines = lines.chain(
        posture_findings(report)
            .map(|finding| format!("{:<8} {}", finding.severity.name(), finding.title)),
    );
    push_list(&mut text, lines, count, budget);
    text + &foot
}

/// What was not checked, what became of the delivery, and the first notes.
fn foot(report: &Report) -> String {
    let mut text = String::new();
    let mut push = |line: &str| {
        text.push_str(&clip(line, HEAD_LINE));
        text.push('\n');
    };
    let gaps = gaps(report);
    if !gaps.is_empty() {
        push(&format!("not checked: {}", gaps.join("; ")));
    }
    if let Some(line) = delivery_line(report) {
        push(&line);
    }
    for note in report.notes.iter().take(HEAD_NOTES) {
        push(&sanitize::line(note));
    }
    if let Some(more) = report
        .notes
        .len()
        .checked_sub(HEAD_NOTES)
        .filter(|n| *n > 0)
    {
        push(&format!("… and {} below", many(more as u64, "note")));
    }
    text
}

/// How much of what was to be delivered was; nothing where nothing was to be.
fn delivery_line(report: &Report) -> Option<String> {
    let summary = &report.summary;
    let given = summary.shipped + summary.undelivered;
    let line = match summary.undelivered {
        0 => format!("delivered: {}", many(given, "event")),
        undelivered => format!("NOT DELIVERED: {undelivered} of {}", many(given, "event")),
    };
    (given > 0).then_some(line)
}

/// Whole, what the head has cut or left out.
fn cut_lines(report: &Report, head: &str) -> Vec<String> {
    let unknown = unknown(report).filter(|line| !head.contains(line));
    let unknown = unknown.map(|line| format!("not checked: {line}"));
    let notes = report.notes.iter().map(|note| sanitize::line(note));
    let notes = notes.filter(|note| head.lines().all(|line| line != note));
    unknown.chain(notes.map(Cow::into_owned)).collect()
}

/// Lists `count` lines, as far as there is room. They are made one by one.
fn push_list(text: &mut String, lines: impl Iterator<Item = String>, count: usize, budget: usize) {
    let mut used = 0;
    for (index, line) in lines.enumerate() {
        let line = clip(&sanitize::line(&line), HEAD_LINE);
        used += line.chars().count() + 3;
        if used > budget {
            let _ = writeln!(text, "  … and {} more", count - index);
            return;
        }
        let _ = writeln!(text, "  {line}");
    }
}

/// One line that says it all: what was found and whether all was looked at.
fn verdict_line(report: &Report) -> String {
    let summary = &report.summary;
    let instance = report
        .instance
        .instance_id
        .as_deref()
        .map_or_else(String::new, |id| format!(" on {}", sanitize::line(id)));
    let counts: Vec<String> = [
        (summary.critical, "critical"),
        (summary.high, "high"),
        (summary.medium, "medium"),
        (summary.low, "low"),
        (summary.info, "info"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, name)| format!("{count} {name}"))
    .collect();
    let found = if report.coverage.is_empty() && counts.is_empty() {
        role_line(report)
    } else if counts.is_empty() {
        "no AWS key found".to_owned()
    } else if report.coverage.is_empty() {
        counts.join(", ")
    } else {
        let places = report.findings.iter().filter(|finding| {
            finding.location.source != SourceKind::Posture && finding.rule != Rule::RoleShadowed
        });
        let counts = counts.join(", ");
        match (summary.credentials, places.count() as u64) {
            (0, 0) => format!("{counts}, no AWS key found"),
            (credentials, 0) => format!("{counts} ({})", many(credentials, "credential")),
            (_, places) => format!(
                "{counts} ({} in {})",
                many(summary.credentials, "credential"),
                many(places, "place")
            ),
        }
    };
    let allowed = if summary.allowed > 0 {
        format!(", {} allowed", summary.allowed)
    } else {
        String::new()
    };
    let scanned: u64 = report.coverage.iter().map(|part| part.scanned).sum();
    let bytes: u64 = report.coverage.iter().map(|part| part.bytes).sum();
    let work = if report.coverage.is_empty() {
        String::new()
    } else {
        format!(
            "; {} scanned ({})",
            many(scanned, "place"),
            bytesize::ByteSize(bytes).display().si()
        )
    };
    let whole = if summary.complete { "" } else { "; INCOMPLETE" };
    let took = Duration::from_millis(summary.duration_ms).as_secs_f64();
    format!("rolecall{instance}: {found}{allowed}{work} in {took:.1} s{whole}")
}

/// What a posture run without a finding comes to.
fn role_line(report: &Report) -> String {
    let all_pass = report
        .posture
        .iter()
        .all(|check| check.verdict == Verdict::Pass);
    match &report.instance.role {
        Some(role) if all_pass => format!(
            "the role {} is there and usable, over IMDSv2 only and from this host only, and no \
             static key stands in its place",
            sanitize::line(role)
        ),
        _ => "no posture check failed".to_owned(),
    }
}

/// The checks in one line; nothing where the verdict has said it all.
fn posture_line(report: &Report) -> Option<String> {
    let (first, rest) = report.posture.split_first()?;
    if report.coverage.is_empty()
        && report
            .posture
            .iter()
            .all(|check| check.verdict == Verdict::Pass)
    {
        return None;
    }
    let same = rest.iter().all(|check| check.reason == first.reason);
    if first.verdict == Verdict::NotApplicable && same {
        return Some(format!(
            "posture: not applicable, {}",
            sanitize::line(&first.reason)
        ));
    }
    // A console cuts the end, which nobody needs when it is all right.
    let mut worst_first: Vec<_> = report.posture.iter().collect();
    worst_first.sort_by_key(|check| match check.verdict {
        Verdict::Fail => 0,
        Verdict::Unknown => 1,
        Verdict::Pass | Verdict::NotApplicable => 2,
    });
    let parts: Vec<String> = worst_first
        .into_iter()
        .filter(|check| check.verdict != Verdict::NotApplicable)
        .map(|check| {
            let name = check.check.name();
            let observed = match (&check.observed, check.verdict) {
                (Some(observed), Verdict::Pass | Verdict::Fail) => {
                    format!(" ({})", sanitize::line(observed))
                }
                _ => String::new(),
            };
            format!("{name} {}{observed}", check.verdict.name())
        })
        .collect();
    Some(format!("posture: {}", parts.join(", ")))
}

/// What was asked for and not checked.
fn gaps(report: &Report) -> Vec<String> {
    let skips = report
        .coverage
        .iter()
        .flat_map(|part| part.skips().map(move |skip| (part.source, skip)))
        .filter(|(_, skip)| skip.reason.leaves_a_gap())
        .map(|(source, skip)| format!("{} {} ({})", skip.count, source.name(), skip.reason.name()));
    skips.chain(unknown(report)).collect()
}

/// The checks that could not be told, each with its reason.
fn unknown(report: &Report) -> impl Iterator<Item = String> {
    let checks = report.posture.iter();
    checks
        .filter(|check| check.verdict == Verdict::Unknown)
        .map(|check| format!("{}: {}", check.check, sanitize::line(&check.reason)))
}

fn coverage_block(text: &mut String, report: &Report) {
    let any = report
        .coverage
        .iter()
        .any(|part| part.skips().next().is_some());
    if !any {
        return;
    }
    text.push('\n');
    for part in &report.coverage {
        for skip in part.skips() {
            let examples: Vec<_> = skip
                .examples
                .iter()
                .map(|place| sanitize::line(place))
                .collect();
            let more = if skip.count > examples.len() as u64 {
                ", …"
            } else {
                ""
            };
            let _ = writeln!(
                text,
                "not scanned: {} {} for {}: {}{more}",
                skip.count,
                part.source.name(),
                skip.reason.name(),
                examples.join(", ")
            );
            if let Some(remedy) = skip.reason.remedy() {
                let _ = writeln!(text, "  fix: {remedy}");
            }
        }
    }
}

fn many(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn many_es(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "es" })
}

/// At most `limit` characters, the cut marked.
fn clip(line: &str, limit: usize) -> String {
    if line.chars().count() <= limit {
        return line.to_owned();
    }
    let mut text: String = line.chars().take(limit - 1).collect();
    text.push('…');
    text
}

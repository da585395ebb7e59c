//! The report for a person, often at night and often through a console that
//! cuts after 2,000 characters: so what matters stands first, by credential.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use super::{Credential, Exporter, Report, credentials};
use crate::finding::{Finding, Location, PlaceKind, Rule, SourceKind, Usage, User, Verdict};
use crate::sanitize;

/// Plain text, no colours.
#[derive(Debug)]
pub struct Text;

/// Characters of the part that has to stand alone.
const HEAD: usize = 2_000;

/// Characters of the head that lists may fill; the rest is for its frame.
const HEAD_LISTS: usize = 1_300;

/// Longest line of a list in the head.
const HEAD_LINE: usize = 150;

/// Places listed for one credential; the JSON report has them all.
const MAX_PLACES: usize = 20;

/// Processes listed by number behind the first of their kind.
const MAX_PIDS: usize = 10;

/// Units, containers or accounts listed for one place.
const MAX_USERS: usize = 3;

impl Exporter for Text {
    fn write(&self, report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
        let credentials = credentials(&report.findings);
        let mut text = head(report, &credentials);
        debug_assert!(text.chars().count() <= HEAD, "the head is cut by consoles");
        for credential in &credentials {
            text.push('\n');
            credential_block(&mut text, credential);
        }
        for finding in posture_findings(report) {
            text.push('\n');
            let _ = writeln!(
                text,
                "{} {}\n  {}\n  fix: {}",
                finding.severity.name().to_uppercase(),
                finding.rule,
                sanitize::line(&finding.title),
                sanitize::line(&finding.remediation)
            );
        }
        coverage_block(&mut text, report);
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
    let mut text = verdict_line(report);
    text.push('\n');
    if let Some(line) = posture_line(report) {
        text.push_str(&clip(&line, HEAD_LINE * 2));
        text.push('\n');
    }
    let mut lines: Vec<String> = Vec::new();
    lines.extend(credentials.iter().map(credential_line));
    lines.extend(
        posture_findings(report)
            .map(|finding| format!("{:<8} {}", finding.severity.name(), finding.title)),
    );
    push_list(&mut text, &lines, HEAD_LISTS);
    let gaps = gaps(report);
    if !gaps.is_empty() {
        text.push_str(&clip(
            &format!("not checked: {}", gaps.join("; ")),
            HEAD_LINE,
        ));
        text.push('\n');
    }
    for note in report.notes.iter().take(2) {
        text.push_str(&clip(&sanitize::line(note), HEAD_LINE));
        text.push('\n');
    }
    text
}

fn push_list(text: &mut String, lines: &[String], budget: usize) {
    let mut used = 0;
    for (index, line) in lines.iter().enumerate() {
        let line = clip(&sanitize::line(line), HEAD_LINE);
        used += line.chars().count() + 3;
        if used > budget {
            let _ = writeln!(text, "  … and {} more", lines.len() - index);
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
        let places = places.count() as u64;
        format!(
            "{} ({} in {})",
            counts.join(", "),
            many(summary.credentials, "credential"),
            many(places, "place")
        )
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

/// The findings that are places of the credential, and those that say who
/// uses it in place of the role.
fn places_and_uses<'c>(credential: &Credential<'c>) -> (Vec<&'c Finding>, Vec<&'c Finding>) {
    let (uses, places) = credential
        .findings
        .iter()
        .partition(|finding| finding.rule == Rule::RoleShadowed);
    (places, uses)
}

fn credential_line(credential: &Credential<'_>) -> String {
    let worst = credential.worst();
    let (places, uses) = places_and_uses(credential);
    let mut facts = Vec::new();
    if !uses.is_empty() {
        facts.push("SHADOWS THE ROLE".to_owned());
    }
    if !places.is_empty() {
        facts.push(format!("in {}", many(places.len() as u64, "place")));
    }
    format!(
        "{:<8} {}{} {}{}: {}",
        worst.severity.name(),
        name(worst),
        verified(worst),
        facts.join(", "),
        holders(credential),
        match uses.first() {
            Some(shadow) => who(shadow).to_owned(),
            None => place(&worst.location),
        }
    )
}

/// Of the title of a shadowing, what is not said of all of them.
fn who(shadow: &Finding) -> &str {
    let title = shadow.title.split_once(": ");
    title.map_or(&shadow.title, |(_, who)| who)
}

fn credential_block(text: &mut String, credential: &Credential<'_>) {
    let worst = credential.worst();
    let account = match (&worst.account_id, worst.same_account) {
        (Some(account), Some(true)) => format!(", account {account} (this instance's)"),
        (Some(account), Some(false)) => format!(", account {account} (FOREIGN)"),
        (Some(account), None) => format!(", account {account}"),
        (None, _) => String::new(),
    };
    let secret = worst
        .secret_fingerprint
        .as_deref()
        .filter(|_| worst.access_key_id.is_some())
        .map_or_else(String::new, |fingerprint| format!(", secret {fingerprint}"));
    let _ = writeln!(
        text,
        "{} {}{}{account}{secret}",
        worst.severity.name().to_uppercase(),
        name(worst),
        verified(worst),
    );
    let (places, uses) = places_and_uses(credential);
    if let Some(worst) = places.first() {
        let _ = writeln!(
            text,
            "  {} ({} confidence), {}{}:",
            sanitize::line(&worst.title),
            confidence(worst),
            many(places.len() as u64, "place"),
            holders(credential)
        );
        list(text, &lines(&places));
    }
    if !uses.is_empty() {
        let _ = writeln!(
            text,
            "  SHADOWS THE ROLE: used in its place by {}:",
            many(uses.len() as u64, "holder")
        );
        let uses: Vec<_> = uses
            .iter()
            .map(|shadow| {
                let who = sanitize::line(who(shadow));
                format!("{who} ({} confidence)", confidence(shadow))
            })
            .collect();
        list(text, &uses);
    }
    // Where it is used is what has to be changed first.
    let fix = &uses.first().unwrap_or(&worst).remediation;
    let _ = writeln!(text, "  fix: {}", sanitize::line(fix));
}

fn list(text: &mut String, lines: &[String]) {
    for line in lines.iter().take(MAX_PLACES) {
        let _ = writeln!(text, "    {line}");
    }
    let more = lines.len().saturating_sub(MAX_PLACES);
    if more > 0 {
        let _ = writeln!(text, "    … and {more} more (--format json has all)");
    }
}

fn confidence(finding: &Finding) -> String {
    format!("{:?}", finding.confidence).to_lowercase()
}

/// What the credential is called: its ID, else its fingerprint.
fn name(finding: &Finding) -> String {
    match finding.credential() {
        ("", "") => finding.rule.to_string(),
        ("", fingerprint) => format!("{} {fingerprint}", finding.rule),
        (id, _) => id.to_owned(),
    }
}

/// What AWS said of it, where it was to be asked.
fn verified(finding: &Finding) -> String {
    let told = finding.verified;
    told.map_or_else(String::new, |told| format!(" ({told})"))
}

fn holders(credential: &Credential<'_>) -> String {
    let mut pids: Vec<u32> = credential
        .findings
        .iter()
        .filter_map(|finding| finding.location.pid)
        .collect();
    pids.sort_unstable();
    pids.dedup();
    match pids.len() as u64 {
        0 => String::new(),
        count => format!(", held by {}", many_es(count, "process")),
    }
}

/// The places, one a line: but for the processes of one executable in one
/// unit or container, which are one line together.
fn lines(findings: &[&Finding]) -> Vec<String> {
    let mut lines: Vec<(String, Vec<u32>)> = Vec::new();
    let mut workers: HashMap<_, usize> = HashMap::new();
    for finding in findings {
        let place = &finding.location;
        if let Some(pid) = place.pid {
            let alike = (
                (&place.path, &place.exe, &finding.title),
                (&place.unit, &place.container, place.uid),
            );
            if let Some(line) = workers.get(&alike) {
                lines[*line].1.push(pid);
                continue;
            }
            workers.insert(alike, lines.len());
        }
        lines.push((place_with_facts(finding), Vec::new()));
    }
    lines
        .into_iter()
        .map(|(mut line, others)| {
            if !others.is_empty() {
                let first: Vec<String> = others.iter().take(MAX_PIDS).map(u32::to_string).collect();
                let more = if others.len() > MAX_PIDS { ", …" } else { "" };
                let count = others.len();
                let _ = write!(line, " and {count} more: {}{more}", first.join(", "));
            }
            line
        })
        .collect()
}

/// What the place is to the host, and who takes the credential from it.
fn usage(usage: &Usage) -> Option<String> {
    let users: Vec<String> = usage.used_by.iter().take(MAX_USERS).map(user).collect();
    let more = usage.used_by_total.saturating_sub(users.len() as u64);
    let mut users = users.join(", ");
    if more > 0 {
        let _ = write!(users, " and {more} more");
    }
    match usage.place_kind.map(PlaceKind::phrase) {
        Some(kind) if users.is_empty() => Some(kind.to_owned()),
        Some(kind) => Some(format!("{kind} of {users}")),
        None if users.is_empty() => None,
        None => Some(users),
    }
}

fn user(user: &User) -> String {
    match user {
        User::Unit { unit } => unit.clone(),
        User::Container {
            container,
            name,
            image,
        } => {
            let name = name.as_deref().unwrap_or(container);
            let image = image
                .as_deref()
                .map_or_else(String::new, |image| format!(" ({image})"));
            format!("container {name}{image}")
        }
        User::Account { user, .. } => user.clone(),
    }
}

/// The place in one line, safe for a terminal.
fn place(location: &Location) -> String {
    let mut text = location.path.clone().unwrap_or_default();
    if let Some(member) = &location.member {
        let _ = write!(text, "!{member}");
    }
    if let Some(pid) = location.pid {
        let exe = location.exe.as_deref().unwrap_or("?");
        text = format!("process {pid} ({exe}), {text}");
    } else if let Some(line) = location.line {
        let _ = write!(text, ":{line}");
    }
    if let Some(commit) = &location.commit {
        let _ = write!(text, " in commit {commit}");
    }
    sanitize::line(&text).into_owned()
}

fn place_with_facts(finding: &Finding) -> String {
    let mut text = place(&finding.location);
    let location = &finding.location;
    let mut facts = Vec::new();
    if !location.encoding.is_empty() {
        facts.push(format!("in {}", location.encoding.join(" in ")));
    }
    if finding.occurrences > 1 {
        facts.push(format!("{} times", finding.occurrences));
    }
    if let Some((first, rest)) = finding.also_in.split_first() {
        let more = match rest.len() {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        facts.push(format!("also in {first}{more}"));
    }
    if let (Some(unit), Some(_)) = (&location.unit, location.pid) {
        facts.push(unit.clone());
    }
    facts.extend(usage(&finding.usage));
    if let Some(file) = &finding.file {
        facts.push(format!("mode {}, uid {}", file.mode, file.uid));
        match file.baked_into_image {
            Some(true) => facts.push("came with the image".into()),
            Some(false) => facts.push("arrived at run time".into()),
            None => {}
        }
    } else if let Some(uid) = location.uid {
        facts.push(format!("uid {uid}"));
    }
    if !facts.is_empty() {
        let _ = write!(text, "  [{}]", sanitize::line(&facts.join(", ")));
    }
    text
}

/// What was asked for and not checked.
fn gaps(report: &Report) -> Vec<String> {
    let skips = report
        .coverage
        .iter()
        .flat_map(|part| part.skips().map(move |skip| (part.source, skip)))
        .filter(|(_, skip)| skip.reason.leaves_a_gap())
        .map(|(source, skip)| format!("{} {} ({})", skip.count, source.name(), skip.reason.name()));
    let unknown = report
        .posture
        .iter()
        .filter(|check| check.verdict == Verdict::Unknown)
        .map(|check| format!("{}: {}", check.check, sanitize::line(&check.reason)));
    skips.chain(unknown).collect()
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

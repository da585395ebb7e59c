//! One credential: a line for the head, and a block with its places, who
//! holds it and what to do.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use super::{many, many_es};
use crate::finding::{Finding, Location, PlaceKind, Rule, SourceKind, Usage, User};
use crate::report::Credential;
use crate::sanitize;

/// Places listed for one credential; the JSON report has them all.
const MAX_PLACES: usize = 20;

/// Processes listed by number behind the first of their kind.
const MAX_PIDS: usize = 10;

/// Units, containers or accounts listed for one place.
const MAX_USERS: usize = 3;

/// The findings that are places of the credential, and those that say who
/// uses it in place of the role.
fn places_and_uses<'c>(credential: &Credential<'c>) -> (Vec<&'c Finding>, Vec<&'c Finding>) {
    let (uses, places) = credential
        .findings
        .iter()
        .partition(|finding| finding.rule == Rule::RoleShadowed);
    (places, uses)
}

pub(super) fn credential_line(credential: &Credential<'_>) -> String {
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

pub(super) fn credential_block(text: &mut String, credential: &Credential<'_>) {
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
    let fix = uses.first().unwrap_or(&worst).remediation.to_string();
    let _ = writeln!(text, "  fix: {}", sanitize::line(&fix));
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
    let findings = credential.findings.iter();
    let held = findings.filter_map(|finding| Some((finding.location.pid?, finding)));
    let pids: BTreeSet<u32> = held.clone().map(|(pid, _)| pid).collect();
    // Where no process was asked, who shadows the role is told by the first.
    let shadows = held.filter(|(_, finding)| finding.rule == Rule::RoleShadowed);
    let shadows: u64 = shadows.map(|(_, finding)| finding.occurrences).sum();
    match shadows.max(pids.len() as u64) {
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
    let mut text = location.path.as_deref().unwrap_or_default().to_owned();
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
        facts.push(unit.to_string());
    }
    facts.extend(finding.usage.as_deref().and_then(usage));
    if let Some(file) = &finding.file {
        if location.source != SourceKind::Git {
            facts.push(format!("mode {}, uid {}", file.mode, file.uid));
        }
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

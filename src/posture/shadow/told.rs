//! What a survey comes to, in words: the two checks, and a finding for each
//! shadowing.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::endpoint::Override;
use super::resolve::Setting;
use super::survey::{Holder, Shadow, Survey};
use crate::finding::{
    AccessKeyId, Finding, Instance, Location, PostureCheck, Rule, Severity, SourceKind, Verdict,
    controls, finding_id, judge_shadow,
};
use crate::host::Place;
use crate::sanitize;

/// Shadowings told one by one; more are counted.
const MAX_TOLD: usize = 200;

/// Of many, those that a sentence names.
const MAX_NAMED: usize = 3;

/// Whether there is a role that could be shadowed.
pub(crate) enum Attached<'a> {
    Role(&'a str),
    /// There is none, as the sentence says.
    No(&'static str),
    /// It could not be told.
    Untold(String),
}

/// `role.shadowed`, and what it is made of, the worst first.
pub(super) fn check_shadowed(
    survey: &Survey,
    attached: &Attached<'_>,
    instance: &Instance,
    redact: bool,
) -> (PostureCheck, Vec<Finding>) {
    let check = |verdict, reason: String| PostureCheck::new(Rule::RoleShadowed, verdict, reason);
    let role = match attached {
        Attached::Role(role) => *role,
        Attached::No(why) => {
            let reason = format!("{why}, so that nothing is shadowed");
            return (check(Verdict::NotApplicable, reason), Vec::new());
        }
        Attached::Untold(why) => return (check(Verdict::Unknown, why.clone()), Vec::new()),
    };
    let expected = format!("the role {role}");
    let unseen = unseen(survey);
    if survey.shadows.is_empty() {
        let looked_at = format!(
            "{} processes, {} units and {} accounts",
            survey.processes, survey.units, survey.accounts
        );
        let check = match unseen {
            None => check(
                Verdict::Pass,
                format!("of {looked_at} none comes to a static key before the role {role}"),
            )
            .observed("no static key"),
            Some(unseen) => check(
                Verdict::Unknown,
                format!("no static key was seen in the place of the role {role}, but {unseen}"),
            ),
        };
        return (check.expected(expected), Vec::new());
    }
    let mut shadows: Vec<(Severity, &Shadow)> = survey
        .shadows
        .iter()
        .map(|shadow| (severity(shadow, instance), shadow))
        .collect();
    shadows.sort_by_key(|(severity, shadow)| {
        let running = !matches!(shadow.holder, Holder::Account { .. });
        (
            std::cmp::Reverse((*severity, running, shadow.confidence)),
            shadow.pids.first(),
        )
    });
    let named: Vec<String> = shadows
        .iter()
        .take(MAX_NAMED)
        .map(|(_, shadow)| sentence(shadow, instance, redact))
        .collect();
    let mut reason = format!("in the place of the role {role}, {}", named.join("; "));
    let more = shadows.len() - named.len();
    if more > 0 {
        let _ = write!(reason, "; and {more} more");
    }
    if let Some(unseen) = unseen {
        let _ = write!(reason, "; {unseen}");
    }
    let keys: BTreeSet<_> = survey
        .shadows
        .iter()
        .map(|shadow| (&shadow.key.id, &shadow.key.secret_fingerprint))
        .collect();
    let observed = format!(
        "{} in use by {}",
        many(keys.len() as u64, "static key"),
        many(shadows.len() as u64 + survey.excess, "holder")
    );
    let findings = shadows
        .into_iter()
        .take(MAX_TOLD)
        .map(|(severity, shadow)| finding(shadow, severity, role, instance))
        .collect();
    let check = check(Verdict::Fail, reason).observed(observed);
    (check.expected(expected), findings)
}

/// `imds.endpoint-override`.
pub(super) fn check_overrides(survey: &Survey) -> PostureCheck {
    let check =
        |verdict, reason: String| PostureCheck::new(Rule::ImdsEndpointOverride, verdict, reason);
    let unseen = unseen(survey);
    let Some(first) = survey.overrides.first() else {
        return match unseen {
            None => check(
                Verdict::Pass,
                format!(
                    "of {} processes, {} units and {} accounts none is led away from IMDS",
                    survey.processes, survey.units, survey.accounts
                ),
            )
            .observed("none"),
            Some(unseen) => check(
                Verdict::Unknown,
                format!("nobody was seen to be led away from IMDS, but {unseen}"),
            ),
        }
        .expected("none");
    };
    let more = survey.overrides.len() as u64 - 1 + survey.excess;
    let mut observed = format!("{}={}", first.name, first.value);
    if more > 0 {
        let _ = write!(observed, " and {more} more");
    }
    let named: Vec<String> = survey
        .overrides
        .iter()
        .take(MAX_NAMED)
        .map(overridden)
        .collect();
    let mut reason = named.join("; ");
    if survey.overrides.len() > MAX_NAMED {
        let _ = write!(reason, "; and {} more", survey.overrides.len() - MAX_NAMED);
    }
    if let Some(unseen) = unseen {
        let _ = write!(reason, "; {unseen}");
    }
    check(Verdict::Fail, reason)
        .observed(observed)
        .expected("none")
}

/// Whether a shadowing that is not told is none.
pub(super) fn is_whole(survey: &Survey) -> bool {
    unseen(survey).is_none() && survey.excess == 0 && survey.shadows.len() <= MAX_TOLD
}

/// What could not be looked at; `None` where that is nothing.
fn unseen(survey: &Survey) -> Option<String> {
    let mut parts = Vec::new();
    if survey.unread > 0 {
        parts.push(format!(
            "{} of {} could not be read (run as root, or with CAP_SYS_PTRACE)",
            survey.unread,
            many_es(survey.processes, "process")
        ));
    }
    if let Some(example) = &survey.untold_example {
        let more = survey.untold - 1;
        parts.push(match more {
            0 => example.clone(),
            more => format!("{example}, and {more} more"),
        });
    }
    if !survey.is_over {
        parts.push("looking at the host took too long".into());
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn overridden(one: &Override) -> String {
    let who = who(&one.holder, one.pid.as_slice());
    let place = match &one.place {
        Some(place) => format!(" in {}", line_of(place)),
        None => String::new(),
    };
    let heeded_by = if one.heeded_by.is_empty() {
        String::new()
    } else {
        format!(" (heeded by {})", list(&one.heeded_by))
    };
    let more = if one.count > 1 {
        format!(" and {} more", one.count - 1)
    } else {
        String::new()
    };
    format!(
        "{}={}{place} holds for {who}{more}{heeded_by}",
        one.name, one.value
    )
}

fn severity(shadow: &Shadow, instance: &Instance) -> Severity {
    let id = shadow.key.id.as_ref();
    let running = !matches!(shadow.holder, Holder::Account { .. }) || !shadow.pids.is_empty();
    judge_shadow(
        id.is_some(),
        running,
        shadow.confidence,
        same_account(id, instance) == Some(false),
    )
}

fn same_account(id: Option<&AccessKeyId>, instance: &Instance) -> Option<bool> {
    let theirs = id?.account_id()?;
    Some(theirs == *instance.account_id.as_ref()?)
}

/// One shadowing in a few words, for a list.
fn sentence(shadow: &Shadow, instance: &Instance, redact: bool) -> String {
    let id = match shadow.key.id {
        Some(id) if redact => id.masked().to_string(),
        Some(id) => id.to_string(),
        None => "a key that is not of AWS's form".into(),
    };
    let account = match (
        shadow.key.id.as_ref().and_then(AccessKeyId::account_id),
        same_account(shadow.key.id.as_ref(), instance),
    ) {
        (Some(account), Some(false)) => format!(" of the foreign account {account}"),
        (Some(account), _) => format!(" of account {account}"),
        _ => String::new(),
    };
    format!(
        "{} takes {id}{account} from {}",
        who(&shadow.holder, &shadow.pids),
        setting(&shadow.key.setting)
    )
}

fn finding(shadow: &Shadow, severity: Severity, role: &str, instance: &Instance) -> Finding {
    let key = &shadow.key;
    let location = location(shadow);
    let id = key.id.as_ref().map_or("", AccessKeyId::as_str);
    let canary = key.id.as_ref().is_some_and(AccessKeyId::is_canary);
    let uid = location.uid.map(|uid| uid.to_string()).unwrap_or_default();
    let fingerprint = key.secret_fingerprint.as_deref().unwrap_or("");
    let what = format!("{} {id} {fingerprint}", Rule::RoleShadowed.name());
    let account_id = key.id.as_ref().and_then(AccessKeyId::account_id);
    Finding {
        id: finding_id([&what, &uid], &location),
        rule: Rule::RoleShadowed,
        severity,
        confidence: shadow.confidence,
        title: title(shadow, role, instance, canary).into(),
        same_account: same_account(key.id.as_ref(), instance),
        account_id,
        canary,
        secret_fingerprint: key.secret_fingerprint.clone(),
        also_in: Vec::new(),
        occurrences: shadow.pids.len().max(1) as u64,
        file: None,
        controls: controls(Rule::RoleShadowed),
        remediation: remediation(shadow, role).into(),
        usage: None,
        verified: None,
        access_key_id: key.id,
        location,
    }
}

fn location(shadow: &Shadow) -> Location {
    let place = match &shadow.key.setting {
        Setting::File { place, .. } | Setting::Variable(_, Some(place)) => Some(place),
        Setting::Variable(_, None) | Setting::Property(_) => None,
    };
    let path = place.map(|place| shown(&place.path).into());
    let line = place.map(|place| place.line);
    match &shadow.holder {
        Holder::Process(identity) => Location {
            path: path.or_else(|| {
                let part = match shadow.key.setting {
                    Setting::Property(_) => "cmdline",
                    _ => "environ",
                };
                Some(part.into())
            }),
            line,
            pid: shadow.pids.first().copied(),
            exe: identity.exe.clone().map(Into::into),
            uid: identity.uid,
            unit: identity.unit.clone().map(Into::into),
            container: identity.container.clone().map(Into::into),
            ..Location::new(SourceKind::Process)
        },
        Holder::Unit(unit) => Location {
            path,
            line,
            unit: Some(unit.as_str().into()),
            ..Location::new(SourceKind::File)
        },
        Holder::Account { uid, .. } => Location {
            path,
            line,
            uid: Some(*uid),
            ..Location::new(SourceKind::File)
        },
    }
}

fn title(shadow: &Shadow, role: &str, instance: &Instance, canary: bool) -> String {
    let mut title = format!(
        "a static key is used in place of the instance's role {role}: {} takes it from {}, by the \
         order of {}",
        who(&shadow.holder, &shadow.pids),
        setting(&shadow.key.setting),
        orders(shadow)
    );
    if let (Holder::Account { .. }, 1..) = (&shadow.holder, shadow.pids.len()) {
        let _ = write!(
            title,
            "; {} of the account would",
            many_es(shadow.pids.len() as u64, "running process")
        );
    }
    if same_account(shadow.key.id.as_ref(), instance) == Some(false) {
        title += "; it belongs to a FOREIGN account";
    }
    if shadow.key.id.is_none() {
        title += "; its ID has not the form of AWS's";
    }
    if canary {
        title += "; it is a canary: whoever uses it is reported";
    }
    title
}

fn orders(shadow: &Shadow) -> String {
    let reason = match shadow.evidence {
        "" => String::new(),
        evidence => format!(" ({evidence})"),
    };
    if shadow.orders.len() > 1 && shadow.against.is_empty() {
        return format!("every SDK{reason}");
    }
    let against = if shadow.against.is_empty() {
        String::new()
    } else {
        format!(", not of {}", list(&shadow.against))
    };
    format!("{}{against}{reason}", list(&shadow.orders))
}

fn remediation(shadow: &Shadow, role: &str) -> String {
    let place = setting(&shadow.key.setting);
    let when = match shadow.holder {
        Holder::Process(_) => "at the next start of the process",
        Holder::Unit(_) => "at the next start of the unit",
        Holder::Account { .. } => "at once for what starts afterwards",
    };
    let mut text = match (shadow.option, shadow.off) {
        (Some(option), _) => format!("remove the key from {place} and {option}"),
        (None, Some(off)) => format!(
            "remove the key from {place}, and {off} too: it keeps the role {role} out of reach"
        ),
        (None, None) => {
            format!("remove the key from {place}: the role {role} takes over {when}")
        }
    };
    if let Some(id) = &shadow.key.id {
        let _ = write!(
            text,
            "; then, when `aws iam get-access-key-last-used --access-key-id {id}` shows no more \
             use: aws iam update-access-key --access-key-id {id} --status Inactive --user-name \
             <user>"
        );
    }
    text
}

/// Who holds a key, as it is read at night: the name first.
fn who(holder: &Holder, pids: &[u32]) -> String {
    match holder {
        Holder::Process(identity) => {
            let exe = identity.exe.as_deref().unwrap_or("a process");
            let name = exe.rsplit('/').next().unwrap_or(exe);
            let mut facts = Vec::new();
            match pids {
                [] => {}
                [pid] => facts.push(format!("pid {pid}")),
                [pid, more @ ..] => facts.push(format!("pid {pid} and {} more", more.len())),
            }
            facts.extend(identity.uid.map(|uid| format!("uid {uid}")));
            facts.extend(identity.unit.clone());
            facts.extend(
                identity
                    .container
                    .as_ref()
                    .map(|id| format!("container {id}")),
            );
            sanitize::line(&format!("{name} ({})", facts.join(", "))).into_owned()
        }
        Holder::Unit(unit) => format!("unit {unit}"),
        Holder::Account { name, uid } => format!("account {name} (uid {uid})"),
    }
}

fn setting(setting: &Setting) -> String {
    match setting {
        Setting::Variable(name, None) => format!("its environment ({name})"),
        Setting::Variable(name, Some(place)) => format!("{} ({name})", line_of(place)),
        Setting::Property(name) => format!("its command line (-D{name})"),
        Setting::File { place, profile } if profile.is_empty() => line_of(place),
        Setting::File { place, profile } => {
            format!("{} [{}]", line_of(place), sanitize::line(profile))
        }
    }
}

fn line_of(place: &Place) -> String {
    format!("{}:{}", sanitize::line(&shown(&place.path)), place.line)
}

fn shown(path: &Path) -> String {
    sanitize::bytes(path.as_os_str().as_encoded_bytes())
}

fn list(names: &[&str]) -> String {
    match names {
        [some @ .., last] if names.len() <= MAX_NAMED && !some.is_empty() => {
            format!("{} and {last}", some.join(", "))
        }
        [first, second, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second} and {} more", rest.len())
        }
        _ => names.join(", "),
    }
}

fn many(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn many_es(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "es" })
}

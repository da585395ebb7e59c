//! `[[allow]]`: findings that someone has looked at and accepted.
//!
//! What an entry names is a credential or the place of one. It is never
//! repeated in a message: a secret pasted where its fingerprint belongs would
//! end up in the journal.

use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use toml::de::DeTable;

use super::error::Invalid;
use super::glob::PathGlobs;
use super::key::Show;
use super::nearest::nearest;
use super::origin::Origin;
use super::value::{Kind, Raw};
use crate::finding::{AccessKeyId, Finding, Rule};

/// The longest reason; it is shown in one line.
const REASON_MAX: usize = 500;

pub(super) const NAMES: [&str; 6] = [
    "access_key_id",
    "secret_fingerprint",
    "path",
    "rule",
    "reason",
    "expires",
];

/// One accepted finding, or a class of them. All that is named must match.
#[derive(Debug, Clone, PartialEq)]
pub struct Allow {
    pub access_key_id: Option<AccessKeyId>,
    /// `sha256:` and 16 hex digits.
    pub secret_fingerprint: Option<String>,
    /// One glob at most.
    pub path: Option<PathGlobs>,
    pub rule: Option<Rule>,
    /// Why, in one line.
    pub reason: String,
    /// From when on it is void. A date alone is good to the end of its day, UTC.
    pub expires: Option<Timestamp>,
    /// The file, and the line where the entry begins.
    pub origin: Origin,
}

impl Allow {
    /// Whether the entry has run out, and its findings count again.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether the finding is one that the entry speaks of, expired or not.
    pub fn covers(&self, finding: &Finding) -> bool {
        fn agrees<T: ?Sized>(named: Option<&T>, found: impl FnOnce(&T) -> bool) -> bool {
            named.is_none_or(found)
        }
        agrees(self.access_key_id.as_ref(), |id| {
            finding.access_key_id.as_ref() == Some(id)
        }) && agrees(self.secret_fingerprint.as_deref(), |fingerprint| {
            finding.secret_fingerprint.as_deref() == Some(fingerprint)
        }) && agrees(self.path.as_ref(), |path| {
            finding
                .location
                .path
                .as_ref()
                .is_some_and(|found| path.is_match(&**found))
        }) && agrees(self.rule.as_ref(), |rule| finding.rule == *rule)
    }

    /// The entry as TOML, one line a key.
    pub(super) fn show(&self) -> String {
        let text = |name: &str, value: Option<&str>| {
            value.map(|value| format!("{name} = {}\n", value.show()))
        };
        let path = self.path.as_ref().and_then(|path| path.as_slice().first());
        let expires = self.expires.map(|at| format!("expires = {at}\n"));
        [
            text(
                "access_key_id",
                self.access_key_id.as_ref().map(AccessKeyId::as_str),
            ),
            text("secret_fingerprint", self.secret_fingerprint.as_deref()),
            text("path", path.map(String::as_str)),
            text("rule", self.rule.map(Rule::name)),
            text("reason", Some(&self.reason)),
            expires,
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Reads one entry whose keys are known ones. The errors name their key, or
/// none where it is the entry as a whole.
pub(super) fn read_allow(
    table: &DeTable<'_>,
    origin: Origin,
) -> Result<Allow, Vec<(Option<&'static str>, Invalid)>> {
    let mut errors = Vec::new();
    let mut allow = Allow {
        access_key_id: None,
        secret_fingerprint: None,
        path: None,
        rule: None,
        reason: String::new(),
        expires: None,
        origin,
    };
    for name in NAMES {
        let Some(value) = table.get(name) else {
            continue;
        };
        let raw = Raw::from_toml(value);
        if let Err(invalid) = set(&mut allow, name, &raw) {
            errors.push((Some(name), at(invalid, raw.span.as_ref())));
        }
    }
    if !table.contains_key("reason") {
        errors.push((None, Invalid::new("has no reason, which is required")));
    }
    if !NAMES[..4].iter().any(|name| table.contains_key(*name)) {
        let why = "names none of access_key_id, secret_fingerprint, path and rule";
        errors.push((None, Invalid::new(why)));
    }
    if errors.is_empty() {
        Ok(allow)
    } else {
        Err(errors)
    }
}

fn at(invalid: Invalid, span: Option<&Range<usize>>) -> Invalid {
    match span {
        Some(span) => invalid.at(span),
        None => invalid,
    }
}

fn set(allow: &mut Allow, name: &str, raw: &Raw) -> Result<(), Invalid> {
    if name == "expires" {
        allow.expires = Some(expires(raw)?);
        return Ok(());
    }
    let text = raw.as_text().ok_or_else(|| raw.expected("a string"))?;
    match name {
        "access_key_id" => {
            let id = AccessKeyId::parse(text.as_bytes());
            allow.access_key_id = Some(id.ok_or_else(|| {
                Invalid::new("the value is not an access key ID, which has 20 of A-Z and 0-9")
            })?);
        }
        "secret_fingerprint" => {
            let digits = text.strip_prefix("sha256:");
            if !digits.is_some_and(is_fingerprint) {
                return Err(Invalid::new(
                    "the value is not a fingerprint as reports show it: sha256: and 16 of 0-9 and a-f",
                ));
            }
            allow.secret_fingerprint = Some(text.into());
        }
        "path" => {
            let globs = PathGlobs::new(vec![text.into()]);
            allow.path = Some(globs.map_err(|_| Invalid::new("the value is not a path glob"))?);
        }
        "rule" => {
            let known = Rule::ALL.iter().find(|rule| rule.name() == text);
            allow.rule = Some(*known.ok_or_else(|| no_such_rule(text))?);
        }
        _ => {
            if text.trim().is_empty() {
                return Err(Invalid::new("must say why"));
            }
            if text.len() > REASON_MAX || text.contains(char::is_control) {
                let why = format!("must be one line of at most {REASON_MAX} bytes");
                return Err(Invalid::new(why));
            }
            allow.reason = text.into();
        }
    }
    Ok(())
}

fn is_fingerprint(digits: &str) -> bool {
    digits.len() == 16
        && digits
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn no_such_rule(text: &str) -> Invalid {
    let names = || Rule::ALL.iter().map(|rule| rule.name());
    let near = nearest(text, names()).or_else(|| {
        // People remember the name without its prefix.
        let bare = names().filter_map(|name| name.split_once('.'));
        let meant = nearest(text, bare.clone().map(|(_, rest)| rest))?;
        names().find(|name| name.split_once('.').is_some_and(|(_, rest)| rest == meant))
    });
    let hint = match near {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => ["the rules are ", &names().collect::<Vec<_>>().join(", ")].concat(),
    };
    Invalid::new(format!("there is no such rule; {hint}"))
}

/// A TOML date or date-time, or the same in quotes.
fn expires(raw: &Raw) -> Result<Timestamp, Invalid> {
    let text = match &raw.kind {
        Kind::Datetime(when) => when.to_string(),
        Kind::Text(text) => text.clone(),
        _ => return Err(raw.expected("a date such as 2030-12-31")),
    };
    // The shortest date-time is longer than any date; jiff would read the
    // date out of either.
    let parsed = if text.len() == "2030-12-31".len() {
        text.parse()
            .and_then(|day: Date| day.tomorrow()?.to_zoned(TimeZone::UTC))
            .map(|midnight| midnight.timestamp())
    } else {
        text.parse::<Timestamp>()
    };
    parsed.map_err(|_| {
        Invalid::new("the value is not a date such as 2030-12-31, or a time with its offset such as 2030-12-31T18:00:00Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Confidence, Location, Severity, SourceKind};

    fn read(text: &str) -> Result<Allow, String> {
        let table = DeTable::parse(text).unwrap();
        read_allow(table.get_ref(), Origin::Default).map_err(|errors| {
            let told: Vec<String> = errors
                .into_iter()
                .map(|(name, invalid)| format!("{}: {}", name.unwrap_or("entry"), invalid.reason))
                .collect();
            told.join("\n")
        })
    }

    fn finding(path: &str) -> Finding {
        Finding {
            id: String::new(),
            rule: Rule::AccessKeyPair,
            severity: Severity::Critical,
            confidence: Confidence::High,
            title: "".into(),
            access_key_id: AccessKeyId::parse(["AKIA", &"Q".repeat(16)].concat().as_bytes()),
            account_id: None,
            same_account: None,
            canary: false,
            secret_fingerprint: Some("sha256:0123456789abcdef".into()),
            verified: None,
            location: Location {
                path: Some(path.into()),
                ..Location::new(SourceKind::File)
            },
            also_in: Vec::new(),
            occurrences: 1,
            file: None,
            usage: None,
            controls: &[],
            remediation: String::new().into(),
        }
    }

    #[test]
    fn all_that_an_entry_names_must_match() {
        let allow =
            read("path = '/opt/**'\nrule = 'aws.access-key-pair'\nreason = 'known'").unwrap();
        assert!(allow.covers(&finding("/opt/a/b")));
        assert!(!allow.covers(&finding("/srv/a/b")));
        let other = read("path = '/opt'\nrule = 'aws.access-key-id'\nreason = 'known'").unwrap();
        assert!(!other.covers(&finding("/opt/a/b")));
        for (fingerprint, covered) in [("0123456789abcdef", true), ("0123456789abcdee", false)] {
            let text = format!("secret_fingerprint = 'sha256:{fingerprint}'\nreason = 'known'");
            assert_eq!(read(&text).unwrap().covers(&finding("/x")), covered);
        }
        for (letter, covered) in [("Q", true), ("R", false)] {
            let text = format!(
                "access_key_id = 'AKIA{}'\nreason = 'known'",
                letter.repeat(16)
            );
            assert_eq!(read(&text).unwrap().covers(&finding("/x")), covered);
        }
        let placeless = Finding {
            location: Location::new(SourceKind::UserData),
            ..finding("")
        };
        assert!(!allow.covers(&placeless));
    }

    #[test]
    fn a_date_is_good_to_the_end_of_its_day_and_a_time_to_its_second() {
        for (expires, end) in [
            ("2030-12-31", "2031-01-01T00:00:00Z"),
            ("'2030-12-31'", "2031-01-01T00:00:00Z"),
            ("2030-12-31T18:00:00+02:00", "2030-12-31T16:00:00Z"),
            ("'2030-12-31T18:00:00Z'", "2030-12-31T18:00:00Z"),
        ] {
            let allow = read(&format!(
                "rule = 'role.missing'\nreason = 'x'\nexpires = {expires}"
            ));
            let end: Timestamp = end.parse().unwrap();
            let allow = allow.unwrap();
            assert!(allow.is_expired(end), "{expires}");
            assert!(
                !allow.is_expired(end - jiff::SignedDuration::from_secs(1)),
                "{expires}"
            );
        }
    }

    #[test]
    fn what_no_clock_can_tell_is_no_date() {
        for expires in [
            "2030-12-31T18:00:00",
            "18:00:00",
            "'tomorrow'",
            "'2030-13-01'",
            "'9999-12-31'",
            "20301231",
        ] {
            let error = read(&format!(
                "rule = 'role.missing'\nreason = 'x'\nexpires = {expires}"
            ));
            assert!(error.unwrap_err().contains("date"), "{expires}");
        }
    }

    #[test]
    fn an_entry_needs_a_reason_and_something_to_match() {
        assert!(read("path = '/x'").unwrap_err().contains("has no reason"));
        assert!(
            read("path = '/x'\nreason = ' \t'")
                .unwrap_err()
                .contains("must say why")
        );
        assert!(read("reason = 'x'").unwrap_err().contains("names none of"));
        assert!(read("path = '/x'\nreason = 'a\\nb'".replace('\'', "\"").as_str()).is_err());
    }

    #[test]
    fn no_value_of_an_entry_is_repeated_in_a_message() {
        let pasted = "hunter2".repeat(3);
        for name in ["access_key_id", "secret_fingerprint", "rule", "expires"] {
            let error = read(&format!("{name} = '{pasted}'\nreason = 'x'")).unwrap_err();
            assert!(
                error.contains(name) && !error.contains("hunter2"),
                "{error}"
            );
        }
        let error = read("path = '[hunter2'\nreason = 'x'").unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn an_unknown_rule_is_told_with_the_nearest_one() {
        for (typed, meant) in [
            ("aws.acess-key-pair", "aws.access-key-pair"),
            ("access-key-pair", "aws.access-key-pair"),
            ("aws.access_key_id", "aws.access-key-id"),
            ("hop-limt", "imds.hop-limit"),
        ] {
            let error = read(&format!("rule = '{typed}'\nreason = 'x'")).unwrap_err();
            assert!(
                error.contains(&format!("did you mean \"{meant}\"?")),
                "{error}"
            );
        }
    }
}

//! Whether the findings in a file are those that its folder asserts.

use std::collections::BTreeSet;

use rolecall::finding::{AccessKeyId, secret_fingerprint};
use rolecall::secret::Secret;
use serde_json::Value;

use crate::support::corpus::{Kind, Planted, Specimen};

/// Folders in which not even information is wanted: documentation quotes its
/// examples everywhere, and identifiers are no credentials.
const UTTERLY_SILENT: [&str; 2] = ["silent/documented", "silent/identifiers"];

/// What is wrong with the findings in the file of `specimen`, line by line.
pub(super) fn wrong(specimen: &Specimen, came: &[Found]) -> Vec<String> {
    if specimen.is_in("found") {
        found(specimen, came)
    } else {
        silent(specimen, came)
    }
}

/// What one `finding` line says, as far as the corpus asks.
#[derive(Debug)]
pub(super) struct Found {
    rule: String,
    severity: String,
    confidence: String,
    id: Option<String>,
    account: Option<String>,
    fingerprint: Option<String>,
    canary: bool,
    line: Option<u64>,
}

impl Found {
    pub(super) fn of(value: &Value) -> Self {
        let text = |name: &str| value[name].as_str().map(ToOwned::to_owned);
        Self {
            rule: text("rule").unwrap_or_default(),
            severity: text("severity").unwrap_or_default(),
            confidence: text("confidence").unwrap_or_default(),
            id: text("access_key_id"),
            account: text("account_id"),
            fingerprint: text("secret_fingerprint"),
            canary: value["canary"].as_bool().unwrap_or_default(),
            line: value["location"]["line"].as_u64(),
        }
    }

    fn is_on(&self, lines: &[usize]) -> bool {
        self.line
            .and_then(|line| usize::try_from(line).ok())
            .is_some_and(|line| lines.contains(&line))
    }

    fn is_notable(&self) -> bool {
        !["info", "low"].contains(&self.severity.as_str())
    }

    pub(super) fn show(&self) -> String {
        let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        format!(
            "{} {}/{} {} account {} secret {} line {}{}",
            self.rule,
            self.severity,
            self.confidence,
            or(&self.id),
            or(&self.account),
            or(&self.fingerprint),
            self.line.map_or("-".into(), |line| line.to_string()),
            if self.canary { " canary" } else { "" }
        )
    }
}

/// What is wrong with the findings in a file of `silent`.
fn silent(specimen: &Specimen, came: &[Found]) -> Vec<String> {
    if UTTERLY_SILENT.iter().any(|folder| specimen.is_in(folder)) {
        return came
            .first()
            .map(|_| "nothing at all".into())
            .into_iter()
            .collect();
    }
    came.iter()
        .find(|found| found.is_notable())
        .map(|_| "nothing at medium or above".into())
        .into_iter()
        .collect()
}

/// What is wrong with the findings in a file of `found`.
fn found(specimen: &Specimen, came: &[Found]) -> Vec<String> {
    let mut wrong = Vec::new();
    // What a finding may rightly be; anything else of weight is an invention.
    let mut explained = BTreeSet::new();
    for planted in &specimen.planted {
        let secrets = of_number(specimen, planted.number, |kind| {
            matches!(kind, Kind::Secret | Kind::Smtp)
        });
        let ids = of_number(specimen, planted.number, Kind::is_access_key_id);
        let wanted = match planted.kind {
            kind if kind.is_access_key_id() => key(planted, &secrets),
            // A part of a key that its ID speaks for.
            _ if !ids.is_empty() => continue,
            Kind::Secret => vec![Wanted {
                rule: vec!["aws.secret-access-key"],
                fingerprint: Some(fingerprint(&planted.text)),
                ..Wanted::at(planted)
            }],
            Kind::Token | Kind::OldToken if !secrets.is_empty() => continue,
            Kind::Token | Kind::OldToken => vec![Wanted {
                rule: vec!["aws.temporary-credentials"],
                ..Wanted::at(planted)
            }],
            Kind::Bedrock | Kind::BedrockShort => vec![Wanted {
                rule: vec!["aws.bedrock-api-key"],
                ..Wanted::at(planted)
            }],
            _ => vec![Wanted {
                rule: vec!["aws.ses-smtp-credentials"],
                fingerprint: Some(fingerprint(&planted.text)),
                ..Wanted::at(planted)
            }],
        };
        for wanted in wanted {
            let met: Vec<usize> = (0..came.len())
                .filter(|i| wanted.is_met(&came[*i]))
                .collect();
            if met.is_empty() {
                wrong.push(wanted.show());
            }
            explained.extend(met);
        }
    }
    // Wherever something is amiss already, what came instead is listed below
    // it; only an addition to what was right has to be named here.
    if wrong.is_empty() {
        wrong.extend(
            (0..came.len())
                .filter(|i| !explained.contains(i) && came[*i].is_notable())
                .map(|i| format!("no other finding than those planted: {}", came[i].rule)),
        );
    }
    wrong
}

fn of_number(specimen: &Specimen, number: u32, of: impl Fn(Kind) -> bool) -> Vec<&Planted> {
    let is = |planted: &&Planted| planted.number == number && of(planted.kind);
    specimen.planted.iter().filter(is).collect()
}

fn fingerprint(secret: &str) -> String {
    secret_fingerprint(&Secret::new(secret))
}

/// What is wanted of an access key: a finding for each of its secrets, or one
/// for the ID alone.
fn key(id: &Planted, secrets: &[&Planted]) -> Vec<Wanted> {
    let parsed = AccessKeyId::parse(id.text.as_bytes()).expect("the shape of an ID");
    let base = Wanted {
        id: Some(id.text.clone()),
        account: parsed.account_id(),
        canary: id.kind == Kind::Canary,
        ..Wanted::at(id)
    };
    let long_term = parsed.is_long_term();
    if secrets.is_empty() {
        let mut rule = vec!["aws.access-key-id"];
        if !long_term {
            rule.push("aws.temporary-credentials");
        }
        return vec![Wanted {
            rule,
            severity: (id.kind == Kind::Id).then_some("medium"),
            unsure: id.kind == Kind::Unissued,
            ..base
        }];
    }
    secrets
        .iter()
        .map(|secret| Wanted {
            rule: vec![match (secret.kind, long_term) {
                (Kind::Smtp, _) => "aws.ses-smtp-credentials",
                (_, true) => "aws.access-key-pair",
                (_, false) => "aws.temporary-credentials",
            }],
            severity: long_term.then_some("critical"),
            fingerprint: Some(fingerprint(&secret.text)),
            ..base.clone()
        })
        .collect()
}

/// A finding that has to come.
#[derive(Debug, Clone)]
struct Wanted {
    /// Any of these.
    rule: Vec<&'static str>,
    severity: Option<&'static str>,
    /// Whether the confidence must not be high.
    unsure: bool,
    id: Option<String>,
    /// Of the ID; `None` where the ID does not carry one, or there is no ID.
    account: Option<String>,
    fingerprint: Option<String>,
    canary: bool,
    lines: Vec<usize>,
}

impl Wanted {
    fn at(planted: &Planted) -> Self {
        Self {
            rule: Vec::new(),
            severity: None,
            unsure: false,
            id: None,
            account: None,
            fingerprint: None,
            canary: false,
            lines: planted.lines.clone(),
        }
    }

    fn is_met(&self, found: &Found) -> bool {
        let alone = self.id.is_some() && self.fingerprint.is_none();
        self.rule.contains(&found.rule.as_str())
            && found.is_on(&self.lines)
            && self
                .severity
                .is_none_or(|severity| severity == found.severity)
            && !(self.unsure && found.confidence == "high")
            && (self.id.is_none() || (&self.id, &self.account) == (&found.id, &found.account))
            && (self.fingerprint.is_none() || self.fingerprint == found.fingerprint)
            && !(alone && found.fingerprint.is_some())
            && self.canary == found.canary
    }

    fn show(&self) -> String {
        let mut text = self.rule.join(" or ");
        let mut say = |what: String| {
            text.push(' ');
            text.push_str(&what);
        };
        if let Some(severity) = self.severity {
            say(severity.into());
        }
        if self.unsure {
            say("not of high confidence".into());
        }
        if let Some(id) = &self.id {
            let account = self.account.as_deref().unwrap_or("-");
            say(format!("{id} account {account}"));
        }
        say(match &self.fingerprint {
            Some(fingerprint) => format!("secret {fingerprint}"),
            None => "secret -".into(),
        });
        say(format!("line {:?}", self.lines));
        if self.canary {
            say("canary".into());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::corpus;

    fn right(specimen: &Specimen) -> Found {
        let [id, secret] = &specimen.planted[..] else {
            panic!("an ID and a secret, not {:?}", specimen.planted);
        };
        let parsed = AccessKeyId::parse(id.text.as_bytes()).expect("the shape of an ID");
        Found {
            rule: "aws.access-key-pair".into(),
            severity: "critical".into(),
            confidence: "high".into(),
            id: Some(id.text.clone()),
            account: parsed.account_id(),
            fingerprint: Some(fingerprint(&secret.text)),
            canary: false,
            line: Some(2),
        }
    }

    /// A change to a finding that was right.
    type Spoil = fn(&mut Found);

    #[test]
    fn only_the_right_finding_passes() {
        let specimen = corpus::expand("found/x", "\n<<id:1>>\n<<secret:1>>\n", 1);
        assert!(found(&specimen, &[right(&specimen)]).is_empty());
        assert_eq!(found(&specimen, &[]).len(), 1);
        let spoils: [Spoil; 7] = [
            |found| found.line = Some(3),
            |found| found.line = None,
            |found| found.fingerprint = None,
            |found| found.account = None,
            |found| found.severity = "high".into(),
            |found| found.rule = "aws.access-key-id".into(),
            |found| found.canary = true,
        ];
        for spoil in spoils {
            let mut came = right(&specimen);
            spoil(&mut came);
            assert_eq!(found(&specimen, &[came]).len(), 1);
        }
    }

    #[test]
    fn an_invention_beside_the_right_finding_is_told() {
        let specimen = corpus::expand("found/x", "\n<<id:1>>\n<<secret:1>>\n", 1);
        let alone = Found {
            rule: "aws.access-key-id".into(),
            severity: "medium".into(),
            fingerprint: None,
            ..right(&specimen)
        };
        assert_eq!(found(&specimen, &[right(&specimen), alone]).len(), 1);
    }

    #[test]
    fn an_id_that_is_alone_must_not_be_paired() {
        let specimen = corpus::expand("found/x", "\n<<id:1>> <<secret:2>>\n", 1);
        let paired = right(&specimen);
        let alone = Found {
            rule: "aws.access-key-id".into(),
            severity: "medium".into(),
            fingerprint: None,
            ..right(&specimen)
        };
        let secret = Found {
            rule: "aws.secret-access-key".into(),
            severity: "high".into(),
            id: None,
            account: None,
            ..right(&specimen)
        };
        assert!(found(&specimen, &[alone, secret]).is_empty());
        assert_eq!(found(&specimen, &[paired]).len(), 2);
    }

    #[test]
    fn silence_is_judged_by_its_folder() {
        let noise = corpus::expand("silent/noise/x", "<<id:1>>\n<<secret:1>>", 1);
        let documented = corpus::expand("silent/documented/x", "<<example-id>>", 1);
        let of = |severity: &str| {
            [Found {
                severity: severity.into(),
                ..right(&noise)
            }]
        };
        assert!(silent(&noise, &of("low")).is_empty());
        assert_eq!(silent(&noise, &of("medium")).len(), 1);
        assert_eq!(silent(&documented, &of("info")).len(), 1);
    }
}

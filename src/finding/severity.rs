//! How bad a finding is, and how sure rolecall is of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Rule;

/// How bad it is if it is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    pub const ALL: [Self; 5] = [
        Self::Info,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How sure it is that it is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    Low,
    Medium,
    High,
}

/// An access key ID that is spoken of, and not kept for use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mention {
    /// It names the signer, in a signed URL or a credential scope.
    Signature,
    /// rolecall has told it, to the journal or in a report that somebody kept.
    Report,
}

/// What a credential's severity is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Evidence {
    pub rule: Rule,
    pub confidence: Confidence,
    /// A long-term key (`AKIA`), as opposed to one that expires.
    pub long_term: bool,
    /// Where an ID is expected without its secret, it is of no weight.
    pub mention: Option<Mention>,
    /// The credentials that the instance's own role gave out.
    pub of_own_role: bool,
    /// Held in a process environment rather than written to disk.
    pub in_process: bool,
}

/// The severity of a credential in a place.
///
/// A long-term key with its secret is critical, wherever it is. A secret
/// alone opens nothing until its ID is found, which is one `list-access-keys`
/// away. Temporary credentials expire within hours; the instance role's own
/// belong in a process environment and nowhere on disk.
pub const fn judge(evidence: &Evidence) -> Severity {
    match evidence.rule {
        Rule::AccessKeyPair | Rule::SesSmtpCredentials => Severity::Critical,
        Rule::BedrockApiKey if evidence.long_term => Severity::Critical,
        Rule::BedrockApiKey => Severity::High,
        Rule::TemporaryCredentials if evidence.of_own_role && evidence.in_process => Severity::Info,
        Rule::TemporaryCredentials => match evidence.confidence {
            Confidence::High | Confidence::Medium => Severity::High,
            Confidence::Low => Severity::Medium,
        },
        Rule::SecretAccessKey => match evidence.confidence {
            Confidence::High | Confidence::Medium => Severity::High,
            Confidence::Low => Severity::Medium,
        },
        Rule::AccessKeyIdAlone if evidence.mention.is_some() => Severity::Info,
        Rule::AccessKeyIdAlone => match (evidence.long_term, evidence.confidence) {
            (true, Confidence::High | Confidence::Medium) => Severity::Medium,
            (true, Confidence::Low) | (false, Confidence::High | Confidence::Medium) => {
                Severity::Low
            }
            (false, Confidence::Low) => Severity::Info,
        },
        Rule::RoleShadowed => Severity::Critical,
        Rule::ImdsUnreachable
        | Rule::ImdsDisabled
        | Rule::RoleMissing
        | Rule::RoleCredentialsUnusable
        | Rule::RoleOverprivileged
        | Rule::RoleTrustTooWide => Severity::High,
        Rule::ImdsV1Enabled | Rule::ImdsEndpointOverride => Severity::Medium,
        Rule::ImdsHopLimit => Severity::Low,
    }
}

/// The severity of a static key in the place of the instance's role.
///
/// Critical where it is in use: a process or unit comes to it, by the order
/// of the SDK that it uses or of all; and wherever it belongs to a foreign
/// account. High where an account's programs would come to it, or only those
/// of some SDKs. A key that is not AWS's in form signs nothing at AWS, but
/// keeps the role from use.
pub const fn judge_shadow(
    of_aws: bool,
    running: bool,
    confidence: Confidence,
    foreign: bool,
) -> Severity {
    match (of_aws, running, confidence) {
        (false, ..) => Severity::Medium,
        _ if foreign => Severity::Critical,
        (_, true, Confidence::Medium | Confidence::High) => Severity::Critical,
        _ => Severity::High,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(rule: Rule, long_term: bool) -> Evidence {
        Evidence {
            rule,
            confidence: Confidence::High,
            long_term,
            mention: None,
            of_own_role: false,
            in_process: false,
        }
    }

    #[test]
    fn a_long_term_pair_is_critical_whatever_the_confidence() {
        for confidence in [Confidence::Low, Confidence::Medium, Confidence::High] {
            let pair = Evidence {
                confidence,
                ..evidence(Rule::AccessKeyPair, true)
            };
            assert_eq!(judge(&pair), Severity::Critical);
        }
    }

    #[test]
    fn an_id_alone_is_medium_and_in_a_signed_url_only_information() {
        let id = evidence(Rule::AccessKeyIdAlone, true);
        assert_eq!(judge(&id), Severity::Medium);
        assert_eq!(
            judge(&Evidence {
                mention: Some(Mention::Signature),
                ..id
            }),
            Severity::Info
        );
    }

    #[test]
    fn the_roles_own_credentials_belong_in_memory_and_not_on_disk() {
        let own = Evidence {
            of_own_role: true,
            ..evidence(Rule::TemporaryCredentials, false)
        };
        assert_eq!(
            judge(&Evidence {
                in_process: true,
                ..own
            }),
            Severity::Info
        );
        assert_eq!(judge(&own), Severity::High);
    }
}

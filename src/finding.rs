//! What rolecall found: one credential in one place, or one failed posture
//! check. Everything downstream (reports, delivery) speaks these types only.

mod access_key_id;
mod controls;
mod coverage;
mod fingerprint;
mod instance;
mod pool;
mod posture;
mod provenance;
mod record;
mod remediation;
mod role_key;
mod rule;
mod severity;
mod usage;
mod verified;

use std::sync::Arc;

use serde::Serialize;

pub use access_key_id::{AccessKeyId, Structure};
pub use controls::controls;
pub use coverage::{Coverage, Skip, SkipReason};
pub use fingerprint::{finding_id, secret_fingerprint};
pub use instance::Instance;
pub use pool::Pool;
pub use posture::{PostureCheck, Verdict};
pub use provenance::{FileFacts, GitState, Location, SourceKind};
pub use record::{Record, SCHEMA_VERSION, Summary, Versioned};
pub use remediation::{Remediation, posture_remediation, remediation, user_data_remediation};
pub use role_key::RoleKey;
pub use rule::Rule;
pub use severity::{Confidence, Evidence, Mention, Severity, judge, judge_shadow};
pub use usage::{Holder, PlaceKind, Usage, User};
pub use verified::Verified;

/// One credential in one place, or one failed posture check, with all that a
/// reader needs to act on it. The field names are the public JSON contract.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Stable over runs and machines, see [`finding_id`].
    pub id: String,
    pub rule: Rule,
    pub severity: Severity,
    pub confidence: Confidence,
    /// One sentence, safe for a terminal.
    pub title: Arc<str>,
    pub access_key_id: Option<AccessKeyId>,
    /// Twelve digits, decoded from the access key ID without asking AWS.
    pub account_id: Option<String>,
    /// Whether the credential belongs to the instance's own account; `None`
    /// where one of the two accounts is not known.
    pub same_account: Option<bool>,
    /// A decoy of a known canary service: using it raises somebody's alarm.
    pub canary: bool,
    /// `sha256:` and 16 hex digits, see [`secret_fingerprint`].
    pub secret_fingerprint: Option<String>,
    /// What AWS says of the credential, where it was to be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    pub location: Location,
    /// Other places of the same text, which are told with this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_in: Vec<Arc<str>>,
    /// How often this credential stands in this place.
    pub occurrences: u64,
    pub file: Option<Arc<FileFacts>>,
    pub controls: &'static [&'static str],
    pub remediation: Remediation,
    /// Last, because it is the longest: readers of log events see so many fields only.
    #[serde(flatten)]
    pub usage: Option<Arc<Usage>>,
}

impl Finding {
    /// What makes two findings the same credential: the secret where it is
    /// known, else the access key ID, else the rule itself.
    pub fn credential(&self) -> (&str, &str) {
        (
            self.access_key_id.as_ref().map_or("", AccessKeyId::as_str),
            self.secret_fingerprint.as_deref().unwrap_or(""),
        )
    }

    /// Adds one of the same credential in a later version of the same file. This
    /// one stays the one that is described, but where the repository has it, and
    /// how bad that is, is told of both together.
    pub fn add_version(&mut self, later: Self) {
        self.occurrences += later.occurrences;
        let state = later.location.git_state;
        let is_at_hand = self.location.git_state != state
            && GitState::of_either(self.location.git_state, state) == state;
        if is_at_hand {
            self.location.git_state = state;
        }
        if is_at_hand || later.severity > self.severity {
            self.title = later.title;
            self.remediation = later.remediation;
        }
        if later.severity > self.severity {
            self.severity = later.severity;
            self.confidence = later.confidence;
        }
    }

    /// The finding as it may be shown where access key IDs are to be masked.
    #[must_use]
    pub fn redacted(mut self) -> Self {
        if let Some(id) = self.access_key_id {
            let masked = id.masked();
            self.remediation = self.remediation.with_id(id, masked);
            self.access_key_id = Some(masked);
        }
        self
    }

    /// A failed posture check as a finding; `None` where it did not fail, or
    /// has findings of its own, as `role.shadowed` has one for each holder.
    pub fn of_check(check: &PostureCheck, instance: &Instance) -> Option<Self> {
        let rule = check.check;
        let location = Location::new(SourceKind::Posture);
        let fails = check.verdict == Verdict::Fail && rule != Rule::RoleShadowed;
        fails.then(|| Self {
            id: finding_id([rule.name(), ""], &location),
            rule,
            severity: judge(&Evidence {
                rule,
                confidence: Confidence::High,
                long_term: false,
                mention: None,
                of_own_role: false,
                in_process: false,
            }),
            confidence: Confidence::High,
            title: format!("{}: {}", rule.title(), check.reason).into(),
            access_key_id: None,
            account_id: None,
            same_account: None,
            canary: false,
            secret_fingerprint: None,
            verified: None,
            location,
            also_in: Vec::new(),
            occurrences: 1,
            file: None,
            usage: None,
            controls: check.controls,
            remediation: posture_remediation(check, instance).into(),
        })
    }
}

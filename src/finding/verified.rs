//! What AWS made of a credential that it was asked about.

use std::fmt;

use serde::Serialize;

use super::Severity;

/// Whether a key that was found opens anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verified {
    /// AWS takes it.
    Active,
    /// AWS does not know it: inactive, deleted or expired.
    Inactive,
    /// AWS knows the ID, and the secret is not its own.
    WrongSecret,
    /// AWS gave no answer, or was not to be asked.
    Unknown,
}

impl Verified {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::WrongSecret => "wrong-secret",
            Self::Unknown => "unknown",
        }
    }

    /// The severity of a finding in the light of this. A key that is inactive
    /// today can be made active again, so it does not go below medium. The ID
    /// beside a wrong secret is in use, and its own secret may not be far.
    #[must_use]
    pub fn weigh(self, severity: Severity) -> Severity {
        match self {
            Self::Active | Self::Unknown => severity,
            Self::Inactive => severity.min(Severity::Medium),
            Self::WrongSecret => severity.min(Severity::High),
        }
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

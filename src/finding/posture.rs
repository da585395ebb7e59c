//! The result of one posture check.

use serde::Serialize;

use super::Rule;

/// What a posture check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Pass,
    Fail,
    /// It could not be told; the reason says why.
    Unknown,
    NotApplicable,
}

impl Verdict {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
            Self::NotApplicable => "not-applicable",
        }
    }
}

/// One posture check, what was seen and what should have been.
#[derive(Debug, Clone, Serialize)]
pub struct PostureCheck {
    pub check: Rule,
    pub verdict: Verdict,
    pub observed: Option<String>,
    pub expected: Option<String>,
    /// One sentence with the cause.
    pub reason: String,
    pub controls: &'static [&'static str],
}

impl PostureCheck {
    /// A check with neither an observation nor an expectation.
    pub fn new(check: Rule, verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            check,
            verdict,
            observed: None,
            expected: None,
            reason: reason.into(),
            controls: super::controls(check),
        }
    }

    #[must_use]
    pub fn observed(mut self, observed: impl Into<String>) -> Self {
        self.observed = Some(observed.into());
        self
    }

    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }
}

//! `imds.unreachable`, `imds.disabled` and `imds.v1-enabled`: does IMDS
//! answer, is it on, and does it ask for a token?

use crate::finding::{PostureCheck, Rule, Verdict};
use crate::imds::Error;

/// What a request without a token came to: given, refused, or no telling.
type Tokenless = Result<bool, Error>;

pub(super) fn check_reachable(endpoint: &str, ttl_was_told: bool) -> PostureCheck {
    let reason = if ttl_was_told {
        format!("IMDS at {endpoint} answers")
    } else {
        format!(
            "IMDS at {endpoint} answers, but leaves out the token's lifetime, without which AWS \
             SDKs refuse the token: something may stand in between"
        )
    };
    PostureCheck::new(Rule::ImdsUnreachable, Verdict::Pass, reason)
        .observed("reachable")
        .expected("reachable")
}

pub(super) fn check_enabled() -> PostureCheck {
    PostureCheck::new(Rule::ImdsDisabled, Verdict::Pass, "IMDS is enabled")
        .observed("enabled")
        .expected("enabled")
}

/// `imds.unreachable` and `imds.disabled` where no token was given.
pub(super) fn check_unanswered(
    endpoint: &str,
    error: &Error,
    v1: Option<&Tokenless>,
) -> (PostureCheck, PostureCheck) {
    if let Error::Disabled { .. } = error {
        return (
            check_reachable(endpoint, true),
            PostureCheck::new(
                Rule::ImdsDisabled,
                Verdict::Fail,
                format!("IMDS at {endpoint} is disabled for this instance (403)"),
            )
            .observed("disabled")
            .expected("enabled"),
        );
    }
    let (observed, why) = match (error, v1) {
        (Error::TimedOut { .. }, Some(Ok(_))) => (
            "token-timed-out",
            "other requests are answered but the answer to a token request does not arrive: the \
             hop limit is too small for where this runs (a container?)"
                .to_owned(),
        ),
        _ => (error.cause(), explain(error)),
    };
    let reachable = PostureCheck::new(
        Rule::ImdsUnreachable,
        Verdict::Fail,
        format!("IMDS at {endpoint}: {why}"),
    )
    .observed(observed)
    .expected("reachable");
    let enabled = PostureCheck::new(
        Rule::ImdsDisabled,
        Verdict::Unknown,
        format!("IMDS could not be asked: {error}"),
    )
    .expected("enabled");
    (reachable, enabled)
}

fn explain(error: &Error) -> String {
    match error {
        Error::Refused { .. } => {
            "nothing listens there: the connection was refused, by a local firewall or by \
             something that took over the address"
                .into()
        }
        Error::TimedOut { .. } => {
            "no answer in time: packets are dropped on the way, or this is not an EC2 instance"
                .into()
        }
        Error::LockedByHost { errno, .. } => format!(
            "locked by this host: a route, a firewall or a sandbox does not let the request out \
             ({errno})"
        ),
        Error::Throttled { status, .. } => {
            format!("something on this host asks too often, and IMDS throttles it ({status})")
        }
        Error::Proxy { sign, .. } => {
            format!("a proxy stands in the way and answers in its place ({sign})")
        }
        Error::Interrupted { .. } => "the connection broke off before the answer was whole".into(),
        other => other.to_string(),
    }
}

/// `imds.v1-enabled`; `None` where it was not to be asked.
pub(super) fn check_v1(answer: Option<&Tokenless>) -> PostureCheck {
    let check = |verdict, reason: String| PostureCheck::new(Rule::ImdsV1Enabled, verdict, reason);
    match answer {
        None => check(
            Verdict::NotApplicable,
            "the request without a token is switched off (posture.probe_v1)".into(),
        ),
        Some(Ok(true)) => check(
            Verdict::Fail,
            "IMDS answers requests without a token, so any server-side request forgery reaches \
             the role's credentials"
                .into(),
        )
        .observed("optional")
        .expected("required"),
        Some(Ok(false)) => check(
            Verdict::Pass,
            "IMDS refuses requests without a token (401)".into(),
        )
        .observed("required")
        .expected("required"),
        Some(Err(error)) => check(
            Verdict::Unknown,
            format!("whether a token is required could not be told: {error}"),
        )
        .expected("required"),
    }
}

/// `imds.v1-enabled` where no token was given; `None` where the reason for
/// that says it all.
pub(super) fn check_v1_without_session(
    probe_v1: bool,
    error: &Error,
    answer: Option<&Tokenless>,
) -> Option<PostureCheck> {
    match (error, answer) {
        _ if !probe_v1 => Some(check_v1(None)),
        (Error::Disabled { .. }, _) => Some(PostureCheck::new(
            Rule::ImdsV1Enabled,
            Verdict::NotApplicable,
            "IMDS is disabled, so nobody is answered",
        )),
        (_, Some(answer @ Ok(_))) => Some(check_v1(Some(answer))),
        _ => None,
    }
}

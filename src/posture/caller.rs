//! The second opinion on `role.credentials-unusable`: does STS know whose
//! credentials IMDS gives out, and does this host's clock let them sign?
//!
//! IMDS renews credentials by itself and hears late, or never, that their role
//! is gone. `GetCallerIdentity` needs no permission, so what is refused there
//! is refused everywhere.
//!
//! Most instances without a way to the internet have none to STS either, and
//! that is no fault of the role. So silence counts for nothing where nobody
//! said that STS is to be reached: the verdict is then IMDS's, and the reason
//! says that STS did not confirm it. Where `ship.sts_endpoint` is set, silence
//! makes the check unknown. In neither case is the role taken for unusable.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::Inquiry;
use crate::aws::{Caller, Refusal, Sts};
use crate::finding::{PostureCheck, Verdict};
use crate::secret::Credentials;

/// How long STS may take where it may not be there: a run by hand ends within
/// a second.
const BRIEF: Duration = Duration::from_millis(700);
/// How long it may take where it is meant to be reached.
const PATIENT: Duration = Duration::from_secs(3);

/// AWS takes signatures that are off by less. Source: "Elements of an AWS API
/// request signature".
const MAX_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// What was heard beyond what IMDS says of the credentials.
#[derive(Debug, Clone)]
pub(super) struct Hearing {
    pub(super) opinion: Opinion,
    /// This host's clock less AWS's, where an answer told the time.
    pub(super) skew: Option<SignedDuration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Opinion {
    /// STS was not asked, for this reason.
    NotAsked(&'static str),
    Asked {
        caller: Caller,
        /// Somebody said that STS is to be reached.
        meant: bool,
    },
}

impl Hearing {
    pub(super) const fn none(why: &'static str) -> Self {
        Self {
            opinion: Opinion::NotAsked(why),
            skew: None,
        }
    }

    fn refusal(&self) -> Option<Refusal> {
        match self.opinion {
            Opinion::Asked {
                caller: Caller::Refused { refusal, .. },
                ..
            } => Some(refusal),
            _ => None,
        }
    }

    /// Whether the clock explains it all. A key that is not known is not known
    /// at any time.
    fn is_skewed(&self) -> bool {
        match self.refusal() {
            Some(Refusal::UnknownKey) => false,
            Some(Refusal::OutOfTime) => true,
            _ => self.skew.is_some_and(|skew| skew.abs() >= MAX_SKEW),
        }
    }

    /// Whether the role can sign; `by_imds` whether it can by what IMDS says.
    pub(super) fn lets_sign(&self, by_imds: bool) -> bool {
        match self.refusal() {
            // The SDK corrects the time by itself.
            _ if self.is_skewed() => true,
            Some(refusal) => refusal == Refusal::Denied,
            None => by_imds,
        }
    }
}

/// Asks STS whose `credentials` these are, unless they may not be AWS's.
pub(super) async fn ask(inquiry: Inquiry<'_>, credentials: &Credentials) -> Hearing {
    let Inquiry {
        services, clock, ..
    } = inquiry;
    let meant = services.sts_endpoint.is_some();
    if !inquiry.imds_is_at_home && !meant {
        return Hearing::none("imds.endpoint is not AWS's own, and ship.sts_endpoint is not set");
    }
    let Some(region) = inquiry.region.or(services.region.as_deref()) else {
        return Hearing {
            opinion: Opinion::Asked {
                caller: Caller::Silent {
                    cause: "the region is not known; set ship.region".into(),
                },
                meant,
            },
            skew: None,
        };
    };
    let patience = if meant || services.network.proxy.is_some() || clock.is_patient {
        PATIENT
    } else {
        BRIEF
    };
    let (network, url) = (services.network.clone(), services.sts_endpoint.clone());
    let region = region.to_owned();
    let asked = async {
        // Certificates are read for it, which must not hold up other checks.
        match spawn_blocking(move || Sts::new(&network, url.as_ref(), &region)).await {
            Ok(Ok(sts)) => Ok(sts.get_caller_identity(credentials, patience).await),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("its client could not be made".into()),
        }
    };
    let end = clock.hangs_after.min(Instant::now() + patience);
    let answer = timeout_at(end, asked).await;
    let (caller, date) = match answer.unwrap_or_else(|_| Err("no answer in time".into())) {
        Ok(answer) => (answer.caller, answer.date),
        Err(cause) => (Caller::Silent { cause }, None),
    };
    Hearing {
        opinion: Opinion::Asked { caller, meant },
        skew: date.map(|date| Timestamp::now().duration_since(date)),
    }
}

/// IMDS's verdict on the credentials of `role`, in the light of what was heard.
pub(super) fn weigh(imds: PostureCheck, role: &str, hearing: &Hearing) -> PostureCheck {
    let fail = |observed: &str, why: String| {
        let mut check = PostureCheck::new(imds.check, Verdict::Fail, why).observed(observed);
        check.expected.clone_from(&imds.expected);
        check
    };
    if hearing.is_skewed() {
        return fail("clock-skew", skewed(hearing.skew));
    }
    match &hearing.opinion {
        Opinion::Asked {
            caller: Caller::Refused { refusal, code },
            ..
        } => {
            let why = explain(*refusal);
            let what = format!("the credentials of the role {role} are refused by STS ({code})");
            fail(code, format!("{what}: {why}"))
        }
        Opinion::Asked {
            caller: Caller::Known { arn },
            ..
        } => also(imds, &format!("STS knows them as {arn}")),
        Opinion::Asked {
            caller: Caller::Silent { cause },
            meant,
        } => {
            let unconfirmed = format!("STS could not be reached to confirm it: {cause}");
            let mut check = also(imds, &unconfirmed);
            if *meant && check.verdict == Verdict::Pass {
                check.verdict = Verdict::Unknown;
            }
            check
        }
        Opinion::NotAsked(why) => also(imds, &format!("STS was not asked to confirm it: {why}")),
    }
}

/// The same verdict; what passed says also this.
fn also(mut check: PostureCheck, more: &str) -> PostureCheck {
    if check.verdict == Verdict::Pass {
        check.reason = format!("{}; {more}", check.reason);
    }
    check
}

fn skewed(skew: Option<SignedDuration>) -> String {
    let size = match skew {
        Some(skew) => format!(
            "is {:#} {} AWS's",
            SignedDuration::from_secs(skew.as_secs().abs()),
            if skew.is_negative() {
                "behind"
            } else {
                "ahead of"
            }
        ),
        None => "is too far from AWS's".into(),
    };
    format!(
        "this host's clock {size}: AWS refuses what is signed more than 5 minutes off, and whether \
         credentials have expired cannot be told by it"
    )
}

const fn explain(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownKey => {
            "it does not know their access key; the role was deleted, or deleted and made anew"
        }
        Refusal::Expired => "they have expired, and IMDS has not renewed them",
        Refusal::BadSignature => {
            "their signature does not match; something changes requests on the way, or the secret \
             that IMDS gives out is not the key's"
        }
        Refusal::OutOfTime => "the time of their signature is too far off",
        Refusal::Denied => {
            "a call that needs no permission is denied; a service control policy, or the policy of \
             the VPC endpoint, forbids it"
        }
        Refusal::Other => "the account or the role is not in order",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Rule;

    const RULE: Rule = Rule::RoleCredentialsUnusable;

    fn hearing(caller: Caller, meant: bool) -> Hearing {
        Hearing {
            opinion: Opinion::Asked { caller, meant },
            skew: Some(SignedDuration::from_secs(-2)),
        }
    }

    fn refused(refusal: Refusal, code: &str) -> Hearing {
        let code = code.into();
        hearing(Caller::Refused { refusal, code }, false)
    }

    fn silent(meant: bool) -> Hearing {
        let cause = "no way there".into();
        hearing(Caller::Silent { cause }, meant)
    }

    fn weighed(verdict: Verdict, hearing: &Hearing) -> PostureCheck {
        let imds = PostureCheck::new(RULE, verdict, "by IMDS").observed("Success");
        weigh(imds, "web", hearing)
    }

    #[test]
    fn silence_changes_nothing_unless_somebody_said_that_sts_is_there() {
        let pass = weighed(Verdict::Pass, &silent(false));
        assert_eq!(pass.verdict, Verdict::Pass);
        assert!(pass.reason.contains("STS could not be reached"), "{pass:?}");
        assert_eq!(
            weighed(Verdict::Pass, &silent(true)).verdict,
            Verdict::Unknown
        );
        for meant in [false, true] {
            assert!(silent(meant).lets_sign(true));
            let fail = weighed(Verdict::Fail, &silent(meant));
            assert_eq!(
                (fail.verdict, fail.reason.as_str()),
                (Verdict::Fail, "by IMDS")
            );
        }
    }

    #[test]
    fn a_refusal_stands_above_what_imds_says() {
        for (refusal, code, signs) in [
            (Refusal::UnknownKey, "InvalidClientTokenId", false),
            (Refusal::Expired, "ExpiredToken", false),
            (Refusal::BadSignature, "SignatureDoesNotMatch", false),
            (Refusal::Denied, "AccessDenied", true),
        ] {
            let hearing = refused(refusal, code);
            let check = weighed(Verdict::Pass, &hearing);
            assert_eq!(check.verdict, Verdict::Fail);
            assert_eq!(check.observed.as_deref(), Some(code));
            assert_eq!(hearing.lets_sign(true), signs, "{code}");
        }
    }

    #[test]
    fn a_clock_that_is_off_is_the_cause_and_its_size_and_side_are_told() {
        for (seconds, told) in [(-7500, "2h 5m behind AWS's"), (360, "6m ahead of AWS's")] {
            let mut hearing = refused(Refusal::Expired, "ExpiredToken");
            hearing.skew = Some(SignedDuration::from_secs(seconds));
            let check = weighed(Verdict::Fail, &hearing);
            assert_eq!(check.observed.as_deref(), Some("clock-skew"));
            assert!(check.reason.contains(told), "{check:?}");
            assert!(hearing.lets_sign(false));
        }
        let unknown = Hearing {
            skew: Some(SignedDuration::from_hours(1)),
            ..refused(Refusal::UnknownKey, "InvalidClientTokenId")
        };
        assert_eq!(
            weighed(Verdict::Pass, &unknown).observed.as_deref(),
            Some("InvalidClientTokenId")
        );
        let bearable = Hearing {
            skew: Some(SignedDuration::from_secs(299)),
            ..silent(false)
        };
        assert_eq!(weighed(Verdict::Pass, &bearable).verdict, Verdict::Pass);
        let sizeless = weighed(
            Verdict::Pass,
            &Hearing {
                skew: None,
                ..refused(Refusal::OutOfTime, "RequestExpired")
            },
        );
        assert_eq!(sizeless.observed.as_deref(), Some("clock-skew"));
    }
}

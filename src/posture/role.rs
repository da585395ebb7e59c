//! `role.missing` and `role.credentials-unusable`: is a role attached, and do
//! its credentials work?

use jiff::{SignedDuration, Timestamp};

use super::Clock;
use super::shadow::Attached;
use super::wait::Backoff;
use crate::finding::{Instance, PostureCheck, Rule, Verdict};
use crate::imds::{Client, CredentialsStatus, Error, IamInfo};
use crate::secret::Credentials;

/// What IMDS says of the role.
#[derive(Debug)]
pub(super) enum Role {
    /// IMDS could not be asked for it.
    Untold(Error),
    /// No role; the instance profile tells whether there should be one.
    None(Result<Option<IamInfo>, Error>),
    Named {
        name: String,
        credentials: Result<CredentialsStatus, Error>,
    },
}

impl Role {
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Named { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Whether there is a role that another key could stand before.
    pub(super) fn attached(&self) -> Attached<'_> {
        match self {
            Self::Named { name, .. } => Attached::Role(name),
            Self::None(Ok(Some(_))) => Attached::No("the instance profile gives no role"),
            Self::None(_) => Attached::No("no role is attached"),
            Self::Untold(error) => Attached::Untold(format!(
                "whether there is a role could not be told: {error}"
            )),
        }
    }

    /// What the role signs with, as far as IMDS calls it good.
    pub(super) fn credentials(&self) -> Option<&Credentials> {
        match self {
            Self::Named {
                credentials: Ok(status),
                ..
            } if status.code == SUCCESS => status.credentials.as_ref(),
            _ => None,
        }
    }

    /// Whether IMDS gives out credentials that have not expired.
    pub(super) fn can_sign(&self, now: Timestamp) -> bool {
        match self {
            Self::Named {
                credentials: Ok(status),
                ..
            } => {
                self.credentials().is_some()
                    && status.expiration.is_some_and(|expiration| now < expiration)
            }
            _ => false,
        }
    }
}

/// The code of credentials that are in order.
const SUCCESS: &str = "Success";

/// IMDS gives out new credentials this long before the old ones expire, at the
/// latest. Source: AWS, "Retrieve security credentials from instance metadata".
const RENEWED_BEFORE: SignedDuration = SignedDuration::from_mins(5);

/// Asks for the role until its credentials are in order or the wait is over:
/// at boot they appear some seconds after IMDS itself.
pub(super) async fn fetch_role(client: &Client, clock: Clock) -> Role {
    let mut backoff = Backoff::until(clock.waited_out);
    loop {
        let role = fetch_once(client, clock).await;
        let (_, unusable) = check_role(&role, Timestamp::now());
        if unusable.verdict == Verdict::Pass || !backoff.pause().await {
            return role;
        }
        log::debug!("{}; trying again", unusable.reason);
    }
}

async fn fetch_once(client: &Client, clock: Clock) -> Role {
    match clock
        .within("the role's name", client.fetch_role_name())
        .await
    {
        Err(error) => Role::Untold(error),
        Ok(None) => Role::None(
            clock
                .within("the instance profile", client.fetch_iam_info())
                .await,
        ),
        Ok(Some(name)) => {
            let status = client.fetch_credentials_status(&name);
            let credentials = clock.within("the role's credentials", status).await;
            Role::Named { name, credentials }
        }
    }
}

/// `role.missing` and `role.credentials-unusable`, as of `now`.
pub(super) fn check_role(role: &Role, now: Timestamp) -> (PostureCheck, PostureCheck) {
    let missing = |verdict, reason: String| PostureCheck::new(Rule::RoleMissing, verdict, reason);
    let unusable =
        |verdict, reason: String| PostureCheck::new(Rule::RoleCredentialsUnusable, verdict, reason);
    match role {
        Role::Untold(error) => (
            missing(
                Verdict::Unknown,
                format!("whether there is a role could not be told: {error}"),
            ),
            unusable(
                Verdict::Unknown,
                format!("whether there is a role could not be told: {error}"),
            ),
        ),
        Role::None(Ok(Some(profile))) => {
            let name = profile.instance_profile_arn.as_deref().unwrap_or("unnamed");
            let gone = format!(
                "the instance profile {name} is attached but gives no role ({}): the role was \
                 removed from it or deleted",
                profile.code
            );
            (
                missing(
                    Verdict::Pass,
                    format!("the instance profile {name} is attached"),
                )
                .observed(name),
                unusable(Verdict::Fail, gone)
                    .observed(profile.code.clone())
                    .expected("Success"),
            )
        }
        Role::None(profile) => {
            let reason = match profile {
                Err(error) => format!("IMDS names no role, and of the instance profile: {error}"),
                Ok(_) => "no instance profile is attached to this instance".into(),
            };
            (
                missing(Verdict::Fail, reason)
                    .observed("none")
                    .expected("a role"),
                unusable(
                    Verdict::NotApplicable,
                    "there is no role whose credentials could be used".into(),
                ),
            )
        }
        Role::Named { name, credentials } => (
            missing(Verdict::Pass, format!("the role {name} is attached"))
                .observed(name.as_str())
                .expected("a role"),
            check_credentials(name, credentials, now),
        ),
    }
}

/// A missing role is missing in what the instance was launched from, and in
/// every other one launched from there.
pub(super) fn name_origin(mut missing: PostureCheck, instance: &Instance) -> PostureCheck {
    if missing.verdict == Verdict::Fail {
        let group = instance.auto_scaling_group.as_ref();
        let group = group.map(|name| format!("Auto Scaling group {name}"));
        let image = instance.image_id.as_ref().map(|id| format!("image {id}"));
        let origin: Vec<String> = group.into_iter().chain(image).collect();
        if !origin.is_empty() {
            missing.reason = format!("{} ({})", missing.reason, origin.join(", "));
        }
    }
    missing
}

fn check_credentials(
    name: &str,
    credentials: &Result<CredentialsStatus, Error>,
    now: Timestamp,
) -> PostureCheck {
    let check = |verdict, observed: &str, reason: String| {
        PostureCheck::new(Rule::RoleCredentialsUnusable, verdict, reason)
            .observed(observed)
            .expected("Success")
    };
    let status = match credentials {
        Ok(status) => status,
        Err(error @ Error::NotFound { .. }) => {
            return check(
                Verdict::Fail,
                error.cause(),
                format!("the role {name} is attached but has no credentials (404)"),
            );
        }
        Err(error @ (Error::Malformed { .. } | Error::Empty { .. } | Error::TooLarge { .. })) => {
            return check(
                Verdict::Fail,
                error.cause(),
                format!("the role {name} gives no credentials that can be read: {error}"),
            );
        }
        Err(error) => {
            return check(
                Verdict::Unknown,
                error.cause(),
                format!("the credentials of the role {name} could not be checked: {error}"),
            );
        }
    };
    let fail = |observed: &str, what: &str| {
        check(
            Verdict::Fail,
            observed,
            format!("the credentials of the role {name} {what}"),
        )
    };
    match (&status.code, status.expiration) {
        (code, _) if code == "AssumeRoleUnauthorizedAccess" => fail(
            code,
            "cannot be had: EC2 may not assume the role (AssumeRoleUnauthorizedAccess); its trust \
             policy does not let ec2.amazonaws.com in, or the role was deleted and made anew",
        ),
        (code, _) if code != SUCCESS => fail(code, &format!("cannot be had: {code}")),
        _ if status.credentials.is_none() => fail("incomplete", "are incomplete"),
        (_, None) => fail("no-expiration", "carry no time at which they expire"),
        (_, Some(expiration)) if expiration <= now => fail(
            "expired",
            &format!(
                "expired at {expiration} and were not renewed (last at {})",
                told(status.last_updated),
            ),
        ),
        (_, Some(expiration)) if should_be_renewed(expiration, status.last_updated, now) => fail(
            "not-rotated",
            &format!(
                "expire at {expiration} and should have been renewed 5 minutes before that (last \
                 at {})",
                told(status.last_updated),
            ),
        ),
        (_, Some(expiration)) => check(
            Verdict::Pass,
            "Success",
            format!("the credentials of the role {name} are valid until {expiration}"),
        ),
    }
}

/// Not where they are newer than what is left of them: then they are merely
/// short-lived.
fn should_be_renewed(
    expiration: Timestamp,
    last_updated: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    let left = expiration.duration_since(now);
    left < RENEWED_BEFORE && last_updated.is_none_or(|updated| now.duration_since(updated) > left)
}

fn told(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "an unknown time".into(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    const NOW: &str = "2026-03-01T12:00:00Z";

    fn status(code: &str, expiration: Option<&str>) -> Role {
        Role::Named {
            name: "web".into(),
            credentials: Ok(CredentialsStatus {
                code: code.into(),
                expiration: expiration.map(|time| time.parse().unwrap()),
                last_updated: None,
                kind: None,
                credentials: Some(Credentials {
                    access_key_id: "ASIAX".into(),
                    secret_access_key: Secret::new("s"),
                    session_token: Some(Secret::new("t")),
                }),
            }),
        }
    }

    fn verdicts(role: &Role) -> (Verdict, Verdict, Option<String>) {
        let now = NOW.parse().unwrap();
        let (missing, unusable) = check_role(role, now);
        (missing.verdict, unusable.verdict, unusable.observed)
    }

    #[test]
    fn credentials_sign_until_the_second_they_expire() {
        let at = |time| {
            let role = status("Success", Some(time));
            (role.can_sign(NOW.parse().unwrap()), verdicts(&role).2)
        };
        let observed = |word: &str| Some(word.to_owned());
        assert_eq!(at("2026-03-01T12:05:00Z"), (true, observed("Success")));
        assert_eq!(at("2026-03-01T12:04:59Z"), (true, observed("not-rotated")));
        assert_eq!(at("2026-03-01T12:00:01Z"), (true, observed("not-rotated")));
        assert_eq!(at("2026-03-01T12:00:00Z"), (false, observed("expired")));
    }

    #[test]
    fn credentials_that_were_just_renewed_are_not_late() {
        for (updated, late) in [("11:58:00Z", false), ("06:00:00Z", true)] {
            let [expiration, updated, now] =
                ["12:03:00Z", updated, "12:00:00Z"].map(|time| format!("2026-03-01T{time}"));
            let updated = Some(updated.parse().unwrap());
            let told =
                should_be_renewed(expiration.parse().unwrap(), updated, now.parse().unwrap());
            assert_eq!(told, late);
        }
    }

    #[test]
    fn each_cause_of_unusable_credentials_is_named() {
        for (role, observed) in [
            (status("Failed", Some("2027-01-01T00:00:00Z")), "Failed"),
            (status("Success", None), "no-expiration"),
            (status("Success", Some("2026-01-01T00:00:00Z")), "expired"),
        ] {
            assert_eq!(
                verdicts(&role),
                (Verdict::Pass, Verdict::Fail, Some(observed.into()))
            );
        }
    }

    #[test]
    fn a_profile_whose_role_is_gone_is_not_a_missing_profile() {
        let role = Role::None(Ok(Some(IamInfo {
            code: "InstanceProfileNotFound".into(),
            instance_profile_arn: None,
        })));
        assert_eq!(
            verdicts(&role),
            (
                Verdict::Pass,
                Verdict::Fail,
                Some("InstanceProfileNotFound".into())
            )
        );
    }

    #[test]
    fn no_role_leaves_nothing_to_say_about_its_credentials() {
        for profile in [Ok(None), Err(Error::TimedOut { what: "it" })] {
            let (missing, unusable, _) = verdicts(&Role::None(profile));
            assert_eq!(missing, Verdict::Fail);
            assert_eq!(unusable, Verdict::NotApplicable);
        }
    }
}

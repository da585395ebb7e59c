//! `role.overprivileged` and `role.trust-too-wide`: may the role do far more
//! than an instance should, and may others than EC2 be it?
//!
//! Asked with the role's own credentials. A role that may not read its own
//! policies is the better for it, so a refusal makes a check not applicable
//! and never unknown; what could be read is judged all the same.

use tokio::task::spawn_blocking;
use tokio::time::timeout_at;

use super::Inquiry;
use super::policy::{Policy, excesses, is_admin_policy, outsiders};
use super::role::Role;
use crate::aws::{Iam, IamError};
use crate::finding::{PostureCheck, Rule, Verdict};
use crate::sanitize;

/// The checks of this module.
pub(super) const CHECKS: [Rule; 2] = [Rule::RoleOverprivileged, Rule::RoleTrustTooWide];

/// Policies that are read; a role has 20 managed ones at most, and the inline
/// ones share 10,240 characters.
const MAX_POLICIES: usize = 64;
/// Bytes of a document; IAM takes 10,240 characters.
const MAX_DOCUMENT: usize = 64 << 10;
/// Grants or principals told in a reason.
const MAX_TOLD: usize = 8;

/// Both checks with the same verdict.
pub(super) fn uniform(verdict: Verdict, reason: &str) -> Vec<PostureCheck> {
    CHECKS
        .iter()
        .map(|&check| PostureCheck::new(check, verdict, reason))
        .collect()
}

/// Asks IAM about `role`, unless its credentials may not be AWS's.
pub(super) async fn assess(inquiry: Inquiry<'_>, role: &Role) -> Vec<PostureCheck> {
    let services = inquiry.services;
    if let Role::None(_) = role {
        let reason = "there is no role whose policies could be read";
        return uniform(Verdict::NotApplicable, reason);
    }
    let (Some(role), Some(credentials)) = (role.name(), role.credentials()) else {
        let reason = "the role's policies were not read, as its credentials are not known";
        return uniform(Verdict::Unknown, reason);
    };
    if !inquiry.imds_is_at_home && services.iam_endpoint.is_none() {
        let reason = "IAM was not asked: imds.endpoint is not AWS's own, and posture.iam_endpoint \
                      is not set";
        return uniform(Verdict::Unknown, reason);
    }
    let Some(region) = inquiry.region.or(services.region.as_deref()) else {
        let reason = "IAM was not asked: the region is not known; set ship.region";
        return uniform(Verdict::Unknown, reason);
    };
    let (network, url) = (services.network.clone(), services.iam_endpoint.clone());
    let (region, name, signer) = (region.to_owned(), role.to_owned(), credentials.clone());
    let assessed = async {
        // Certificates are read for it, which must not hold up other checks.
        let made =
            spawn_blocking(move || Iam::new(&network, url.as_ref(), &region, &name, &signer));
        match made.await {
            Ok(Ok(iam)) => read_all(&iam, role).await,
            Ok(Err(error)) => uniform(Verdict::Unknown, &error.to_string()),
            Err(_) => uniform(Verdict::Unknown, "the client of IAM could not be made"),
        }
    };
    timeout_at(inquiry.clock.hangs_after, assessed)
        .await
        .unwrap_or_else(|_| uniform(Verdict::Unknown, "IAM gave no answer in time"))
}

/// What was read of the role's policies, and what was not.
#[derive(Debug, Default)]
struct Reading {
    policies: Vec<Policy>,
    /// Of AWS's own, known without reading.
    admin: Vec<String>,
    denied: bool,
    failures: Vec<String>,
}

impl Reading {
    /// What IAM gave, or why there is nothing.
    fn keep<T>(&mut self, read: Result<T, IamError>) -> Option<T> {
        match read {
            Ok(value) => return Some(value),
            Err(IamError::Denied) => self.denied = true,
            Err(IamError::Failed(cause)) => self.failures.push(cause),
        }
        None
    }

    fn keep_document(&mut self, name: &str, read: Result<String, IamError>) {
        let Some(document) = self.keep(read) else {
            return;
        };
        let short = document.len() <= MAX_DOCUMENT;
        match short.then(|| Policy::parse(name, &document)).flatten() {
            Some(policy) => self.policies.push(policy),
            None => self.failures.push(format!("{name} is no policy")),
        }
    }

    /// As many of a list as are read.
    fn limited<T>(&mut self, list: Option<Vec<T>>) -> Vec<T> {
        let mut list = list.unwrap_or_default();
        if list.len() > MAX_POLICIES {
            list.truncate(MAX_POLICIES);
            self.failures
                .push("there are more policies than a role can have".into());
        }
        list
    }
}

async fn read_all(iam: &Iam, role: &str) -> Vec<PostureCheck> {
    let attached = async {
        let mut reading = Reading::default();
        let list = reading.keep(iam.list_attached().await);
        for policy in &reading.limited(list) {
            if is_admin_policy(&policy.arn) {
                reading.admin.push(policy.name.clone());
            } else {
                reading.keep_document(&policy.name, iam.get_attached(policy).await);
            }
        }
        reading
    };
    let inline = async {
        let mut reading = Reading::default();
        let list = reading.keep(iam.list_inline().await);
        for name in &reading.limited(list) {
            let document = iam.get_inline(name).await;
            reading.keep_document(&sanitize::line(name), document);
        }
        reading
    };
    let (trust, mut reading, inline) = tokio::join!(iam.get_trust(), attached, inline);
    reading.policies.extend(inline.policies);
    reading.denied |= inline.denied;
    reading.failures.extend(inline.failures);
    let boundary = trust
        .as_ref()
        .ok()
        .and_then(|trust| trust.boundary.as_deref());
    let privileges = check_privileges(role, &reading, boundary);
    let trust = trust.map(|trust| trust.document);
    vec![privileges, check_trust(role, trust)]
}

fn check_privileges(role: &str, reading: &Reading, boundary: Option<&str>) -> PostureCheck {
    let admin = reading
        .admin
        .iter()
        .map(|name| format!("{name} is attached"));
    let wide = excesses(&reading.policies)
        .into_iter()
        .map(|excess| format!("{} allows {}", excess.policy, excess.grant));
    let told: Vec<String> = admin.chain(wide).collect();
    let (verdict, observed, reason) = if !told.is_empty() {
        let limited = boundary.map_or_else(String::new, |boundary| {
            format!("; the permissions boundary {boundary} may limit that and was not evaluated")
        });
        let reason = format!(
            "the role {role} may do too much: {}{limited}",
            listed(&told)
        );
        (Verdict::Fail, "too-wide", reason)
    } else if let Some(failure) = reading.failures.first() {
        let reason = format!("the policies of the role {role} could not be read: {failure}");
        (Verdict::Unknown, "unread", reason)
    } else if reading.denied {
        (
            Verdict::NotApplicable,
            "denied",
            not_assessable(role, "policies"),
        )
    } else {
        let count = reading.policies.len();
        let reason = format!(
            "the role {role} may do nothing that gives it the rights of others, by {count} of its \
             policies"
        );
        (Verdict::Pass, "limited", reason)
    };
    PostureCheck::new(Rule::RoleOverprivileged, verdict, reason)
        .observed(observed)
        .expected("limited")
}

fn check_trust(role: &str, document: Result<String, IamError>) -> PostureCheck {
    let found = document.map(|document| {
        let short = document.len() <= MAX_DOCUMENT;
        short.then(|| outsiders(&document)).flatten()
    });
    let (verdict, observed, reason) = match found {
        Err(IamError::Denied) => (
            Verdict::NotApplicable,
            "denied",
            not_assessable(role, "trust policy"),
        ),
        Err(IamError::Failed(cause)) => (
            Verdict::Unknown,
            "unread",
            format!("the trust policy of the role {role} could not be read: {cause}"),
        ),
        Ok(None) => (
            Verdict::Unknown,
            "unread",
            format!("the trust policy of the role {role} is no policy"),
        ),
        Ok(Some(found)) if found.names.is_empty() => (
            Verdict::Pass,
            "ec2 only",
            format!("nobody but EC2 may assume the role {role}"),
        ),
        Ok(Some(found)) => {
            let names: Vec<String> = found.names.into_iter().collect();
            let condition = if found.is_conditional {
                ", some under a condition that is not evaluated"
            } else {
                ""
            };
            (
                Verdict::Fail,
                "too-wide",
                format!(
                    "the role {role} may also be assumed by {}{condition}",
                    listed(&names)
                ),
            )
        }
    };
    PostureCheck::new(Rule::RoleTrustTooWide, verdict, reason)
        .observed(observed)
        .expected("ec2 only")
}

fn not_assessable(role: &str, what: &str) -> String {
    format!("not assessable, and good: the role {role} may not read its own {what}")
}

fn listed(told: &[String]) -> String {
    let mut shown = told[..told.len().min(MAX_TOLD)].to_vec();
    if told.len() > MAX_TOLD {
        shown.push(format!("{} more", told.len() - MAX_TOLD));
    }
    shown.join("; ")
}

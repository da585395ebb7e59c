//! What did not work, in one sentence each: the cause, and what is missing.

use std::time::Duration;

use super::cloudwatch::Failure;
use super::decision::{Call, Fault};
use super::{Delivery, Settings};
use crate::aws;

/// What a sentence about a failed call speaks of.
pub(super) struct Context<'a> {
    pub(super) settings: &'a Settings,
    pub(super) region: &'a str,
    pub(super) role: &'a str,
}

impl Context<'_> {
    /// A call that will not succeed in this run.
    pub(super) fn refused(&self, call: Call, failure: &Failure) -> String {
        let action = call.action();
        let group = &self.settings.log_group;
        let stream = &self.settings.log_stream;
        let region = self.region;
        let head = match failure.fault {
            Fault::AccessDenied => self.denied(call),
            Fault::NotFound => {
                format!("the log group {group} in {region} does not exist and could not be created")
            }
            Fault::QuotaExceeded => format!(
                "the account's quota does not allow {action} in {region}: ask for a higher one in \
                 Service Quotas, or create the log group {group} beforehand"
            ),
            Fault::KmsKey => format!(
                "the KMS key of the log group {group} cannot be used: check that it is enabled \
                 and that its policy allows logs.{region}.amazonaws.com"
            ),
            Fault::Untrusted => "the TLS of the CloudWatch Logs endpoint cannot be trusted: \
                 where its certificate is signed by a private authority, name that in ship.ca_bundle"
                .into(),
            Fault::ProxyDenied => "the proxy wants credentials: put them into ship.proxy as \
                 http://USER:PASSWORD@HOST:PORT"
                .into(),
            Fault::Misconfigured => {
                "the CloudWatch Logs endpoint cannot be called: check ship.endpoint, ship.region, \
                 ship.fips and ship.dual_stack"
                    .into()
            }
            Fault::InvalidRequest => format!(
                "CloudWatch Logs calls a request for {action} invalid: check the names of the log \
                 group {group} and the log stream {stream}"
            ),
            Fault::ExpiredCredentials | Fault::UnknownCredentials => format!(
                "CloudWatch Logs in {region} does not accept the credentials of the role {}, also \
                 after they were fetched again",
                self.role
            ),
            Fault::BadSignature => format!(
                "CloudWatch Logs in {region} does not accept the signature of the role {}, also \
                 with the time corrected: check this host's clock, and that no proxy changes \
                 requests",
                self.role
            ),
            _ => format!("CloudWatch Logs in {region} refused {action}"),
        };
        with_cause(head, failure)
    }

    /// A call that was still being retried when the time was over.
    pub(super) fn out_of_time(
        &self,
        call: Call,
        attempts: u32,
        deadline: Duration,
        last: Option<&Failure>,
    ) -> String {
        let reason = match last.map(|failure| failure.fault) {
            Some(Fault::TimedOut) | None => "did not answer in time",
            Some(Fault::ProxyRefused) => {
                "cannot be reached, as the proxy opens no tunnel: check the user name and \
                 password in ship.proxy, and that the proxy lets the host through"
            }
            Some(Fault::Unreachable) if self.wants_a_variant() => {
                "cannot be reached at the endpoint that ship.fips or ship.dual_stack ask for, \
                 which not every region has"
            }
            Some(Fault::Unreachable) => "cannot be reached",
            Some(Fault::LostAnswer) => "broke off its answers",
            Some(Fault::ServerError) => "failed",
            Some(Fault::Throttled) => "throttled",
            Some(_) => "kept refusing",
        };
        let tried = if attempts == 1 {
            "1 attempt".to_owned()
        } else {
            format!("{attempts} attempts")
        };
        let head = format!(
            "CloudWatch Logs in {} {reason} ({}, {tried} in {:.1} s)",
            self.region,
            call.action(),
            deadline.as_secs_f64()
        );
        match last {
            Some(failure) => with_cause(head, failure),
            None => head,
        }
    }

    /// Whether the endpoint is one of those that not every region has.
    const fn wants_a_variant(&self) -> bool {
        let network = &self.settings.network;
        self.settings.endpoint.is_none() && (network.fips || network.dual_stack)
    }

    /// The statement that the role's policy lacks, ready to be pasted.
    fn denied(&self, call: Call) -> String {
        let action = call.action();
        let group = &self.settings.log_group;
        let resource = format!(
            "arn:{}:logs:{}:*:log-group:{group}:*",
            aws::partition(self.region),
            self.region
        );
        let statement =
            format!(r#"{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}"#);
        let role = self.role;
        match call {
            Call::PutLogEvents => {
                format!("the role {role} may not call {action}: add to its policy {statement}")
            }
            Call::CreateLogStream => format!(
                "the log stream {} does not exist and the role {role} may not call {action}: \
                 create it, or add to the role's policy {statement}",
                self.settings.log_stream
            ),
            Call::CreateLogGroup => format!(
                "the log group {group} does not exist in {} and the role {role} may not call \
                 {action}: create the log group (recommended, with a retention), or add to the \
                 role's policy {statement}",
                self.region
            ),
        }
    }
}

/// One sentence for each reason for which events were rejected for good, and
/// one for those that were only for their time.
pub(super) fn rejections(delivery: &Delivery) -> Vec<String> {
    let rejected = delivery.rejected();
    let told = [
        (
            rejected.too_old,
            "older than the 14 days that CloudWatch Logs takes",
        ),
        (
            rejected.expired,
            "older than the retention of the log group",
        ),
        (
            rejected.too_new,
            "more than 2 hours ahead of CloudWatch Logs: check this host's clock",
        ),
        (rejected.too_large, "larger than CloudWatch Logs takes"),
        (rejected.invalid, "invalid to CloudWatch Logs"),
    ];
    let restamped = match delivery.restamped {
        0 => None,
        1 => Some(
            "1 event had a time that CloudWatch Logs does not take, and was sent with the \
             present time"
                .to_owned(),
        ),
        count => Some(format!(
            "{count} events had a time that CloudWatch Logs does not take, and were sent with the \
             present time"
        )),
    };
    told.into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, reason)| match count {
            1 => format!("1 event was rejected for good: it is {reason}"),
            _ => format!("{count} events were rejected for good: they are {reason}"),
        })
        .chain(restamped)
        .collect()
}

fn with_cause(head: String, failure: &Failure) -> String {
    if failure.cause.is_empty() {
        head
    } else {
        format!("{head} ({})", failure.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Network;
    use crate::ship::{Fate, Reason};

    fn settings() -> Settings {
        Settings {
            log_group: "/rolecall".into(),
            log_stream: "i-0123".into(),
            region: None,
            endpoint: None,
            imds_endpoint: String::new(),
            network: Network::default(),
        }
    }

    #[test]
    fn a_denial_names_the_statement_that_is_missing() {
        let settings = settings();
        for (region, arn) in [
            (
                "eu-west-1",
                "arn:aws:logs:eu-west-1:*:log-group:/rolecall:*",
            ),
            (
                "cn-north-1",
                "arn:aws-cn:logs:cn-north-1:*:log-group:/rolecall:*",
            ),
            (
                "us-gov-west-1",
                "arn:aws-us-gov:logs:us-gov-west-1:*:log-group:/rolecall:*",
            ),
        ] {
            let context = Context {
                settings: &settings,
                region,
                role: "web",
            };
            for call in Call::ALL {
                let failure = Failure {
                    fault: Fault::AccessDenied,
                    cause: String::new(),
                };
                let sentence = context.refused(call, &failure);
                let statement = format!(
                    r#"{{"Effect":"Allow","Action":"{}","Resource":"{arn}"}}"#,
                    call.action()
                );
                assert!(sentence.contains(&statement), "{sentence}");
                assert!(sentence.contains("role web "), "{sentence}");
            }
        }
    }

    #[test]
    fn rejections_are_told_by_reason() {
        let delivery = Delivery {
            fates: [Reason::TooOld, Reason::TooNew, Reason::TooNew]
                .map(Fate::Rejected)
                .into(),
            ..Delivery::default()
        };
        let sentences = rejections(&delivery);
        assert_eq!(sentences.len(), 2);
        assert!(sentences[0].starts_with("1 event was"));
        assert!(sentences[1].starts_with("2 events were"));
    }
}

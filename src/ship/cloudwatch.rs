//! The CloudWatch Logs API, and the only place that names it.
//!
//! The client is put together by hand. Nothing of it comes from the
//! environment or from `~/.aws`, so nothing but the credentials given here can
//! sign. Whoever calls decides about retries, see [`super::decision`].

use std::sync::{Arc, RwLock};

use aws_credential_types::provider::future;
use aws_sdk_cloudwatchlogs::config::retry::RetryConfig;
use aws_sdk_cloudwatchlogs::config::timeout::TimeoutConfig;
use aws_sdk_cloudwatchlogs::config::{
    AppName, BehaviorVersion, Credentials, IdentityCache, ProvideCredentials, Region,
    SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use aws_sdk_cloudwatchlogs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatchlogs::operation::put_log_events::PutLogEventsOutput;
use aws_sdk_cloudwatchlogs::types::{InputLogEvent, RejectedLogEventsInfo};
use aws_sdk_cloudwatchlogs::{Client, Config};
use aws_smithy_runtime_api::http::Response;

use super::decision::{Call, Fault};
use super::{Event, Rejected, Settings};
use crate::aws::{self, TransportError};

/// The role's credentials of the moment. They are swapped beneath the client,
/// so that what it has learnt of the service's clock and its connections stay.
#[derive(Debug, Clone)]
struct Current(Arc<RwLock<Credentials>>);

impl Current {
    fn get(&self) -> Credentials {
        self.0
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    fn set(&self, credentials: Credentials) {
        *self
            .0
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = credentials;
    }
}

impl ProvideCredentials for Current {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Ok(self.get()))
    }
}

/// Why a call failed, and what was said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) fault: Fault,
    /// One safe line without secrets; may be empty.
    pub(super) cause: String,
}

pub(super) struct Logs {
    client: Client,
    current: Current,
    log_group: String,
    log_stream: String,
}

impl Logs {
    pub(super) fn new(
        settings: &Settings,
        region: &str,
        credentials: Credentials,
    ) -> Result<Self, TransportError> {
        let endpoint = aws::endpoint("ship.endpoint", settings.endpoint.as_ref())?;
        let current = Current(Arc::new(RwLock::new(credentials)));
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(current.clone()))
            .identity_cache(IdentityCache::no_cache())
            .http_client(aws::client(&settings.network, endpoint.as_deref())?)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        config.set_app_name(AppName::new("rolecall").ok());
        config.set_endpoint_url(endpoint);
        Ok(Self {
            client: Client::from_conf(config.build()),
            current,
            log_group: settings.log_group.clone(),
            log_stream: settings.log_stream.clone(),
        })
    }

    pub(super) fn renew(&self, credentials: Credentials) {
        self.current.set(credentials);
    }

    /// Makes one call, once. Only `PutLogEvents` looks at the events and
    /// rejects any.
    pub(super) async fn perform(&self, call: Call, events: &[Event]) -> Result<Rejected, Failure> {
        match call {
            Call::PutLogEvents => self.put(events).await,
            Call::CreateLogStream => self
                .client
                .create_log_stream()
                .log_group_name(&self.log_group)
                .log_stream_name(&self.log_stream)
                .send()
                .await
                .map(|_| Rejected::default())
                .map_err(|error| self.failure(&error)),
            Call::CreateLogGroup => self
                .client
                .create_log_group()
                .log_group_name(&self.log_group)
                .send()
                .await
                .map(|_| Rejected::default())
                .map_err(|error| self.failure(&error)),
        }
    }

    async fn put(&self, events: &[Event]) -> Result<Rejected, Failure> {
        let mut request = self
            .client
            .put_log_events()
            .log_group_name(&self.log_group)
            .log_stream_name(&self.log_stream);
        for event in events {
            let input = InputLogEvent::builder()
                .timestamp(event.timestamp_ms)
                .message(&event.body)
                .build()
                .map_err(|error| Failure {
                    fault: Fault::InvalidRequest,
                    cause: aws::causes(&error),
                })?;
            request = request.log_events(input);
        }
        let output = request.send().await.map_err(|error| self.failure(&error))?;
        Ok(rejected(&output, events.len()))
    }

    fn failure<E>(&self, error: &SdkError<E, Response>) -> Failure
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let (fault, cause) = match aws::Failure::of(error) {
            aws::Failure::Refused {
                code,
                status,
                message,
            } => {
                let fault = Fault::of_answer(code.as_deref(), status, &message);
                let code = code.as_deref().unwrap_or("no error code");
                (fault, format!("{code} (HTTP {status}): {message}"))
            }
            aws::Failure::LostAnswer { cause } => (Fault::LostAnswer, cause),
            aws::Failure::TimedOut { cause } => (Fault::TimedOut, cause),
            aws::Failure::ProxyDenied { cause } => (Fault::ProxyDenied, cause),
            aws::Failure::Untrusted { cause } => (Fault::Untrusted, cause),
            aws::Failure::Unreachable { cause } => (Fault::Unreachable, cause),
            aws::Failure::Misconfigured { cause } => (Fault::Misconfigured, cause),
        };
        // A refusal of a signature quotes what should have been signed, which
        // includes the session token.
        let cause = if fault == Fault::BadSignature || self.quotes_a_secret(&cause) {
            String::new()
        } else {
            aws::shortened(cause.trim_end_matches([':', ' ']))
        };
        Failure { fault, cause }
    }

    fn quotes_a_secret(&self, text: &str) -> bool {
        let credentials = self.current.get();
        text.contains(credentials.secret_access_key())
            || credentials
                .session_token()
                .is_some_and(|token| text.contains(token))
    }
}

fn rejected(output: &PutLogEventsOutput, events: usize) -> Rejected {
    output
        .rejected_log_events_info()
        .map_or_else(Rejected::default, |info| counted(info, events))
}

/// The events of the batch are in the order of time, so that the rejected
/// ones stand at its ends: `[0, tooOldEnd)`, `[0, expiredEnd)` and
/// `[tooNewStart, n)`. The two at the front overlap; an event is counted once,
/// and nothing that the service says makes the sum larger than the batch.
fn counted(info: &RejectedLogEventsInfo, events: usize) -> Rejected {
    let index = |value: Option<i32>, otherwise: usize| {
        value.map_or(otherwise, |v| usize::try_from(v).unwrap_or(0).min(events))
    };
    let too_old = index(info.too_old_log_event_end_index(), 0);
    let expired_end = index(info.expired_log_event_end_index(), 0).max(too_old);
    let too_new_start = index(info.too_new_log_event_start_index(), events).max(expired_end);
    Rejected {
        too_old: too_old as u64,
        expired: (expired_end - too_old) as u64,
        too_new: (events - too_new_start) as u64,
        too_large: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(too_old: Option<i32>, expired: Option<i32>, too_new: Option<i32>) -> Rejected {
        let info = RejectedLogEventsInfo::builder()
            .set_too_old_log_event_end_index(too_old)
            .set_expired_log_event_end_index(expired)
            .set_too_new_log_event_start_index(too_new)
            .build();
        counted(&info, 10)
    }

    #[test]
    fn ends_are_exclusive_and_the_start_is_inclusive() {
        let rejected = info(Some(2), Some(3), Some(9));
        assert_eq!(
            (rejected.too_old, rejected.expired, rejected.too_new),
            (2, 1, 1)
        );
    }

    #[test]
    fn an_event_that_is_both_too_old_and_expired_is_counted_once() {
        let rejected = info(Some(4), Some(3), None);
        assert_eq!((rejected.too_old, rejected.expired), (4, 0));
        assert_eq!(info(None, Some(3), None).expired, 3);
    }

    #[test]
    fn no_answer_rejects_more_than_was_sent() {
        for extreme in [
            None,
            Some(i32::MIN),
            Some(-1),
            Some(0),
            Some(10),
            Some(i32::MAX),
        ] {
            for other in [None, Some(-7), Some(5), Some(11)] {
                for third in [None, Some(i32::MIN), Some(3), Some(i32::MAX)] {
                    assert!(info(extreme, other, third).total() <= 10);
                    assert!(info(third, extreme, other).total() <= 10);
                    assert!(info(other, third, extreme).total() <= 10);
                }
            }
        }
    }
}

//! The CloudWatch Logs API, and the only place that names it.
//!
//! The client is put together by hand. Nothing of it comes from the
//! environment or from `~/.aws`, so nothing but the credentials given here can
//! sign. Whoever calls decides about retries, see [`super::decision`].

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use aws_credential_types::provider::future;
use aws_sdk_cloudwatchlogs::config::retry::RetryConfig;
use aws_sdk_cloudwatchlogs::config::timeout::TimeoutConfig;
use aws_sdk_cloudwatchlogs::config::{
    AppName, BehaviorVersion, ConfigBag, Credentials, IdentityCache, ProvideCredentials, Region,
    SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use aws_sdk_cloudwatchlogs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatchlogs::operation::put_log_events::PutLogEventsOutput;
use aws_sdk_cloudwatchlogs::types::{InputLogEvent, RejectedLogEventsInfo};
use aws_sdk_cloudwatchlogs::{Client, Config};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::Response;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::decision::{Call, Fault};
use super::{Event, Fate, Reason, Settings};
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

/// The service's clock by the date of its last answer, in milliseconds, and
/// when that came: this host's own may be set anew between two calls.
#[derive(Debug, Clone, Default)]
struct Clock(Arc<Mutex<Option<(i64, Instant)>>>);

impl Clock {
    fn now_ms(&self) -> i64 {
        let told = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match told {
            Some((told, came)) => {
                let since = i64::try_from(came.elapsed().as_millis()).unwrap_or(i64::MAX);
                told.saturating_add(since)
            }
            None => Timestamp::now().as_millisecond(),
        }
    }
}

#[dyn_dispatch_hint]
impl Intercept for Clock {
    fn name(&self) -> &'static str {
        "Clock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").unwrap_or_default();
        // One that cannot be read teaches nothing.
        if let Ok(told) = DateTimeParser::new().parse_timestamp(date) {
            let told = (told.as_millisecond(), Instant::now());
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        }
        Ok(())
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
    clock: Clock,
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
        let clock = Clock::default();
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(current.clone()))
            .identity_cache(IdentityCache::no_cache())
            .http_client(aws::client(&settings.network, endpoint.as_deref())?)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .interceptor(clock.clone());
        config.set_app_name(AppName::new("rolecall").ok());
        let (fips, dual_stack) = settings.network.variants(endpoint.as_ref());
        config.set_use_fips(fips);
        config.set_use_dual_stack(dual_stack);
        config.set_endpoint_url(endpoint);
        Ok(Self {
            client: Client::from_conf(config.build()),
            current,
            clock,
            log_group: settings.log_group.clone(),
            log_stream: settings.log_stream.clone(),
        })
    }

    pub(super) fn renew(&self, credentials: Credentials) {
        self.current.set(credentials);
    }

    /// The present time as the service tells it, or else this host.
    pub(super) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Makes one call, once. Only `PutLogEvents` looks at the events and
    /// decides their fates.
    pub(super) async fn perform(
        &self,
        call: Call,
        events: &[&Event],
    ) -> Result<Vec<Fate>, Failure> {
        match call {
            Call::PutLogEvents => self.put(events).await,
            Call::CreateLogStream => self
                .client
                .create_log_stream()
                .log_group_name(&self.log_group)
                .log_stream_name(&self.log_stream)
                .send()
                .await
                .map(|_| Vec::new())
                .map_err(|error| self.failure(&error)),
            Call::CreateLogGroup => self
                .client
                .create_log_group()
                .log_group_name(&self.log_group)
                .send()
                .await
                .map(|_| Vec::new())
                .map_err(|error| self.failure(&error)),
        }
    }

    async fn put(&self, events: &[&Event]) -> Result<Vec<Fate>, Failure> {
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
        Ok(fates(&output, events.len()))
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
            aws::Failure::ProxyRefused { cause } => (Fault::ProxyRefused, cause),
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

fn fates(output: &PutLogEventsOutput, events: usize) -> Vec<Fate> {
    output.rejected_log_events_info().map_or_else(
        || vec![Fate::Accepted; events],
        |info| fates_of(info, events),
    )
}

/// The events of the batch are in the order of time, so that the rejected
/// ones stand at its ends: `[0, tooOldEnd)`, `[0, expiredEnd)` and
/// `[tooNewStart, n)`. The two at the front overlap, and nothing keeps a
/// service from letting all of them.
fn fates_of(info: &RejectedLogEventsInfo, events: usize) -> Vec<Fate> {
    let index = |value: Option<i32>, otherwise: usize| {
        value.map_or(otherwise, |v| usize::try_from(v).unwrap_or(0))
    };
    let too_old_end = index(info.too_old_log_event_end_index(), 0);
    let expired_end = index(info.expired_log_event_end_index(), 0);
    let too_new_start = index(info.too_new_log_event_start_index(), events);
    (0..events)
        .map(|place| match place {
            _ if place < too_old_end => Fate::Rejected(Reason::TooOld),
            _ if place < expired_end => Fate::Rejected(Reason::Expired),
            _ if place >= too_new_start => Fate::Rejected(Reason::TooNew),
            _ => Fate::Accepted,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of ten events: `o` too old, `x` expired, `n` too new, `.` accepted.
    fn fates(too_old: Option<i32>, expired: Option<i32>, too_new: Option<i32>) -> String {
        let info = RejectedLogEventsInfo::builder()
            .set_too_old_log_event_end_index(too_old)
            .set_expired_log_event_end_index(expired)
            .set_too_new_log_event_start_index(too_new)
            .build();
        fates_of(&info, 10)
            .into_iter()
            .map(|fate| match fate {
                Fate::Rejected(Reason::TooOld) => 'o',
                Fate::Rejected(Reason::Expired) => 'x',
                Fate::Rejected(Reason::TooNew) => 'n',
                _ => '.',
            })
            .collect()
    }

    #[test]
    fn ends_are_exclusive_and_the_start_is_inclusive() {
        assert_eq!(fates(Some(2), Some(3), Some(9)), "oox......n");
        assert_eq!(fates(None, None, None), "..........");
    }

    #[test]
    fn an_event_that_is_both_too_old_and_expired_is_too_old() {
        assert_eq!(fates(Some(4), Some(3), None), "oooo......");
        assert_eq!(fates(None, Some(3), None), "xxx.......");
    }

    #[test]
    fn no_answer_decides_more_events_than_were_sent() {
        assert_eq!(
            fates(Some(i32::MIN), Some(-1), Some(i32::MAX)),
            ".........."
        );
        assert_eq!(fates(Some(i32::MAX), Some(5), Some(-7)), "oooooooooo");
        assert_eq!(fates(Some(0), Some(11), Some(0)), "xxxxxxxxxx");
        assert_eq!(fates(Some(1), None, Some(i32::MIN)), "onnnnnnnnn");
    }
}

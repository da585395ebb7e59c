//! The one call to STS that needs no permission: whose credentials are these?

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_sdk_sts::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{
    AppName, BehaviorVersion, ConfigBag, IdentityCache, Intercept, Region, RuntimeComponents,
    SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use aws_sdk_sts::error::BoxError;
use aws_sdk_sts::{Client, Config};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::transport::{Network, TransportError, client, endpoint, shortened};
use super::{Failure, provider};
use crate::secret::Credentials;

/// What STS said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) caller: Caller,
    /// The time by STS's clock, as far as it was told.
    pub(crate) date: Option<Timestamp>,
}

/// What STS makes of credentials. Its own words are not repeated: they may
/// quote what was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// They are good, and the caller's ARN is this, in one safe line.
    Known { arn: String },
    /// They are refused, with this error code.
    Refused { refusal: Refusal, code: String },
    /// No answer that says anything about them, for this reason.
    Silent { cause: String },
}

/// Why credentials are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Never issued, deleted or inactive, or of another partition.
    UnknownKey,
    Expired,
    /// The secret is not the key's, or the request was changed on the way.
    BadSignature,
    /// The time of the signature is too far off.
    OutOfTime,
    /// A policy forbids the call; whose credentials they are was clear by then.
    Denied,
    Other,
}

impl Caller {
    fn of_failure(failure: Failure) -> Self {
        let (code, status, message) = match failure {
            Failure::Refused {
                code,
                status,
                message,
            } => (code.unwrap_or_default(), status, message),
            Failure::LostAnswer { cause }
            | Failure::TimedOut { cause }
            | Failure::ProxyDenied { cause }
            | Failure::ProxyRefused { cause }
            | Failure::Untrusted { cause }
            | Failure::Unreachable { cause }
            | Failure::Misconfigured { cause } => return Self::Silent { cause },
        };
        // What has no code, or no code of AWS's making, is not STS's answer.
        let is_code = (1..=64).contains(&code.len())
            && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
        let refusal = match code.as_str() {
            _ if !is_code || !(400..500).contains(&status) || status == 429 => None,
            "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "SlowDown" => None,
            // It says that STS is off here, and nothing of the credentials.
            "RegionDisabledException" => None,
            "InvalidClientTokenId" | "UnrecognizedClientException" => Some(Refusal::UnknownKey),
            "ExpiredToken" | "ExpiredTokenException" => Some(Refusal::Expired),
            "RequestExpired" | "RequestTimeTooSkewed" => Some(Refusal::OutOfTime),
            "SignatureDoesNotMatch" if tells_of_the_time(&message) => Some(Refusal::OutOfTime),
            "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature" => {
                Some(Refusal::BadSignature)
            }
            "AccessDenied" | "AccessDeniedException" => Some(Refusal::Denied),
            _ => Some(Refusal::Other),
        };
        match refusal {
            Some(refusal) => Self::Refused { refusal, code },
            None if is_code => Self::Silent {
                cause: format!("{code} (HTTP {status})"),
            },
            None => Self::Silent {
                cause: format!("HTTP {status}, and not in the words of STS"),
            },
        }
    }
}

/// STS has one error code for a wrong signature and for one that is too old
/// or not valid yet.
fn tells_of_the_time(message: &str) -> bool {
    message.starts_with("Signature expired") || message.starts_with("Signature not yet current")
}

pub(crate) struct Sts {
    client: Client,
}

impl Sts {
    /// STS of `region`, at `url` where that is set. Reads certificates, and
    /// may take a while to do so; nothing is sent.
    pub(crate) fn new(
        network: &Network,
        url: Option<&String>,
        region: &str,
    ) -> Result<Self, TransportError> {
        let url = endpoint("ship.sts_endpoint", url)?;
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .identity_cache(IdentityCache::no_cache())
            .http_client(client(network, url.as_deref())?)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        config.set_app_name(AppName::new("rolecall").ok());
        let (fips, dual_stack) = network.variants(url.as_ref());
        config.set_use_fips(fips);
        config.set_use_dual_stack(dual_stack);
        config.set_endpoint_url(url);
        Ok(Self {
            client: Client::from_conf(config.build()),
        })
    }

    /// Asks once, for at most `limit`.
    pub(crate) async fn get_caller_identity(
        &self,
        credentials: &Credentials,
        limit: Duration,
    ) -> Answer {
        let date = Date::default();
        let signer = SharedCredentialsProvider::new(provider(credentials));
        let call = self
            .client
            .get_caller_identity()
            .customize()
            .config_override(Config::builder().credentials_provider(signer))
            .interceptor(date.clone())
            .send();
        let caller = match tokio::time::timeout(limit, call).await {
            Ok(Ok(identity)) => match identity.arn() {
                Some(arn) => Caller::Known {
                    arn: shortened(arn),
                },
                None => Caller::Silent {
                    cause: "its answer names nobody".into(),
                },
            },
            Ok(Err(error)) => Caller::of_failure(Failure::of(&error)),
            Err(_) => Caller::Silent {
                cause: format!("no answer within {:.1} s", limit.as_secs_f64()),
            },
        };
        Answer {
            caller,
            date: date.0.get().copied(),
        }
    }
}

/// The `Date` of an answer, whatever else that says.
#[derive(Debug, Clone, Default)]
struct Date(Arc<OnceLock<Timestamp>>);

impl Intercept for Date {
    fn name(&self) -> &'static str {
        "Date"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        if let Some(date) =
            date.and_then(|date| DateTimeParser::new().parse_timestamp(date.trim()).ok())
        {
            let _ = self.0.set(date);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_refusing_credentials_is_told_apart() {
        let refused = |code: &str, status, message: &str| {
            Caller::of_failure(Failure::Refused {
                code: (!code.is_empty()).then(|| code.to_owned()),
                status,
                message: message.into(),
            })
        };
        let expired = "Signature expired: 20260301T100000Z is now earlier than 20260301T101500Z";
        for (code, message, refusal) in [
            ("InvalidClientTokenId", "", Refusal::UnknownKey),
            ("ExpiredToken", "", Refusal::Expired),
            (
                "SignatureDoesNotMatch",
                "The request signature",
                Refusal::BadSignature,
            ),
            ("SignatureDoesNotMatch", expired, Refusal::OutOfTime),
            ("RequestExpired", "", Refusal::OutOfTime),
            ("AccessDenied", "", Refusal::Denied),
            ("OptInRequired", "", Refusal::Other),
        ] {
            let code = code.to_owned();
            let told = refused(&code, 403, message);
            assert_eq!(told, Caller::Refused { refusal, code });
        }
        for (code, status) in [
            ("", 403),
            ("Sign in, please", 403),
            ("Throttling", 400),
            ("RegionDisabledException", 403),
            ("ServiceUnavailable", 503),
            ("TooMany", 429),
        ] {
            let told = refused(code, status, "hidden");
            assert!(matches!(&told, Caller::Silent { cause } if !cause.contains("hidden")));
        }
    }
}

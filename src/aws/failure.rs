//! Why a call to an AWS service failed, whichever service it was.

use std::error::Error;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::transport::{PROXY_DENIED, PROXY_REFUSED, causes, is_untrusted};

/// What came of a call that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The service, or whatever answers in its place, said no.
    Refused {
        code: Option<String>,
        /// HTTP.
        status: u16,
        /// May quote what was signed, and with it the session token.
        message: String,
    },
    /// The request went out and no whole answer came back: it may have been
    /// carried out.
    LostAnswer {
        cause: String,
    },
    TimedOut {
        cause: String,
    },
    /// The proxy wants other credentials.
    ProxyDenied {
        cause: String,
    },
    /// The proxy opens no tunnel, and may have any reason for it.
    ProxyRefused {
        cause: String,
    },
    /// The other side is not whom the trust store vouches for.
    Untrusted {
        cause: String,
    },
    /// Name resolution, connection refused, reset or closed.
    Unreachable {
        cause: String,
    },
    /// The request could not even be made.
    Misconfigured {
        cause: String,
    },
}

impl Failure {
    pub(crate) fn of<E>(error: &SdkError<E, Response>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let cause = causes(error);
        match error {
            SdkError::ServiceError(answer) => {
                let body = answer.raw().body().bytes();
                let code = answer.err().code().or_else(|| in_xml(body, "Code"));
                let message = answer.err().message().or_else(|| in_xml(body, "Message"));
                Self::Refused {
                    code: code.map(ToOwned::to_owned),
                    status: answer.raw().status().as_u16(),
                    message: message.unwrap_or("").to_owned(),
                }
            }
            SdkError::ResponseError(answer) => match answer.raw().status().as_u16() {
                // A success that could not be read.
                200..300 => Self::LostAnswer { cause },
                status => Self::Refused {
                    code: None,
                    status,
                    message: cause,
                },
            },
            SdkError::TimeoutError(_) => Self::TimedOut { cause },
            SdkError::DispatchFailure(failure) => {
                if failure.is_timeout() {
                    Self::TimedOut { cause }
                } else if cause.contains(PROXY_DENIED) {
                    Self::ProxyDenied { cause }
                } else if cause.contains(PROXY_REFUSED) {
                    Self::ProxyRefused { cause }
                } else if is_untrusted(error) {
                    Self::Untrusted { cause }
                } else if failure.is_user() {
                    Self::Misconfigured { cause }
                } else if failure.as_other().is_some() {
                    Self::LostAnswer { cause }
                } else {
                    Self::Unreachable { cause }
                }
            }
            _ => Self::Misconfigured { cause },
        }
    }
}

/// What the error format of the older APIs says: gateways speak it that stand
/// before the service and check who calls.
fn in_xml<'a>(body: Option<&'a [u8]>, element: &str) -> Option<&'a str> {
    let (_, rest) = std::str::from_utf8(body?)
        .ok()?
        .split_once(&format!("<{element}>"))?;
    rest.split_once("</").map(|(text, _)| text.trim())
}

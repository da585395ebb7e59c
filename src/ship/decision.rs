//! What to do about each way in which a call to CloudWatch Logs can fail: one
//! table, and nothing else decides.
//!
//! The SDK's own retries are off. They would hide from this table which call
//! failed how often, retry what only a new stream or new credentials can cure,
//! and know nothing of the deadline.

/// The calls that delivery makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    PutLogEvents,
    CreateLogStream,
    CreateLogGroup,
}

impl Call {
    pub const ALL: [Self; 3] = [
        Self::PutLogEvents,
        Self::CreateLogStream,
        Self::CreateLogGroup,
    ];

    /// The IAM action.
    pub const fn action(self) -> &'static str {
        match self {
            Self::PutLogEvents => "logs:PutLogEvents",
            Self::CreateLogStream => "logs:CreateLogStream",
            Self::CreateLogGroup => "logs:CreateLogGroup",
        }
    }
}

/// The ways in which a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// No answer in time.
    TimedOut,
    /// Name resolution, connection refused, reset or closed.
    Unreachable,
    /// The other side is not whom the trust store vouches for.
    Untrusted,
    /// The request went out and no whole answer came back: it may have been
    /// carried out.
    LostAnswer,
    /// 5xx.
    ServerError,
    Throttled,
    /// Another call on the same log group is under way.
    Conflict,
    ExpiredCredentials,
    /// The credentials are not known to the service (yet).
    UnknownCredentials,
    /// The signature does not match, or its time is too far off. The SDK
    /// learns the service's clock from the answer and signs the next try with
    /// it.
    BadSignature,
    AccessDenied,
    /// The proxy wants other credentials.
    ProxyDenied,
    /// The proxy opens no tunnel. It does not take the credentials, does not
    /// let the host through, or does not reach it itself.
    ProxyRefused,
    NotFound,
    AlreadyExists,
    /// The service has these events already.
    AlreadyAccepted,
    /// A quota that time does not fill again.
    QuotaExceeded,
    /// The key that encrypts the log group cannot be used.
    KmsKey,
    InvalidRequest,
    /// The request could not even be made: the endpoint is no address.
    Misconfigured,
    Unknown,
}

impl Fault {
    pub const ALL: [Self; 21] = [
        Self::TimedOut,
        Self::Unreachable,
        Self::Untrusted,
        Self::LostAnswer,
        Self::ServerError,
        Self::Throttled,
        Self::Conflict,
        Self::ExpiredCredentials,
        Self::UnknownCredentials,
        Self::BadSignature,
        Self::AccessDenied,
        Self::ProxyDenied,
        Self::ProxyRefused,
        Self::NotFound,
        Self::AlreadyExists,
        Self::AlreadyAccepted,
        Self::QuotaExceeded,
        Self::KmsKey,
        Self::InvalidRequest,
        Self::Misconfigured,
        Self::Unknown,
    ];

    /// What an answer with an error code or a status amounts to.
    pub fn of_answer(code: Option<&str>, status: u16, message: &str) -> Self {
        let names_kms = message.contains("KMS") || message.contains("kms:");
        match code.unwrap_or("") {
            "ResourceNotFoundException" => Self::NotFound,
            "ResourceAlreadyExistsException" => Self::AlreadyExists,
            "DataAlreadyAcceptedException" => Self::AlreadyAccepted,
            "OperationAbortedException" | "InvalidSequenceTokenException" => Self::Conflict,
            "ThrottlingException"
            | "Throttling"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "SlowDown" => Self::Throttled,
            "LimitExceededException" | "ServiceQuotaExceededException" => Self::QuotaExceeded,
            "ExpiredTokenException" | "ExpiredToken" | "TokenRefreshRequired" => {
                Self::ExpiredCredentials
            }
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException" => Self::UnknownCredentials,
            "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "RequestTimeTooSkewed"
            | "RequestExpired" => Self::BadSignature,
            code if code.starts_with("KMS") || code.starts_with("Kms") => Self::KmsKey,
            "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" if names_kms => {
                Self::KmsKey
            }
            "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" => {
                Self::AccessDenied
            }
            "InvalidParameterException" if names_kms => Self::KmsKey,
            "InvalidParameterException" | "ValidationException" | "SerializationException" => {
                Self::InvalidRequest
            }
            _ => match status {
                407 => Self::ProxyDenied,
                408 => Self::TimedOut,
                413 => Self::InvalidRequest,
                429 => Self::Throttled,
                500.. => Self::ServerError,
                // A success that could not be read.
                200..300 => Self::LostAnswer,
                _ => Self::Unknown,
            },
        }
    }
}

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// What the call was for is there: go on as if it had succeeded.
    Done,
    /// The same again after a pause with full jitter, until the deadline.
    Retry,
    /// The same again with the role's credentials fetched anew; a few times.
    RenewCredentials,
    CreateStream,
    CreateGroup,
    /// These events will not be taken; others may.
    SkipBatch,
    /// Nothing more can be delivered in this run.
    GiveUp,
}

/// The table.
pub const fn decide(call: Call, fault: Fault) -> Decision {
    match (call, fault) {
        (
            _,
            Fault::TimedOut
            | Fault::Unreachable
            | Fault::LostAnswer
            | Fault::ServerError
            | Fault::Throttled
            | Fault::ProxyRefused
            | Fault::Conflict,
        ) => Decision::Retry,
        (_, Fault::ExpiredCredentials | Fault::UnknownCredentials | Fault::BadSignature) => {
            Decision::RenewCredentials
        }
        (Call::PutLogEvents, Fault::NotFound) => Decision::CreateStream,
        (Call::CreateLogStream, Fault::NotFound) => Decision::CreateGroup,
        (Call::CreateLogGroup, Fault::NotFound) => Decision::GiveUp,
        (Call::PutLogEvents, Fault::AlreadyAccepted) => Decision::Done,
        (Call::CreateLogStream | Call::CreateLogGroup, Fault::AlreadyExists) => Decision::Done,
        (Call::PutLogEvents, Fault::InvalidRequest) => Decision::SkipBatch,
        (Call::CreateLogStream | Call::CreateLogGroup, Fault::InvalidRequest) => Decision::GiveUp,
        (Call::PutLogEvents, Fault::AlreadyExists) => Decision::GiveUp,
        (Call::CreateLogStream | Call::CreateLogGroup, Fault::AlreadyAccepted) => Decision::GiveUp,
        (
            _,
            Fault::Untrusted
            | Fault::AccessDenied
            | Fault::ProxyDenied
            | Fault::QuotaExceeded
            | Fault::KmsKey
            | Fault::Misconfigured
            | Fault::Unknown,
        ) => Decision::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_of_the_service_become_faults() {
        for (code, status, message, fault) in [
            ("ResourceNotFoundException", 400, "", Fault::NotFound),
            (
                "ResourceAlreadyExistsException",
                400,
                "",
                Fault::AlreadyExists,
            ),
            (
                "DataAlreadyAcceptedException",
                400,
                "",
                Fault::AlreadyAccepted,
            ),
            ("OperationAbortedException", 400, "", Fault::Conflict),
            (
                "ThrottlingException",
                400,
                "Rate exceeded",
                Fault::Throttled,
            ),
            ("LimitExceededException", 400, "", Fault::QuotaExceeded),
            ("ExpiredTokenException", 400, "", Fault::ExpiredCredentials),
            (
                "UnrecognizedClientException",
                400,
                "",
                Fault::UnknownCredentials,
            ),
            ("InvalidSignatureException", 400, "", Fault::BadSignature),
            ("RequestTimeTooSkewed", 403, "", Fault::BadSignature),
            (
                "AccessDeniedException",
                400,
                "not authorized to perform: logs:PutLogEvents",
                Fault::AccessDenied,
            ),
            (
                "AccessDeniedException",
                400,
                "not authorized to perform: kms:GenerateDataKey",
                Fault::KmsKey,
            ),
            ("KMSDisabledException", 400, "", Fault::KmsKey),
            (
                "InvalidParameterException",
                400,
                "Log event too large",
                Fault::InvalidRequest,
            ),
            ("ServiceUnavailableException", 503, "", Fault::ServerError),
            ("InternalFailure", 500, "", Fault::ServerError),
            ("SomethingNew", 400, "", Fault::Unknown),
        ] {
            assert_eq!(
                Fault::of_answer(Some(code), status, message),
                fault,
                "{code}"
            );
        }
    }

    #[test]
    fn answers_without_a_code_go_by_their_status() {
        for (status, fault) in [
            (200, Fault::LostAnswer),
            (403, Fault::Unknown),
            (407, Fault::ProxyDenied),
            (408, Fault::TimedOut),
            (429, Fault::Throttled),
            (502, Fault::ServerError),
            (599, Fault::ServerError),
        ] {
            assert_eq!(Fault::of_answer(None, status, ""), fault, "{status}");
        }
    }

    #[test]
    fn what_passes_is_retried_whatever_the_call() {
        for call in Call::ALL {
            for fault in [
                Fault::TimedOut,
                Fault::Unreachable,
                Fault::LostAnswer,
                Fault::ServerError,
                Fault::Throttled,
                Fault::ProxyRefused,
                Fault::Conflict,
            ] {
                assert_eq!(decide(call, fault), Decision::Retry);
            }
        }
    }

    #[test]
    fn what_only_somebody_else_can_change_ends_the_run() {
        for call in Call::ALL {
            for fault in [
                Fault::Untrusted,
                Fault::AccessDenied,
                Fault::ProxyDenied,
                Fault::QuotaExceeded,
                Fault::KmsKey,
                Fault::Misconfigured,
                Fault::Unknown,
            ] {
                assert_eq!(decide(call, fault), Decision::GiveUp);
            }
        }
    }

    #[test]
    fn what_is_missing_is_made_from_the_inside_out() {
        assert_eq!(
            decide(Call::PutLogEvents, Fault::NotFound),
            Decision::CreateStream
        );
        assert_eq!(
            decide(Call::CreateLogStream, Fault::NotFound),
            Decision::CreateGroup
        );
        assert_eq!(
            decide(Call::CreateLogGroup, Fault::NotFound),
            Decision::GiveUp
        );
    }

    #[test]
    fn losing_the_race_to_create_is_winning_it() {
        assert_eq!(
            decide(Call::CreateLogStream, Fault::AlreadyExists),
            Decision::Done
        );
        assert_eq!(
            decide(Call::CreateLogGroup, Fault::AlreadyExists),
            Decision::Done
        );
    }

    #[test]
    fn only_putting_events_can_skip_a_batch() {
        for call in Call::ALL {
            for fault in Fault::ALL {
                let skips = decide(call, fault) == Decision::SkipBatch;
                assert_eq!(
                    skips,
                    call == Call::PutLogEvents && fault == Fault::InvalidRequest
                );
            }
        }
    }
}

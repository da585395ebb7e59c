//! Why IMDS could not be asked: each cause is its own variant, because each
//! has its own remedy.

use std::error::Error as StdError;
use std::io;

/// Why something could not be fetched from IMDS. `what` is what was asked
/// for; nothing of the answer is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the IMDS endpoint is not a plain http:// URL")]
    Endpoint,
    #[error("asking IMDS for {what}: it is disabled or does not allow the request (403)")]
    Disabled { what: &'static str },
    #[error("asking IMDS for {what}: the connection was refused")]
    Refused { what: &'static str },
    #[error("asking IMDS for {what}: no answer in time")]
    TimedOut { what: &'static str },
    /// A route, a local firewall or a sandbox keeps the packets in.
    #[error("asking IMDS for {what}: this host does not let the request out ({errno})")]
    LockedByHost {
        what: &'static str,
        errno: &'static str,
    },
    #[error("asking IMDS for {what}: it does not exist (404)")]
    NotFound { what: &'static str },
    #[error("asking IMDS for {what}: the token was refused (401)")]
    Unauthorized { what: &'static str },
    #[error("asking IMDS for {what}: too many requests ({status})")]
    Throttled { what: &'static str, status: u16 },
    #[error("asking IMDS for {what}: the answer is larger than any that IMDS gives")]
    TooLarge { what: &'static str },
    #[error("asking IMDS for {what}: the answer is empty")]
    Empty { what: &'static str },
    #[error("asking IMDS for {what}: the answer is not what IMDS gives")]
    Malformed { what: &'static str },
    #[error("asking IMDS for {what}: the connection broke off")]
    Interrupted { what: &'static str },
    #[error("asking IMDS for {what}: a proxy seems to answer in its place ({sign})")]
    Proxy {
        what: &'static str,
        sign: &'static str,
    },
    #[error("asking IMDS for {what}: it answered with status {status}")]
    Status { what: &'static str, status: u16 },
    #[error("asking IMDS for {what}: {kind}")]
    Network {
        what: &'static str,
        kind: io::ErrorKind,
    },
}

impl Error {
    /// The cause in one stable word.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Endpoint => "bad-endpoint",
            Self::Disabled { .. } => "disabled",
            Self::Refused { .. } => "refused",
            Self::TimedOut { .. } => "timed-out",
            Self::LockedByHost { .. } => "locked-by-host",
            Self::NotFound { .. } => "not-found",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Throttled { .. } => "throttled",
            Self::TooLarge { .. } => "too-large",
            Self::Empty { .. } => "empty",
            Self::Malformed { .. } => "malformed",
            Self::Interrupted { .. } => "interrupted",
            Self::Proxy { .. } => "proxy",
            Self::Status { .. } => "unexpected-status",
            Self::Network { .. } => "network",
        }
    }

    /// Whether the same request may well be answered in a moment.
    pub(super) const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Throttled { .. } | Self::Interrupted { .. } | Self::Status { status: 500, .. }
        )
    }

    pub(super) const fn malformed(what: &'static str) -> Self {
        Self::Malformed { what }
    }

    pub(super) const fn of_status(what: &'static str, status: u16) -> Self {
        match status {
            401 => Self::Unauthorized { what },
            403 => Self::Disabled { what },
            404 => Self::NotFound { what },
            429 | 503 => Self::Throttled { what, status },
            _ => Self::Status { what, status },
        }
    }

    /// The cause is deep in the error's chain: an errno where the kernel said
    /// no, else hyper's own idea of what went wrong on the wire.
    pub(super) fn of_transport(what: &'static str, error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::TimedOut { what };
        }
        let mut source = error.source();
        while let Some(inner) = source {
            if let Some(io) = inner.downcast_ref::<io::Error>()
                && let Some(told) = Self::of_io(what, io)
            {
                return told;
            }
            if let Some(http) = inner.downcast_ref::<hyper::Error>() {
                if http.is_parse() || http.is_parse_status() {
                    return Self::malformed(what);
                }
                if http.is_incomplete_message() || http.is_closed() || http.is_canceled() {
                    return Self::Interrupted { what };
                }
            }
            source = inner.source();
        }
        if error.is_connect() {
            return Self::Network {
                what,
                kind: io::ErrorKind::Other,
            };
        }
        // What is left is a body that ends or is framed otherwise than it said.
        Self::Interrupted { what }
    }

    fn of_io(what: &'static str, error: &io::Error) -> Option<Self> {
        let locked = |errno| Self::LockedByHost { what, errno };
        Some(match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => Self::Refused { what },
            Some(libc::ETIMEDOUT) => Self::TimedOut { what },
            // A prohibit route, a cgroup filter, an unreachable route, no
            // route, a blackhole route, an interface that is down, no address
            // to ask from, no IPv6 at all.
            Some(libc::EACCES) => locked("EACCES"),
            Some(libc::EPERM) => locked("EPERM"),
            Some(libc::EHOSTUNREACH) => locked("EHOSTUNREACH"),
            Some(libc::ENETUNREACH) => locked("ENETUNREACH"),
            Some(libc::EINVAL) => locked("EINVAL"),
            Some(libc::ENETDOWN) => locked("ENETDOWN"),
            Some(libc::EADDRNOTAVAIL) => locked("EADDRNOTAVAIL"),
            Some(libc::EAFNOSUPPORT) => locked("EAFNOSUPPORT"),
            Some(libc::ECONNRESET | libc::EPIPE | libc::ECONNABORTED) => Self::Interrupted { what },
            Some(_) => Self::Network {
                what,
                kind: error.kind(),
            },
            None => match error.kind() {
                io::ErrorKind::TimedOut => Self::TimedOut { what },
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe => Self::Interrupted { what },
                // A wrapper around the real error, or hyper's complaint about
                // chunks: the chain goes on.
                _ => return None,
            },
        })
    }
}

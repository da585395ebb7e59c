//! The client of the instance metadata service (IMDS), version 2 only.
//!
//! A session starts with `PUT /latest/api/token`, whose reply is a token and
//! its lifetime in seconds in a header; every GET then carries the token. 401
//! means that the token is not (or no longer) valid, 403 that the service is
//! switched off for this instance, 404 that an item does not exist: no role,
//! no user-data, tags not shown.
//!
//! Whoever answers may be hostile or not IMDS at all, so every answer has a
//! size limit and every request a time limit, nothing is followed, no proxy
//! is used and the environment is not read. Errors name what was asked for
//! and never repeat what was answered.

mod answer;
mod error;
mod exchange;
mod hop_limit;

use std::fmt;
use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderValue;
use reqwest::{Url, redirect};
use tokio::sync::Mutex;
use tokio::time::Instant;

pub use answer::{CredentialsStatus, IamInfo, Identity};
pub use error::Error;
pub use hop_limit::HopLimit;

use exchange::{MAX_BODY, send, text};

use crate::secret::Secret;

/// Where IMDS listens on every instance.
pub const DEFAULT_ENDPOINT: &str = "http://169.254.169.254";

const TOKEN_PATH: &str = "/latest/api/token";
const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
const TOKEN_TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// Seconds; long enough for one assessment, short enough to be of little use
/// to anybody else.
const TOKEN_TTL: u64 = 300;

/// Bytes; the service's tokens have 56.
const MAX_TOKEN: usize = 2 << 10;

/// How long one request may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// From the start of the request to the last byte of the answer.
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            request: Duration::from_secs(2),
        }
    }
}

/// A session with IMDS. The token is fetched when it is first needed, shared
/// by all requests, and fetched anew when it expires or is refused.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    session: Mutex<Option<Session>>,
}

#[derive(Clone)]
struct Session {
    token: Secret,
    expires: Instant,
    ttl_was_told: bool,
    clock_skew: Option<SignedDuration>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.endpoint())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the service at `endpoint`, such as
    /// `http://169.254.169.254` or `http://[fd00:ec2::254]`. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`Error::Endpoint`] unless `endpoint` is a plain `http` URL.
    pub fn new(endpoint: &str, timeouts: Timeouts) -> Result<Self, Error> {
        let base = Url::parse(endpoint.trim()).map_err(|_| Error::Endpoint)?;
        let plain = base.scheme() == "http"
            && base.has_host()
            && base.username().is_empty()
            && base.password().is_none()
            && base.query().is_none()
            && base.fragment().is_none();
        if !plain {
            return Err(Error::Endpoint);
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            // A connection kept for later blocks a service that serves one at
            // a time, and is dead when the service was restarted in between.
            .pool_max_idle_per_host(0)
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.request)
            .user_agent(concat!("rolecall/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| Error::Endpoint)?;
        Ok(Self {
            http,
            base,
            session: Mutex::new(None),
        })
    }

    /// The endpoint, for showing.
    pub fn endpoint(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whether the endpoint has an address that AWS alone uses. Anywhere else
    /// the role may not be AWS's either.
    pub fn is_at_home(&self) -> bool {
        let home = ["169.254.169.254", "[fd00:ec2::254]"];
        self.base
            .host_str()
            .is_some_and(|host| home.contains(&host))
    }

    /// This host's clock less that of IMDS, where IMDS told the time with the
    /// token.
    pub async fn clock_skew(&self) -> Option<SignedDuration> {
        self.session.lock().await.as_ref()?.clock_skew
    }

    /// Makes sure that there is a valid token. `false` when the reply lacked
    /// the token's lifetime, without which AWS's SDKs refuse the token.
    pub async fn fetch_token(&self) -> Result<bool, Error> {
        Ok(self.session(None).await?.ttl_was_told)
    }

    /// Whether an item is given without a token, which means that version 1 is
    /// on. The item is the list of items, which is the same everywhere; the
    /// request counts in the account's `MetadataNoToken` metrics.
    pub async fn fetch_without_token(&self) -> Result<bool, Error> {
        const WHAT: &str = "the list of items without a token";
        let request = self.http.get(self.url("/latest/meta-data/"));
        match send(request, WHAT).await {
            Ok((_, body)) => text(WHAT, &body, MAX_BODY).map(|_| true),
            Err(Error::Unauthorized { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The name of the instance's role, or `None` where there is no role.
    pub async fn fetch_role_name(&self) -> Result<Option<String>, Error> {
        const WHAT: &str = "the role's name";
        let Some(body) = self
            .get_if_there(WHAT, "/latest/meta-data/iam/security-credentials/")
            .await?
        else {
            return Ok(None);
        };
        answer::parse_role_name(WHAT, body.expose())
    }

    /// The instance profile, or `None` where none is attached.
    pub async fn fetch_iam_info(&self) -> Result<Option<IamInfo>, Error> {
        const WHAT: &str = "the instance profile";
        match self
            .get_if_there(WHAT, "/latest/meta-data/iam/info")
            .await?
        {
            Some(body) => answer::parse_iam_info(WHAT, body.expose()).map(Some),
            None => Ok(None),
        }
    }

    /// The role's credentials, and what they say of themselves.
    /// [`Error::NotFound`] where the role has none.
    pub async fn fetch_credentials_status(&self, role: &str) -> Result<CredentialsStatus, Error> {
        const WHAT: &str = "the role's credentials";
        let path = format!("/latest/meta-data/iam/security-credentials/{role}");
        let body = self.get(WHAT, &path).await?;
        answer::parse_credentials_status(WHAT, body.expose())
    }

    /// The instance identity document.
    pub async fn fetch_identity(&self) -> Result<Identity, Error> {
        const WHAT: &str = "the instance identity document";
        let body = self
            .get(WHAT, "/latest/dynamic/instance-identity/document")
            .await?;
        answer::parse_identity(WHAT, body.expose())
    }

    /// The Auto Scaling group; `None` where there is none or where tags are
    /// not shown in the metadata.
    pub async fn fetch_auto_scaling_group(&self) -> Result<Option<String>, Error> {
        self.get_word(
            "the Auto Scaling group",
            "/latest/meta-data/tags/instance/aws:autoscaling:groupName",
        )
        .await
    }

    /// The partition, such as `aws` or `aws-cn`.
    pub async fn fetch_partition(&self) -> Result<Option<String>, Error> {
        self.get_word("the partition", "/latest/meta-data/services/partition")
            .await
    }

    /// The region, such as `eu-central-1`.
    pub async fn fetch_region(&self) -> Result<Option<String>, Error> {
        self.get_word("the region", "/latest/meta-data/placement/region")
            .await
    }

    /// The lifecycle state that the Auto Scaling group means this instance to
    /// reach, such as `InService`; `None` outside a group.
    pub async fn fetch_target_lifecycle_state(&self) -> Result<Option<String>, Error> {
        self.get_word(
            "the target lifecycle state",
            "/latest/meta-data/autoscaling/target-lifecycle-state",
        )
        .await
    }

    /// The user-data as it was given, at most 64 KiB; it may be compressed or
    /// in any encoding. `None` where there is none.
    pub async fn fetch_user_data(&self) -> Result<Option<Secret>, Error> {
        self.get_if_there("user-data", "/latest/user-data").await
    }

    /// Measures how far a token travels; see [`HopLimit`]. Takes well below a
    /// second where IMDS answers at once, and at most five.
    pub async fn measure_hop_limit(&self) -> HopLimit {
        hop_limit::measure(&self.base).await
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let path = format!("{}{path}", self.base.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }

    async fn get_word(&self, what: &'static str, path: &str) -> Result<Option<String>, Error> {
        match self.get_if_there(what, path).await? {
            Some(body) => answer::parse_word(what, text(what, &body, 256)?).map(Some),
            None => Ok(None),
        }
    }

    async fn get_if_there(&self, what: &'static str, path: &str) -> Result<Option<Secret>, Error> {
        match self.get(what, path).await {
            Err(Error::NotFound { .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    async fn get(&self, what: &'static str, path: &str) -> Result<Secret, Error> {
        let session = self.session(None).await?;
        match self.get_with(what, path, &session).await {
            // Tokens die with a stop and start, or when the clock jumps.
            Err(Error::Unauthorized { .. }) => {
                let session = self.session(Some(&session.token)).await?;
                self.get_with(what, path, &session).await
            }
            other => other,
        }
    }

    async fn get_with(
        &self,
        what: &'static str,
        path: &str,
        session: &Session,
    ) -> Result<Secret, Error> {
        let token = sensitive(&session.token).ok_or(Error::malformed(what))?;
        let request = self.http.get(self.url(path)).header(TOKEN_HEADER, token);
        send(request, what).await.map(|(_, body)| body)
    }

    /// The session, a new one where there is none, where it has expired, or
    /// where its token is the one that was `refused`.
    async fn session(&self, refused: Option<&Secret>) -> Result<Session, Error> {
        const WHAT: &str = "a token";
        // Held while asking, so that requests side by side share one token.
        let mut session = self.session.lock().await;
        if let Some(current) = &*session
            && Instant::now() < current.expires
            && Some(&current.token) != refused
        {
            return Ok(current.clone());
        }
        *session = None;
        let request = self
            .http
            .put(self.url(TOKEN_PATH))
            .header(TOKEN_TTL_HEADER, TOKEN_TTL)
            .header(reqwest::header::CONTENT_LENGTH, 0);
        let (headers, body) = send(request, WHAT).await?;
        let token = Secret::new(text(WHAT, &body, MAX_TOKEN)?);
        if !token.expose().iter().all(u8::is_ascii_graphic) {
            return Err(Error::malformed(WHAT));
        }
        let told = headers
            .get(TOKEN_TTL_HEADER)
            .and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
        let date = headers.get(reqwest::header::DATE);
        let date = date.and_then(|date| {
            let date = date.to_str().ok()?.trim();
            DateTimeParser::new().parse_timestamp(date).ok()
        });
        let fresh = Session {
            token,
            expires: Instant::now() + Duration::from_secs(told.unwrap_or(TOKEN_TTL).min(21_600)),
            ttl_was_told: told.is_some(),
            clock_skew: date.map(|date| Timestamp::now().duration_since(date)),
        };
        *session = Some(fresh.clone());
        Ok(fresh)
    }
}

fn sensitive(token: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(token.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

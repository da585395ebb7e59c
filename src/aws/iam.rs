//! IAM, as far as a role reads what it may do itself and who may be it.

use aws_sdk_iam::config::retry::RetryConfig;
use aws_sdk_iam::config::timeout::TimeoutConfig;
use aws_sdk_iam::config::{
    AppName, BehaviorVersion, IdentityCache, Region, SharedCredentialsProvider,
    StalledStreamProtectionConfig,
};
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_iam::{Client, Config};
use aws_smithy_runtime_api::http::Response;
use percent_encoding::percent_decode_str;

use super::transport::{Network, TransportError, client, endpoint, shortened};
use super::{Failure, provider};
use crate::secret::Credentials;

/// Pages of a list; a role has 20 managed policies at most.
const MAX_PAGES: usize = 10;

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IamError {
    /// The role may not read it.
    Denied,
    /// In one safe line.
    Failed(String),
}

/// A managed policy.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) arn: String,
    pub(crate) name: String,
}

#[derive(Debug)]
pub(crate) struct Trust {
    /// JSON.
    pub(crate) document: String,
    /// The ARN of a policy that limits whatever the others allow.
    pub(crate) boundary: Option<String>,
}

pub(crate) struct Iam {
    client: Client,
    role: String,
}

impl Iam {
    /// IAM of the partition that `region` is in, at `url` where that is set.
    /// Reads certificates, and may take a while to do so; nothing is sent.
    pub(crate) fn new(
        network: &Network,
        url: Option<&String>,
        region: &str,
        role: &str,
        credentials: &Credentials,
    ) -> Result<Self, TransportError> {
        let url = endpoint("posture.iam_endpoint", url)?;
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(provider(credentials)))
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
            role: role.to_owned(),
        })
    }

    pub(crate) async fn get_trust(&self) -> Result<Trust, IamError> {
        let call = self.client.get_role().role_name(&self.role).send();
        let output = Box::pin(call).await.map_err(|error| failed(&error))?;
        let role = output.role().ok_or_else(|| nothing("the role"))?;
        let document = role.assume_role_policy_document();
        Ok(Trust {
            document: decoded(document.ok_or_else(|| nothing("the trust policy"))?),
            boundary: role
                .permissions_boundary()
                .and_then(|boundary| boundary.permissions_boundary_arn())
                .map(shortened),
        })
    }

    pub(crate) async fn list_attached(&self) -> Result<Vec<Attached>, IamError> {
        let mut policies = Vec::new();
        let mut marker = None;
        for _ in 0..MAX_PAGES {
            let call = self.client.list_attached_role_policies();
            let call = call.role_name(&self.role).set_marker(marker).send();
            let page = Box::pin(call).await.map_err(|error| failed(&error))?;
            for policy in page.attached_policies() {
                let arn = policy.policy_arn().unwrap_or_default();
                policies.push(Attached {
                    arn: arn.to_owned(),
                    name: shortened(policy.policy_name().unwrap_or(arn)),
                });
            }
            marker = page.marker().map(ToOwned::to_owned);
            if !page.is_truncated() || marker.is_none() {
                return Ok(policies);
            }
        }
        Err(IamError::Failed("the list of policies has no end".into()))
    }

    /// The document of a managed policy's version in force.
    pub(crate) async fn get_attached(&self, policy: &Attached) -> Result<String, IamError> {
        let call = self.client.get_policy().policy_arn(&policy.arn).send();
        let output = Box::pin(call).await.map_err(|error| failed(&error))?;
        let version = output
            .policy()
            .and_then(|policy| policy.default_version_id());
        let version = version.ok_or_else(|| nothing("the version in force"))?;
        let call = self.client.get_policy_version();
        let call = call.policy_arn(&policy.arn).version_id(version).send();
        let output = Box::pin(call).await.map_err(|error| failed(&error))?;
        let document = output
            .policy_version()
            .and_then(|version| version.document());
        document
            .map(decoded)
            .ok_or_else(|| nothing("the policy's document"))
    }

    pub(crate) async fn list_inline(&self) -> Result<Vec<String>, IamError> {
        let mut names = Vec::new();
        let mut marker = None;
        for _ in 0..MAX_PAGES {
            let call = self.client.list_role_policies();
            let call = call.role_name(&self.role).set_marker(marker).send();
            let page = Box::pin(call).await.map_err(|error| failed(&error))?;
            names.extend_from_slice(page.policy_names());
            marker = page.marker().map(ToOwned::to_owned);
            if !page.is_truncated() || marker.is_none() {
                return Ok(names);
            }
        }
        Err(IamError::Failed("the list of policies has no end".into()))
    }

    pub(crate) async fn get_inline(&self, name: &str) -> Result<String, IamError> {
        let call = self.client.get_role_policy();
        let call = call.role_name(&self.role).policy_name(name).send();
        let output = Box::pin(call).await.map_err(|error| failed(&error))?;
        Ok(decoded(output.policy_document()))
    }
}

/// Documents come percent-encoded, as in RFC 3986.
fn decoded(document: &str) -> String {
    if document.trim_start().starts_with('{') {
        return document.to_owned();
    }
    percent_decode_str(document)
        .decode_utf8_lossy()
        .into_owned()
}

fn nothing(what: &str) -> IamError {
    IamError::Failed(format!("IAM's answer lacks {what}"))
}

fn failed<E>(error: &SdkError<E, Response>) -> IamError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    IamError::Failed(match Failure::of(error) {
        Failure::Refused { code, status, .. } => match code.as_deref() {
            Some("AccessDenied" | "AccessDeniedException") => return IamError::Denied,
            // What the message quotes is not known.
            Some(code) => shortened(&format!("IAM refused it: {code} (HTTP {status})")),
            None => format!("IAM could not be reached: HTTP {status}, not in its words"),
        },
        Failure::LostAnswer { cause }
        | Failure::TimedOut { cause }
        | Failure::ProxyDenied { cause }
        | Failure::ProxyRefused { cause }
        | Failure::Untrusted { cause }
        | Failure::Unreachable { cause }
        | Failure::Misconfigured { cause } => format!("IAM could not be reached: {cause}"),
    })
}

//! The instance role's credentials, from the metadata service alone.
//!
//! The SDK's own provider for them is not used: it looks into the environment
//! (`AWS_EC2_METADATA_DISABLED`), and an agent that hunts static keys takes
//! nothing from there. The SDK's IMDSv2 client with an explicit endpoint does
//! not look, and never goes through a proxy.

use aws_config::imds::client::Client;
use aws_config::imds::client::error::ImdsError;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use serde::Deserialize;
use thiserror::Error;

use super::transport;

const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/";
const REGION: &str = "/latest/meta-data/placement/region";

/// Why there are no credentials.
#[derive(Debug, Error)]
pub(crate) enum RoleError {
    #[error("the metadata endpoint is not a URL")]
    Endpoint,
    #[error("the instance has no IAM role")]
    NoRole,
    #[error("the metadata service is disabled or refuses this host (403)")]
    Refused,
    #[error("the metadata service answered {status} when asked for {what}")]
    Status { what: &'static str, status: u16 },
    #[error("the metadata service gave no answer to the request for {what}: {cause}")]
    Unreachable { what: &'static str, cause: String },
    #[error("the metadata service's answer for {what} makes no sense")]
    Malformed { what: &'static str },
    #[error("the role's credentials are unusable: {code}")]
    Unusable { code: String },
}

/// A role and what signs in its name.
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) credentials: Credentials,
}

/// What lies below the role's name. No `Debug`: it holds secrets.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    code: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    token: Option<String>,
}

pub(crate) struct Metadata {
    client: Client,
}

impl Metadata {
    pub(crate) fn new(endpoint: &str) -> Result<Self, RoleError> {
        let config = ProviderConfig::without_region().with_http_client(transport::plain());
        let client = Client::builder()
            .configure(&config)
            .endpoint(endpoint)
            .map_err(|_| RoleError::Endpoint)?
            .build();
        Ok(Self { client })
    }

    pub(crate) async fn fetch_role(&self) -> Result<Role, RoleError> {
        let what = "the role";
        let listing = self.fetch(CREDENTIALS, what).await?;
        let name = listing.lines().next().unwrap_or("").trim();
        if name.is_empty() {
            return Err(RoleError::NoRole);
        }
        if !is_role_name(name) {
            return Err(RoleError::Malformed { what });
        }
        let what = "the role's credentials";
        let text = self.fetch(&format!("{CREDENTIALS}{name}"), what).await?;
        // Serde's message could quote a value, so it is not passed on.
        let document: Document =
            serde_json::from_str(&text).map_err(|_| RoleError::Malformed { what })?;
        let name = name.to_owned();
        match document {
            Document {
                code,
                access_key_id: Some(id),
                secret_access_key: Some(secret),
                token: Some(token),
            } if code.as_deref().is_none_or(|code| code == "Success") => Ok(Role {
                name,
                // No expiry: the service's clock says whether they are
                // expired, this host's may be wrong.
                credentials: Credentials::new(id, secret, Some(token), None, "instance-role"),
            }),
            Document {
                code: Some(code), ..
            } if code != "Success" => Err(RoleError::Unusable {
                code: code.chars().take(100).collect(),
            }),
            _ => Err(RoleError::Malformed { what }),
        }
    }

    pub(crate) async fn fetch_region(&self) -> Result<String, RoleError> {
        let what = "the region";
        let region = self.fetch(REGION, what).await?;
        let region = region.trim();
        let valid = (1..=63).contains(&region.len())
            && region
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if valid {
            Ok(region.to_owned())
        } else {
            Err(RoleError::Malformed { what })
        }
    }

    async fn fetch(&self, path: &str, what: &'static str) -> Result<String, RoleError> {
        match self.client.get(path).await {
            Ok(text) => Ok(text.into()),
            // The answer's body is not shown: what stands there is unknown.
            Err(ImdsError::ErrorResponse(answer)) => match answer.response().status().as_u16() {
                404 if path == CREDENTIALS => Err(RoleError::NoRole),
                403 => Err(RoleError::Refused),
                status => Err(RoleError::Status { what, status }),
            },
            Err(error) => {
                let cause = transport::causes(&error);
                if cause.contains("IMDS is disabled") {
                    return Err(RoleError::Refused);
                }
                Err(RoleError::Unreachable { what, cause })
            }
        }
    }
}

/// IAM's own alphabet; anything else would change the path it is put into.
fn is_role_name(name: &str) -> bool {
    name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
}

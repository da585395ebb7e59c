//! What every call to an AWS service shares: the credentials, which are the
//! instance role's and come from the metadata service alone, and the way
//! there. Nothing here reads the environment or `~/.aws`.

mod failure;
mod iam;
mod region;
mod role;
mod sts;
mod transport;

pub use transport::Network;

pub(crate) use failure::Failure;
pub(crate) use iam::{Iam, IamError};
pub(crate) use region::partition;
pub(crate) use role::{Metadata, Role, RoleError};
pub(crate) use sts::{Caller, Refusal, Sts};
pub(crate) use transport::{TransportError, causes, client, endpoint, non_empty, shortened};

use aws_credential_types::Credentials as Signer;

use crate::secret::{Credentials, Secret};

/// The credentials as the SDK takes them. It wipes its copies as well.
fn provider(credentials: &Credentials) -> Signer {
    let text = |secret: &Secret| secret.expose_str().unwrap_or_default().to_owned();
    Signer::new(
        credentials.access_key_id.as_str(),
        text(&credentials.secret_access_key),
        credentials.session_token.as_ref().map(text),
        None,
        "rolecall",
    )
}

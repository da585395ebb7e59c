//! What every call to an AWS service shares: the credentials, which are the
//! instance role's and come from the metadata service alone, and the way
//! there. Nothing here reads the environment or `~/.aws`.

mod failure;
mod region;
mod role;
mod transport;

pub use transport::Network;

pub(crate) use failure::Failure;
pub(crate) use region::partition;
pub(crate) use role::{Metadata, Role, RoleError};
pub(crate) use transport::{TransportError, causes, client, endpoint, non_empty, shortened};

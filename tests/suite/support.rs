//! What several subjects need to set up their tests.

pub(crate) mod corpus;
//! What the tests lean on: stand-ins for the services, and machines to be.

pub(crate) mod imds_double;
pub(crate) mod netns;
pub(crate) mod side_by_side;
//! What the tests share: doubles of the services that rolecall talks to.

pub(crate) mod http;
pub(crate) mod logs_double;
pub(crate) mod moto;
pub(crate) mod role;

//! What several subjects need to set up their tests.

pub(crate) mod corpus;
//! What the tests lean on: stand-ins for the services, and machines to be.

pub(crate) mod imds_double;
pub(crate) mod netns;
pub(crate) mod side_by_side;

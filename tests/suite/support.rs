//! What several subjects need to set up their tests.

pub(crate) mod corpus;

//! What the tests lean on: doubles of the services that rolecall talks to,
//! the real ones where they run here, and hosts to be scanned.

pub(crate) mod authority;
pub(crate) mod cgroup;
pub(crate) mod corpus;
pub(crate) mod daemon;
pub(crate) mod disk;
pub(crate) mod docs;
pub(crate) mod fuse;
pub(crate) mod host;
pub(crate) mod http;
pub(crate) mod imds_double;
pub(crate) mod journal;
pub(crate) mod logs_double;
pub(crate) mod moto;
pub(crate) mod netns;
pub(crate) mod proxy;
pub(crate) mod python;
pub(crate) mod quota;
pub(crate) mod role;
pub(crate) mod rolecall;
pub(crate) mod side_by_side;
pub(crate) mod sts_double;
pub(crate) mod tmpfs;
pub(crate) mod validators;

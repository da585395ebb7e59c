//! What the tests share: doubles of the services that rolecall talks to.

pub(crate) mod authority;
pub(crate) mod http;
pub(crate) mod logs_double;
pub(crate) mod moto;
pub(crate) mod proxy;
pub(crate) mod role;

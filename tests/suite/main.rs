//! The integration tests, in one binary: one file a subject.

mod delivery;
mod moto;
mod private_network;
mod support;

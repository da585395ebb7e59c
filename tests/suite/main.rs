//! The tests from outside, in one binary that links once: a subject is a
//! module.

mod archives;
mod delivery;
mod detection;
mod imds;
mod moto;
mod namespaces;
mod posture;
mod private_network;
mod support;

//! The tests from outside, in one binary that links once: a subject is a
//! module.

mod delivery;
mod detection;
mod git;
mod imds;
mod moto;
mod namespaces;
mod posture;
mod private_network;
mod support;

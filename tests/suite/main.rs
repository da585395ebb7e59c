//! Everything that is tested from outside, in one binary: it links once.

mod detection;
//! The black-box tests, one binary: a subject is a module.

mod imds;
mod namespaces;
mod posture;
//! The integration tests, in one binary: one file a subject.

mod delivery;
mod moto;
mod support;

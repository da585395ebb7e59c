//! The black-box tests, one binary: a subject is a module.

mod imds;
mod namespaces;
mod posture;
mod support;

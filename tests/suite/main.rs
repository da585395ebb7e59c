//! The black-box tests, one binary: a subject is a module.

mod imds;
mod posture;
mod support;

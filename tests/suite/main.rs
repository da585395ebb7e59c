//! The tests from outside, in one binary that links once: a subject is a
//! module.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up may panic")]

mod architecture;
mod archives;
mod caller;
mod check;
mod delivery;
mod detection;
mod git;
mod hostile;
mod hung;
mod imds;
mod ledger;
mod moto;
mod namespaces;
mod neighbour;
mod posture;
mod private_network;
mod properties;
mod report;
mod sandbox;
mod support;
mod user_data;
mod walk;

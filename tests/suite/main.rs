//! The tests from outside, in one binary that links once: a subject is a
//! module.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up may panic")]

mod alarm;
mod architecture;
mod archives;
mod boot;
mod caller;
mod check;
mod daemon;
mod delivery;
mod detection;
mod git;
mod herd;
mod hostile;
mod hung;
mod imds;
mod ledger;
mod memory;
mod moto;
mod namespaces;
mod neighbour;
mod packaging;
mod posture;
mod private_network;
mod privilege;
mod properties;
mod report;
mod sandbox;
mod service;
mod shadow;
mod support;
mod units;
mod usage;
mod user_data;
mod verify;
mod walk;
mod watching;

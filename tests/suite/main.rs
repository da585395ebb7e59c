//! The tests from outside, in one binary that links once: a subject is a
//! module.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up may panic")]

mod adversity;
mod alarm;
mod architecture;
mod archives;
mod caller;
mod check;
mod cost;
mod daemon;
mod delivery;
mod detection;
mod docs;
mod fault_soak;
mod faults;
mod fleet;
mod formats;
mod git;
mod herd;
mod hostile;
mod hung;
mod imds;
mod killed;
mod least_privilege;
mod ledger;
mod memory;
mod moto;
mod namespaces;
mod neighbour;
mod posture;
mod private_network;
mod privilege;
mod properties;
mod report;
mod sandbox;
mod service;
mod shadow;
mod soak;
mod support;
mod units;
mod usage;
mod user_data;
mod verify;
mod walk;
mod watching;

//! The service: watches, sweeps, tells what changed.

pub mod settle;
pub mod tail;
pub mod watch;

//! rolecall: is the instance's own IAM role present and used, and is there any
//! static AWS access key on this host that should not be?
//!
//! Data flows one way: sources yield bytes, `detect` finds credentials in
//! them, findings are judged and told. README.md describes the commands and
//! the output, CONTRIBUTING.md the rules of the house.

pub mod alarm;
pub mod aws;
pub mod check;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod deadline;
pub mod detect;
pub mod finding;
pub mod front;
pub mod heap;
pub mod host;
pub mod imds;
pub mod ledger;
pub mod logging;
pub mod outcome;
pub mod posture;
pub mod progress;
pub mod report;
pub mod sanitize;
pub mod scan;
pub mod secret;
pub mod settings;
pub mod ship;
pub mod source;
pub mod sparing;
pub mod status;
pub mod verify;

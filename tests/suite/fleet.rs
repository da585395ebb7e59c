//! What brings rolecall to a fleet: user data, SSM, images, the stack. Each is
//! run as far as it runs here, against the binary and the doubles.

mod command;
mod distributor;
mod image;
mod launch;
mod path;
mod pattern;
mod stack;

//! The service: posture first, then a sweep of everything, then whatever
//! changes; and a memory of what was found.
//!
//! One loop owns all state. Looking at the host, asking AWS and delivering
//! run beside it, each given all that it needs, and hand back what came of
//! it; the loop alone reads and writes the ledger.

mod delivery;
mod lock;
pub mod outgoing;
mod pass;
mod presence;
mod schedule;
mod service;
pub mod settle;
mod standing;
mod state;
mod stated;
mod store;
mod supervisor;
mod telling;
pub mod watch;

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::config::{Loaded, Sources};
use lock::Lock;
use service::Service;

/// What the service is started with.
#[derive(Debug)]
pub struct Request {
    /// The host's `/` as seen from here.
    pub root: PathBuf,
    /// Read again on SIGHUP.
    pub sources: Sources,
    /// Told at the start where nothing can be shipped.
    pub console: PathBuf,
}

/// Why the service cannot start.
#[derive(Debug, Error)]
pub enum Error {
    #[error("{}", already(path, *pid))]
    Running { path: PathBuf, pid: Option<u32> },
    #[error("{path} cannot be used: {cause}")]
    RuntimeDir { path: PathBuf, cause: io::Error },
    #[error("the service cannot start: {0}")]
    Start(#[from] io::Error),
    #[error(transparent)]
    Ledger(#[from] crate::ledger::Error),
}

fn already(path: &Path, pid: Option<u32>) -> String {
    let who = pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
    format!(
        "another rolecall service{who} runs on this host and holds {}",
        path.display()
    )
}

/// Runs until SIGTERM or SIGINT.
pub fn run(request: Request, loaded: Loaded) -> Result<(), Error> {
    let runtime_dir = loaded.config.runtime_dir.clone();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&runtime_dir)
        .map_err(|cause| Error::RuntimeDir {
            path: runtime_dir.clone(),
            cause,
        })?;
    let _lock = Lock::take(&runtime_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async { Service::start(request, loaded)?.run().await });
    // A look that hangs in the kernel, or at a name server, is not waited for.
    runtime.shutdown_background();
    ended
}

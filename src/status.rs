//! What the service knows, for whoever asks: written by it to a socket in the
//! runtime directory, and kept in the ledger for when it does not run.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::finding::{SCHEMA_VERSION, Severity};
use crate::ledger::{self, Ledger};
use crate::sanitize;

mod text;

pub use text::text;

/// The socket's name in the runtime directory.
pub const SOCKET: &str = "rolecall.sock";

/// The ledger's name for what the service last knew.
pub const FACT: &str = "status";

/// What a service that does not run is doing.
pub const STOPPED: &str = "stopped";

/// The service answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer: with examples of what was skipped it is a few KB.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;

/// One JSON object. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub schema: u32,
    /// `status`.
    pub r#type: String,
    /// Whether a service answered; else this is what it last wrote down.
    pub running: bool,
    pub version: String,
    pub pid: Option<u32>,
    /// When the service started.
    pub started: Option<String>,
    /// What it is doing: `starting`, `idle`, `sweeping`, `stopped`.
    pub activity: String,
    pub instance_id: Option<String>,
    /// Sweeps that have ended since the start.
    pub sweeps: u64,
    pub last_sweep: Option<Sweep>,
    pub next_sweep: Option<String>,
    pub open: Open,
    /// As in a report, of the last sweep.
    pub coverage: Vec<Value>,
    pub outbox: Outbox,
    pub last_delivery: Option<Delivery>,
    pub last_posture: Option<Posture>,
    pub watch: Option<Watch>,
    /// One sentence each: what an operator should know.
    pub problems: Vec<String>,
}

/// A sweep that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    pub started: String,
    pub duration_ms: u64,
    /// Whether everything that is configured was looked at.
    pub complete: bool,
    /// Findings that the allow list set aside.
    pub allowed: u64,
}

/// Findings that are open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// Distinct credentials.
    pub credentials: u64,
    pub findings: u64,
    pub critical: u64,
    pub high: u64,
    pub medium: u64,
    pub low: u64,
    pub info: u64,
}

/// Events that wait for delivery.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outbox {
    pub events: u64,
    pub bytes: u64,
    /// When the oldest was put there.
    pub oldest: Option<String>,
    /// Events given up for lack of room, since the ledger was made.
    pub lost: u64,
    /// Events that CloudWatch Logs will never take, since the ledger was made.
    pub rejected: u64,
}

/// The last attempt to deliver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    pub at: String,
    pub accepted: u64,
    pub undelivered: u64,
    pub problems: Vec<String>,
}

/// The last posture checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Posture {
    pub at: String,
    /// As in a report.
    pub checks: Vec<Value>,
}

/// What is watched for changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    pub directories: u64,
    /// Whether all of the configured paths are; what is not is only swept.
    pub complete: bool,
    /// How often more changed than the kernel keeps, since the start of the
    /// service; all that is watched was swept each time.
    #[serde(default)]
    pub overflows: u64,
}

impl Status {
    /// Of a service that has only just started.
    pub fn starting(version: &str) -> Self {
        Self {
            schema: SCHEMA_VERSION,
            r#type: "status".into(),
            running: true,
            version: version.into(),
            pid: None,
            started: None,
            activity: "starting".into(),
            instance_id: None,
            sweeps: 0,
            last_sweep: None,
            next_sweep: None,
            open: Open::default(),
            coverage: Vec::new(),
            outbox: Outbox::default(),
            last_delivery: None,
            last_posture: None,
            watch: None,
            problems: Vec::new(),
        }
    }

    /// Whether the last sweep and the last posture checks left nothing open.
    pub fn is_complete(&self) -> bool {
        let unknown = |check: &Value| check.get("verdict") == Some(&"unknown".into());
        self.last_sweep.as_ref().is_some_and(|sweep| sweep.complete)
            && !self
                .last_posture
                .as_ref()
                .is_some_and(|posture| posture.checks.iter().any(unknown))
    }
}

impl Open {
    /// Findings that are at least as severe as `least`.
    pub const fn at_least(&self, least: Severity) -> u64 {
        let counts = [
            (Severity::Critical, self.critical),
            (Severity::High, self.high),
            (Severity::Medium, self.medium),
            (Severity::Low, self.low),
            (Severity::Info, self.info),
        ];
        let mut sum = 0;
        let mut at = 0;
        while at < counts.len() {
            if counts[at].0 as u8 >= least as u8 {
                sum += counts[at].1;
            }
            at += 1;
        }
        sum
    }
}

impl From<ledger::OpenCounts> for Open {
    fn from(counts: ledger::OpenCounts) -> Self {
        Self {
            credentials: counts.credentials,
            findings: counts.findings,
            critical: counts.critical,
            high: counts.high,
            medium: counts.medium,
            low: counts.low,
            info: counts.info,
        }
    }
}

/// Why there is no status.
#[derive(Debug, Error)]
pub enum StatusError {
    #[error("the service at {path} does not answer: {source}")]
    Silent { path: PathBuf, source: io::Error },
    #[error("the service at {path} answers with something else: {source}")]
    Garbled {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error("no service answers here, and none has left a ledger in {state_dir}")]
    Nothing { state_dir: PathBuf },
}

/// Asks the service; where none runs, its ledger.
pub fn fetch(runtime_dir: &Path, state_dir: &Path) -> Result<Status, StatusError> {
    let path = runtime_dir.join(SOCKET);
    match ask(&path) {
        Ok(answer) => {
            serde_json::from_slice(&answer).map_err(|source| StatusError::Garbled { path, source })
        }
        Err(error)
            if matches!(
                error.kind(),
                // No socket, or one that was left behind.
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            last_known(state_dir)
        }
        Err(source) => Err(StatusError::Silent { path, source }),
    }
}

fn ask(path: &Path) -> io::Result<Vec<u8>> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    Ok(answer)
}

fn last_known(state_dir: &Path) -> Result<Status, StatusError> {
    let nothing = || StatusError::Nothing {
        state_dir: state_dir.to_owned(),
    };
    let ledger = Ledger::open_read_only(state_dir)?.ok_or_else(nothing)?;
    let mut status = ledger
        .fact(FACT)?
        .and_then(|fact| serde_json::from_value::<Status>(fact).ok())
        .ok_or_else(nothing)?;
    status.running = false;
    status.pid = None;
    status.activity = STOPPED.into();
    status.next_sweep = None;
    status.watch = None;
    status.open = ledger.count_open()?.into();
    status.outbox = outbox(&ledger)?;
    Ok(status)
}

/// What waits in the outbox of `ledger`.
pub fn outbox(ledger: &Ledger) -> Result<Outbox, ledger::Error> {
    let depth = ledger.depth()?;
    Ok(Outbox {
        events: depth.events,
        bytes: depth.bytes,
        oldest: depth.oldest.map(|time| time.to_string()),
        lost: depth.lost.values().sum(),
        rejected: depth.rejected.values().sum(),
    })
}

/// The status as one JSON object.
pub fn json(status: &Status) -> String {
    // Nothing in it can fail to serialise: no maps with keys that are not
    // strings, no fallible implementations.
    let text = serde_json::to_string(status).unwrap_or_default();
    sanitize::json(&text).into_owned()
}

//! The configuration: what it consists of, where it comes from, and what it
//! was in the end.
//!
//! Four layers, each over the one before: built-in defaults; `config.toml` of
//! the configuration directory, which may be absent; `config.d/*.toml` beside
//! it in name order; flags. A file named with `--config` stands in for all of
//! the directory: `config.d` is then not read, so that what one passes is
//! what one gets. Tables merge key by key, an array replaces the one before,
//! and the `[[allow]]` entries of all files add up.
//!
//! The directory is the host's own also under `--root`: a tree that is being
//! examined has no say in what is reported of it.

mod allow;
mod document;
mod endpoint;
mod error;
mod glob;
mod key;
mod layers;
mod lines;
mod nearest;
mod origin;
mod proxy;
mod quantity;
mod render;
mod value;

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;

pub use allow::Allow;
pub use error::{ConfigError, Place};
pub use glob::PathGlobs;
pub use layers::{Loaded, Overrides, Sources};
pub use origin::Origin;
pub use proxy::Proxy;
pub use quantity::parse_duration;
pub use render::documented_default;

/// The effective configuration. Every value has been checked, and what is
/// optional is `None` where the file says `""`.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub state_dir: PathBuf,
    pub runtime_dir: PathBuf,
    pub redact_access_key_ids: bool,
    pub scan: Scan,
    pub watch: Watch,
    pub posture: Posture,
    pub imds: Imds,
    pub ship: Ship,
    pub allow: Vec<Allow>,
}

/// `[scan]`: what a sweep reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    pub roots: Vec<PathBuf>,
    pub exclude: PathGlobs,
    pub interval: Duration,
    /// 1 to 64.
    pub threads: usize,
    /// 1 to 16.
    pub max_depth: usize,
    pub network_filesystems: bool,
    pub archives: bool,
    pub git: bool,
    pub processes: bool,
    pub user_data: bool,
}

/// `[watch]`: what is read again as soon as it changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    pub enabled: bool,
    pub paths: Vec<PathBuf>,
}

/// `[posture]`: the checks of the instance and its role.
#[derive(Debug, Clone, PartialEq)]
pub struct Posture {
    pub interval: Duration,
    /// May be zero.
    pub boot_wait: Duration,
    /// The highest that is not a finding, 1 to 64.
    pub hop_limit: u8,
    pub probe_v1: bool,
    pub role_policies: bool,
    pub iam_endpoint: Option<String>,
}

/// `[imds]`: the instance metadata service.
#[derive(Debug, Clone, PartialEq)]
pub struct Imds {
    /// Without a slash at its end.
    pub endpoint: String,
}

/// `[ship]`: telling CloudWatch Logs.
#[derive(Debug, Clone, PartialEq)]
pub struct Ship {
    pub mode: ShipMode,
    pub log_group: String,
    /// With `{instance_id}` still in it.
    pub log_stream: String,
    pub endpoint: Option<String>,
    pub sts_endpoint: Option<String>,
    pub region: Option<String>,
    pub fips: bool,
    pub dual_stack: bool,
    pub proxy: Option<Proxy>,
    pub ca_bundle: Option<PathBuf>,
    /// May be zero.
    pub spread: Duration,
    pub outbox_max: ByteSize,
}

/// Whether findings are shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShipMode {
    /// When the instance has a role.
    Auto,
    /// It is a failure if not everything is accepted.
    Always,
    /// No connection is opened.
    Never,
}

impl ShipMode {
    pub const ALL: [Self; 3] = [Self::Auto, Self::Always, Self::Never];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect();
        Self {
            state_dir: "/var/lib/rolecall".into(),
            runtime_dir: "/run/rolecall".into(),
            redact_access_key_ids: false,
            scan: Scan {
                roots: paths(&["/"]),
                exclude: PathGlobs::default(),
                interval: Duration::from_hours(6),
                threads: 2,
                max_depth: 4,
                network_filesystems: false,
                archives: true,
                git: true,
                processes: true,
                user_data: true,
            },
            watch: Watch {
                enabled: true,
                paths: paths(&[
                    "/etc",
                    "/home",
                    "/root",
                    "/opt",
                    "/srv",
                    "/var/www",
                    "/var/lib/cloud",
                    "/usr/local",
                ]),
            },
            posture: Posture {
                interval: Duration::from_mins(15),
                boot_wait: Duration::from_mins(1),
                hop_limit: 1,
                probe_v1: true,
                role_policies: false,
                iam_endpoint: None,
            },
            imds: Imds {
                endpoint: "http://169.254.169.254".into(),
            },
            ship: Ship {
                mode: ShipMode::Auto,
                log_group: "/rolecall".into(),
                log_stream: "{instance_id}".into(),
                endpoint: None,
                sts_endpoint: None,
                region: None,
                fips: false,
                dual_stack: false,
                proxy: None,
                ca_bundle: None,
                spread: Duration::from_mins(10),
                outbox_max: ByteSize::mib(16),
            },
            allow: Vec::new(),
        }
    }
}

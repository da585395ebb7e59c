//! The command line as it is typed. The first paragraph of each comment is
//! the short help, all of it the long help.

#![expect(
    clippy::doc_markdown,
    reason = "a terminal shows the comments as they are"
)]

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand};

use super::{Command, Format, Invocation, Report, Run, StatusFormat, help};
use crate::config::{ConfigError, Overrides, ShipMode, Sources, parse_duration};
use crate::finding::Severity;

const FORMATS: &[(&str, Format)] = &[
    ("text", Format::Text),
    ("json", Format::Json),
    ("sarif", Format::Sarif),
    ("ocsf", Format::Ocsf),
];

const STATUS_FORMATS: &[(&str, StatusFormat)] =
    &[("text", StatusFormat::Text), ("json", StatusFormat::Json)];

const FAIL_ON: &[(&str, Option<Severity>)] = &[
    ("critical", Some(Severity::Critical)),
    ("high", Some(Severity::High)),
    ("medium", Some(Severity::Medium)),
    ("low", Some(Severity::Low)),
    ("never", None),
];

const SHIP_MODES: &[(&str, ShipMode)] = &[
    (ShipMode::Auto.name(), ShipMode::Auto),
    (ShipMode::Always.name(), ShipMode::Always),
    (ShipMode::Never.name(), ShipMode::Never),
];

#[derive(Debug, Parser)]
#[command(
    name = "rolecall",
    // Whatever the binary was called by; that is a stranger's text.
    bin_name = "rolecall",
    version,
    about = help::ABOUT,
    long_about = help::LONG_ABOUT,
    after_long_help = help::EXIT_STATUS,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100,
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
    #[command(flatten)]
    host: HostArguments,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Check the role and scan this host once, report, and ship.
    ///
    /// For user data, SSM Run Command and a person. Off EC2 the posture checks do not apply, and
    /// the result is the scan's.
    #[command(after_long_help = format!("{}\n\n{}", help::EXIT_STATUS, help::CHECK))]
    Check(CheckArguments),
    /// Scan alone, on any machine, without AWS.
    ///
    /// For an image bake, CI or a laptop: no metadata service is asked and nothing is shipped.
    #[command(after_long_help = format!("{}\n\n{}", help::EXIT_STATUS, help::SCAN))]
    Scan(ScanArguments),
    /// Check the metadata service and the role alone.
    #[command(after_long_help = format!("{}\n\n{}", help::EXIT_STATUS, help::POSTURE))]
    Posture(PostureArguments),
    /// Run as the service: watch this host, remember, and ship.
    ///
    /// Posture first, then a sweep of everything, then whatever changes. Ends on SIGTERM; SIGHUP
    /// reads the configuration again.
    #[command(after_long_help = help::DAEMON)]
    Daemon(DaemonArguments),
    /// Tell what the service knows.
    ///
    /// Asks the running service; where none runs, its ledger.
    #[command(after_long_help = format!("{}\n\n{}", help::EXIT_STATUS, help::STATUS))]
    Status(StatusArguments),
    /// Print the effective configuration, and where each value comes from.
    ///
    /// The output is a valid configuration file. Flags that stand above a key are accepted, and
    /// shown as its origin.
    #[command(after_long_help = help::CONFIG)]
    Config(ConfigArguments),
}

/// Flags that every command has, before or after its name.
#[derive(Debug, Args)]
struct HostArguments {
    /// Configuration file, in place of /etc/rolecall.
    ///
    /// It must be there. Neither /etc/rolecall/config.toml nor any config.d is read then.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say nothing on stderr but errors.
    ///
    /// The report is still written.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more on stderr; twice for still more.
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
}

#[derive(Debug, Args)]
struct CheckArguments {
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    boot: BootArguments,
    #[command(flatten)]
    read: ReadArguments,
    #[command(flatten)]
    verify: VerifyArguments,
    #[command(flatten)]
    places: PlaceArguments,
}

#[derive(Debug, Args)]
struct ScanArguments {
    /// Files and directories to scan, in place of the configured roots.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    read: ReadArguments,
    #[command(flatten)]
    verify: VerifyArguments,
    #[command(flatten)]
    places: PlaceArguments,
}

#[derive(Debug, Args)]
struct PostureArguments {
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    boot: BootArguments,
    #[command(flatten)]
    places: PlaceArguments,
}

#[derive(Debug, Args)]
struct DaemonArguments {
    #[command(flatten)]
    root: RootArguments,
    /// Where one line tells at the start that nothing can be shipped; - is standard output.
    #[arg(long, value_name = "FILE", default_value = "/dev/console")]
    console: PathBuf,
    #[command(flatten)]
    read: ReadArguments,
    #[command(flatten)]
    places: PlaceArguments,
}

#[derive(Debug, Args)]
struct StatusArguments {
    /// How the status is written.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = one_of(STATUS_FORMATS))]
    format: StatusFormat,
    #[command(flatten)]
    outcome: OutcomeArguments,
    #[command(flatten)]
    directories: DirectoryArguments,
}

#[derive(Debug, Args)]
struct ConfigArguments {
    /// Print one line instead: valid, or what is wrong and where.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    read: ReadArguments,
    #[command(flatten)]
    places: PlaceArguments,
}

/// Where things are: the services, and rolecall's own directories.
#[derive(Debug, Args)]
struct PlaceArguments {
    #[command(flatten)]
    imds: ImdsArguments,
    #[command(flatten)]
    ship: ShipArguments,
    #[command(flatten)]
    directories: DirectoryArguments,
}

#[derive(Debug, Args)]
struct RunArguments {
    #[command(flatten)]
    report: ReportArguments,
    /// Stop after this time, such as 90s, 10m or 1h30m.
    ///
    /// What was not checked by then is said, and the exit status is 2 at least.
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    #[command(flatten)]
    root: RootArguments,
}

/// How what was found is told.
#[derive(Debug, Args)]
struct ReportArguments {
    /// How the report is written.
    ///
    /// `text` is for people and groups by credential, the worst first. `json` has one object a
    /// line, the summary last. `sarif` (2.1.0) is for code scanning, `ocsf` (1.8) has one event a
    /// line.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = one_of(FORMATS))]
    format: Format,
    #[command(flatten)]
    outcome: OutcomeArguments,
}

/// Where it is told, and what of it fails the command.
#[derive(Debug, Args)]
struct OutcomeArguments {
    /// File for the report, in place of stdout.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    // The type is spelled out: clap takes a bare Option for a flag that may be absent.
    /// The least severity that makes the exit status 1.
    #[arg(long, value_name = "SEVERITY", default_value = "high", value_parser = one_of(FAIL_ON))]
    fail_on: std::option::Option<Severity>,
}

#[derive(Debug, Args)]
struct RootArguments {
    /// The host's / as seen from here.
    ///
    /// For a mounted image, or the host's file system in a container. The configuration is not
    /// taken from there.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Scan")]
struct ReadArguments {
    /// Threads that read, 1 to 64 [key: scan.threads]
    #[arg(long, value_name = "N")]
    threads: Option<u64>,
    /// Leave out what matches; may be repeated [key: scan.exclude]
    ///
    /// `*` stays within one name, `**` crosses directories; without a leading `/` the glob holds
    /// at any depth, and with a directory all beneath it is left out. The globs replace the
    /// configured ones.
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Scan")]
struct VerifyArguments {
    /// Ask AWS whether the keys that are found are active.
    ///
    /// Each key with its secret signs one GetCallerIdentity, sent to STS of the instance's or the
    /// configured partition (ship.sts_endpoint, ship.region), and to the other public ones if that
    /// one does not know it. The secret itself is not sent. An active key's account records the
    /// call: in CloudTrail, as GetCallerIdentity by the key's user from this host's address with
    /// the user agent app/rolecall, and as the key's last use (get-access-key-last-used); GuardDuty
    /// may take note. Keys of known canary services are never tried. Off by default.
    #[arg(long)]
    verify: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Instance metadata service")]
struct ImdsArguments {
    /// Base URL of the metadata service [key: imds.endpoint]
    #[arg(long, value_name = "URL")]
    imds_endpoint: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Instance metadata service")]
struct BootArguments {
    /// Wait for the metadata service and the role, as long as posture.boot_wait.
    ///
    /// For user data and services: both may appear only while the machine boots. Without the flag
    /// one bounded try decides.
    #[arg(long)]
    boot: bool,
    /// With --boot, where one line tells that nothing can be shipped.
    ///
    /// Without a usable role CloudWatch Logs hears nothing; `aws ec2 get-console-output` shows
    /// this line. It also goes to the journal, at the priority of an error.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/dev/console",
        requires = "boot"
    )]
    console: PathBuf,
}

impl BootArguments {
    fn console(self) -> Option<PathBuf> {
        self.boot.then_some(self.console)
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "CloudWatch Logs")]
struct ShipArguments {
    /// Whether to ship to CloudWatch Logs [key: ship.mode]
    ///
    /// `auto` ships when the instance has a role, `always` makes it a failure if not everything
    /// is accepted, `never` opens no connection.
    #[arg(long, value_name = "WHEN", value_parser = one_of(SHIP_MODES))]
    ship: Option<ShipMode>,
    /// URL of CloudWatch Logs, such as a VPC endpoint's [key: ship.endpoint]
    #[arg(long, value_name = "URL")]
    logs_endpoint: Option<String>,
    /// The log group [key: ship.log_group]
    #[arg(long, value_name = "NAME")]
    log_group: Option<String>,
    /// The log stream [key: ship.log_stream]
    ///
    /// `{instance_id}` stands for the instance's ID.
    #[arg(long, value_name = "NAME")]
    log_stream: Option<String>,
    /// Region of the log group, in place of the instance's [key: ship.region]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Directories")]
struct DirectoryArguments {
    /// Where the ledger is kept [key: state_dir]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Where the running service keeps its status [key: runtime_dir]
    #[arg(long, value_name = "DIR")]
    runtime_dir: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn into_invocation(self) -> Result<Invocation, ConfigError> {
        let mut flags = Overrides::default();
        let command = match self.command {
            Subcommands::Check(check) => {
                check.read.lay_over(&mut flags);
                check.places.lay_over(&mut flags);
                Command::Check {
                    run: check.run.try_into()?,
                    boot: check.boot.console(),
                    verify: check.verify.verify,
                }
            }
            Subcommands::Scan(scan) => {
                scan.read.lay_over(&mut flags);
                scan.places.without_shipping()?.lay_over(&mut flags);
                Command::Scan {
                    run: scan.run.try_into()?,
                    paths: scan.paths,
                    verify: scan.verify.verify,
                }
            }
            Subcommands::Posture(posture) => {
                posture.places.without_shipping()?.lay_over(&mut flags);
                Command::Posture {
                    run: posture.run.try_into()?,
                    boot: posture.boot.console(),
                }
            }
            Subcommands::Daemon(daemon) => {
                daemon.read.lay_over(&mut flags);
                daemon.places.lay_over(&mut flags);
                Command::Daemon {
                    root: daemon.root.root,
                    console: daemon.console,
                }
            }
            Subcommands::Status(status) => {
                status.directories.lay_over(&mut flags);
                Command::Status {
                    report: status.outcome.of(status.format),
                }
            }
            Subcommands::Config(config) => {
                config.read.lay_over(&mut flags);
                config.places.lay_over(&mut flags);
                Command::Config {
                    check: config.check,
                }
            }
        };
        Ok(Invocation {
            command,
            sources: Sources {
                file: self.host.config,
                directory: Sources::DIRECTORY.into(),
                flags,
            },
            quiet: self.host.quiet,
            verbosity: self.host.verbose,
        })
    }
}

impl ReadArguments {
    fn lay_over(self, flags: &mut Overrides) {
        flags.threads = self.threads;
        flags.exclude = self.exclude;
    }
}

impl PlaceArguments {
    /// One set of flags serves every command of a wrapper; what could not be
    /// kept is refused rather than ignored.
    fn without_shipping(self) -> Result<Self, ConfigError> {
        if self.ship.ship == Some(ShipMode::Always) {
            return Err(ConfigError::Flag {
                flag: "--ship",
                reason: "only `check` ships; `always` cannot be kept here".into(),
            });
        }
        Ok(self)
    }

    fn lay_over(self, flags: &mut Overrides) {
        flags.imds_endpoint = self.imds.imds_endpoint;
        flags.ship = self.ship.ship;
        flags.logs_endpoint = self.ship.logs_endpoint;
        flags.log_group = self.ship.log_group;
        flags.log_stream = self.ship.log_stream;
        flags.region = self.ship.region;
        self.directories.lay_over(flags);
    }
}

impl DirectoryArguments {
    fn lay_over(self, flags: &mut Overrides) {
        flags.state_dir = self.state_dir;
        flags.runtime_dir = self.runtime_dir;
    }
}

impl OutcomeArguments {
    fn of<F>(self, format: F) -> Report<F> {
        Report {
            format,
            output: self.output,
            fail_on: self.fail_on,
        }
    }
}

impl TryFrom<RunArguments> for Run {
    type Error = ConfigError;

    fn try_from(typed: RunArguments) -> Result<Self, ConfigError> {
        const TIMEOUT: &str = "--timeout";
        let timeout = match &typed.timeout {
            Some(text) => Some(parse_duration(TIMEOUT, text)?),
            None => None,
        };
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(ConfigError::Flag {
                flag: TIMEOUT,
                reason: "must be longer than zero".into(),
            });
        }
        Ok(Self {
            report: typed.report.outcome.of(typed.report.format),
            timeout,
            root: typed.root.root,
        })
    }
}

/// A parser for one of a few names, which the help lists.
fn one_of<T>(names: &'static [(&'static str, T)]) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    PossibleValuesParser::new(names.iter().map(|(name, _)| *name)).try_map(|typed| {
        let found = names.iter().find(|(name, _)| *name == typed);
        found.map(|(_, value)| *value).ok_or("not one of the names")
    })
}

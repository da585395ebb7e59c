//! The command line: what may be asked of rolecall, and the words that
//! explain it. clap is named here and nowhere else; what leaves this module
//! is an [`Invocation`], or an [`Exit`] where there is nothing to run.
//!
//! The common flags are those of every command that examines something, so
//! that one set serves them all; a flag that a command could not keep is
//! refused. Bad usage exits with
//! [`Outcome::Usage`], whose status is not clap's own.

mod arguments;
mod help;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use crate::config::Sources;
use crate::finding::Severity;
use crate::outcome::Outcome;
use crate::sanitize;

/// What to do, and all that the command line says about how.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    pub command: Command,
    /// Where the configuration comes from, flags included.
    pub sources: Sources,
    /// Nothing on stderr but errors, and no progress bar.
    pub quiet: bool,
    /// How often `-v` was given.
    pub verbosity: u8,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Posture and scan once, and ship; at `boot` the metadata service is waited
    /// for, and this console is told where nothing can be shipped.
    Check {
        run: Run,
        boot: Option<PathBuf>,
        verify: bool,
    },
    /// The scan alone; of the configured roots where no path is named.
    Scan {
        run: Run,
        paths: Vec<PathBuf>,
        /// Ask AWS about the pairs that are found.
        verify: bool,
    },
    /// The posture checks alone.
    Posture { run: Run, boot: Option<PathBuf> },
    /// The service.
    Daemon {
        root: PathBuf,
        /// Told at the start where nothing can be shipped.
        console: PathBuf,
    },
    /// What the service knows.
    Status { report: Report<StatusFormat> },
    /// Print the configuration, or only validate it.
    Config { check: bool },
}

/// How a run that examines something is made and told.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub report: Report,
    /// Longer than zero.
    pub timeout: Option<Duration>,
    /// The host's `/` as seen from here.
    pub root: PathBuf,
}

/// How what was found is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Report<F = Format> {
    pub format: F,
    /// Standard output where there is none.
    pub output: Option<PathBuf>,
    /// The least severity that fails the run; `None` for never.
    pub fail_on: Option<Severity>,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
    Sarif,
    Ocsf,
}

/// How the status is written, which holds no findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFormat {
    Text,
    Json,
}

/// Understands the command line, the program's name first.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, Exit> {
    let arguments = arguments::Arguments::try_parse_from(args).map_err(Exit::from_clap)?;
    arguments
        .into_invocation()
        .map_err(|error| Exit::usage(&error))
}

/// The definition of the command line, for what is made from it: man pages
/// and completions.
pub fn definition() -> clap::Command {
    arguments::Arguments::command()
}

/// The end of an invocation that runs nothing: help, the version, or what is
/// wrong with the command line.
#[derive(Debug)]
pub struct Exit {
    outcome: Outcome,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    /// For standard output, in colour where that is a terminal.
    Help(Box<clap::Error>),
    /// For standard error.
    Usage(String),
}

impl Exit {
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// What is to be said, without colour and safe for a terminal.
    pub fn message(&self) -> String {
        match &self.answer {
            Answer::Help(help) => help.to_string(),
            Answer::Usage(message) => message.clone(),
        }
    }

    /// Says it where it belongs. Nobody listening is no reason to fail.
    pub fn print(&self) {
        let _ = match &self.answer {
            Answer::Help(help) => help.print(),
            Answer::Usage(message) => std::io::stderr().write_all(message.as_bytes()),
        };
    }

    fn from_clap(error: clap::Error) -> Self {
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Self {
                outcome: Outcome::Clean,
                answer: Answer::Help(Box::new(error)),
            },
            // clap repeats arguments as they were given.
            _ => Self::usage(&error),
        }
    }

    fn usage(error: &impl ToString) -> Self {
        let text = error.to_string();
        let message = text
            .lines()
            .map(|line| format!("{}\n", sanitize::line(line)));
        Self {
            outcome: Outcome::Usage,
            answer: Answer::Usage(message.collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;
    use crate::config::{Config, Origin, Overrides, ShipMode};

    fn invocation(line: &str) -> Result<Invocation, Exit> {
        parse(
            std::iter::once("rolecall")
                .chain(line.split_whitespace())
                .map(OsString::from),
        )
    }

    fn usage_error(line: &str) -> String {
        let exit = invocation(line).unwrap_err();
        assert_eq!(exit.outcome(), Outcome::Usage, "{line}");
        exit.message()
    }

    #[test]
    fn the_definitions_are_consistent() {
        definition().debug_assert();
    }

    #[test]
    fn without_flags_a_run_has_the_documented_defaults() {
        let Invocation {
            command,
            sources,
            quiet,
            verbosity,
        } = invocation("check").unwrap();
        let run = Run {
            report: Report {
                format: Format::Text,
                output: None,
                fail_on: Some(Severity::High),
            },
            timeout: None,
            root: "/".into(),
        };
        let expected = Command::Check {
            run,
            boot: None,
            verify: false,
        };
        assert_eq!(command, expected);
        assert_eq!((quiet, verbosity), (false, 0));
        assert_eq!(sources.file, None);
        assert_eq!(sources.directory, PathBuf::from("/etc/rolecall"));
        assert_eq!(sources.flags, Overrides::default());
    }

    #[test]
    fn every_flag_arrives() {
        let line = "check --verify --boot --console /dev/ttyS0 -vv --config c.toml --format json -o out --fail-on never --timeout 1h30m \
            --root /mnt --threads 8 --exclude a --exclude b --imds-endpoint http://i --ship always \
            --logs-endpoint http://l --log-group g --log-stream s --region eu-west-1 \
            --state-dir /s --runtime-dir /r";
        let text = |text: &str| Some(text.to_owned());
        let expected = Invocation {
            command: Command::Check {
                run: Run {
                    report: Report {
                        format: Format::Json,
                        output: Some("out".into()),
                        fail_on: None,
                    },
                    timeout: Some(Duration::from_mins(90)),
                    root: "/mnt".into(),
                },
                boot: Some("/dev/ttyS0".into()),
                verify: true,
            },
            sources: Sources {
                file: Some("c.toml".into()),
                directory: Sources::DIRECTORY.into(),
                flags: Overrides {
                    state_dir: Some("/s".into()),
                    runtime_dir: Some("/r".into()),
                    threads: Some(8),
                    exclude: vec!["a".into(), "b".into()],
                    ship: Some(ShipMode::Always),
                    imds_endpoint: text("http://i"),
                    logs_endpoint: text("http://l"),
                    log_group: text("g"),
                    log_stream: text("s"),
                    region: text("eu-west-1"),
                },
            },
            quiet: false,
            verbosity: 2,
        };
        assert_eq!(invocation(line).unwrap(), expected);
    }

    #[test]
    fn the_flags_that_the_configuration_names_are_those_of_the_config_command() {
        let line = "config --threads 8 --exclude a --imds-endpoint http://i --ship never \
            --logs-endpoint http://l --log-group g --log-stream s --region eu-west-1 \
            --state-dir /s --runtime-dir /r";
        let mut sources = invocation(line).unwrap().sources;
        sources.directory = "/nonexistent".into();
        let loaded = Config::load(&sources).unwrap();
        let command = arguments::Arguments::command();
        let config = command.find_subcommand("config").unwrap();
        let mut named = 0;
        for line in loaded
            .to_toml()
            .lines()
            .filter(|line| line.starts_with("# --"))
        {
            let flag = line.trim_start_matches("# --");
            let known = config
                .get_arguments()
                .find(|a| a.get_long() == Some(flag))
                .unwrap();
            let help = known.get_help().unwrap().to_string();
            let (_, key) = help.split_once("[key: ").unwrap();
            let origin = loaded.origin(key.trim_end_matches(']'));
            assert_eq!(origin.to_string(), format!("--{flag}"));
            assert!(matches!(origin, Origin::Flag(_)));
            named += 1;
        }
        assert_eq!(named, 10);
    }

    #[test]
    fn scan_takes_paths_and_the_common_flags_before_or_after_the_command() {
        let Command::Scan { paths, .. } = invocation("scan /a b").unwrap().command else {
            panic!("not a scan");
        };
        assert_eq!(paths, [PathBuf::from("/a"), PathBuf::from("b")]);
        for line in ["--quiet --config c posture", "posture --quiet --config c"] {
            let invocation = invocation(line).unwrap();
            assert!(invocation.quiet);
            assert_eq!(invocation.sources.file, Some("c".into()));
        }
        let check = invocation("config --check").unwrap().command;
        assert_eq!(check, Command::Config { check: true });
    }

    #[test]
    fn a_path_need_not_be_utf8() {
        let path = OsString::from_vec(b"/a\xff".to_vec());
        let args = ["rolecall".into(), "scan".into(), path.clone()];
        let Command::Scan { paths, .. } = parse(args).unwrap().command else {
            panic!("not a scan");
        };
        assert_eq!(paths, [PathBuf::from(path)]);
    }

    #[test]
    fn bad_usage_exits_64_and_names_what_is_wrong() {
        for (line, named) in [
            ("", "Usage: rolecall"),
            ("chekc", "'check'"),
            ("check --formt json", "'--format'"),
            ("check --format xml", "text, json, sarif, ocsf"),
            ("status --format sarif", "[possible values: text, json]"),
            ("status --format ocsf", "[possible values: text, json]"),
            ("config --format sarif", "unexpected argument '--format'"),
            (
                "check --fail-on severe",
                "critical, high, medium, low, never",
            ),
            ("check --ship maybe", "auto, always, never"),
            ("check --threads many", "--threads"),
            ("check --timeout 10", "--timeout: \"10\" is not a duration"),
            ("check --timeout 0s", "--timeout: must be longer than zero"),
            ("check --region", "--region"),
            ("check --root /a --root /b", "--root"),
            ("check /a", "'/a'"),
            ("check -q -v", "--quiet"),
            ("posture --threads 2", "--threads"),
            ("scan --ship always", "--ship"),
            ("status --ship never", "--ship"),
            ("daemon --format json", "--format"),
            ("help", "'help'"),
        ] {
            let message = usage_error(line);
            assert!(message.contains(named), "{line}: {message}");
        }
    }

    #[test]
    fn abbreviations_are_not_understood() {
        for line in ["check --form json", "conf", "check --time 1m"] {
            usage_error(line);
        }
    }

    #[test]
    fn a_report_can_be_had_in_every_format() {
        for command in ["check", "scan", "posture"] {
            for (name, format) in [
                ("text", Format::Text),
                ("json", Format::Json),
                ("sarif", Format::Sarif),
                ("ocsf", Format::Ocsf),
            ] {
                let asked = invocation(&format!("{command} --format {name}")).unwrap();
                let (Command::Check { run, .. }
                | Command::Scan { run, .. }
                | Command::Posture { run, .. }) = asked.command
                else {
                    panic!("no report");
                };
                assert_eq!(run.report.format, format);
            }
        }
    }

    #[test]
    fn help_and_version_exit_0_and_every_command_explains_itself() {
        let commands = ["check", "scan", "posture", "daemon", "status", "config"];
        for command in commands {
            let exit = invocation(&format!("{command} --help")).unwrap_err();
            assert_eq!(exit.outcome(), Outcome::Clean);
            let help = exit.message();
            assert!(
                help.contains("Exit status:\n  0") && help.contains("Examples:"),
                "{help}"
            );
        }
        let exit = invocation("--version").unwrap_err();
        assert_eq!(exit.outcome(), Outcome::Clean);
        assert_eq!(
            exit.message(),
            format!("rolecall {}\n", env!("CARGO_PKG_VERSION"))
        );
        let short = invocation("-h").unwrap_err().message();
        assert!(
            commands.iter().all(|command| short.contains(command)),
            "{short}"
        );
    }

    #[test]
    fn every_example_of_the_help_is_understood() {
        for text in [
            help::CHECK,
            help::SCAN,
            help::POSTURE,
            help::DAEMON,
            help::STATUS,
            help::CONFIG,
        ] {
            for line in text
                .lines()
                .filter_map(|l| l.trim().strip_prefix("rolecall "))
            {
                assert!(invocation(line).is_ok(), "{line}");
            }
        }
    }

    #[test]
    fn escape_sequences_in_arguments_do_not_reach_the_terminal() {
        for line in [
            "check --\x1b[2J",
            "\u{202e}",
            "check --timeout \x1b[2J",
            "check --format \x07",
        ] {
            let message = usage_error(line);
            let unsafe_left = message.chars().any(|c| c != '\n' && sanitize::is_unsafe(c));
            assert!(!unsafe_left, "{message:?}");
        }
    }
}

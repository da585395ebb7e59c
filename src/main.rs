//! The binary: understands what is asked, runs it, says how it ended.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;

use rolecall::check::{self, Request};
use rolecall::cli::{self, Command, Format, Invocation, Run, StatusFormat};
use rolecall::config::{Config, Loaded};
use rolecall::outcome::Outcome;
use rolecall::report::{Exporter, Json, Ocsf, Sarif, Text};
use rolecall::source::mounts::Mounts;
use rolecall::{daemon, front, heap, logging, progress, sanitize, status};

/// How long the file system of `--root` may take to answer at all.
const ROOT_LIMIT: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let invocation = match cli::parse(arguments.clone()) {
        Ok(invocation) => invocation,
        Err(exit) => {
            exit.print();
            return exit.outcome().into();
        }
    };
    // What a service does is for the record; what a person asks for is told.
    let service = matches!(invocation.command, Command::Daemon { .. });
    logging::start(invocation.quiet, invocation.verbosity + u8::from(service));
    heap::share();
    let is_behind = front::is_behind(arguments.first().map(OsString::as_os_str));
    if is_behind {
        front::follow();
    } else if may_hang(&invocation)
        && let Ok(code) = front::run(&arguments[1..])
    {
        return code.into();
    }
    let outcome = run(&invocation).unwrap_or_else(|error| {
        complain(&format!("rolecall: {error:#}"));
        Outcome::Usage
    });
    if is_behind {
        front::let_go();
    }
    outcome.into()
}

/// Whether files are touched where a file system may stop answering.
fn may_hang(invocation: &Invocation) -> bool {
    matches!(
        invocation.command,
        Command::Check { .. } | Command::Scan { .. } | Command::Posture { .. }
    ) && Mounts::read(Path::new("/proc"), true).is_ok_and(|mounts| mounts.may_hang())
}

fn run(invocation: &Invocation) -> anyhow::Result<Outcome> {
    let (loaded, error) = Config::load_what_is_right(&invocation.sources);
    if let Some(error) = error {
        // One error a line; what it quotes is safe to show already.
        complain(&error.to_string());
        if let Command::Status { report } = &invocation.command {
            let said = tell_status(report, &loaded.config)?;
            return Ok(said.merge(Outcome::Usage));
        }
        return Ok(Outcome::Usage);
    }
    for warning in &loaded.warnings {
        log::warn!("{warning}");
    }
    let quiet = invocation.quiet;
    match &invocation.command {
        Command::Config { check } => {
            let text = if *check {
                loaded.verdict() + "\n"
            } else {
                loaded.to_toml()
            };
            Ok(told(io::stdout().write_all(text.as_bytes())))
        }
        Command::Check { run, boot, verify } => {
            let request = Request {
                scan: true,
                posture: true,
                ship: true,
                verify: *verify,
                boot: boot.as_deref(),
                ..request(run)
            };
            examine(run, &request, &loaded, &[], quiet)
        }
        Command::Scan { run, paths, verify } => {
            let request = Request {
                scan: true,
                verify: *verify,
                ..request(run)
            };
            let paths = on_host(paths, &run.root)?;
            examine(run, &request, &loaded, &paths, quiet)
        }
        Command::Daemon { root, console } => {
            let request = daemon::Request {
                root: host_root(root)?,
                sources: invocation.sources.clone(),
                console: console.clone(),
            };
            daemon::run(request, loaded)?;
            Ok(Outcome::Clean)
        }
        Command::Status { report } => tell_status(report, &loaded.config),
        Command::Posture { run, boot } => {
            let request = Request {
                posture: true,
                boot: boot.as_deref(),
                ..request(run)
            };
            examine(run, &request, &loaded, &[], quiet)
        }
    }
}

/// Tells what the service knows.
fn tell_status(asked: &cli::Report<StatusFormat>, config: &Config) -> anyhow::Result<Outcome> {
    let status = match status::fetch(&config.runtime_dir, &config.state_dir) {
        Ok(status) => status,
        Err(error) => {
            complain(&format!("rolecall: {error}"));
            return Ok(Outcome::Incomplete);
        }
    };
    let text = match asked.format {
        StatusFormat::Text => status::text(&status),
        StatusFormat::Json => status::json(&status) + "\n",
    };
    let written = output(asked.output.as_deref())?.write_all(text.as_bytes());
    let mut outcome = told(written);
    if asked
        .fail_on
        .is_some_and(|least| status.open.at_least(least) > 0)
    {
        outcome = outcome.merge(Outcome::Finding);
    }
    if !status.running || !status.is_complete() {
        outcome = outcome.merge(Outcome::Incomplete);
    }
    Ok(outcome)
}

fn output(file: Option<&Path>) -> anyhow::Result<Box<dyn Write>> {
    Ok(match file {
        Some(path) => Box::new(
            File::create(path).with_context(|| format!("creating --output {}", path.display()))?,
        ),
        None => Box::new(io::stdout()),
    })
}

fn host_root(root: &Path) -> anyhow::Result<PathBuf> {
    let (sender, receiver) = mpsc::channel();
    let path = root.to_owned();
    thread::spawn(move || sender.send(path.canonicalize()));
    receiver
        .recv_timeout(ROOT_LIMIT)
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .with_context(|| format!("--root {}", root.display()))
}

fn request(run: &Run) -> Request<'_> {
    Request {
        root: &run.root,
        timeout: run.timeout,
        fail_on: run.report.fail_on,
        scan: false,
        posture: false,
        ship: false,
        verify: false,
        boot: None,
    }
}

fn examine(
    run: &Run,
    request: &Request<'_>,
    loaded: &Loaded,
    paths: &[PathBuf],
    quiet: bool,
) -> anyhow::Result<Outcome> {
    let root = host_root(&run.root)?;
    let request = Request {
        root: &root,
        ..*request
    };
    // Opened first: nobody wants to learn of a typing error after the scan.
    let output = output(run.report.output.as_deref())?;
    let (report, outcome) = progress::watch(quiet || !request.scan, |progress| {
        check::run(&request, loaded, paths, progress)
    })?;
    if run.report.format != Format::Text && !quiet {
        report
            .notes
            .iter()
            .for_each(|note| complain(&format!("rolecall: {note}")));
    }
    let ended = Timestamp::now();
    let exporter: &dyn Exporter = match run.report.format {
        Format::Text => &Text,
        Format::Json => &Json,
        Format::Sarif => &Sarif {
            exit_code: outcome.code(),
            ended,
        },
        Format::Ocsf => &Ocsf { ended },
    };
    let mut output = BufWriter::new(output);
    let written = exporter
        .write(&report, &mut output)
        .and_then(|()| output.flush());
    Ok(outcome.merge(told(written)))
}

/// Paths as the host knows them: from here, unless another root is given.
fn on_host(paths: &[PathBuf], root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let on_host = |path: &PathBuf| {
        if root == Path::new("/") {
            std::path::absolute(path).with_context(|| path.display().to_string())
        } else {
            Ok(Path::new("/").join(path))
        }
    };
    paths.iter().map(on_host).collect()
}

/// What a report amounts to that could not be written. Whoever closed the pipe
/// has read enough; else nobody knows what was checked.
fn told(written: io::Result<()>) -> Outcome {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("rolecall: writing the report: {error}"));
            Outcome::Incomplete
        }
        _ => Outcome::Clean,
    }
}

fn complain(message: &str) {
    let safe: Vec<_> = message.lines().map(sanitize::line).collect();
    let _ = writeln!(io::stderr(), "{}", safe.join("\n"));
}

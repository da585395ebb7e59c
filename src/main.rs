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

use rolecall::check::{self, Request};
use rolecall::cli::{self, Command, Format, Invocation, Run};
use rolecall::config::{Config, Loaded};
use rolecall::outcome::Outcome;
use rolecall::report::{Exporter, Json, Text};
use rolecall::source::mounts::Mounts;
use rolecall::{front, logging, progress, sanitize};

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
    logging::start(invocation.quiet, invocation.verbosity);
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
        Command::Check { .. } | Command::Scan { .. }
    ) && Mounts::read(Path::new("/proc"), true).is_ok_and(|mounts| mounts.may_hang())
}

fn run(invocation: &Invocation) -> anyhow::Result<Outcome> {
    let loaded = match Config::load(&invocation.sources) {
        Ok(loaded) => loaded,
        Err(error) => {
            // One error a line; what it quotes is safe to show already.
            complain(&error.to_string());
            return Ok(Outcome::Usage);
        }
    };
    let quiet = invocation.quiet;
    match &invocation.command {
        Command::Config { check } => {
            let text = if *check {
                loaded.verdict() + "\n"
            } else {
                loaded.to_toml()
            };
            heard(io::stdout().write_all(text.as_bytes()))?;
            Ok(Outcome::Clean)
        }
        Command::Check { run, boot } => {
            let request = Request {
                scan: true,
                posture: true,
                ship: true,
                boot: *boot,
                ..request(run)
            };
            examine(run, &request, &loaded, &[], quiet)
        }
        Command::Scan { run, paths } => {
            let request = Request {
                scan: true,
                ..request(run)
            };
            let paths = on_host(paths, &run.root)?;
            examine(run, &request, &loaded, &paths, quiet)
        }
        Command::Posture { run, boot } => {
            let request = Request {
                posture: true,
                boot: *boot,
                ..request(run)
            };
            examine(run, &request, &loaded, &[], quiet)
        }
    }
}

fn request(run: &Run) -> Request<'_> {
    Request {
        root: &run.root,
        timeout: run.timeout,
        fail_on: run.fail_on,
        scan: false,
        posture: false,
        ship: false,
        boot: false,
    }
}

fn examine(
    run: &Run,
    request: &Request<'_>,
    loaded: &Loaded,
    paths: &[PathBuf],
    quiet: bool,
) -> anyhow::Result<Outcome> {
    let root = resolve(&run.root).with_context(|| format!("--root {}", run.root.display()))?;
    let request = Request {
        root: &root,
        ..*request
    };
    // Opened first: nobody wants to learn of a typing error after the scan.
    let output: Box<dyn Write> = match &run.output {
        Some(path) => Box::new(
            File::create(path).with_context(|| format!("creating --output {}", path.display()))?,
        ),
        None => Box::new(io::stdout()),
    };
    let (report, outcome) = progress::watch(quiet || !request.scan, |progress| {
        check::run(&request, loaded, paths, progress)
    })?;
    if run.format != Format::Text && !quiet {
        report
            .notes
            .iter()
            .for_each(|note| complain(&format!("rolecall: {note}")));
    }
    let exporter: &dyn Exporter = match run.format {
        Format::Text => &Text,
        Format::Json => &Json,
    };
    let mut output = BufWriter::new(output);
    heard(
        exporter
            .write(&report, &mut output)
            .and_then(|()| output.flush()),
    )?;
    Ok(outcome)
}

/// The root without links, if its file system answers.
fn resolve(root: &Path) -> io::Result<PathBuf> {
    let (sender, receiver) = mpsc::channel();
    let root = root.to_owned();
    thread::spawn(move || sender.send(root.canonicalize()));
    receiver
        .recv_timeout(ROOT_LIMIT)
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
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

/// Whoever closed the pipe has read enough.
fn heard(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("writing the report"),
    }
}

fn complain(message: &str) {
    let safe: Vec<_> = message.lines().map(sanitize::line).collect();
    let _ = writeln!(io::stderr(), "{}", safe.join("\n"));
}

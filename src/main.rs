//! The binary: understands what is asked, runs it, says how it ended.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use rolecall::check::{self, Request};
use rolecall::cli::{self, Command, Format, Invocation, Run};
use rolecall::config::{Config, Loaded};
use rolecall::outcome::Outcome;
use rolecall::report::{Exporter, Json, Text};
use rolecall::{logging, progress, sanitize};

fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(exit) => {
            exit.print();
            return exit.outcome().into();
        }
    };
    logging::start(invocation.quiet, invocation.verbosity);
    match run(&invocation) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            complain(&format!("rolecall: {error:#}"));
            Outcome::Usage.into()
        }
    }
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

fn request(run: &Run) -> Request<'_> {
    Request {
        root: &run.root,
        timeout: run.timeout,
        fail_on: run.fail_on,
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
    let root = run
        .root
        .canonicalize()
        .with_context(|| format!("--root {}", run.root.display()))?;
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

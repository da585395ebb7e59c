//! Where log lines go: to the journal where rolecall is a service, else to
//! standard error. Data never goes there.

use std::io::Write as _;

use log::LevelFilter;

use crate::sanitize;

/// Starts logging for the rest of the process.
pub fn start(quiet: bool, verbosity: u8) {
    let level = match (quiet, verbosity) {
        (true, _) => LevelFilter::Error,
        (false, 0) => LevelFilter::Warn,
        (false, 1) => LevelFilter::Info,
        (false, 2) => LevelFilter::Debug,
        (false, _) => LevelFilter::Trace,
    };
    let journal = systemd_journal_logger::connected_to_journal()
        .then(systemd_journal_logger::JournalLog::new)
        .and_then(Result::ok);
    // A second start in one process changes nothing.
    let _ = match journal {
        Some(journal) => {
            log::set_max_level(own(level));
            journal.install()
        }
        None => env_logger::Builder::new()
            // Other crates log requests, and with them tokens.
            .filter_module("rolecall", level)
            .format(|out, record| {
                let message = record.args().to_string();
                writeln!(
                    out,
                    "rolecall: {}: {}",
                    level_name(record.level()),
                    sanitize::line(&message)
                )
            })
            .target(env_logger::Target::Stderr)
            .try_init(),
    };
}

/// The journal logger has no filter by crate, and at these levels other
/// crates say nothing that names a secret.
fn own(level: LevelFilter) -> LevelFilter {
    level.min(LevelFilter::Info)
}

fn level_name(level: log::Level) -> &'static str {
    match level {
        log::Level::Error => "error",
        log::Level::Warn => "warning",
        log::Level::Info => "info",
        log::Level::Debug => "debug",
        log::Level::Trace => "trace",
    }
}

//! Where log lines go: to the journal where rolecall is a service, else to
//! standard error. Data never goes there.

use std::io::Write as _;

use log::{LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::JournalLog;

use crate::sanitize;

/// Other crates log requests, and with them tokens.
const OWN: &str = "rolecall";

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
        .then(JournalLog::new)
        .and_then(Result::ok);
    // A second start in one process changes nothing.
    let _ = match journal {
        Some(journal) => {
            log::set_max_level(level);
            log::set_boxed_logger(Box::new(Journal(journal)))
        }
        None => env_logger::Builder::new()
            .filter_module(OWN, level)
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

/// The journal, told what standard error would be told.
struct Journal(JournalLog);

impl Log for Journal {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(OWN)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let message = record.args().to_string();
            let message = sanitize::line(&message);
            let mut told = record.to_builder();
            self.0.log(&told.args(format_args!("{message}")).build());
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
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

//! What has to be heard although it cannot be shipped: without a usable role
//! nothing reaches CloudWatch Logs, so the cause goes to the journal at high
//! priority and, at boot, to the console, where `aws ec2 get-console-output`
//! shows it.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;
use systemd_journal_logger::JournalLog;

use crate::finding::{Instance, PostureCheck, Rule, Verdict, posture_remediation};
use crate::sanitize;

/// Characters of the line; a cause, a few names and a command fit.
const MAX_LINE: usize = 1_000;

/// The console of who may open none: where the service manager leads it.
const STANDARD_OUTPUT: &str = "-";

/// How long a journal or a console that takes nothing is waited for.
const LIMIT: Duration = Duration::from_secs(1);

/// The checks whose failure leaves nobody to ship, the cause before what
/// follows from it.
const CAUSES: [Rule; 4] = [
    Rule::ImdsUnreachable,
    Rule::ImdsDisabled,
    Rule::RoleMissing,
    Rule::RoleCredentialsUnusable,
];

/// What keeps the role from being used, and what to do, in one safe line;
/// `None` where nothing of the kind failed.
pub fn cause(checks: &[PostureCheck], instance: &Instance) -> Option<String> {
    let failed = |rule: &Rule| {
        checks
            .iter()
            .find(|check| check.check == *rule && check.verdict == Verdict::Fail)
    };
    let check = CAUSES.iter().find_map(failed)?;
    let line = format!(
        "{} failed on {}, so nothing can be shipped: {}; fix: {}",
        check.check,
        instance.instance_id.as_deref().unwrap_or("this instance"),
        check.reason,
        posture_remediation(check, instance)
    );
    let short: String = line.chars().take(MAX_LINE).collect();
    Some(sanitize::line(&short).into_owned())
}

/// Tells the journal, or standard error where there is none, and also the
/// console if one is given. Nobody listening is no error of the run.
pub fn raise(cause: &str, console: Option<&Path>) {
    let (told, heard) = mpsc::channel();
    let line = cause.to_owned();
    let console = console.map(ToOwned::to_owned);
    // Neither has to be listening, and a full socket blocks.
    thread::spawn(move || {
        if let Some(console) = console
            && let Err(error) = write_line(&console, &line)
        {
            log::warn!("the console {} takes nothing: {error}", console.display());
        }
        let _ = told.send(tell_journal(&line).is_ok());
    });
    if heard.recv_timeout(LIMIT) != Ok(true) {
        log::error!("{cause}");
    }
}

/// Wherever standard error leads.
fn tell_journal(line: &str) -> io::Result<()> {
    let journal = JournalLog::empty()?.with_syslog_identifier("rolecall".into());
    let mut record = log::Record::builder();
    journal.journal_send(
        &record
            .level(log::Level::Error)
            .target(module_path!())
            .args(format_args!("{line}"))
            .build(),
    )
}

fn write_line(console: &Path, line: &str) -> io::Result<()> {
    let line = format!("rolecall: {line}\n");
    if console == Path::new(STANDARD_OUTPUT) {
        return io::stdout().write_all(line.as_bytes());
    }
    // A serial line without a carrier, or held by flow control, would block.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new()
        .append(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
        .open(console)?
        .write_all(line.as_bytes())
}

//! A process in front of the one that does the work, for a host on which a
//! file system is mounted that may stop answering.
//!
//! A thread that waits for such a file system cannot even be killed, and a
//! process is not gone before its last thread: whoever started it would wait
//! forever, although the report is long written. So the work is done in a
//! second process, and this one leaves when the work is done.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};

/// What the process behind is called.
const NAME: &str = "rolecall-behind";

/// How often the process behind is looked after.
const TICK: Duration = Duration::from_millis(20);

/// Looks at a process that has ended but for some of its threads after which
/// these count as stuck.
const PATIENCE: u32 = 10;

/// Whether `name`, the first argument, is that of a process behind.
pub fn is_behind(name: Option<&OsStr>) -> bool {
    name.is_some_and(|name| name == NAME)
}

/// Starts the process behind, with this program's other `arguments`, and
/// returns its exit status once it has done its work.
///
/// # Errors
///
/// It cannot be started.
pub fn run(arguments: &[OsString]) -> io::Result<u8> {
    let mut child = Command::new("/proc/self/exe")
        .arg0(NAME)
        .args(arguments)
        .spawn()?;
    let mut looks = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(code(status));
        }
        match left_behind(child.id()) {
            Some(status) if looks >= PATIENCE => return Ok(code(status)),
            Some(_) => looks += 1,
            None => looks = 0,
        }
        std::thread::sleep(TICK);
    }
}

/// To be called by the process behind when it starts: it ends with the one in
/// front of it.
pub fn follow() {
    // Without it nothing is wrong but what a killed run leaves.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
}

/// To be called by the process behind when all is written: what reads its
/// output must not wait for stuck threads.
pub fn let_go() {
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
}

/// As a shell tells it.
fn code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// How a process ended of which only threads are left, from proc(5): its
/// state is the first field behind its name, its status the fiftieth.
fn left_behind(pid: u32) -> Option<ExitStatus> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    if fields.next() != Some("Z") {
        return None;
    }
    let status = fields.nth(48)?.parse().ok()?;
    Some(ExitStatus::from_raw(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_process_that_was_not_waited_for_is_known() {
        let child = Command::new("sh").args(["-c", "exit 42"]).spawn();
        let mut child = child.expect("a shell");
        let status = loop {
            if let Some(status) = left_behind(child.id()) {
                break status;
            }
            std::thread::yield_now();
        };
        assert_eq!(code(status), 42);
        assert_eq!(child.wait().expect("its status"), status);
        assert_eq!(left_behind(child.id()), None);
    }
}

//! A journal of its own: the real systemd-journald on a `/run` that nobody
//! else sees.

use std::os::unix::fs::FileTypeExt as _;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::daemon::wait;

const JOURNALD: &str = "/usr/lib/systemd/systemd-journald";

/// Ends with the process that it runs: the first argument is the directory
/// that becomes `/run`. The kernel's messages belong to the machine's journal.
const PREPARE: &str = "mount --bind \"$0\" /run && mount --bind /dev/null /dev/kmsg && exec \"$1\"";

/// The service manager's part in `systemd.exec`(5): standard error is the
/// journal, and the environment says so.
const CONNECT: &str = "JOURNAL_STREAM=$(stat -Lc %d:%i /dev/fd/2) exec \"$0\" \"$@\"";

/// The journal; stopped when it is dropped.
pub(crate) struct Journal {
    run: tempfile::TempDir,
    journald: Child,
}

impl Journal {
    /// `None`, with the reason printed, where journald cannot run.
    #[expect(clippy::print_stderr, reason = "a skipped test says why")]
    pub(crate) fn start() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: a journal of its own needs root");
            return None;
        }
        if !std::path::Path::new(JOURNALD).exists() {
            eprintln!("skipped: {JOURNALD} is not there (apt-get install systemd)");
            return None;
        }
        let run = tempfile::tempdir().unwrap();
        let mut journald = Command::new("unshare")
            .args(["--mount", "sh", "-c", PREPARE])
            .arg(run.path())
            .arg(JOURNALD)
            .stdin(Stdio::null())
            .spawn()
            .expect("`unshare` is there (apt-get install util-linux)");
        let socket = run.path().join("systemd/journal/stdout");
        let listens = wait("journald", || {
            let ended = journald.try_wait().unwrap().map(|_| false);
            let is_socket = socket.metadata().map(|made| made.file_type().is_socket());
            ended.or_else(|| is_socket.is_ok_and(|is| is).then_some(true))
        });
        if !listens {
            eprintln!("skipped: journald cannot run here (CAP_SYS_ADMIN)");
            return None;
        }
        Some(Self { run, journald })
    }

    /// Programs that run another one, which they take as their last
    /// arguments, as a service of this journal.
    pub(crate) fn connect(&self) -> Vec<String> {
        let namespace = format!("--mount=/proc/{}/ns/mnt", self.journald.id());
        ["nsenter", &namespace, "systemd-cat", "sh", "-c", CONNECT]
            .map(str::to_owned)
            .to_vec()
    }

    /// Where its files are.
    pub(crate) fn directory(&self) -> std::path::PathBuf {
        self.run.path().join("log/journal")
    }

    fn read(&self, args: &[&str]) -> String {
        let read = Command::new("journalctl")
            .arg("--directory")
            .arg(self.directory())
            .args(["--quiet", "--all"])
            .args(args)
            .output()
            .expect("`journalctl` is there (apt-get install systemd)");
        String::from_utf8(read.stdout).expect("text")
    }

    /// The entries with `field`, such as `PRIORITY=3`, oldest first.
    pub(crate) fn entries(&self, field: &str) -> Vec<Value> {
        self.read(&[field, "--output", "json"])
            .lines()
            .map(|entry| serde_json::from_str(entry).unwrap())
            .collect()
    }

    /// Every field of every entry.
    pub(crate) fn everything(&self) -> String {
        self.read(&["--output", "export"])
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.journald.kill();
        let _ = self.journald.wait();
    }
}

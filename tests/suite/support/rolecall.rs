//! The binary under test, run as a stranger would run it.

use std::ffi::OsStr;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::host::Host;

/// One run of the binary. The environment is empty unless a test fills it.
pub(crate) struct Rolecall(Command);

/// How a run ended and what it said.
pub(crate) struct Ran {
    /// The exit status; a signal fails the test earlier.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Rolecall {
    pub(crate) fn new<I>(args: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rolecall"));
        command.env_clear().stdin(Stdio::null()).args(args);
        Self(command)
    }

    /// The same run in a network namespace, with the files of `/etc` that the
    /// namespace has of its own.
    pub(crate) fn in_namespace(self, name: &str) -> Self {
        self.wrapped("ip", &["netns", "exec", name])
    }

    /// The same run by another program, which takes it as its last arguments.
    pub(crate) fn wrapped(self, program: &str, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(args);
        command.arg(self.0.get_program()).args(self.0.get_args());
        command.stdin(Stdio::null());
        Self(command)
    }

    /// The same run where the `/proc` of this machine is that of the host, too:
    /// in a mount namespace, which takes root.
    pub(crate) fn with_processes(self, host: &Host) -> Self {
        let proc = host.path("proc");
        let proc = proc.to_str().expect("a path of text");
        let script = "mount --bind /proc \"$0\" && exec \"$@\"";
        self.wrapped("unshare", &["--mount", "sh", "-c", script, proc])
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.0.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn current_dir(mut self, dir: &Path) -> Self {
        self.0.current_dir(dir);
        self
    }

    /// As another user. The binary is copied to where everybody may run it.
    pub(crate) fn run_by(mut self, uid: u32, program: &Path) -> Self {
        let mut command = Command::new("setpriv");
        command.env_clear().stdin(Stdio::null());
        command.arg(format!("--reuid={uid}"));
        command.arg(format!("--regid={uid}"));
        command.args(["--clear-groups", "--"]).arg(program);
        command.args(self.0.get_args());
        self.0 = command;
        self
    }

    pub(crate) fn run(mut self) -> Ran {
        // Files, because a pipe that fills up would need a thread each.
        let (mut out, mut err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let status = self
            .0
            .stdout(out.try_clone().unwrap())
            .stderr(err.try_clone().unwrap())
            .status()
            .expect("the binary starts");
        let read = |file: &mut std::fs::File| {
            let mut bytes = Vec::new();
            file.rewind()
                .and_then(|()| file.read_to_end(&mut bytes))
                .unwrap();
            String::from_utf8(bytes).expect("output is UTF-8")
        };
        assert_eq!(status.signal(), None, "{}", read(&mut err));
        Ran {
            status: status.code().unwrap(),
            stdout: read(&mut out),
            stderr: read(&mut err),
        }
    }
}

impl Ran {
    /// The objects of a run with `--format json`.
    pub(crate) fn records(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    pub(crate) fn of_type(&self, kind: &str) -> Vec<Value> {
        let mut records = self.records();
        records.retain(|record| record["type"] == kind);
        records
    }

    pub(crate) fn summary(&self) -> Value {
        self.records().pop().expect("a summary")
    }

    /// The count of a skip reason in one source's coverage.
    pub(crate) fn skipped(&self, source: &str, reason: &str) -> u64 {
        self.of_type("coverage")
            .iter()
            .filter(|coverage| coverage["source"] == source)
            .flat_map(|coverage| coverage["skipped"].as_array().cloned().unwrap_or_default())
            .filter(|skip| skip["reason"] == reason)
            .filter_map(|skip| skip["count"].as_u64())
            .sum()
    }
}

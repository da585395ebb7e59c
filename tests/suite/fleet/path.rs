//! A `PATH` on which programs are what a test says they are.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A directory of programs before those of this machine.
pub(super) struct Programs(tempfile::TempDir);

impl Programs {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A program of this name whose shell text is `body`.
    pub(super) fn with(self, name: &str, body: &str) -> Self {
        let path = self.0.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// A program that writes down each of its arguments and ends with `status`.
    pub(super) fn recording(self, name: &str, status: i32) -> Self {
        let log = self.log(name);
        let body = format!("printf '%s\\n' \"$@\" >>'{}'\nexit {status}", log.display());
        self.with(name, &body)
    }

    /// The binary under test as `rolecall`, with more arguments behind its own.
    pub(super) fn with_rolecall(self, arguments: &str) -> Self {
        let binary = env!("CARGO_BIN_EXE_rolecall");
        self.with("rolecall", &format!("exec '{binary}' \"$@\" {arguments}"))
    }

    /// What a recording program was told, a line an argument.
    pub(super) fn recorded(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.log(name)).unwrap_or_default();
        text.lines().map(Into::into).collect()
    }

    fn log(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}.log"))
    }

    pub(super) fn path(&self) -> String {
        format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.0.path().display())
    }

    /// Runs a command with these programs and an otherwise empty environment.
    pub(super) fn run(&self, command: &mut Command) -> Output {
        command
            .env_clear()
            .env("PATH", self.path())
            .stdin(Stdio::null())
            .output()
            .expect("the shell starts")
    }
}

pub(super) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(super) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether a tool is there; says so where it is not.
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
pub(super) fn has(tool: &str) -> bool {
    let found = ["/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin"]
        .iter()
        .any(|directory| Path::new(directory).join(tool).exists());
    if !found {
        eprintln!("skipped: {tool} is not installed");
    }
    found
}

/// Fails with what shellcheck has to say.
pub(super) fn assert_shell_is_clean(shell: &str, scripts: &[&Path]) {
    if !has("shellcheck") {
        return;
    }
    let output = Command::new("shellcheck")
        .arg(format!("--shell={shell}"))
        .arg("--enable=quote-safe-variables,deprecate-which,avoid-nullary-conditions")
        .args(scripts)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stdout(&output));
}

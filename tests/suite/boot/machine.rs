//! Machines that boot in a container, with the kernel of this one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::image::{Root, succeeds};
use crate::support::daemon::wait;
use crate::support::host::KeyPair;

/// What the service tries to write, with the settings of its unit.
const TRY: &str = "for place in / /boot /dev /dev/mqueue /dev/shm /etc /etc/rolecall /home /media /mnt \
    /opt /proc /root /run /run/lock /run/rolecall /run/user /srv /sys /sys/fs/cgroup /tmp /usr /usr/bin \
    /var /var/cache /var/lib /var/lib/rolecall /var/log /var/tmp; do \
    if touch $place/probe 2>/dev/null; then echo $place; fi; done >/var/lib/rolecall/written; \
    rm -f /var/lib/rolecall/probe /run/rolecall/probe";

/// A machine that runs; switched off when dropped.
pub(crate) struct Machine {
    container: Child,
    root: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

/// A program of another user's; ended when dropped.
pub(crate) struct Workload(Child);

impl Machine {
    /// Boots with this network namespace, until systemd has started all.
    /// Waits until no other machine runs.
    pub(crate) fn boot(root: &Root, network: &str) -> Self {
        // Without a manager on the outside, all machines have the same control
        // groups: each systemd would find the other one's processes in its own.
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let root = root.path().to_owned();
        let container = Command::new("systemd-nspawn")
            .args(["--quiet", "--boot", "--register=no", "--keep-unit"])
            .args([
                "--console=pipe",
                "--system-call-filter=bpf",
                "--capability=all",
            ])
            .arg(format!("--network-namespace-path=/run/netns/{network}"))
            .arg("--directory")
            .arg(&root)
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("systemd-nspawn starts");
        let machine = Self {
            container,
            root,
            _alone: alone,
        };
        wait("the end of the boot", || {
            let state = machine
                .command(&["systemctl", "is-system-running"])
                .output()
                .ok()?;
            (state.stdout == b"running\n").then_some(())
        });
        machine
    }

    /// Its first process, as seen from here.
    fn leader(&self) -> Option<Pid> {
        let children = format!("/proc/{0}/task/{0}/children", self.container.id());
        let children = fs::read_to_string(children).ok()?;
        // Before it there is one that makes the container.
        let is_first = |pid: &&str| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let mut lines = status.lines();
            lines.any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"))
        };
        let leader = children.split_whitespace().find(is_first)?;
        Pid::from_raw(leader.parse().ok()?)
    }

    /// A command in it, as root.
    fn command(&self, words: &[&str]) -> Command {
        let leader = self
            .leader()
            .map_or(0, |leader| leader.as_raw_nonzero().get());
        let leader = leader.to_string();
        let mut command = Command::new("nsenter");
        command.args([
            "-t", &leader, "-m", "-u", "-i", "-n", "-p", "-C", "env", "-i",
        ]);
        command.arg("PATH=/usr/sbin:/usr/bin:/sbin:/bin");
        command.args(words).stdin(Stdio::null());
        command
    }

    pub(crate) fn succeeds(&self, words: &[&str]) {
        succeeds(&mut self.command(words));
    }

    /// What a command says, however it ends.
    pub(crate) fn output(&self, words: &[&str]) -> String {
        let output = self.command(words).output().unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    pub(crate) fn is_active(&self, unit: &str) {
        let state = self.output(&["systemctl", "is-active", unit]);
        assert_eq!(state, "active", "{}", self.journal());
    }

    pub(crate) fn journal(&self) -> String {
        self.output(&["journalctl", "--no-pager", "-u", "rolecall.service"])
    }

    pub(crate) fn status(&self) -> Value {
        let text = self.output(&["rolecall", "status", "--format", "json"]);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Only root may read it.
    pub(crate) fn write_private(&self, path: &str, text: &str) {
        let script = "umask 077; mkdir -p \"$(dirname \"$1\")\"; printf %s \"$2\" > \"$1\"";
        self.succeeds(&["sh", "-c", script, "sh", path, text]);
    }

    /// A process of another user with a key in its environment alone.
    pub(crate) fn run_as_user(&self, key: &KeyPair) -> Workload {
        let variables: Vec<String> = key.env().lines().map(ToOwned::to_owned).collect();
        let mut words = vec!["env", "-i"];
        words.extend(variables.iter().map(String::as_str));
        words.extend([
            "/usr/bin/setpriv",
            "--reuid=1",
            "--clear-groups",
            "/usr/bin/sleep",
            "infinity",
        ]);
        Workload(self.command(&words).spawn().expect("nsenter starts"))
    }

    /// Where a program can write that has the service's unit around it.
    pub(crate) fn writable_by_the_service(&self) -> Vec<String> {
        let unit = self.output(&["systemctl", "cat", "rolecall.service"]);
        let probe = unit.lines().map(|line| match line.split_once('=') {
            Some(("ExecStart", _)) => format!("ExecStart=/bin/sh -c '{}'", TRY.replace('$', "$$")),
            Some(("Type", _)) => "Type=oneshot".into(),
            _ => line.to_owned(),
        });
        let text = probe.collect::<Vec<_>>().join("\n");
        self.succeeds(&["systemctl", "stop", "rolecall.service"]);
        self.write_private("/run/systemd/system/probe.service", &text);
        self.succeeds(&["systemctl", "daemon-reload"]);
        self.succeeds(&["systemctl", "start", "probe.service"]);
        self.succeeds(&["systemctl", "start", "rolecall.service"]);
        let written = self.output(&["cat", "/var/lib/rolecall/written"]);
        self.succeeds(&["rm", "/var/lib/rolecall/written"]);
        written.lines().map(ToOwned::to_owned).collect()
    }

    /// Installs a package, or upgrades to it, with the words of a command.
    pub(crate) fn install(&self, package: &Path, command: &[&str]) {
        let inside = self.root.join("package");
        fs::copy(package, &inside).unwrap();
        self.succeeds(&[command, &["/package"]].concat());
        fs::remove_file(inside).unwrap();
    }

    /// As the power button does it.
    pub(crate) fn shut_down(mut self) {
        self.succeeds(&["systemctl", "--no-block", "poweroff"]);
        wait("the end of the machine", || {
            self.container.try_wait().unwrap()
        });
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.container.try_wait().is_ok_and(|ended| ended.is_none()) {
            match self.leader() {
                Some(leader) => drop(kill_process(leader, Signal::KILL)),
                None => drop(self.container.kill()),
            }
            let _ = self.container.wait();
        }
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        // nsenter waits for the program that it started.
        let children = format!("/proc/{0}/task/{0}/children", self.0.id());
        let children = fs::read_to_string(children).unwrap_or_default();
        for child in children
            .split_whitespace()
            .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        {
            let _ = kill_process(child, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

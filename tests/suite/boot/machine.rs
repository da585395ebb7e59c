//! Machines that boot in a container: roots with systemd as the first process.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::daemon::wait;
use crate::support::host::KeyPair;

/// The distribution in the root.
const SUITE: &str = "bookworm";

/// What the service tries to write, with the settings of its unit.
const TRY: &str = "for place in / /boot /dev /dev/mqueue /dev/shm /etc /etc/rolecall /home /media /mnt \
    /opt /proc /root /run /run/lock /run/rolecall /run/user /srv /sys /sys/fs/cgroup /tmp /usr /usr/bin \
    /var /var/cache /var/lib /var/lib/rolecall /var/log /var/tmp; do \
    if touch $place/probe 2>/dev/null; then echo $place; fi; done >/var/lib/rolecall/written; \
    rm -f /var/lib/rolecall/probe /run/rolecall/probe";

/// A root of the distribution and the package, made once and kept in the
/// target directory.
pub(crate) struct Image {
    base: PathBuf,
    package: PathBuf,
}

/// A root with the package; taken away when dropped.
pub(crate) struct Root(tempfile::TempDir);

/// A machine that runs; switched off when dropped.
pub(crate) struct Machine {
    container: Child,
    /// Its first process, as seen from here.
    leader: Pid,
    root: PathBuf,
}

/// A program of another user's; ended when dropped.
pub(crate) struct Workload(Child);

fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}

fn succeeds(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

impl Image {
    /// `None`, with the reason printed, where machines cannot be made.
    #[expect(clippy::print_stderr, reason = "a skipped test says why")]
    pub(crate) fn prepare() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: a machine boots for root only");
            return None;
        }
        for tool in ["mmdebstrap", "systemd-nspawn", "dpkg-deb", "rpmbuild"] {
            if Command::new(tool).arg("--version").output().is_err() {
                eprintln!("skipped: there is no {tool}");
                return None;
            }
        }
        let base = target().join(format!("boot/{SUITE}.tar"));
        if !base.exists() {
            fs::create_dir_all(base.parent().unwrap()).unwrap();
            let unfinished = base.with_extension("tmp");
            succeeds(
                Command::new("mmdebstrap")
                    .args(["--quiet", "--variant=minbase", "--format=tar"])
                    .args(["--include=systemd,systemd-sysv,ca-certificates", SUITE])
                    .arg(&unfinished),
            );
            fs::rename(unfinished, &base).unwrap();
        }
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        succeeds(
            Command::new(repository.join("packaging/build"))
                .args(["--profile", "dev", "packages"])
                .env("CARGO_TARGET_DIR", target()),
        );
        let name = format!("dist/rolecall_{}-1_amd64.deb", env!("CARGO_PKG_VERSION"));
        Some(Self {
            base,
            package: repository.join(name),
        })
    }

    /// A root with the package, as a bake makes it: nothing runs there.
    pub(crate) fn install(&self) -> Root {
        let root = Root(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
        let path = root.0.path();
        succeeds(
            Command::new("tar")
                .arg("-xf")
                .arg(&self.base)
                .arg("-C")
                .arg(path),
        );
        fs::copy(&self.package, path.join("rolecall.deb")).unwrap();
        let script = "dpkg --install /rolecall.deb && rm /rolecall.deb";
        succeeds(Command::new("chroot").arg(path).args(["sh", "-c", script]));
        root
    }

    /// The same package with another version.
    pub(crate) fn upgrade(&self, version: &str) -> PathBuf {
        let directory = self.package.with_file_name(version);
        let _ = fs::remove_dir_all(&directory);
        succeeds(
            Command::new("dpkg-deb")
                .arg("-R")
                .args([&self.package, &directory]),
        );
        let control = directory.join("DEBIAN/control");
        let text = fs::read_to_string(&control).unwrap();
        let old = format!("Version: {}-1", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&old));
        fs::write(control, text.replace(&old, &format!("Version: {version}"))).unwrap();
        let package = self.base.with_file_name(format!("{version}.deb"));
        succeeds(
            Command::new("dpkg-deb")
                .args(["-Znone", "--build"])
                .args([&directory, &package]),
        );
        fs::remove_dir_all(directory).unwrap();
        package
    }
}

impl Root {
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Only root may read it.
    pub(crate) fn write_private(&self, name: &str, text: &str) {
        self.write(name, text);
        let path = self.0.path().join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

impl Machine {
    /// Boots with this network namespace, until systemd has started all.
    pub(crate) fn boot(root: &Root, network: &str) -> Self {
        let root = root.0.path().to_owned();
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
        let children = format!("/proc/{0}/task/{0}/children", container.id());
        let leader = wait("the first process", || {
            let children = fs::read_to_string(&children).ok()?;
            Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
        });
        let machine = Self {
            container,
            leader,
            root,
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

    /// A command in it, as root.
    fn command(&self, words: &[&str]) -> Command {
        let leader = self.leader.as_raw_nonzero().to_string();
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

    pub(crate) fn install(&self, package: &Path) {
        let inside = self.root.join("upgrade.deb");
        fs::copy(package, &inside).unwrap();
        self.succeeds(&[
            "dpkg",
            "--force-confdef",
            "--force-confold",
            "--install",
            "/upgrade.deb",
        ]);
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
            let _ = kill_process(self.leader, Signal::KILL);
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

//! A control group, as systemd and container runtimes make one for what they
//! start, and real processes in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Hierarchies that systemd keeps its units in: the unified one, where it is
/// mounted on a hybrid host, and its own.
const HIERARCHIES: [&str; 3] = [
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/unified",
    "/sys/fs/cgroup/systemd",
];

/// The group; taken away when dropped, after the processes.
pub(crate) struct Cgroup {
    processes: Vec<Process>,
    top: PathBuf,
    group: PathBuf,
}

impl Cgroup {
    /// A group whose path ends in `name`. `None`, with the reason printed,
    /// where this user may not make one.
    #[expect(clippy::print_stderr, reason = "a skipped test says why")]
    pub(crate) fn new(name: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::SeqCst);
        let top = format!("rolecall-test-{}-{n}", std::process::id());
        for hierarchy in HIERARCHIES.map(Path::new) {
            let group = hierarchy.join(&top).join(name);
            let is_one = hierarchy.join("cgroup.procs").exists();
            if is_one && fs::create_dir_all(&group).is_ok() {
                return Some(Self {
                    processes: Vec::new(),
                    top: hierarchy.join(&top),
                    group,
                });
            }
        }
        eprintln!("skipped: control groups need root and a writable hierarchy");
        None
    }

    /// As its processes tell it.
    pub(crate) fn path(&self) -> String {
        let hierarchy = self.top.parent().unwrap();
        format!("/{}", self.group.strip_prefix(hierarchy).unwrap().display())
    }

    /// Moves a process into the group, and lets it end with it.
    pub(crate) fn add(&mut self, process: Process) -> u32 {
        let pid = process.pid();
        fs::write(self.group.join("cgroup.procs"), pid.to_string()).unwrap();
        self.processes.push(process);
        pid
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        self.processes.clear();
        let mut group = self.group.clone();
        while group.starts_with(&self.top) {
            let _ = fs::remove_dir(&group);
            group.pop();
        }
    }
}

/// A process that waits with an environment of its own; killed when dropped.
pub(crate) struct Process(Child);

impl Process {
    /// It has its environment when this returns: what is waited for is `exec`.
    pub(crate) fn with<'e>(environment: impl IntoIterator<Item = (&'e str, &'e str)>) -> Self {
        let child = Command::new("sleep")
            .arg("3600")
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("sleep starts");
        Self(child)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

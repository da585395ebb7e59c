//! The service under test: the real binary with directories of its own, and a
//! socket that hears what it tells the service manager.

use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::rolecall::{Ran, Rolecall};

/// Longer than anything takes that does happen.
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks at what cannot be waited for.
const TICK: Duration = Duration::from_millis(50);

/// What lasts from one run of the service to the next.
pub(crate) struct Home {
    dir: tempfile::TempDir,
}

/// A run of the service; killed when it is dropped.
pub(crate) struct Daemon {
    child: Child,
    home: PathBuf,
    /// Messages for the service manager; read all the time, or the service
    /// would wait for a reader.
    heard: Receiver<String>,
}

/// What a service manager does differently from one that only listens.
#[derive(Default)]
pub(crate) struct Manager {
    /// Programs that run the service as their last arguments, in its process.
    pub(crate) starts_by: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
}

/// Asks until `found` says what was waited for.
pub(crate) fn wait<T>(what: &str, found: impl FnMut() -> Option<T>) -> T {
    wait_for(PATIENCE, what, found)
}

/// The same for what takes longer.
pub(crate) fn wait_for<T>(patience: Duration, what: &str, found: impl FnMut() -> Option<T>) -> T {
    try_wait(patience, found).unwrap_or_else(|| panic!("waited in vain for {what}"))
}

fn try_wait<T>(patience: Duration, mut found: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + patience;
    while Instant::now() < end {
        let found = found();
        if found.is_some() {
            return found;
        }
        std::thread::sleep(TICK);
    }
    None
}

fn hear(socket: &UnixDatagram) -> Receiver<String> {
    let socket = socket.try_clone().unwrap();
    let (messages, heard) = channel();
    std::thread::spawn(move || {
        let mut message = [0; 4096];
        while let Ok(count) = socket.recv(&mut message) {
            let text = String::from_utf8_lossy(&message[..count]).into_owned();
            if messages.send(text).is_err() {
                return;
            }
        }
    });
    heard
}

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(home.path("etc")).unwrap();
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    /// Writes the configuration: `text`, without a spread of deliveries.
    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.path("etc/config.toml"), text).unwrap();
    }

    fn arguments(&self, command: &str) -> Vec<String> {
        let path = |name: &str| self.path(name).to_str().unwrap().to_owned();
        vec![
            command.to_owned(),
            "--config".to_owned(),
            path("etc/config.toml"),
            "--state-dir".to_owned(),
            path("state"),
            "--runtime-dir".to_owned(),
            path("run"),
        ]
    }

    /// Starts the service for the host at `root`.
    pub(crate) fn start(&self, root: &Path) -> Daemon {
        self.start_by(&Manager::default(), root)
    }

    pub(crate) fn start_by(&self, manager: &Manager, root: &Path) -> Daemon {
        let socket = self.path("notify");
        let _ = fs::remove_file(&socket);
        let heard = hear(&UnixDatagram::bind(&socket).unwrap());
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let programs = manager.starts_by.iter().map(String::as_str);
        let programs: Vec<_> = programs.chain([env!("CARGO_BIN_EXE_rolecall")]).collect();
        let child = Command::new(programs[0])
            .args(&programs[1..])
            .env_clear()
            .env("NOTIFY_SOCKET", &socket)
            .envs(manager.environment.iter().cloned())
            .args(self.arguments("daemon"))
            .arg("--root")
            .arg(root)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        Daemon {
            child,
            home: self.dir.path().to_owned(),
            heard,
        }
    }

    /// What the service said, in all its runs.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// `rolecall status`, as JSON unless `args` say otherwise.
    pub(crate) fn status(&self, args: &[&str]) -> Ran {
        let format: &[&str] = if args.contains(&"--format") {
            &[]
        } else {
            &["--format", "json"]
        };
        Rolecall::new(self.arguments("status"))
            .args(format)
            .args(args)
            .run()
    }
}

impl Daemon {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next message to the service manager.
    pub(crate) fn told(&self) -> String {
        let message = self.heard.recv_timeout(PATIENCE);
        message.expect("the service speaks").trim_end().to_owned()
    }

    /// Drops the messages that nobody asked for so far.
    pub(crate) fn forget(&self) {
        self.heard.try_iter().for_each(drop);
    }

    /// Waits until the service manager was told `state`, such as `READY=1`.
    pub(crate) fn hears(&self, state: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.told().lines().any(|line| line == state) {
            assert!(Instant::now() < end, "waited in vain for {state}");
        }
    }

    /// Whether the service manager is told `state` within a time.
    pub(crate) fn hears_within(&self, time: Duration, state: &str) -> bool {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let message = self.heard.recv_timeout(left);
            if message.is_ok_and(|message| message.lines().any(|line| line == state)) {
                return true;
            }
        }
        false
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the status is as it should be.
    pub(crate) fn status_when(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let status = self.status_before_end(what, is_so);
        status.unwrap_or_else(|ended| {
            let log = fs::read_to_string(self.home.join("log")).unwrap();
            panic!("{ended}: {log}")
        })
    }

    /// The same of a service that may come to an end before: how.
    pub(crate) fn status_before_end(
        &mut self,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<Value, ExitStatus> {
        let socket = self.home.join("run/rolecall.sock");
        let mut last = None;
        let found = try_wait(PATIENCE, || {
            if let Some(ended) = self.child.try_wait().unwrap() {
                return Some(Err(ended));
            }
            let stream = std::os::unix::net::UnixStream::connect(&socket).ok()?;
            let status: Value = serde_json::from_reader(stream).ok()?;
            let status = last.insert(status);
            is_so(status).then(|| Ok(status.clone()))
        });
        found.unwrap_or_else(|| {
            let log = fs::read_to_string(self.home.join("log"));
            panic!("waited in vain for {what}: {last:?}: {log:?}")
        })
    }

    /// Waits until a sweep has ended that began after now.
    pub(crate) fn swept(&mut self) -> Value {
        let count = |status: &Value| status["sweeps"].as_u64().unwrap_or(0);
        let before = self.status_when("a status", |_| true);
        // One that is under way may have begun before.
        let wanted = count(&before)
            + if before["activity"] == "sweeping" {
                2
            } else {
                1
            };
        self.status_when("a sweep", |status| count(status) >= wanted)
    }

    /// Tells it to stop, and waits until it has; its exit status.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        wait("the end of the service", || self.child.try_wait().unwrap()).code()
    }

    /// Ends it where it stands.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for an end of its own accord; its exit status.
    pub(crate) fn ended(mut self) -> Option<i32> {
        wait("the end of the service", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! What a sweep of an unchanged tree costs: CPU time (user and system) of the
//! service for one, against `find DIR -xdev -type f -printf '%C@\n'`, which
//! walks the same tree and asks for the state of the same files.
//!
//! `cargo bench --bench sweep [-- DIR]` starts the service, waits until it
//! knows all files, then runs both in turn, and prints each pair, the median
//! ratio, and the memory of the service at rest. The default tree is `/usr`.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "support/cpu.rs"]
mod cpu;

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const PAIRS: usize = 9;

/// Between two looks at the service, which cost it something too.
const TICK: Duration = Duration::from_millis(100);

struct Service {
    child: Child,
    dir: tempfile::TempDir,
}

impl Service {
    fn start(tree: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let config = format!(
            "[scan]\nroots = [{tree:?}]\ninterval = \"1000h\"\nprocesses = false\n\
             [watch]\nenabled = false\n[posture]\nboot_wait = \"0s\"\ninterval = \"1000h\"\n"
        );
        let path = |name: &str| dir.path().join(name);
        let child = Command::new(env!("CARGO_BIN_EXE_rolecall"))
            .env_clear()
            .args(["daemon", "--ship", "never"])
            .args([Path::new("--config"), &cpu::configuration(&config)])
            .args([Path::new("--state-dir"), &path("state")])
            .args([Path::new("--runtime-dir"), &path("run")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the service");
        Self { child, dir }
    }

    fn proc(&self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.child.id());
        std::fs::read_to_string(path).expect("the service runs")
    }

    fn status(&self) -> Option<Value> {
        let socket = self.dir.path().join("run/rolecall.sock");
        serde_json::from_reader(UnixStream::connect(socket).ok()?).ok()
    }

    /// Waits for the `count`th sweep; how many files it read.
    fn swept(&self, count: u64) -> u64 {
        loop {
            if let Some(status) = self.status()
                && status["sweeps"].as_u64() >= Some(count)
            {
                let parts = status["coverage"].as_array().expect("sources").iter();
                let mut files = parts.filter(|part| part["source"] == "file");
                return files
                    .next()
                    .map_or(0, |part| part["scanned"].as_u64().unwrap_or(0));
            }
            sleep(TICK);
        }
    }

    /// One more sweep, and what it cost.
    fn sweep(&self, count: u64) -> Duration {
        let before = cpu::spent(&self.proc("stat"), false);
        kill_process(Pid::from_child(&self.child), Signal::HUP).expect("a signal");
        self.swept(count);
        cpu::spent(&self.proc("stat"), false).saturating_sub(before)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find(tree: &str) -> Duration {
    let mut find = Command::new("find");
    find.args([tree, "-xdev", "-type", "f", "-printf", "%C@\\n"]);
    cpu::cpu(&mut find).expect("find (findutils)")
}

fn main() {
    let tree = std::env::args().skip(1).find(|arg| arg != "--bench");
    let tree = tree.as_deref().unwrap_or("/usr");
    let service = Service::start(tree);
    let mut count = 1;
    println!(
        "the first sweep read {} files of {tree}",
        service.swept(count)
    );
    find(tree);
    let mut ratios = Vec::new();
    for pair in 1..=PAIRS {
        count += 1;
        let (found, swept) = (find(tree), service.sweep(count));
        let ratio = swept.as_secs_f64() / found.as_secs_f64();
        println!("pair {pair}: find {found:.2?}, sweep {swept:.2?}, sweep/find {ratio:.2}");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median sweep/find {:.2}", ratios[PAIRS / 2]);
    let status = service.proc("status");
    let memory = status
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("RssAnon"));
    memory.for_each(|line| println!("{line}"));
}

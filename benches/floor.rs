//! What a scan costs beyond reading: CPU time (user and system) of
//! `rolecall scan` over a tree, against a program that only walks the tree,
//! opens every file and reads it into one reused buffer a thread.
//!
//! `cargo bench --bench floor [-- DIR]` runs both in turn, five times after a
//! warm-up, and prints each pair and the median ratio. The default tree is
//! `/usr`. Where `rg` is installed its fastest search for key IDs is timed too.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "support/cpu.rs"]
mod cpu;

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;

use cpu::cpu;
use rustix::fs::OFlags;

const RUNS: usize = 5;
const THREADS: usize = 2;
const BUFFER: usize = 1024 * 1024;

fn main() {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    if let [mode, tree] = args.as_slice()
        && mode == "--floor"
    {
        return read_all(tree);
    }
    let tree = args.first().map_or("/usr", String::as_str);
    let this = std::env::current_exe().expect("this program");
    let mut floor = Command::new(this);
    floor.args(["--floor", tree]);
    let mut scan = Command::new(env!("CARGO_BIN_EXE_rolecall"));
    scan.args(["scan", "--fail-on", "never", "--quiet", "--config"])
        // Files as they are, as the floor reads them: nothing unpacked.
        .arg(cpu::configuration(
            "[scan]\narchives = false\ngit = false\n",
        ))
        .arg(tree);
    let mut ripgrep = Command::new("rg");
    ripgrep.args(["-uuu", "-a", "-c", "-j2", "A[KS]IA[A-Z2-7]{16}", tree]);

    cpu(&mut floor);
    let mut ratios = Vec::new();
    for run in 1..=RUNS {
        let (Some(floor), Some(scan)) = (cpu(&mut floor), cpu(&mut scan)) else {
            panic!("a run failed");
        };
        let ratio = scan.as_secs_f64() / floor.as_secs_f64();
        let rg = cpu(&mut ripgrep).map_or_else(String::new, |rg| format!(", ripgrep {rg:.2?}"));
        println!("run {run}: floor {floor:.2?}, scan {scan:.2?}, scan/floor {ratio:.2}{rg}");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median scan/floor {:.2} on {tree}", ratios[RUNS / 2]);
}

fn read_all(tree: &str) {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    ignore::WalkBuilder::new(tree)
        .standard_filters(false)
        .threads(THREADS)
        .build_parallel()
        .run(|| {
            let mut buffer = vec![0; BUFFER];
            Box::new(move |entry| {
                let file = entry
                    .ok()
                    .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
                let file = file.and_then(|entry| {
                    OpenOptions::new()
                        .read(true)
                        .custom_flags(flags.bits().cast_signed())
                        .open(entry.path())
                        .ok()
                });
                if let Some(mut file) = file {
                    while file.read(&mut buffer).is_ok_and(|count| count > 0) {}
                }
                ignore::WalkState::Continue
            })
        });
}

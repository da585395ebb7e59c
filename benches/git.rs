//! What a scan of a git repository costs: CPU time (user and system) of
//! `rolecall scan` over the repository and all that its history holds, against
//! `git cat-file --batch-all-objects`, which only writes every object out.
//!
//! `cargo bench --bench git -- REPOSITORY` runs both in turn, five times after
//! a warm-up, and prints each pair and the median ratio. A bare repository, or
//! a `.git`, is without the files that are checked out, which git does not
//! read either.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "support/cpu.rs"]
mod cpu;

use std::process::Command;

use cpu::cpu;

const RUNS: usize = 5;

fn main() {
    let repository = std::env::args().skip(1).find(|arg| arg != "--bench");
    let Some(repository) = repository else {
        println!("no repository to measure: cargo bench --bench git -- REPOSITORY");
        return;
    };
    let mut git = Command::new("git");
    git.args(["-C", &repository, "cat-file", "--batch-all-objects"]);
    git.args(["--batch", "--unordered", "--buffer"]);
    let mut scan = Command::new(env!("CARGO_BIN_EXE_rolecall"));
    scan.args(["scan", "--fail-on", "never", "--quiet", "--config"])
        .arg(cpu::configuration(""))
        .arg(&repository);

    cpu(&mut git);
    let mut ratios = Vec::new();
    for run in 1..=RUNS {
        let (Some(git), Some(scan)) = (cpu(&mut git), cpu(&mut scan)) else {
            panic!("a run failed");
        };
        let ratio = scan.as_secs_f64() / git.as_secs_f64();
        println!("run {run}: git {git:.2?}, scan {scan:.2?}, scan/git {ratio:.2}");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median scan/git {:.2} on {repository}", ratios[RUNS / 2]);
}

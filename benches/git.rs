//! What a scan of a git repository costs: CPU time (user and system) of
//! `rolecall scan` over the repository and all that its history holds, against
//! `git cat-file --batch-all-objects`, which only writes every object out; and
//! beside both what gix takes to make every object of the packs and to look at
//! none. (A scan does without the trees where nothing is found.)
//!
//! `cargo bench --bench git -- REPOSITORY` runs the three in turn, five times
//! after a warm-up, small repositories several times over, and prints each turn
//! and the median ratios. A bare repository, or a `.git`, is without the files
//! that are checked out, which git does not read either.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "support/cpu.rs"]
mod cpu;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cpu::{cpu, spent};
use gix_pack::index::traverse::{SafetyCheck, with_index};
use gix_utils::progress::{Discard, Progress};

const RUNS: usize = 5;

/// CPU time is told in these.
const TICK: Duration = Duration::from_millis(10);

/// CPU time that a turn takes at least.
const LEAST: Duration = Duration::from_secs(1);

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
    let indexes = indexes(&repository);

    let mut git = || cpu(&mut git).expect("git runs");
    let mut scan = || cpu(&mut scan).expect("rolecall runs");
    let mut gix = || own(|| indexes.iter().for_each(|index| make_all(index)));
    let warm_up = git().min(scan()).max(TICK);
    let times = LEAST.as_millis().div_ceil(warm_up.as_millis());
    let times = u32::try_from(times).expect("a hundred at most");
    let turn = |run: &mut dyn FnMut() -> Duration| {
        let spent: Duration = (0..times).map(|_| run()).sum();
        spent / times
    };
    let (mut scans, mut gixes) = (Vec::new(), Vec::new());
    for run in 1..=RUNS {
        let (git, scan, gix) = (turn(&mut git), turn(&mut scan), turn(&mut gix));
        let [scanned, made] = [scan, gix].map(|time| time.div_duration_f64(git));
        println!(
            "run {run}: git {git:.2?}, scan {scan:.2?}, gix {gix:.2?}, \
             scan/git {scanned:.2}, gix/git {made:.2}"
        );
        scans.push(scanned);
        gixes.push(made);
    }
    let [scan, gix] = [scans, gixes].map(|mut ratios| {
        ratios.sort_by(f64::total_cmp);
        ratios[RUNS / 2]
    });
    println!("median scan/git {scan:.2}, gix/git {gix:.2} on {repository}");
}

/// CPU time that this process takes for `work`.
fn own(work: impl FnOnce()) -> Duration {
    let spent = || {
        let stat = std::fs::read_to_string("/proc/self/stat").expect("this process");
        spent(&stat, false)
    };
    let before = spent();
    work();
    spent().saturating_sub(before)
}

/// The indexes of the repository's packs.
fn indexes(repository: &str) -> Vec<PathBuf> {
    let folder = Path::new(repository);
    let inside = folder.join(".git");
    let folder = if inside.is_dir() { &inside } else { folder };
    let packs = std::fs::read_dir(folder.join("objects/pack"));
    let packs = packs.into_iter().flatten().flatten();
    packs
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "idx"))
        .collect()
}

/// Makes every object of a pack, with the threads of a scan.
fn make_all(index: &Path) {
    let hash = gix_hash::Kind::Sha1;
    let pack = gix_pack::data::File::at(index.with_extension("pack"), hash).expect("a pack");
    let index = gix_pack::index::File::at(index, hash).expect("its index");
    let look = |_, object: &[u8], _: &gix_pack::index::Entry, _: &dyn Progress| {
        black_box(object);
        Ok(())
    };
    let options = with_index::Options {
        check: SafetyCheck::SkipFileAndObjectChecksumVerificationAndNoAbortOnDecodeError,
        thread_limit: Some(2),
        alloc_limit_bytes: None,
    };
    let outcome =
        index.traverse_with_index(&pack, look, &mut Discard, &AtomicBool::new(false), options);
    outcome.expect("every object");
}

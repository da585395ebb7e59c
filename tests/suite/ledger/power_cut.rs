//! The machine stops: of what was not synced, anything may be on the disk, in
//! whole or in part. The writes of one life are taken down, and disks are made
//! of every beginning of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use fastrand::Rng;

use super::crash::{Life, STEPS, STEPS_FILE, assert_is_sound, has_strace, strace, undisturbed};
use super::in_memory;

/// A disk keeps or loses this much at a time.
const SECTOR: usize = 512;

/// Disks that are made of one beginning.
const DISKS: u64 = 3;

#[derive(Debug)]
enum Op {
    Write {
        file: String,
        at: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        file: String,
        length: usize,
    },
    Sync {
        file: String,
    },
    /// The life has come a step further, and knows it.
    Step,
}

/// Files by their name.
type Disk = BTreeMap<String, Vec<u8>>;

/// `\x61\x62` is `ab`.
fn unescaped(text: &str) -> Vec<u8> {
    text.split("\\x")
        .skip(1)
        .map(|byte| u8::from_str_radix(&byte[..2], 16).unwrap())
        .collect()
}

fn between(text: &str, open: char, close: char) -> Option<&str> {
    text.split_once(open)?
        .1
        .split_once(close)
        .map(|(inner, _)| inner)
}

/// One line of `strace -y -xx`.
fn op(line: &str, ends: &BTreeMap<String, usize>) -> Option<Op> {
    let (_, call) = line.split_once(' ')?;
    let call = call.trim_start();
    let (name, arguments) = call.split_once('(')?;
    let path = String::from_utf8(unescaped(between(arguments, '<', '>')?)).ok()?;
    let file = Path::new(&path).file_name()?.to_str()?.to_owned();
    if file == STEPS_FILE {
        return Some(Op::Step);
    }
    let last: usize = arguments
        .rsplit_once(") = ")?
        .0
        .rsplit(", ")
        .next()?
        .parse()
        .unwrap_or(0);
    let bytes = || unescaped(between(arguments, '"', '"').unwrap_or_default());
    match name {
        "pwrite64" => Some(Op::Write {
            file,
            at: last,
            bytes: bytes(),
        }),
        "write" => {
            let at = ends.get(&file).copied().unwrap_or(0);
            Some(Op::Write {
                file,
                at,
                bytes: bytes(),
            })
        }
        "ftruncate" => Some(Op::Truncate { file, length: last }),
        "fsync" | "fdatasync" => Some(Op::Sync { file }),
        _ => None,
    }
}

/// What one undisturbed life does to its files.
fn ops(log: &str) -> Vec<Op> {
    let mut ends = BTreeMap::new();
    let mut ops = Vec::new();
    for line in log.lines() {
        let Some(op) = op(line, &ends) else { continue };
        match &op {
            Op::Write { file, at, bytes } => {
                let end = ends.entry(file.clone()).or_insert(0);
                *end = (*end).max(at + bytes.len());
            }
            Op::Truncate { file, length } => {
                ends.insert(file.clone(), *length);
            }
            Op::Sync { .. } | Op::Step => {}
        }
        ops.push(op);
    }
    ops
}

fn apply(disk: &mut Disk, op: &Op, mut keeps: impl FnMut() -> bool) {
    match op {
        Op::Write { file, at, bytes } => {
            let content = disk.entry(file.clone()).or_default();
            for (n, sector) in bytes.chunks(SECTOR).enumerate() {
                if keeps() {
                    let from = at + n * SECTOR;
                    let to = from + sector.len();
                    if content.len() < to {
                        content.resize(to, 0);
                    }
                    content[from..to].copy_from_slice(sector);
                }
            }
        }
        Op::Truncate { file, length } if keeps() => {
            disk.entry(file.clone()).or_default().resize(*length, 0);
        }
        Op::Truncate { .. } | Op::Sync { .. } | Op::Step => {}
    }
}

fn of(op: &Op) -> Option<&String> {
    match op {
        Op::Write { file, .. } | Op::Truncate { file, .. } | Op::Sync { file } => Some(file),
        Op::Step => None,
    }
}

/// What may be on the disk when the machine stops after `ops`.
fn disk_after(ops: &[Op], rng: &mut Rng) -> Disk {
    let mut disk = Disk::new();
    let mut pending: Vec<&Op> = Vec::new();
    for op in ops {
        if let Op::Sync { file } = op {
            let (synced, rest) = pending.into_iter().partition(|op| of(op) == Some(file));
            pending = rest;
            let synced: Vec<&Op> = synced;
            for op in synced {
                apply(&mut disk, op, || true);
            }
        } else {
            pending.push(op);
        }
    }
    // Nothing, everything, or some sectors of some writes.
    let part = [0.0, 1.0, 0.5][rng.usize(..3)];
    for op in pending {
        let all = rng.bool();
        let kept = rng.f64() < part;
        apply(&mut disk, op, || if all { kept } else { rng.f64() < part });
    }
    disk
}

#[test]
fn whatever_reached_the_disk_before_the_power_was_cut_the_ledger_is_whole() {
    if !has_strace() {
        return;
    }
    let expected = undisturbed();
    let (life, dir) = Life::begin();
    let log = dir.path().join("log");
    let status = strace(&life, |command| {
        command
            .args(["-y", "-xx", "-s", "100000", "-P"])
            .arg(dir.path().join(STEPS_FILE))
            .args(["-e", "trace=pwrite64,write,ftruncate,fsync,fdatasync"])
            .arg("-o")
            .arg(&log);
    });
    assert!(status.success());
    let ops = ops(&fs::read_to_string(log).unwrap());
    let count = |is: fn(&Op) -> bool| ops.iter().filter(|op| is(op)).count();
    assert_eq!(count(|op| matches!(op, Op::Step)), STEPS);
    assert!(count(|op| matches!(op, Op::Write { .. })) > 50);
    assert!(count(|op| matches!(op, Op::Sync { .. })) > 30);
    for cut in 0..=ops.len() {
        let done = ops[..cut]
            .iter()
            .filter(|op| matches!(op, Op::Step))
            .count();
        for seed in 0..DISKS {
            let disk = disk_after(&ops[..cut], &mut Rng::with_seed(cut as u64 * DISKS + seed));
            let dir = in_memory();
            for (name, content) in disk {
                fs::write(dir.path().join(name), content).unwrap();
            }
            assert_is_sound(
                dir.path(),
                done,
                &expected,
                &format!("cut at {cut}, seed {seed}"),
            );
        }
    }
}

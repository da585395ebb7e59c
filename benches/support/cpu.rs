//! What a program costs, whatever else the machine does.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A configuration file with this text, so that the machine's own plays no
/// part.
pub(crate) fn configuration(text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("rolecall-bench-{}.toml", std::process::id()));
    std::fs::write(&path, text).expect("a configuration");
    path
}

/// User and system time of one run; `None` where it cannot be started.
pub(crate) fn cpu(command: &mut Command) -> Option<Duration> {
    let before = children();
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok()?;
    Some(children().saturating_sub(before))
}

fn children() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this process");
    spent(&stat, true)
}

/// User and system time of a process, or of its children that have ended, by
/// proc(5)'s `stat`: fields 14 and 15, or 16 and 17, in hundredths.
pub(crate) fn spent(stat: &str, by_children: bool) -> Duration {
    let behind_name = stat.rsplit(')').next().unwrap_or("").split_whitespace();
    let ticks: u64 = behind_name
        .skip(if by_children { 13 } else { 11 })
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

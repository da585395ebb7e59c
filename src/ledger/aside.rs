//! Ledgers that cannot be used, and what SQLite would take for a part of one:
//! renamed, so that a new one can be begun.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::Error;
use super::open::{FILE_NAME, JOURNAL, Notice};

/// Ledgers that were set aside and are kept; older ones are deleted.
pub const MAX_SET_ASIDE: usize = 3;

/// In the name of what was set aside, before the time.
const ASIDE: &str = ".aside-";

/// Renames what stands under `name` in the state directory, with the journal
/// that belongs to it, and deletes the oldest of those renamed before.
///
/// The journal goes second: SQLite discards one that it finds beside a new
/// file, while a file without its journal would pass for a whole one.
pub(super) fn set_aside(state_dir: &Path, name: &str, now: Timestamp) -> Result<PathBuf, Error> {
    let error = |source: io::Error| match source.kind() {
        io::ErrorKind::ReadOnlyFilesystem => Error::ReadOnly,
        _ => Error::Directory {
            path: state_dir.to_owned(),
            source,
        },
    };
    let to = aside_name(state_dir, name, now);
    fs::rename(state_dir.join(name), &to).map_err(error)?;
    match fs::rename(
        state_dir.join(format!("{name}{JOURNAL}")),
        with_suffix(&to, JOURNAL),
    ) {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {}
        renamed => renamed.map_err(error)?,
    }
    File::open(state_dir)
        .and_then(|directory| directory.sync_all())
        .map_err(error)?;
    delete_oldest(state_dir);
    Ok(to)
}

/// Sets aside what SQLite would take for its own, and no ledger has.
pub(super) fn set_strays_aside(
    state_dir: &Path,
    now: Timestamp,
    notices: &mut Vec<Notice>,
) -> Result<(), Error> {
    for suffix in [JOURNAL, "-wal", "-shm"] {
        let name = format!("{FILE_NAME}{suffix}");
        let stray = |metadata: fs::Metadata| suffix != JOURNAL || !metadata.is_file();
        if fs::symlink_metadata(state_dir.join(&name)).is_ok_and(stray) {
            let to = set_aside(state_dir, &name, now)?;
            notices.push(Notice::Stray { to });
        }
    }
    Ok(())
}

/// A name that is not taken, with the time in it.
fn aside_name(state_dir: &Path, name: &str, now: Timestamp) -> PathBuf {
    let time = now.strftime("%Y%m%dT%H%M%SZ");
    let first = state_dir.join(format!("{name}{ASIDE}{time}"));
    let taken = |path: &PathBuf| fs::symlink_metadata(path).is_ok();
    std::iter::successors(Some(1u32), |n| n.checked_add(1))
        .map(|n| with_suffix(&first, &format!("-{n}")))
        .find(|path| !taken(path))
        .unwrap_or(first)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// What cannot be deleted stays: that is no reason not to start.
fn delete_oldest(state_dir: &Path) {
    let Ok(entries) = fs::read_dir(state_dir) else {
        return;
    };
    let mut aside: Vec<(String, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (of, time) = name.split_once(ASIDE)?;
            let ours = of.starts_with(FILE_NAME) && !name.ends_with(JOURNAL);
            ours.then(|| (time.to_owned(), entry.path()))
        })
        .collect();
    aside.sort_unstable();
    let surplus = aside.len().saturating_sub(MAX_SET_ASIDE);
    for (_, path) in aside.into_iter().take(surplus) {
        let _ = fs::remove_file(with_suffix(&path, JOURNAL));
        let _ = fs::remove_file(path);
    }
}

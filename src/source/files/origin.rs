//! Where a file is, and what the file system says of it.

use std::cell::Cell;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{AtFlags, StatxFlags, StatxTimestamp};

use super::{Files, show};
use crate::finding::{FileFacts, Location, SourceKind};
use crate::source::Origin;

pub(super) struct FileOrigin<'a> {
    pub(super) files: &'a Files<'a>,
    /// From here, not as on the host.
    pub(super) path: &'a Path,
    pub(super) file: &'a File,
    pub(super) lines_before: u64,
    /// What its content counts.
    pub(super) holes: Option<&'a Cell<u64>>,
}

impl Origin for FileOrigin<'_> {
    fn location(&self) -> Location {
        Location {
            path: Some(show(&self.files.on_host(self.path)).into()),
            ..Location::new(SourceKind::File)
        }
    }

    fn lines_before(&self) -> u64 {
        self.lines_before
    }

    fn holes(&self) -> u64 {
        self.holes.map_or(0, Cell::get)
    }

    fn facts(&self) -> Option<FileFacts> {
        facts(self.file, self.files.pending_time)
    }
}

/// What the file system says of an open file of an instance that was first
/// started at `pending_time`.
pub(in crate::source) fn facts(
    file: impl AsFd,
    pending_time: Option<Timestamp>,
) -> Option<FileFacts> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let stat = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, wanted).ok()?;
    let born = (stat.stx_mask & StatxFlags::BTIME.bits() != 0)
        .then(|| timestamp(stat.stx_btime))
        .flatten();
    Some(FileFacts {
        uid: stat.stx_uid,
        mode: format!("{:04o}", stat.stx_mode & 0o7777),
        modified: timestamp(stat.stx_mtime).map(|time| time.to_string()),
        born: born.map(|time| time.to_string()),
        baked_into_image: born.zip(pending_time).map(|(born, start)| born < start),
    })
}

fn timestamp(time: StatxTimestamp) -> Option<Timestamp> {
    // Whole seconds: more would only be noise in a report.
    Timestamp::from_second(time.tv_sec).ok()
}

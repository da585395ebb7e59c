//! The index of a working tree: which objects are staged, and by which paths.
//! See gitformat-index(5). It is read entry by entry, since it may have as many
//! as the memory of a scan has bytes.

use std::fs;
use std::io::{self, BufRead, BufReader, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use gix_hash::{Kind, ObjectId, oid};

use super::inflate::invalid;
use crate::source::files::open_regular;
use crate::sparing::Sparing;

/// Bytes of a path. No working tree has one of more than 4,096, and git takes
/// any that it is told.
const MAX_LENGTH: usize = 1024 * 1024;

/// Entries between two questions whether the run is over.
const ASKED_EVERY: u32 = 4096;

/// Times, device, inode, mode, owner and size of the file.
const STAT: usize = 40;

/// The flag that says that two bytes more of them follow.
const IS_EXTENDED: u16 = 0x4000;

/// Calls `take` with each entry until the run is over, up to what makes no sense.
/// One whose path stands in the shared part of a split index has none.
pub(super) fn entries(
    mut index: impl BufRead,
    hash: Kind,
    is_over: &dyn Fn() -> bool,
    take: &mut dyn FnMut(&oid, &[u8]),
) -> io::Result<()> {
    let mut head = [0; 12];
    index.read_exact(&mut head)?;
    let [b'D', b'I', b'R', b'C', 0, 0, 0, version @ 2..=4, count @ ..] = head else {
        return Err(invalid("no index"));
    };
    let mut path = Vec::new();
    for number in 1..=u32::from_be_bytes(count) {
        let mut fixed = [0; STAT + 32 + 2];
        let fixed = &mut fixed[..STAT + hash.len_in_bytes() + 2];
        index.read_exact(fixed)?;
        let (fixed, flags) = fixed.split_at(fixed.len() - 2);
        let is_extended = u16::from_be_bytes([flags[0], flags[1]]) & IS_EXTENDED != 0;
        if is_extended {
            index.read_exact(&mut [0; 2])?;
        }
        let kept = match version {
            4 => path.len().checked_sub(unshared(&mut index)?),
            _ => Some(0),
        };
        path.truncate(kept.ok_or_else(|| invalid("a path longer than the one before"))?);
        let mut rest = index.by_ref().take(MAX_LENGTH as u64);
        rest.read_until(0, &mut path)?;
        if path.pop() != Some(0) || path.len() > MAX_LENGTH {
            return Err(invalid("a path without an end"));
        }
        if version < 4 {
            // Up to seven zeros more bring the entry to a multiple of eight.
            let read = fixed.len() + 2 + 2 * usize::from(is_extended) + path.len() + 1;
            index.read_exact(&mut [0; 8][..read.next_multiple_of(8) - read])?;
        }
        take(oid::from_bytes_unchecked(&fixed[STAT..]), &path);
        if number.is_multiple_of(ASKED_EVERY) && is_over() {
            break;
        }
    }
    Ok(())
}

/// How the names of the parts begin that the indexes of a folder share.
const SHARED: &str = "sharedindex.";

/// The shared part of the index of a git directory, if that names one: those of
/// earlier days lie beside it. What is damaged names none, and is told when its
/// entries are asked for.
pub(super) fn shared(index: &Path, is_over: &dyn Fn() -> bool) -> Option<PathBuf> {
    let folder = index.parent()?;
    // Nearly all git directories have none, and an index may be large.
    let hash = fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let name = entry.file_name();
        let id = name.as_bytes().strip_prefix(SHARED.as_bytes())?;
        Some(ObjectId::from_hex(id).ok()?.kind())
    })?;
    let (file, state) = open_regular(index).ok()??;
    let file = Sparing::new(&file, state.size);
    let mut reader = BufReader::with_capacity(64 * 1024, file.reader(0));
    entries(&mut reader, hash, is_over, &mut |_, _| ()).ok()?;
    let id = linked(reader, hash).ok()??;
    Some(folder.join(format!("{SHARED}{id}")))
}

/// The id of the shared part, which stands behind the entries.
fn linked(mut behind: impl BufRead, hash: Kind) -> io::Result<Option<ObjectId>> {
    loop {
        let mut head = [0; 8];
        // What ends the file looks like something that it cuts off.
        behind.read_exact(&mut head)?;
        let [name @ .., a, b, c, d] = head;
        let mut content = behind
            .by_ref()
            .take(u32::from_be_bytes([a, b, c, d]).into());
        if name == *b"link" {
            let mut id = Kind::buf();
            let id = &mut id[..hash.len_in_bytes()];
            content.read_exact(id)?;
            let id = ObjectId::try_from(&*id).ok();
            return Ok(id.filter(|id| !id.is_null()));
        }
        io::copy(&mut content, &mut io::sink())?;
    }
}

/// How many bytes of the path before are not those of this one.
fn unshared(index: &mut impl BufRead) -> io::Result<usize> {
    let mut number: usize = 0;
    loop {
        let mut byte = [0];
        index.read_exact(&mut byte)?;
        number |= usize::from(byte[0] & 0x7f);
        if byte[0] & 0x80 == 0 {
            return Ok(number);
        }
        let next = number.checked_add(1).and_then(|next| next.checked_mul(128));
        number = next.ok_or_else(|| invalid("a number without an end"))?;
    }
}

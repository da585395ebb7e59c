//! The index of a working tree: which objects are staged, and by which paths.
//! See gitformat-index(5). It is read entry by entry, since it may have as many
//! as the memory of a scan has bytes.

use std::io::{self, BufRead, Read as _};

use gix_hash::{Kind, oid};

use super::inflate::invalid;

/// Bytes of a path. No working tree has one of more than 4,096, and git takes
/// any that it is told.
const MAX_LENGTH: usize = 1024 * 1024;

/// Times, device, inode, mode, owner and size of the file.
const STAT: usize = 40;

/// The flag that says that two bytes more of them follow.
const IS_EXTENDED: u16 = 0x4000;

/// Calls `take` with each entry for as long as it says so, up to what makes no
/// sense. One whose path stands in the shared part of a split index has none.
pub(super) fn entries(
    mut index: impl BufRead,
    hash: Kind,
    take: &mut dyn FnMut(&oid, &[u8]) -> bool,
) -> io::Result<()> {
    let mut head = [0; 12];
    index.read_exact(&mut head)?;
    let [b'D', b'I', b'R', b'C', 0, 0, 0, version @ 2..=4, count @ ..] = head else {
        return Err(invalid("no index"));
    };
    let mut path = Vec::new();
    for _ in 0..u32::from_be_bytes(count) {
        let mut fixed = [0; STAT + 32 + 2];
        let fixed = &mut fixed[..STAT + hash.len_in_bytes() + 2];
        index.read_exact(fixed)?;
        let (fixed, flags) = fixed.split_at(fixed.len() - 2);
        let is_extended = u16::from_be_bytes([flags[0], flags[1]]) & IS_EXTENDED != 0;
        if is_extended {
            index.read_exact(&mut [0; 2])?;
        }
        let kept = match version {
            4 => path.len().checked_sub(number(&mut index)?),
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
        if !take(oid::from_bytes_unchecked(&fixed[STAT..]), &path) {
            break;
        }
    }
    Ok(())
}

/// How many bytes of the path before are not those of this one.
fn number(index: &mut impl BufRead) -> io::Result<usize> {
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

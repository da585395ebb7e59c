//! cpio: with headers of text, `newc`, with or without checksums, and `odc`; and
//! with the old binary ones, of either byte order.

use std::io;

use super::input::{Input, invalid};
use super::limits::{MAX_MEMBERS, MAX_NAME};
use super::place::Place;
use super::walk::{Level, Walk};
use crate::finding::SkipReason;

const NEWC_HEADER: usize = 110;
const ODC_HEADER: usize = 76;
const OLD_HEADER: usize = 26;

/// What the old headers begin with.
const OLD_MAGIC: u16 = 0o070_707;

/// What a header says.
struct Member {
    header: u64,
    name: u64,
    size: u64,
    /// Names and contents end at a multiple of this.
    align: u64,
    mode: u64,
}

pub(super) fn is_cpio(head: &[u8]) -> bool {
    // Texts of digits begin so, too, and two bytes are no magic: the name has to
    // end as it says, and where the headers are old within sight.
    header(head).is_some_and(|member| {
        let end = usize::try_from(member.header + member.name).unwrap_or(usize::MAX);
        match end.checked_sub(1).and_then(|last| head.get(last)) {
            Some(byte) => *byte == 0,
            None => member.header != OLD_HEADER as u64 && member.name <= MAX_NAME as u64,
        }
    })
}

pub(super) fn walk(
    walk: &Walk<'_>,
    place: &Place<'_>,
    input: &mut Input<'_>,
    level: Level,
) -> io::Result<()> {
    let mut members = 0;
    loop {
        walk.go_on()?;
        let head = input.peek(NEWC_HEADER)?;
        if head.is_empty() {
            return Ok(());
        }
        let member = header(head).ok_or_else(invalid)?;
        input.skip(member.header)?;
        let mut name = input.bytes(member.name, MAX_NAME)?;
        name.truncate(memchr::memchr(0, &name).unwrap_or(name.len()));
        align(input, member.header + member.name, member.align)?;
        if name == b"TRAILER!!!" {
            break;
        }
        members += 1;
        if members > MAX_MEMBERS {
            return Err(walk.breaks(level.layer, SkipReason::ArchiveLimit));
        }
        // A link's content is what it leads to; devices and folders have none.
        if member.mode & 0o170_000 == 0o100_000 {
            input.member(member.size, |content| {
                walk.open(&place.member(&name), content, level)
            })?;
        } else {
            input.skip(member.size)?;
        }
        align(input, member.size, member.align)?;
    }
    // An initramfs is several archives behind one another, the later ones
    // compressed, with zeros between them.
    walk.behind(place, input, level.behind_archive())
}

fn header(head: &[u8]) -> Option<Member> {
    let octal = |at: usize, len: usize| digits(head.get(at..at + len)?, 8);
    let hex = |field: usize| digits(head.get(6 + field * 8..14 + field * 8)?, 16);
    if head.starts_with(b"070701") || head.starts_with(b"070702") {
        for field in 0..13 {
            hex(field)?;
        }
        return Some(Member {
            header: NEWC_HEADER as u64,
            mode: hex(1)?,
            size: hex(6)?,
            name: hex(11)?,
            align: 4,
        });
    }
    if head.starts_with(b"070707") {
        digits(head.get(..ODC_HEADER)?, 8)?;
        return Some(Member {
            header: ODC_HEADER as u64,
            mode: octal(18, 6)?,
            name: octal(59, 6)?,
            size: octal(65, 11)?,
            align: 1,
        });
    }
    old_header(head)
}

/// Sixteen bits a field; of longer ones the higher half comes first, in either
/// byte order.
fn old_header(head: &[u8]) -> Option<Member> {
    let (header, behind) = head.split_at_checked(OLD_HEADER)?;
    let read = match [header[0], header[1]] {
        magic if u16::from_le_bytes(magic) == OLD_MAGIC => u16::from_le_bytes,
        magic if u16::from_be_bytes(magic) == OLD_MAGIC => u16::from_be_bytes,
        _ => return None,
    };
    let field = |number: usize| u64::from(read([header[2 * number], header[2 * number + 1]]));
    let (mode, name) = (field(3), field(10));
    let is_kind = matches!(
        mode >> 12,
        0o1 | 0o2 | 0o4 | 0o6 | 0o10 | 0o11 | 0o12 | 0o14
    );
    let last = usize::try_from(name).ok()?.checked_sub(1)?;
    let is_name = behind.get(last).is_none_or(|byte| *byte == 0);
    (is_kind || name == 11).then_some(())?;
    is_name.then_some(Member {
        header: OLD_HEADER as u64,
        name,
        size: field(11) << 16 | field(12),
        align: 2,
        mode,
    })
}

fn digits(field: &[u8], radix: u32) -> Option<u64> {
    field.iter().try_fold(0u64, |value, byte| {
        let digit = char::from(*byte).to_digit(radix)?;
        Some(
            value
                .wrapping_mul(u64::from(radix))
                .wrapping_add(u64::from(digit)),
        )
    })
}

fn align(input: &mut Input<'_>, len: u64, align: u64) -> io::Result<()> {
    match input.skip(len.wrapping_neg() % align) {
        // The last one may end without.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        skipped => skipped,
    }
}

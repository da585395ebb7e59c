//! rpm: a lead, a header of signatures, the header proper, and the files as a
//! compressed cpio. The headers hold the scripts as text, and are scanned.

use std::io::{self, Read as _};

use super::input::{Input, be32, invalid};
use super::place::Place;
use super::walk::{Level, Walk};

const LEAD: u64 = 96;

pub(super) fn walk(
    walk: &Walk<'_>,
    place: &Place<'_>,
    input: &mut Input<'_>,
    level: Level,
) -> io::Result<()> {
    input.skip(LEAD)?;
    let signatures = header_size(input)?;
    input.skip(signatures + signatures.wrapping_neg() % 8)?;
    let header = header_size(input)?;
    let mut content = input.take(header);
    walk.visit(place, &mut content)?;
    let left = content.limit();
    input.skip(left)?;
    walk.open(place, input, level)
}

/// Size of the header that comes next: its start, 16 bytes an entry, and what
/// the entries lead to.
fn header_size(input: &mut Input<'_>) -> io::Result<u64> {
    let start = input.peek(16)?;
    if !start.starts_with(&[0x8e, 0xad, 0xe8]) {
        return Err(invalid());
    }
    Ok(16 + u64::from(be32(start, 8)) * 16 + u64::from(be32(start, 12)))
}

//! The header of a gzip: its fields may be of any length, and flate2 takes a
//! name or a comment of more than 64 KiB for damage.

use std::io::{self, BufRead as _, Chain, Read as _};

use crate::source::archive::input::Input;

/// A header without any fields, to stand for the one that is there.
const PLAIN: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// In the header's flags.
const SUM: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;

pub(super) type Headed<'i, 'b> = Chain<&'static [u8], &'i mut Input<'b>>;

/// What follows the header, behind a plain one.
pub(super) fn skip_header<'i, 'b>(input: &'i mut Input<'b>) -> io::Result<Headed<'i, 'b>> {
    let header: [u8; PLAIN.len()] = input.array()?;
    let has = |field| header[3] & field != 0;
    if has(EXTRA) {
        let len = u16::from_le_bytes(input.array()?);
        input.skip(len.into())?;
    }
    for field in [NAME, COMMENT] {
        if has(field) {
            input.skip_until(0)?;
        }
    }
    if has(SUM) {
        input.skip(2)?;
    }
    Ok(PLAIN.chain(input))
}

//! Deltas: an object told as copies from a base and insertions.

use std::io;
use std::ops::Range;

use super::inflate::{invalid, too_large};

/// Bytes between two changes that are looked at as one.
const JOINED: usize = 64;

/// The sizes of the base and of the result, and the instructions behind them.
pub(super) fn sizes(delta: &[u8]) -> io::Result<(u64, u64, &[u8])> {
    let (base, rest) = size(delta)?;
    let (result, rest) = size(rest)?;
    Ok((base, result, rest))
}

fn size(bytes: &[u8]) -> io::Result<(u64, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok((value, &bytes[at + 1..]));
        }
    }
    Err(invalid("a delta without its sizes"))
}

/// Makes the object of `base` and `delta` in `output`, whose content goes;
/// refuses one of more than `limit` bytes.
pub(super) fn apply(
    base: &[u8],
    delta: &[u8],
    limit: usize,
    output: &mut Vec<u8>,
) -> io::Result<()> {
    apply_and_tell(base, delta, limit, output, |_| {})
}

/// As [`apply`], and gives `changes` what of the object is not of the base, in
/// order and with what lies close together joined; an empty range stands
/// where two copied pieces meet.
pub(super) fn apply_noting(
    base: &[u8],
    delta: &[u8],
    limit: usize,
    output: &mut Vec<u8>,
    changes: &mut Vec<Range<usize>>,
) -> io::Result<()> {
    changes.clear();
    apply_and_tell(base, delta, limit, output, |piece| {
        match changes.last_mut() {
            Some(last) if piece.start <= last.end + JOINED => last.end = piece.end,
            _ => changes.push(piece),
        }
    })
}

/// Makes the object, and tells of each inserted piece and each edge.
fn apply_and_tell(
    base: &[u8],
    delta: &[u8],
    limit: usize,
    output: &mut Vec<u8>,
    mut tell: impl FnMut(Range<usize>),
) -> io::Result<()> {
    let (base_size, size, mut rest) = sizes(delta)?;
    if base_size != base.len() as u64 {
        return Err(invalid("a delta for another base"));
    }
    let size = usize::try_from(size)
        .ok()
        .filter(|size| *size <= limit)
        .ok_or_else(too_large)?;
    output.clear();
    output.reserve(size);
    while let Some((&command, tail)) = rest.split_first() {
        let start = output.len();
        let piece = if command & 0x80 == 0 {
            let (piece, tail) = tail
                .split_at_checked(usize::from(command))
                .filter(|_| command != 0)
                .ok_or_else(|| invalid("a delta that ends early"))?;
            rest = tail;
            piece
        } else {
            let (from, length, tail) =
                copied(command, tail).ok_or_else(|| invalid("a delta that ends early"))?;
            let length = if length == 0 { 0x1_0000 } else { length };
            rest = tail;
            base.get(from..from + length)
                .ok_or_else(|| invalid("a delta that copies from nowhere"))?
        };
        if piece.len() > size - output.len() {
            return Err(invalid("a delta that makes more than it says"));
        }
        output.extend_from_slice(piece);
        let is_new = command & 0x80 == 0;
        tell(start..if is_new { output.len() } else { start });
    }
    if output.len() != size {
        return Err(invalid("a delta that makes less than it says"));
    }
    Ok(())
}

/// Where a copy is from, its length, and what follows: of four bytes for the
/// one and three for the other those that `command` says are there.
fn copied(command: u8, bytes: &[u8]) -> Option<(usize, usize, &[u8])> {
    let there = (command & 0x7f).count_ones() as usize;
    let (operands, rest) = bytes.split_at_checked(there)?;
    let mut value = 0_u64;
    let mut places = command & 0x7f;
    for operand in operands {
        value |= u64::from(*operand) << (8 * places.trailing_zeros());
        places &= places - 1;
    }
    let from = usize::try_from(value & 0xffff_ffff).ok()?;
    let length = usize::try_from(value >> 32).ok()?;
    Some((from, length, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(base: &[u8], delta: &[u8]) -> io::Result<Vec<u8>> {
        let mut output = Vec::new();
        apply(base, delta, 1024, &mut output).map(|()| output)
    }

    #[test]
    fn copies_and_insertions_make_the_object() {
        let delta = b"\x06\x07\x91\x02\x03\x02--\x90\x02";
        assert_eq!(made(b"abcdef", delta).expect("a delta"), b"cde--ab");
    }

    #[test]
    fn lies_are_refused() {
        let base = b"abcdef";
        for delta in [
            &b""[..],
            b"\x06",
            b"\x07\x01\x90\x01",
            b"\x06\x01\x90\x02",
            b"\x06\x03\x90\x02",
            b"\x06\x02\x91\x05\x02",
            b"\x06\x02\x91\x05",
            b"\x06\x02\x02a",
            b"\x06\x01\x00",
            b"\x06\xff\xff\xff\xff\x7f\x90\x01",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert!(made(base, delta).is_err(), "{delta:?}");
        }
    }
}

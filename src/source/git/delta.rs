//! Deltas: an object told as copies from a base and insertions.

use std::io;
use std::ops::Range;

use super::inflate::{bounded, invalid};

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

/// Bytes of the object that a delta makes; refuses more than `limit`.
pub(super) fn made_size(delta: &[u8], limit: usize) -> io::Result<usize> {
    let (_, size, _) = sizes(delta)?;
    bounded(size, limit)
}

/// Makes the object of `base` and `delta` in `output`, whose content goes;
/// refuses one of more than `limit` bytes.
pub(super) fn apply(
    base: &[u8],
    delta: &[u8],
    limit: usize,
    output: &mut Vec<u8>,
) -> io::Result<()> {
    clear_for(delta, limit, output)?;
    each_piece(base, delta, |piece, _| output.extend_from_slice(piece))
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
    clear_for(delta, limit, output)?;
    changes.clear();
    each_piece(base, delta, |piece, is_new| {
        let start = output.len();
        output.extend_from_slice(piece);
        note(changes, start..if is_new { output.len() } else { start });
    })
}

/// As [`apply_noting`], but makes only so many bytes of the object as `near`
/// tells at its start, at its end, and on each side of its changes; what else
/// `output`, which is as long as the object, holds stays as it is.
pub(super) fn apply_near(
    base: &[u8],
    delta: &[u8],
    near: usize,
    output: &mut [u8],
    changes: &mut Vec<Range<usize>>,
) -> io::Result<()> {
    changes.clear();
    let mut start = 0;
    each_piece(base, delta, |piece, is_new| {
        let end = start + piece.len();
        let made = &mut output[start..end];
        match piece.len().checked_sub(near) {
            Some(last) if last > near => {
                made[..near].copy_from_slice(&piece[..near]);
                made[last..].copy_from_slice(&piece[last..]);
            }
            _ => made.copy_from_slice(piece),
        }
        note(changes, start..if is_new { end } else { start });
        start = end;
    })
}

/// Adds a piece that was inserted, or the edge of one that was copied.
fn note(changes: &mut Vec<Range<usize>>, piece: Range<usize>) {
    match changes.last_mut() {
        Some(last) if piece.start <= last.end + JOINED => last.end = piece.end,
        _ => changes.push(piece),
    }
}

fn clear_for(delta: &[u8], limit: usize, output: &mut Vec<u8>) -> io::Result<()> {
    output.clear();
    output.reserve(made_size(delta, limit)?);
    Ok(())
}

/// Gives `take` the pieces that make the object, in order, and whether each is
/// inserted; together they are not longer than the delta says.
fn each_piece(base: &[u8], delta: &[u8], mut take: impl FnMut(&[u8], bool)) -> io::Result<()> {
    let (base_size, size, mut rest) = sizes(delta)?;
    if base_size != base.len() as u64 {
        return Err(invalid("a delta for another base"));
    }
    let mut missing = size;
    while let Some((&command, tail)) = rest.split_first() {
        let is_new = command & 0x80 == 0;
        let piece = if is_new {
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
        missing = missing
            .checked_sub(piece.len() as u64)
            .ok_or_else(|| invalid("a delta that makes more than it says"))?;
        take(piece, is_new);
    }
    if missing > 0 {
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

    #[test]
    fn near_the_changes_and_the_ends_all_is_made() {
        const NEAR: usize = 50;
        let mut random = fastrand::Rng::with_seed(6);
        let base: Vec<u8> = (0..2000).map(|_| random.u8(..)).collect();
        let size = |size: usize| {
            [0x80 | (size % 128), size / 128].map(|byte| u8::try_from(byte).expect("a size"))
        };
        for _ in 0..500 {
            let (mut pieces, mut made) = (Vec::new(), 0);
            for _ in 0..random.usize(1..8) {
                if random.bool() {
                    let length = random.u8(1..100);
                    pieces.push(length);
                    pieces.extend((0..length).map(|_| random.u8(..)));
                    made += usize::from(length);
                } else {
                    let (from, length) = (random.u16(..1000), random.u16(1..1000));
                    pieces.push(0b1011_0011);
                    pieces.extend([from, length].map(u16::to_le_bytes).as_flattened());
                    made += usize::from(length);
                }
            }
            let delta = [&size(base.len())[..], &size(made), &pieces].concat();
            let (mut whole, mut changes) = (Vec::new(), Vec::new());
            apply_noting(&base, &delta, 16_000, &mut whole, &mut changes).expect("a delta");
            let (mut partly, mut same) = (vec![0; made], Vec::new());
            apply_near(&base, &delta, NEAR, &mut partly, &mut same).expect("a delta");
            assert_eq!(same, changes);
            let is_near = |at: usize| {
                let near = |change: &Range<usize>| {
                    change.start.saturating_sub(NEAR) <= at && at < change.end + NEAR
                };
                at < NEAR || at + NEAR >= made || changes.iter().any(near)
            };
            for at in (0..made).filter(|at| is_near(*at)) {
                assert_eq!(partly[at], whole[at], "{at} of {changes:?}");
            }
        }
    }
}

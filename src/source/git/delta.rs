//! Deltas: an object told as copies from a base and insertions.

use std::io;
use std::ops::Range;

use super::inflate::{bounded, invalid};
use crate::source::{MAX_SPOTS, Spot};

/// Deltas in a chain; git makes 4095 at most.
pub(super) const MAX_CHAIN: usize = 10_000;

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

/// Makes the object of `base` and `delta` in `output`, which is as long as it.
pub(super) fn apply(base: &[u8], delta: &[u8], output: &mut [u8]) -> io::Result<()> {
    each_piece(base, delta, output.len(), |start, piece| {
        piece.put(output, start);
    })
}

/// As [`apply`], and gives `changes` what of the object is not of the base, in
/// order and with what lies close together joined; an empty range stands where
/// two copied pieces meet, and where the end of the base is cut off. Only so many
/// bytes of the object as `near` tells are made at its start, at its end, and on
/// each side of its changes; what else `output` holds stays as it is.
pub(super) fn apply_near(
    base: &[u8],
    delta: &[u8],
    near: usize,
    output: &mut [u8],
    changes: &mut Vec<Range<usize>>,
) -> io::Result<()> {
    changes.clear();
    let size = output.len();
    let mut is_cut = false;
    each_piece(base, delta, size, |start, piece| {
        let end = start + piece.length;
        match piece.length.checked_sub(near) {
            Some(last) if last > near => {
                output[start..start + near].copy_from_slice(&piece.bytes[..near]);
                output[start + last..end].copy_from_slice(&piece.bytes[last..piece.length]);
            }
            _ => piece.put(output, start),
        }
        note(changes, start..if piece.is_new { end } else { start });
        is_cut = !piece.is_new && piece.length < piece.bytes.len();
    })?;
    if is_cut {
        // What followed in the base is gone.
        note(changes, size..size);
    }
    Ok(())
}

/// What a delta inserts, with a line end where it copies from its base.
pub(super) fn added(delta: &[u8]) -> io::Result<Vec<u8>> {
    let (_, _, mut rest) = sizes(delta)?;
    let mut added = Vec::with_capacity(rest.len());
    while let Some((&command, behind)) = rest.split_first() {
        let is_copy = command & 0x80 != 0;
        let length = match command {
            0 => return Err(invalid("a delta with an unknown instruction")),
            _ if is_copy => (command & 0x7f).count_ones() as usize,
            _ => usize::from(command),
        };
        let piece = behind.split_at_checked(length);
        let (piece, behind) = piece.ok_or_else(|| invalid("a delta that was cut"))?;
        if is_copy {
            added.push(b'\n');
        } else {
            added.extend_from_slice(piece);
        }
        rest = behind;
    }
    Ok(added)
}

/// Where the `spots` of `base` are in the object of `size` bytes that the delta
/// makes, as far as they are in what it copies; one more than
/// [`MAX_SPOTS`] of them if there are more.
pub(super) fn move_spots(
    spots: &[Spot],
    base: &[u8],
    delta: &[u8],
    size: usize,
    moved: &mut Vec<Spot>,
) -> io::Result<()> {
    moved.clear();
    each_piece(base, delta, size, |start, piece| {
        if piece.is_new {
            return;
        }
        let from = base.len() - piece.bytes.len();
        let first = spots.partition_point(|(at, _)| *at < from);
        let copied = spots[first..].iter();
        let copied = copied.take_while(|(at, _)| *at < from + piece.length);
        let room = MAX_SPOTS + 1 - moved.len();
        moved.extend(
            copied
                .take(room)
                .map(|(at, kind)| (start + (at - from), *kind)),
        );
    })
}

fn note(changes: &mut Vec<Range<usize>>, change: Range<usize>) {
    match changes.last_mut() {
        Some(last) if change.start <= last.end + JOINED => last.end = change.end,
        _ => changes.push(change),
    }
}

/// A piece of an object.
struct Piece<'a> {
    /// What begins with it.
    bytes: &'a [u8],
    length: usize,
    /// Inserted, and not copied from the base.
    is_new: bool,
}

impl Piece<'_> {
    /// Puts it into `output`; what it covers behind its end comes later.
    fn put(&self, output: &mut [u8], start: usize) {
        // Most are short, and this many are copied at once.
        const SHORT: usize = 64;
        if self.length <= SHORT
            && let Some(bytes) = self.bytes.first_chunk::<SHORT>()
            && let Some(room) = output[start..].first_chunk_mut::<SHORT>()
        {
            *room = *bytes;
        } else {
            output[start..start + self.length].copy_from_slice(&self.bytes[..self.length]);
        }
    }
}

/// Gives `take` the pieces that make an object of `size` bytes, in order, each
/// with where it begins.
fn each_piece(
    base: &[u8],
    delta: &[u8],
    size: usize,
    mut take: impl FnMut(usize, &Piece<'_>),
) -> io::Result<()> {
    each_step(base.len(), delta, size, |start, step| {
        let piece = match step {
            Step::Copy { from, length } => Piece {
                bytes: &base[from..],
                length,
                is_new: false,
            },
            Step::Insert { behind, length } => Piece {
                bytes: behind,
                length,
                is_new: true,
            },
        };
        take(start, &piece);
    })
}

/// What a delta says.
pub(super) enum Step<'a> {
    /// So many bytes of the base.
    Copy { from: usize, length: usize },
    /// The first of the bytes behind.
    Insert { behind: &'a [u8], length: usize },
}

/// Gives `take` what `delta` says to make an object of `size` bytes from a base
/// of `base` bytes, in order, each with where it begins.
#[inline]
pub(super) fn each_step<'d>(
    base: usize,
    delta: &'d [u8],
    size: usize,
    mut take: impl FnMut(usize, Step<'d>),
) -> io::Result<()> {
    let (base_size, made_size, mut rest) = sizes(delta)?;
    if base_size != base as u64 || made_size != size as u64 {
        return Err(invalid("a delta for another base"));
    }
    let early = || invalid("a delta that ends early");
    let mut start = 0;
    while let Some((&command, tail)) = rest.split_first() {
        let (step, length) = if command & 0x80 == 0 {
            let length = usize::from(command);
            if length == 0 || length > tail.len() {
                return Err(early());
            }
            rest = &tail[length..];
            let behind = tail;
            (Step::Insert { behind, length }, length)
        } else {
            let (from, length, tail) = copied(command, tail).ok_or_else(early)?;
            let length = if length == 0 { 0x1_0000 } else { length };
            rest = tail;
            if from > base || length > base - from {
                return Err(invalid("a delta that copies from nowhere"));
            }
            (Step::Copy { from, length }, length)
        };
        if length > size - start {
            return Err(invalid("a delta that makes more than it says"));
        }
        take(start, step);
        start += length;
    }
    if start < size {
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
        let mut output = vec![0; made_size(delta, 1024)?];
        apply(base, delta, &mut output).map(|()| output)
    }

    #[test]
    fn copies_and_insertions_make_the_object() {
        let delta = b"\x06\x07\x91\x02\x03\x02--\x90\x02";
        assert_eq!(made(b"abcdef", delta).expect("a delta"), b"cde--ab");
    }

    #[test]
    fn what_is_cut_off_at_the_end_is_a_change() {
        let base = [b'x'; 300];
        for (delta, end) in [
            (&b"\xac\x02\xc8\x01\x90\xc8"[..], Some(200..200)),
            (b"\xac\x02\xc8\x01\x91\x64\xc8", None),
        ] {
            let (mut output, mut changes) = ([0; 200], Vec::new());
            apply_near(&base, delta, usize::MAX, &mut output, &mut changes).expect("a delta");
            assert_eq!(changes.first(), Some(&(0..0)));
            assert_eq!(changes.get(1).cloned(), end);
        }
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
            let (mut whole, mut partly) = (vec![0; made], vec![0; made]);
            apply(&base, &delta, &mut whole).expect("a delta");
            let (mut all, mut changes) = (vec![0; made], Vec::new());
            apply_near(&base, &delta, usize::MAX, &mut all, &mut changes).expect("a delta");
            assert_eq!(all, whole);
            let mut same = Vec::new();
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

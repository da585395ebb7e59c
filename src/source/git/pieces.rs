//! Versions of an object that is too large to be in memory twice: each is
//! pieces of the one whole object that they all are made from, and what its
//! deltas insert.

use std::io::{self, Read};
use std::rc::Rc;

use super::delta::{self, Step};
use super::inflate::{bounded, too_large};

/// One version.
pub(super) struct Pieces {
    whole: Rc<Vec<u8>>,
    /// The delta that made it.
    delta: Vec<u8>,
    /// What other deltas inserted before.
    carried: Vec<u8>,
    /// In order.
    parts: Vec<Piece>,
    length: usize,
}

#[derive(Clone, Copy)]
struct Piece {
    /// Where in the version it begins. It ends where the next one does.
    start: u32,
    /// Where it is from.
    from: u32,
    of: Of,
}

/// What a piece is a piece of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Whole,
    Delta,
    Carried,
}

impl Pieces {
    /// The whole object itself.
    pub(super) fn of(whole: Vec<u8>) -> Self {
        Self {
            length: whole.len(),
            whole: Rc::new(whole),
            delta: Vec::new(),
            carried: Vec::new(),
            parts: vec![Piece {
                start: 0,
                from: 0,
                of: Of::Whole,
            }],
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// Bytes that it takes besides the whole object.
    pub(super) const fn size(&self) -> usize {
        self.delta.capacity() + self.carried.capacity() + self.parts.capacity() * size_of::<Piece>()
    }

    /// The version that `delta` makes of this one. It is refused if it has more
    /// than `longest` bytes, or takes more than `most`.
    pub(super) fn apply(&self, delta: Vec<u8>, longest: usize, most: usize) -> io::Result<Self> {
        let (_, made, _) = delta::sizes(&delta)?;
        // Places in it fit into 32 bits.
        let length = bounded(made, longest.min(u32::MAX as usize))?;
        let mut made = Self {
            whole: Rc::clone(&self.whole),
            delta: Vec::new(),
            carried: Vec::new(),
            parts: Vec::new(),
            length,
        };
        let most = most.checked_sub(delta.capacity()).ok_or_else(too_large)?;
        let mut is_too_large = false;
        delta::each_step(self.length, &delta, length, |start, step| {
            if is_too_large {
                return;
            }
            match step {
                Step::Insert { behind, .. } => {
                    made.add(start, delta.len() - behind.len(), Of::Delta);
                }
                Step::Copy { from, length } => made.copy(start, self, from, length),
            }
            is_too_large = made.size() > most;
        })?;
        if is_too_large {
            return Err(too_large());
        }
        made.delta = delta;
        made.carried.shrink_to_fit();
        made.parts.shrink_to_fit();
        Ok(made)
    }

    pub(super) const fn reader(&self) -> Reader<'_> {
        Reader {
            version: self,
            piece: 0,
            at: 0,
        }
    }

    /// Takes over what `base` has in those places.
    fn copy(&mut self, start: usize, base: &Self, from: usize, length: usize) {
        let (mut at, end) = (from, from + length);
        let mut number = base.piece_at(from);
        while at < end {
            let (bytes, in_whole) = base.piece(number, at);
            let bytes = &bytes[..bytes.len().min(end - at)];
            let start = start + (at - from);
            if let Some(in_whole) = in_whole {
                self.add(start, in_whole, Of::Whole);
            } else {
                self.add(start, self.carried.len(), Of::Carried);
                self.carried.extend_from_slice(bytes);
            }
            at += bytes.len();
            number += 1;
        }
    }

    fn add(&mut self, start: usize, from: usize, of: Of) {
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let (start, from) = (place(start), place(from));
        // Most begin where the one before ends.
        if let Some(last) = self.parts.last()
            && last.of == of
            && from.checked_sub(last.from) == Some(start - last.start)
        {
            return;
        }
        self.parts.push(Piece { start, from, of });
    }

    /// Which piece a place is in.
    fn piece_at(&self, place: usize) -> usize {
        let begins_before = |piece: &Piece| piece.start as usize <= place;
        self.parts.partition_point(begins_before).saturating_sub(1)
    }

    /// What a piece has from the place `at` on, which is in it, and where in the
    /// whole object that is, unless it was inserted.
    fn piece(&self, number: usize, at: usize) -> (&[u8], Option<usize>) {
        let piece = self.parts[number];
        let next = self.parts.get(number + 1);
        let end = next.map_or(self.length, |next| next.start as usize);
        let from = piece.from as usize + (at - piece.start as usize);
        let bytes = match piece.of {
            Of::Whole => &*self.whole,
            Of::Delta => &self.delta,
            Of::Carried => &self.carried,
        };
        let bytes = &bytes[from..from + (end - at)];
        (bytes, (piece.of == Of::Whole).then_some(from))
    }
}

/// Reads a version from its start.
pub(super) struct Reader<'p> {
    version: &'p Pieces,
    piece: usize,
    at: usize,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.version.length {
            return Ok(0);
        }
        let (bytes, _) = self.version.piece(self.piece, self.at);
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.at += count;
        self.piece += usize::from(count == bytes.len());
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(size: usize) -> [u8; 2] {
        [0x80 | (size % 128), size / 128].map(|byte| u8::try_from(byte).expect("a size"))
    }

    /// A delta of random copies and insertions for a base of so many bytes.
    fn random_delta(random: &mut fastrand::Rng, base: usize) -> Vec<u8> {
        let (mut steps, mut made) = (Vec::new(), 0);
        for _ in 0..random.usize(1..12) {
            let length = if base == 0 || random.u8(..3) == 0 {
                let length = random.u8(1..20);
                steps.push(length);
                steps.extend((0..length).map(|_| random.u8(..)));
                usize::from(length)
            } else {
                let from = random.usize(..base);
                let length = random.usize(1..=(base - from).min(400));
                steps.push(0b1011_0011);
                for operand in [from, length] {
                    steps.extend(u16::try_from(operand).expect("small").to_le_bytes());
                }
                length
            };
            made += length;
        }
        [&size(base)[..], &size(made), &steps].concat()
    }

    fn read(version: &Pieces) -> Vec<u8> {
        let mut bytes = Vec::new();
        version.reader().read_to_end(&mut bytes).expect("memory");
        bytes
    }

    #[test]
    fn versions_of_versions_are_what_their_deltas_make() {
        let mut random = fastrand::Rng::with_seed(8);
        for _ in 0..300 {
            let mut whole: Vec<u8> = (0..2000).map(|_| random.u8(..)).collect();
            let mut version = Pieces::of(whole.clone());
            for _ in 0..8 {
                let delta = random_delta(&mut random, whole.len());
                version = version
                    .apply(delta.clone(), 1 << 20, 1 << 20)
                    .expect("a delta");
                let mut made = vec![0; version.len()];
                delta::apply(&whole, &delta, &mut made).expect("a delta");
                assert_eq!(read(&version), made);
                whole = made;
            }
        }
    }

    #[test]
    fn what_takes_more_than_there_may_be_is_refused() {
        let whole = Pieces::of(vec![7; 1000]);
        let inserts = [&size(1000)[..], &size(100), &[100], &[8; 100]].concat();
        let refused = |longest, most| {
            let made = whole.apply(inserts.clone(), longest, most);
            made.err().map(|error| error.kind())
        };
        assert_eq!(refused(100, 4096), None);
        assert_eq!(refused(99, 4096), Some(io::ErrorKind::FileTooLarge));
        assert_eq!(refused(100, 99), Some(io::ErrorKind::FileTooLarge));
        let lie = [&size(999)[..], &size(1), b"\x01a"].concat();
        let lie = whole.apply(lie, 4096, 4096).err().map(|error| error.kind());
        assert_eq!(lie, Some(io::ErrorKind::InvalidData));
    }
}

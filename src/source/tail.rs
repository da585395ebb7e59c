//! Where the reading of a file that grows goes on: not from its start again.
//!
//! Remembers of large files how far they were read and what stood there. If
//! that still stands there and the file has only become longer, what was
//! added is read, with enough of what was before that a key which began there
//! is seen in one piece and with its partner.

use std::collections::{HashMap, VecDeque};
use std::io;

use sha2::{Digest as _, Sha256};

/// What is read again before the end of the last reading: as far as the
/// detector pairs an ID with a secret that has no name. In bytes.
pub const OVERLAP: u64 = 1 << 20;

/// Smaller files are read whole: that costs no more.
const MIN_SIZE: u64 = 4 * OVERLAP;

/// Files remembered; the one read longest ago makes room.
const MAX_FILES: usize = 1024;

/// Bytes compared at the start of a file, and before the end of a reading.
const PRINT: usize = 4096;

/// Distance of the places that a reading may go on from. In bytes.
const STRIDE: u64 = 64 * 1024;

/// A file whatever its name is: device and inode.
pub type FileId = (u64, u64);

/// How to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    Whole,
    /// From `offset` in bytes, where a line begins; `lines` lines are before
    /// it. What was found before `offset` was not looked at again.
    From {
        offset: u64,
        lines: u64,
    },
}

/// Reads bytes of the file at an offset, all of the buffer or fails.
pub type ReadAt<'a> = &'a mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>;

/// The beginning of a line.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    offset: u64,
    lines: u64,
}

/// What is known of a file that was read to `end`.
#[derive(Debug, Clone)]
pub struct Tail {
    end: u64,
    resume: Mark,
    /// Of the first bytes, and of the last ones before `end`.
    head: [u8; 32],
    last: [u8; 32],
}

/// The files read lately.
#[derive(Debug, Default)]
pub struct Tails {
    files: HashMap<FileId, (u64, Tail)>,
    clock: u64,
}

impl Tails {
    /// What is known of one file, for a thread that may never come back from
    /// it.
    #[must_use]
    pub fn of(&self, file: FileId) -> Self {
        let known = self.files.get(&file).map(|tail| (file, tail.clone()));
        Self {
            files: known.into_iter().collect(),
            clock: 0,
        }
    }

    /// How to read a file that has `size` bytes now.
    pub fn plan(&self, file: FileId, size: u64, read_at: ReadAt<'_>) -> Plan {
        match self.files.get(&file) {
            Some((_, tail)) if size > tail.end && tail.still_holds(read_at) => Plan::From {
                offset: tail.resume.offset,
                lines: tail.resume.lines,
            },
            _ => Plan::Whole,
        }
    }

    /// Follows the reading that [`plan`](Self::plan) led to.
    pub fn reading(&self, file: FileId, plan: Plan) -> Reading {
        match (plan, self.files.get(&file)) {
            (Plan::From { offset, lines }, Some((_, tail))) => {
                Reading::at(Mark { offset, lines }, Some(tail.head))
            }
            _ => Reading::at(Mark::default(), None),
        }
    }

    /// Takes down what a reading to the end came to; `None` is a file that is
    /// to be read whole the next time.
    pub fn remember(&mut self, file: FileId, tail: Option<Tail>) {
        let Some(tail) = tail else {
            self.files.remove(&file);
            return;
        };
        self.clock += 1;
        if self.files.len() >= MAX_FILES && !self.files.contains_key(&file) {
            let oldest = self.files.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(file, _)| *file) {
                self.files.remove(&oldest);
            }
        }
        self.files.insert(file, (self.clock, tail));
    }
}

impl Tail {
    /// Whether the file begins as it did, and what was read last stands where
    /// it stood. What is between is not compared.
    fn still_holds(&self, read_at: ReadAt<'_>) -> bool {
        let mut bytes = [0; PRINT];
        let mut print_at = |offset| {
            read_at(offset, &mut bytes)
                .ok()
                .map(|()| <[u8; 32]>::from(Sha256::digest(bytes)))
        };
        print_at(0) == Some(self.head) && print_at(self.end - PRINT as u64) == Some(self.last)
    }
}

/// Follows the bytes of a file as they are read.
#[derive(Debug)]
pub struct Reading {
    at: Mark,
    /// Beginnings of lines, no closer than [`STRIDE`].
    marks: VecDeque<Mark>,
    head: Vec<u8>,
    head_print: Option<[u8; 32]>,
    last: VecDeque<u8>,
}

impl Reading {
    fn at(start: Mark, head_print: Option<[u8; 32]>) -> Self {
        Self {
            at: start,
            marks: VecDeque::from([start]),
            head: Vec::new(),
            head_print,
            last: VecDeque::with_capacity(PRINT),
        }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        let missing = PRINT - self.head.len();
        self.head.extend(bytes.iter().take(missing));
        let kept = bytes.len().min(PRINT);
        let excess = (self.last.len() + kept).saturating_sub(PRINT);
        self.last.drain(..excess);
        self.last.extend(&bytes[bytes.len() - kept..]);
        let start = self.at.offset;
        for newline in memchr::memchr_iter(b'\n', bytes) {
            self.at.lines += 1;
            let offset = start + newline as u64 + 1;
            let last = self.marks.back().map_or(0, |mark| mark.offset);
            if offset >= last + STRIDE {
                let lines = self.at.lines;
                self.marks.push_back(Mark { offset, lines });
                self.drop_marks(offset);
            }
        }
        self.at.offset = start + bytes.len() as u64;
        self.drop_marks(self.at.offset);
    }

    /// Keeps the last mark that is far enough before `end`, and those behind.
    fn drop_marks(&mut self, end: u64) {
        while self
            .marks
            .get(1)
            .is_some_and(|mark| mark.offset + OVERLAP <= end)
        {
            self.marks.pop_front();
        }
    }

    /// Call it when the file was read to its end. `None` for files that are
    /// better read whole: small ones, and those without lines.
    pub fn finish(self) -> Option<Tail> {
        let resume = *self.marks.front()?;
        let end = self.at.offset;
        if end < MIN_SIZE || resume.offset == 0 || self.last.len() < PRINT {
            return None;
        }
        let last = self.last.iter().copied().collect::<Vec<u8>>();
        Some(Tail {
            end,
            resume,
            head: self
                .head_print
                .unwrap_or_else(|| Sha256::digest(&self.head).into()),
            last: Sha256::digest(last).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = (1, 2);

    /// Lines of varying length, `size` bytes or a little more.
    fn lines(size: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(size + 200);
        let mut n = 0_usize;
        while text.len() < size {
            text.extend(format!("{n} {:.>1$}\n", "", n % 190).as_bytes());
            n += 1;
        }
        text
    }

    fn plan(tails: &Tails, content: &[u8]) -> Plan {
        tails.plan(FILE, content.len() as u64, &mut |offset, buffer| {
            let start = usize::try_from(offset).unwrap();
            let bytes = content.get(start..start + buffer.len());
            buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    /// Reads as planned, in pieces of odd sizes, and tells how.
    fn read(tails: &mut Tails, content: &[u8]) -> Plan {
        let plan = plan(tails, content);
        let mut reading = tails.reading(FILE, plan);
        let start = match plan {
            Plan::Whole => 0,
            Plan::From { offset, .. } => usize::try_from(offset).unwrap(),
        };
        content[start..]
            .chunks(70_001)
            .for_each(|piece| reading.feed(piece));
        tails.remember(FILE, reading.finish());
        plan
    }

    #[test]
    fn a_growing_file_is_read_on_from_a_line_before_its_old_end() {
        let mut tails = Tails::default();
        let mut content = lines(5 << 20);
        assert_eq!(read(&mut tails, &content), Plan::Whole);
        for _ in 0..5 {
            let old_end = content.len() as u64;
            content.extend(lines(300_000));
            let Plan::From { offset, lines } = read(&mut tails, &content) else {
                panic!("it was read whole");
            };
            assert!(offset + OVERLAP <= old_end);
            assert!(offset + OVERLAP + 2 * STRIDE >= old_end, "too far back");
            let before = &content[..usize::try_from(offset).unwrap()];
            assert_eq!(before.last(), Some(&b'\n'));
            assert_eq!(lines, memchr::memchr_iter(b'\n', before).count() as u64);
        }
    }

    #[test]
    fn a_file_that_did_not_only_grow_is_read_whole() {
        let mut tails = Tails::default();
        let content = lines(5 << 20);
        read(&mut tails, &content);
        let end = content.len();
        let grown = [&content[..], b"more\n"].concat();
        assert_ne!(plan(&tails, &grown), Plan::Whole);

        assert_eq!(plan(&tails, &content), Plan::Whole, "as long as before");
        assert_eq!(plan(&tails, &content[..end - 1]), Plan::Whole, "shorter");
        for place in [0, PRINT - 1, end - PRINT, end - 1] {
            let mut changed = grown.clone();
            changed[place] ^= 1;
            assert_eq!(plan(&tails, &changed), Plan::Whole, "changed at {place}");
        }
        let shifted = [b"x", &grown[..]].concat();
        assert_eq!(plan(&tails, &shifted), Plan::Whole, "moved by a byte");
        let failing = tails.plan(FILE, grown.len() as u64, &mut |_, _| {
            Err(io::ErrorKind::Other.into())
        });
        assert_eq!(failing, Plan::Whole, "cannot be compared");
        assert_eq!(
            tails.plan((1, 3), u64::MAX, &mut |_, _| Ok(())),
            Plan::Whole
        );
    }

    #[test]
    fn small_files_and_files_without_lines_are_read_whole() {
        let mut tails = Tails::default();
        for content in [lines(100_000), vec![b'x'; 6 << 20], Vec::new()] {
            read(&mut tails, &content);
            let grown = [&content[..], b"more\n"].concat();
            assert_eq!(plan(&tails, &grown), Plan::Whole);
        }
    }

    #[test]
    fn the_files_read_last_are_remembered() {
        let mut tails = Tails::default();
        let mut reading = tails.reading(FILE, Plan::Whole);
        reading.feed(&lines(5 << 20));
        let tail = reading.finish();
        for inode in 0..3000 {
            tails.remember((1, inode), tail.clone());
            tails.remember((1, 0), tail.clone());
        }
        assert_eq!(tails.files.len(), MAX_FILES);
        assert!(tails.files.contains_key(&(1, 0)));
        assert!(tails.files.contains_key(&(1, 2999)));
        tails.remember((1, 0), None);
        assert!(!tails.files.contains_key(&(1, 0)));
    }
}

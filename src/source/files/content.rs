//! The bytes of one file, with an eye on what kind of file it is.

use std::cell::Cell;
use std::fs::File;
use std::io;

use crate::source::{archive, repositories};
use crate::sparing::Sparing;

/// A file up to the size that it had when it was opened, which saves the read
/// that would only say so. A size of 0 says nothing: where a program makes the
/// files up, they may have it.
///
/// On the way it watches for archives and packs, in the reader's own buffer,
/// so that an ordinary file costs neither a copy nor a system call for it. One
/// that begins as an archive ends here at once.
pub(super) struct Content<'a> {
    file: Sparing<'a>,
    offset: u64,
    size: Option<u64>,
    archive: Watch,
    is_pack: bool,
    /// How many were passed over.
    holes: &'a Cell<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    Off,
    Start,
    End,
    Found,
}

impl<'a> Content<'a> {
    /// `file`, which has `size` bytes, from `offset` on.
    pub(super) fn new(
        file: &'a File,
        size: u64,
        offset: u64,
        archives: bool,
        holes: &'a Cell<u64>,
    ) -> Self {
        Self {
            file: Sparing::new(file, size),
            offset,
            size: (size > 0).then_some(size),
            archive: if archives && offset == 0 {
                Watch::Start
            } else {
                Watch::Off
            },
            is_pack: false,
            holes,
        }
    }

    /// Whether an archive was noticed, at the file's start or end.
    pub(super) fn is_archive(&self) -> bool {
        self.archive == Watch::Found
    }

    /// Whether the file begins as a git pack or bundle does.
    pub(super) fn is_pack(&self) -> bool {
        self.is_pack
    }

    /// Whether all of the file was read.
    pub(super) fn is_read(&self) -> bool {
        self.size.is_some_and(|size| self.offset >= size)
    }

    fn begins_as_archive(&self, chunk: &[u8], size: u64) -> bool {
        if archive::at_start(chunk) {
            return true;
        }
        // Known before the program is scanned, a member that is stored is not
        // told as the program's own text as well.
        if chunk.len() as u64 == size {
            archive::is_prefixed(chunk)
        } else {
            archive::may_have_prefix(chunk, size) && archive::is_behind(&self.file, size)
        }
    }

    /// Whether the file ends as a zip does; `chunk` is its last one, which may
    /// be shorter than what ends a zip.
    fn ends_as_archive(&self, chunk: &[u8], size: u64) -> bool {
        if chunk.len() >= archive::TAIL || chunk.len() as u64 == size {
            return archive::at_end(chunk);
        }
        let mut tail = [0; archive::TAIL];
        let from = size.saturating_sub(tail.len() as u64);
        self.file
            .read_at(&mut tail, from)
            .is_ok_and(|count| archive::at_end(&tail[..count]))
    }
}

impl io::Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_read() || self.is_archive() {
            return Ok(0);
        }
        let count = self.file.read_at(buffer, self.offset)?;
        let chunk = &buffer[..count];
        let first = self.offset == 0;
        self.offset += count as u64;
        let Some(size) = self.size else {
            return Ok(count);
        };
        // Some zeros stand for all of a hole.
        if chunk.iter().all(|byte| *byte == 0) {
            let data = self.file.next_data(self.offset).min(size);
            self.holes
                .update(|holes| holes + u64::from(data > self.offset));
            self.offset = data;
        }
        if first {
            self.is_pack = repositories::begins_as_pack(chunk);
            if self.archive == Watch::Start {
                self.archive = Watch::End;
                if self.begins_as_archive(chunk, size) {
                    self.archive = Watch::Found;
                    self.offset = 0;
                    return Ok(0);
                }
            }
        }
        // A zip behind anything else; what is in front of it is read by now.
        if self.is_read() && self.archive == Watch::End && self.ends_as_archive(chunk, size) {
            self.archive = Watch::Found;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn a_file_without_a_size_is_read_to_its_end() {
        let mut file = tempfile::tempfile().unwrap();
        let text = b"all of it\n".repeat(20_000);
        file.write_all(&text).unwrap();
        let mut read = Vec::new();
        let holes = Cell::new(0);
        let mut content = Content::new(&file, 0, 0, true, &holes);
        content.read_to_end(&mut read).unwrap();
        assert!(read == text, "{} of {} bytes", read.len(), text.len());
    }
}

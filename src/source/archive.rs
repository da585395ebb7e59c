//! Archives and compressed files, told by their content and never by a name.
//!
//! Everything is streamed: a member is a reader on top of the readers of the
//! archives around it, so memory follows the depth (a buffer and a bounded
//! dictionary a layer) and not the size. A zip that lies in a file as it is,
//! also inside a plain tar or a stored entry, is read by its central
//! directory; one that has to be inflated first is read by its local headers,
//! which needs no temporary copy.
//!
//! The readers of tar, zip, ar, cpio and rpm are written here: the headers are
//! simple, and the crates keep every entry or a whole long name in memory, or
//! cannot read from a stream. The codecs are crates: `flate2` (pure Rust, in
//! the tree already), `bzip2` on its pure Rust libbz2, `liblzma` and `zstd`
//! with their C code linked in (fuzzed for years, built by `cc` alone, and
//! they report damage where a panic would end the agent), and `lz4_flex`
//! without unsafe code.
//!
//! A damaged stretch never ends the walk: what could be read of it is
//! scanned, what is left is scanned as it is, and it is counted.

mod ar;
mod codec;
mod cpio;
mod input;
mod kind;
mod limits;
#[cfg(test)]
mod mutation;
mod pack;
mod place;
mod rpm;
mod script;
mod tar;
mod walk;
mod window;
mod zip;

use std::fs::File;
use std::io;

pub use input::ReadAt;
use input::{Input, Section};
use place::Place;
use walk::{Level, Walk};

use super::repositories::begins_as_pack;
use super::{Origin, Visitor};
use crate::finding::Coverage;
use crate::sparing::Sparing;

/// How archives are looked into.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Archives within archives; what is compressed on the way is not counted.
    pub max_depth: usize,
}

/// Bytes of a file's beginning that [`at_start`] wants to see.
pub const HEAD: usize = kind::HEAD;

/// Bytes of a file's end that [`at_end`] wants to see.
pub const TAIL: usize = 1024;

/// Whether a file that begins with `head` is for [`read`]. All of the file,
/// or at least its first [`HEAD`] bytes, have to be there; of a script, in whose
/// first [`limits::BUFFER`] bytes an archive may begin, as many.
pub fn at_start(head: &[u8]) -> bool {
    kind::recognise(&head[..head.len().min(HEAD)]).is_some() || script::has_archive(head)
}

/// Whether `head` begins as gzip does.
pub fn is_gzip(head: &[u8]) -> bool {
    kind::is_gzip(head)
}

/// Whether a file that begins with `head` may have a zip behind a program, so
/// that it is worth a look with [`is_behind`].
pub fn may_have_prefix(head: &[u8], size: u64) -> bool {
    zip::may_have_prefix(head, size)
}

/// Whether the program of `size` bytes that can be read `from` there has a zip
/// behind it.
pub fn is_behind(from: &dyn ReadAt, size: u64) -> bool {
    zip::is_behind(Section::new(from, size)).unwrap_or(false)
}

/// Whether all of a file is a program with a zip behind it.
pub fn is_prefixed(bytes: &[u8]) -> bool {
    let size = bytes.len() as u64;
    zip::may_have_prefix(bytes, size) && zip::may_end_in(bytes) && is_behind(&bytes, size)
}

/// Whether the file whose last bytes these are ends as a zip does.
pub fn at_end(tail: &[u8]) -> bool {
    zip::ends_as_zip(&tail[tail.len().saturating_sub(TAIL)..])
}

/// What has become of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its content was given to the visitor.
    Read,
    /// Part of it could not be read, or it was none: the file's own bytes are
    /// to be scanned as well.
    ScanAsFile,
}

/// A file that holds an archive.
#[derive(Clone, Copy)]
pub struct Outer<'a> {
    pub file: &'a File,
    pub size: u64,
    pub origin: &'a dyn Origin,
    /// Whether its own bytes were scanned already.
    pub scanned: bool,
}

impl std::fmt::Debug for Outer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outer")
            .field("location", &self.origin.location())
            .finish_non_exhaustive()
    }
}

/// Gives the visitor all that lies in an archive. Fails as reading the file
/// fails, or as the visitor does.
pub fn read(
    outer: Outer<'_>,
    settings: Settings,
    visitor: &mut dyn Visitor,
    coverage: &mut Coverage,
) -> io::Result<Outcome> {
    struct Whole<'a>(Sparing<'a>, &'a Walk<'a>);
    impl ReadAt for Whole<'_> {
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            loop {
                match self.0.read_at(buffer, offset) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(self.1.ends(error)),
                    Ok(count) => return Ok(count),
                }
            }
        }
    }
    let walk = Walk::new(visitor, coverage, outer.size, outer.scanned, settings);
    let whole = Whole(Sparing::in_pieces(outer.file), &walk);
    read_from(&walk, outer.origin, Section::new(&whole, outer.size))
}

/// As [`read`], of an archive that is in memory and was not scanned.
pub fn read_bytes(
    bytes: &[u8],
    origin: &dyn Origin,
    settings: Settings,
    visitor: &mut dyn Visitor,
    coverage: &mut Coverage,
) -> io::Result<Outcome> {
    let size = bytes.len() as u64;
    if begins_as_pack(bytes) {
        let mut pack = bytes;
        return read_stream(&mut pack, size, origin, settings, visitor, coverage);
    }
    let walk = Walk::new(visitor, coverage, size, false, settings);
    read_from(&walk, origin, Section::new(&bytes, size))
}

/// As [`read`], of an archive of `size` bytes that comes as a stream and was
/// not scanned; it may be left before its end.
pub fn read_stream(
    stream: &mut dyn io::Read,
    size: u64,
    origin: &dyn Origin,
    settings: Settings,
    visitor: &mut dyn Visitor,
    coverage: &mut Coverage,
) -> io::Result<Outcome> {
    let walk = Walk::new(visitor, coverage, size, false, settings);
    let place = Place::of_file(origin);
    let result = walk.open(&place, &mut Input::stream(stream), Level::default());
    walk.finish(result)
}

fn read_from(walk: &Walk<'_>, origin: &dyn Origin, section: Section<'_>) -> io::Result<Outcome> {
    let place = Place::of_file(origin);
    // As much as whoever asked before had in sight.
    let result = if at_start(&section.bytes_at(0, limits::BUFFER)?) {
        walk.open(&place, &mut Input::section(section), Level::default())
    } else {
        walk.prefixed_zip(&place, section)
    };
    walk.finish(result)
}

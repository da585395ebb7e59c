//! git's packs and bundles inside of archives, such as a backup that took a
//! repository along.
//!
//! They come as a stream, in which the base of a delta is gone when the delta
//! comes: so of a delta only what it adds is seen, and that is told. On disk
//! they are read whole, by [`git`](crate::source::git).

use std::io::{self, Read};

use super::codec;
use super::input::{Input, be32, invalid};
use super::kind::Codec;
use super::limits::MAX_MEMBERS;
use super::place::Place;
use super::walk::{Level, Walk};
use crate::finding::SkipReason;

/// Bytes of one line of a bundle's head.
const MAX_LINE: u64 = 64 * 1024;

pub(super) fn walk(
    walk: &Walk<'_>,
    place: &Place<'_>,
    input: &mut Input<'_>,
    level: Level,
) -> io::Result<()> {
    let id = bundle_head(input)?;
    let head: [u8; 12] = input.array()?;
    let mut has_deltas = false;
    for number in 0..u64::from(be32(&head, 8)) {
        walk.go_on()?;
        if number == MAX_MEMBERS {
            return Err(walk.breaks(level.layer, SkipReason::ArchiveLimit));
        }
        let offset = input.at();
        let kind = entry_head(input, id)?;
        let name = |kind: &str| format!("{kind}@{offset}");
        let inside = level.inside_codec();
        let mut content = codec::decoder(walk, Codec::Zlib, input, inside.layer);
        match kind {
            1 | 3 | 4 => {
                let name = name(["commit", "", "blob", "tag"][usize::from(kind - 1)]);
                let mut object = Input::stream(&mut *content);
                walk.open(&place.member(name.as_bytes()), &mut object, inside)?;
            }
            // Names only.
            2 => {}
            6 | 7 => {
                has_deltas = true;
                let name = name("delta");
                let mut added = Added::new(&mut *content)?;
                walk.visit(&place.member(name.as_bytes()), &mut added)?;
            }
            _ => return Err(invalid()),
        }
        io::copy(&mut content, &mut io::sink())?;
    }
    if has_deltas {
        walk.skip(SkipReason::ArchiveUnsupported, place);
    }
    // What follows is the pack's checksum.
    input.skip(id as u64)
}

/// Passes over the head of a bundle, if there is one; bytes of an object's id.
fn bundle_head(input: &mut Input<'_>) -> io::Result<usize> {
    let mut id = gix_hash::Kind::Sha1.len_in_bytes();
    if input.peek(4)? == b"PACK" {
        return Ok(id);
    }
    loop {
        let mut line = Vec::new();
        io::BufRead::read_until(&mut input.take(MAX_LINE), b'\n', &mut line)?;
        match line.as_slice() {
            b"\n" => return Ok(id),
            b"@object-format=sha256\n" => id = gix_hash::Kind::Sha256.len_in_bytes(),
            line if line.ends_with(b"\n") => {}
            _ => return Err(invalid()),
        }
    }
}

/// The kind of the entry that comes next: its size and its base are passed.
fn entry_head(input: &mut Input<'_>, id: usize) -> io::Result<u8> {
    let [first] = input.array()?;
    let kind = first >> 4 & 7;
    if first & 0x80 != 0 {
        skip_number(input)?;
    }
    match kind {
        6 => skip_number(input)?,
        7 => input.skip(id as u64)?,
        _ => {}
    }
    Ok(kind)
}

fn skip_number(input: &mut impl Read) -> io::Result<()> {
    for _ in 0..10 {
        let mut byte = [0];
        input.read_exact(&mut byte)?;
        if byte[0] & 0x80 == 0 {
            return Ok(());
        }
    }
    Err(invalid())
}

/// What a delta inserts, with a line end where it copies from its base.
struct Added<R> {
    delta: io::BufReader<R>,
    /// Bytes of the insertion at hand that are left.
    left: u64,
}

impl<R: Read> Added<R> {
    fn new(delta: R) -> io::Result<Self> {
        let mut delta = io::BufReader::with_capacity(4096, delta);
        // The sizes of the base and of the object.
        skip_number(&mut delta)?;
        skip_number(&mut delta)?;
        Ok(Self { delta, left: 0 })
    }
}

impl<R: Read> Read for Added<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            let mut command = [0];
            if self.delta.read(&mut command)? == 0 {
                return Ok(0);
            }
            if command[0] & 0x80 != 0 {
                let operands = (command[0] & 0x7f).count_ones() as usize;
                self.delta.read_exact(&mut [0; 7][..operands])?;
                out[0] = b'\n';
                return Ok(1);
            }
            self.left = u64::from(command[0]);
        }
        let count = (&mut self.delta).take(self.left).read(out)?;
        self.left -= count as u64;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(count)
    }
}

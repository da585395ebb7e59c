//! The head of a bundle, behind which its pack is. See gitformat-bundle(5).

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};

use gix_hash::ObjectId;

use crate::source::repositories::is_pack;

/// Bytes of a head.
const MAX_HEAD: u64 = 16 * 1024 * 1024;

/// Where the pack in a bundle begins, its hash, and what its head refers to;
/// a lone pack has no head.
pub(super) fn head(file: File) -> io::Result<(u64, gix_hash::Kind, Vec<ObjectId>)> {
    let mut reader = BufReader::new(file.take(MAX_HEAD));
    let mut hash = gix_hash::Kind::Sha1;
    let mut tips = Vec::new();
    let mut start = 0;
    let mut line = Vec::new();
    if is_pack(reader.fill_buf()?) {
        return Ok((0, hash, tips));
    }
    loop {
        line.clear();
        let count = reader.read_until(b'\n', &mut line)?;
        start += count as u64;
        match line.as_slice() {
            b"" => return Err(io::ErrorKind::UnexpectedEof.into()),
            b"\n" => return Ok((start, hash, tips)),
            b"@object-format=sha256\n" => hash = gix_hash::Kind::Sha256,
            line => {
                let id = line.split(|byte| *byte == b' ').next();
                tips.extend(id.and_then(|id| ObjectId::from_hex(id).ok()));
            }
        }
    }
}

//! Deflate of which all is at hand: most members and compressed files are
//! small, and libdeflate, which cannot stream, needs half the time for them.
//! What it refuses is left to the decoders, which tell what is wrong with it.

use libdeflater::{Decompressor, crc32};

use crate::source::archive::input::le32;

/// Bytes that may come out.
const MAX_INFLATED: usize = 256 * 1024;

/// What deflated bytes hold that come out as `size` bytes with the sum `crc`,
/// if there is one.
pub(in crate::source::archive) fn deflate(bytes: &[u8], size: u64, crc: u32) -> Option<Vec<u8>> {
    let mut inflated = room(size)?;
    let made = Decompressor::new().deflate_decompress(bytes, &mut inflated);
    let is_whole = made == Ok(inflated.len()) && (crc == 0 || crc32(&inflated) == crc);
    is_whole.then_some(inflated)
}

/// What a gzip holds that is one stream and ends where `bytes` do.
pub(in crate::source::archive) fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let (stream, end) = bytes.split_last_chunk::<8>()?;
    // What follows a stream is passed over without a word, and may end with
    // the size and the sum of that stream, as another stream of the like does.
    if memchr::memmem::find(bytes, end) != Some(stream.len()) {
        return None;
    }
    let mut inflated = room(le32(end, 4).into())?;
    let made = Decompressor::new().gzip_decompress(bytes, &mut inflated);
    let is_whole = made == Ok(inflated.len()) && crc32(&inflated) == le32(end, 0);
    is_whole.then_some(inflated)
}

fn room(size: u64) -> Option<Vec<u8>> {
    let size = usize::try_from(size).ok()?;
    (size <= MAX_INFLATED).then(|| vec![0; size])
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder};

    use super::*;

    fn gzipped(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).expect("written");
        encoder.finish().expect("a gzip")
    }

    #[test]
    fn a_gzip_is_taken_if_it_is_one_stream_and_nothing_more() {
        let [one, other] = [gzipped(&b"one ".repeat(900)), gzipped(b"other")];
        assert_eq!(gzip(&one), Some(b"one ".repeat(900)));
        for more in [
            vec![one.as_slice(), &other],
            vec![&one, &one],
            vec![&one, &other, &one],
            vec![&one, b"and text"],
            vec![&one, &[0; 8]],
            vec![&one, b"and text", &one[one.len() - 8..]],
            vec![&gzipped(b""), b"and text", &[0; 9]],
            vec![&one[..one.len() - 1]],
            vec![&gzipped(&vec![0; MAX_INFLATED + 1])],
        ] {
            assert_eq!(gzip(&more.concat()), None);
        }
    }

    #[test]
    fn deflate_is_taken_if_it_is_what_it_is_said_to_be() {
        let content = b"a member ".repeat(500);
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&content).expect("written");
        let deflated = encoder.finish().expect("a stream");
        let (size, crc) = (content.len() as u64, crc32(&content));
        for sum in [crc, 0] {
            assert_eq!(deflate(&deflated, size, sum), Some(content.clone()));
        }
        for (bytes, size, crc) in [
            (&deflated[..], size, crc + 1),
            (&deflated, size - 1, 0),
            (&deflated, size + 1, 0),
            (&deflated, u64::MAX, 0),
            (&deflated[..deflated.len() / 2], size, 0),
        ] {
            assert_eq!(deflate(bytes, size, crc), None);
        }
    }
}

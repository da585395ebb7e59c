//! What bytes are, by what they begin with; a name says nothing.

use super::{cpio, input, tar};

/// Bytes that decide: a tar header.
pub(super) const HEAD: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Compressed(Codec),
    Container(Container),
    /// An archive that is known for one and that nothing here reads.
    Unsupported,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Gzip,
    Bzip2,
    Xz,
    Lzma,
    Zstd,
    Lz4,
    Zlib,
    /// systemd's journal, whose larger fields are compressed.
    Journal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    Tar,
    Zip,
    Ar,
    Cpio,
    Rpm,
}

pub(super) const GZIP: &[u8] = &[0x1f, 0x8b, 8];
pub(super) const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
pub(super) const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
pub(super) const LZ4: &[u8] = &[0x04, 0x22, 0x4d, 0x18];
/// As Linux images have it.
pub(super) const LZ4_OLD: &[u8] = &[0x02, 0x21, 0x4c, 0x18];
pub(super) const JOURNAL: &[u8] = b"LPKSHHRH";

/// `head` holds the first [`HEAD`] bytes, or all.
pub(super) fn recognise(head: &[u8]) -> Option<Kind> {
    let first = *head.first()?;
    // All but tar and lzma show in the first byte: most files end here.
    let kind = match first {
        0x1f if is_gzip(head) => Kind::Compressed(Codec::Gzip),
        0x1f if is_compress(head) => Kind::Unsupported,
        b'B' if is_bzip2(head) => Kind::Compressed(Codec::Bzip2),
        0xfd if head.starts_with(XZ) => Kind::Compressed(Codec::Xz),
        0x28 if head.starts_with(ZSTD) => Kind::Compressed(Codec::Zstd),
        0x50..=0x5f if is_skippable(head) => Kind::Compressed(Codec::Zstd),
        0x02 | 0x04 if is_lz4(head) => Kind::Compressed(Codec::Lz4),
        0x78 if is_zlib(head) => Kind::Compressed(Codec::Zlib),
        0x5d if is_lzma(head) => Kind::Compressed(Codec::Lzma),
        b'P' if is_zip(head) => Kind::Container(Container::Zip),
        b'!' if head.starts_with(b"!<arch>\n") => Kind::Container(Container::Ar),
        b'0' if head.starts_with(b"07070X") => Kind::Unsupported,
        b'0' | 0xc7 | 0x71 if cpio::is_cpio(head) => Kind::Container(Container::Cpio),
        0xed if head.starts_with(&[0xed, 0xab, 0xee, 0xdb]) => Kind::Container(Container::Rpm),
        b'7' if head.starts_with(b"7z\xbc\xaf\x27\x1c") => Kind::Unsupported,
        b'R' if head.starts_with(b"Rar!\x1a\x07") => Kind::Unsupported,
        b'x' if head.starts_with(b"xar!\0\x1c") => Kind::Unsupported,
        b'L' if head.starts_with(JOURNAL) => Kind::Compressed(Codec::Journal),
        b'L' if head.starts_with(b"LZIP\x01") => Kind::Unsupported,
        0x89 if head.starts_with(b"\x89LZO\0\r\n\x1a\n") => Kind::Unsupported,
        _ if tar::is_header(head) => Kind::Container(Container::Tar),
        _ => return None,
    };
    Some(kind)
}

/// Whether a compressed stream begins here that shows in more than two bytes.
pub(super) fn is_stream(head: &[u8]) -> bool {
    is_gzip(head) || is_bzip2(head) || head.starts_with(XZ) || head.starts_with(ZSTD)
}

pub(super) fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(GZIP) && head.get(3).is_some_and(|flags| flags & 0xe0 == 0)
}

pub(super) fn is_bzip2(head: &[u8]) -> bool {
    head.starts_with(b"BZh")
        && matches!(head.get(3), Some(b'1'..=b'9'))
        && head.get(4..10).is_some_and(|magic| {
            magic == [0x31, 0x41, 0x59, 0x26, 0x53, 0x59]
                || magic == [0x17, 0x72, 0x45, 0x38, 0x50, 0x90]
        })
}

pub(super) fn is_lz4(head: &[u8]) -> bool {
    head.starts_with(LZ4) || head.starts_with(LZ4_OLD)
}

/// What compress(1) made, with codes of 9 to 16 bits.
fn is_compress(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x9d]) && matches!(head.get(2), Some(0x89..=0x90))
}

/// Two bytes say little, and text may begin with them: what follows has to be
/// a stream as well. Git's loose objects are such, outside of a repository.
fn is_zlib(head: &[u8]) -> bool {
    let [0x78, flags, ..] = *head else {
        return false;
    };
    if (0x7800 + u32::from(flags)) % 31 != 0 || flags & 0x20 != 0 {
        return false;
    }
    let mut made = [0; 2 * HEAD];
    let mut state = flate2::Decompress::new(true);
    let status = state.decompress(head, &mut made, flate2::FlushDecompress::None);
    // A short one shows itself by its end, or by more coming out than went in.
    status.is_ok_and(|status| {
        status == flate2::Status::StreamEnd
            || state.total_out() > head.len() as u64
            || (head.len() >= HEAD && state.total_out() > 0)
    })
}

/// A frame without content, as zstd and lz4 have it.
pub(super) fn is_skippable(head: &[u8]) -> bool {
    head.len() >= 8 && input::le32(head, 0) & 0xffff_fff0 == 0x184d_2a50
}

/// Lzma has no magic: the usual properties, a dictionary as encoders choose
/// it, and a size that is unknown or below 256 GiB, as xz itself guesses.
fn is_lzma(head: &[u8]) -> bool {
    let dictionary = input::le32(head, 1);
    let size = input::le64(head, 5);
    head.len() > 13
        && head[0] == 0x5d
        && (dictionary.is_power_of_two() || (dictionary / 3).is_power_of_two())
        && dictionary >= 4096
        && (size == u64::MAX || size < 1 << 38)
        && head[13] == 0
}

fn is_zip(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04")
        || head.starts_with(b"PK\x05\x06")
        || head.starts_with(b"PK\x07\x08PK\x03\x04")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    #[test]
    fn a_zlib_stream_is_known_whatever_its_length_and_its_contents() {
        let mut random = fastrand::Rng::with_seed(3);
        for lines in 0..200 {
            let mut text = String::new();
            for _ in 0..lines {
                text += "setting = value\n";
                text.extend((0..random.usize(..4)).map(|_| random.alphanumeric()));
            }
            for level in [0, 1, 6, 9] {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level));
                encoder.write_all(text.as_bytes()).unwrap();
                let stream = encoder.finish().unwrap();
                let head = &stream[..stream.len().min(HEAD)];
                assert!(is_zlib(head), "{lines} lines, level {level}");
            }
        }
        for text in ["x^2 + y^2 = z^2\n", "x\u{1}", "x^", "x"] {
            assert!(!is_zlib(text.as_bytes()), "{text}");
        }
    }
}

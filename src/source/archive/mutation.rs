//! Small archives of each kind, with every byte changed and cut at every
//! place: whatever comes of it, it ends, and it does not panic.

use std::io::{self, Write as _};

use super::{Outcome, Settings, read_bytes};
use crate::finding::{Coverage, Location, SourceKind};
use crate::source::{Blob, Origin, Visitor};

const TEXT: &[u8] = b"some text that is in every archive here";

struct Nowhere;

impl Origin for Nowhere {
    fn location(&self) -> Location {
        Location::new(SourceKind::File)
    }
}

/// Keeps what it is given, with the places.
#[derive(Default)]
struct Keeper {
    seen: Vec<(Option<String>, Vec<u8>)>,
}

impl Visitor for Keeper {
    fn visit(&mut self, blob: Blob<'_>, coverage: &mut Coverage) -> io::Result<()> {
        let mut bytes = Vec::new();
        let read = blob.content.read_to_end(&mut bytes);
        coverage.bytes += bytes.len() as u64;
        self.seen.push((
            blob.origin.location().member.map(|name| name.to_string()),
            bytes,
        ));
        read.map(|_| ())
    }

    fn found(&self) -> u64 {
        0
    }

    fn is_over(&self) -> bool {
        false
    }
}

fn look(bytes: &[u8]) -> (Outcome, Keeper, Coverage) {
    let mut keeper = Keeper::default();
    let mut coverage = Coverage::new(SourceKind::Archive);
    let settings = Settings { max_depth: 4 };
    let outcome = read_bytes(bytes, &Nowhere, settings, &mut keeper, &mut coverage);
    let outcome = outcome.expect("memory can be read and nobody stops");
    (outcome, keeper, coverage)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    liblzma::encode_all(bytes, 6).unwrap()
}

fn lzma(bytes: &[u8]) -> Vec<u8> {
    let options = liblzma::stream::LzmaOptions::new_preset(6).unwrap();
    let stream = liblzma::stream::Stream::new_lzma_encoder(&options).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lz4_old(bytes: &[u8]) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().legacy_frame(true);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A journal with a field whose value is compressed as the flag tells.
fn journal(flag: u8, value: &[u8]) -> Vec<u8> {
    const HEADER: u64 = 272;
    let mut journal = b"LPKSHHRH".to_vec();
    journal.resize(88, 0);
    journal.extend(HEADER.to_le_bytes());
    journal.resize(272, 0);
    for (flag, value) in [(0, &b"A=1"[..]), (flag, value)] {
        let size = 64 + value.len() as u64;
        journal.extend([1, flag, 0, 0, 0, 0, 0, 0]);
        journal.extend(size.to_le_bytes());
        journal.extend([0; 48]);
        journal.extend(value);
        journal.resize(journal.len().next_multiple_of(8), 0);
    }
    journal.extend([0; 64]);
    journal
}

fn lz4_field(bytes: &[u8]) -> Vec<u8> {
    let size = (bytes.len() as u64).to_le_bytes();
    [&size[..], &lz4_flex::block::compress(bytes)].concat()
}

/// A pack of git with a blob, and with a delta that adds to it.
fn pack(bytes: &[u8], added: &[u8]) -> Vec<u8> {
    let size = u8::try_from(bytes.len()).unwrap();
    let mut pack = b"PACK\0\0\0\x02\0\0\0\x02".to_vec();
    pack.extend([0x80 | 3 << 4 | size & 15, size >> 4]);
    pack.extend(zlib(bytes));
    let distance = u8::try_from(pack.len() - 12).unwrap();
    let more = u8::try_from(added.len()).unwrap();
    let copy_all = [0x90, size];
    let delta = [&[size, size + more][..], &copy_all, &[more], added].concat();
    pack.extend([6 << 4 | u8::try_from(delta.len()).unwrap(), distance]);
    pack.extend(zlib(&delta));
    pack.extend([0; 20]);
    pack
}

fn tar(bytes: &[u8]) -> Vec<u8> {
    let header = |kind: u8, size: usize| {
        let mut header = [0; 512];
        header[0] = b'm';
        header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        header[148..156].fill(b' ');
        header[156] = kind;
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        header
    };
    let pad = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    };
    let records = b"10 path=m\n22 GNU.sparse.major=0\n";
    [
        header(b'x', records.len()).to_vec(),
        pad(records),
        header(b'0', bytes.len()).to_vec(),
        pad(bytes),
    ]
    .concat()
}

fn ar(bytes: &[u8]) -> Vec<u8> {
    let header = format!("{:<16}{:<32}{:<10}`\n", "m/", 0, bytes.len());
    [b"!<arch>\n", header.as_bytes(), bytes].concat()
}

fn cpio(bytes: &[u8]) -> Vec<u8> {
    let entry = |name: &str, mode: usize, bytes: &[u8]| {
        let fields = [
            0,
            mode,
            0,
            0,
            1,
            0,
            bytes.len(),
            0,
            0,
            0,
            0,
            name.len() + 1,
            0,
        ]
        .map(|field: usize| format!("{field:08x}"));
        let mut entry = format!("070701{}{name}\0", fields.concat()).into_bytes();
        entry.resize(entry.len().next_multiple_of(4), 0);
        entry.extend(bytes);
        entry.resize(entry.len().next_multiple_of(4), 0);
        entry
    };
    [entry("m", 0o100_644, bytes), entry("TRAILER!!!", 0, b"")].concat()
}

fn rpm(bytes: &[u8]) -> Vec<u8> {
    let mut rpm = vec![0xed, 0xab, 0xee, 0xdb];
    rpm.resize(96, 0);
    let header = |data: u32| {
        let mut header = vec![0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
        header.extend(1u32.to_be_bytes());
        header.extend(data.to_be_bytes());
        header.resize(32 + data as usize, b'h');
        header
    };
    rpm.extend(header(8));
    rpm.extend(header(5));
    rpm.extend(gzip(&cpio(bytes)));
    rpm
}

/// Deflated with the sizes in front, or stored with the sizes behind.
fn zip(bytes: &[u8], behind: bool) -> Vec<u8> {
    let mut encoder =
        flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    let deflated = encoder.finish().unwrap();
    let (flags, method, data) = if behind {
        (8u16, 0u16, bytes)
    } else {
        (0, 8, deflated.as_slice())
    };
    let len = u32::try_from(data.len()).unwrap();
    let size = u32::try_from(bytes.len()).unwrap();
    let fields = |compressed: u32, size: u32| {
        let mut fields = vec![20, 0];
        fields.extend(flags.to_le_bytes());
        fields.extend(method.to_le_bytes());
        fields.extend([0; 8]);
        fields.extend(compressed.to_le_bytes());
        fields.extend(size.to_le_bytes());
        fields.extend([1, 0, 0, 0]);
        fields
    };
    let mut zip = b"PK\x03\x04".to_vec();
    zip.extend(if behind {
        fields(0, 0)
    } else {
        fields(len, size)
    });
    zip.push(b'm');
    zip.extend(data);
    if behind {
        zip.extend(b"PK\x07\x08\0\0\0\0");
        zip.extend(len.to_le_bytes());
        zip.extend(size.to_le_bytes());
    }
    let start = u32::try_from(zip.len()).unwrap();
    zip.extend(b"PK\x01\x02\x14\0");
    zip.extend(fields(len, size));
    zip.extend([0; 14]);
    zip.push(b'm');
    let directory = u32::try_from(zip.len()).unwrap() - start;
    zip.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    zip.extend(directory.to_le_bytes());
    zip.extend(start.to_le_bytes());
    zip.extend([0, 0]);
    zip
}

/// Each kind, with the member that holds the text.
fn archives() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    vec![
        ("gzip", gzip(TEXT), None),
        ("bzip2", bzip2(TEXT), None),
        ("xz", xz(TEXT), None),
        ("lzma", lzma(TEXT), None),
        ("zstd", zstd(TEXT), None),
        ("lz4", lz4(TEXT), None),
        ("old lz4", lz4_old(TEXT), None),
        ("zlib", zlib(TEXT), None),
        ("journal", journal(0, TEXT), None),
        ("journal, xz", journal(1, &xz(TEXT)), None),
        ("journal, lz4", journal(2, &lz4_field(TEXT)), None),
        ("journal, zstd", journal(4, &zstd(TEXT)), None),
        ("tar", tar(TEXT), Some("m")),
        ("ar", ar(TEXT), Some("m")),
        ("cpio", cpio(TEXT), Some("m")),
        ("rpm", rpm(TEXT), Some("m")),
        ("zip", zip(TEXT, false), Some("m")),
        ("zip, stored", zip(TEXT, true), Some("m")),
        ("zip in gzip", gzip(&zip(TEXT, false)), Some("m")),
        ("stored zip in zstd", zstd(&zip(TEXT, true)), Some("m")),
        (
            "zip behind a script",
            gzip(&[b"#!/bin/sh\n", zip(TEXT, false).as_slice()].concat()),
            Some("m"),
        ),
        (
            "zip between a script and an end of a line",
            [b"#!/bin/sh\n", zip(TEXT, false).as_slice(), b"\n"].concat(),
            Some("m"),
        ),
        (
            "gz in ar in zip in cpio",
            cpio(&zip(&ar(&gzip(TEXT)), true)),
            Some("m!m!m"),
        ),
    ]
}

#[test]
fn each_kind_gives_its_member() {
    for (kind, bytes, member) in archives() {
        let (outcome, keeper, coverage) = look(&bytes);
        assert_eq!(outcome, Outcome::Read, "{kind}");
        assert_eq!(coverage.skips().count(), 0, "{kind}");
        let seen = keeper.seen.iter().any(|(place, bytes)| {
            place.as_deref() == member && memchr::memmem::find(bytes, TEXT).is_some()
        });
        assert!(seen, "{kind}: {:?}", keeper.seen);
    }
}

#[test]
fn of_a_delta_without_its_base_what_it_adds_is_seen_and_the_rest_told() {
    let bytes = ar(&pack(TEXT, b"and more"));
    let (_, keeper, coverage) = look(&bytes);
    let seen: Vec<_> = keeper.seen.into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(seen, [TEXT, &b"\nand more"[..]]);
    let reasons: Vec<_> = coverage.skips().map(|skip| skip.reason).collect();
    assert_eq!(reasons, [crate::finding::SkipReason::ArchiveUnsupported]);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0xff;
        look(&changed);
        look(&bytes[..at]);
    }
}

#[test]
fn what_is_cut_short_is_told() {
    for (kind, bytes, _) in archives() {
        for len in 1..bytes.len() {
            look(&bytes[..len]);
        }
        let (outcome, _, coverage) = look(&bytes[..bytes.len() / 2]);
        let told = outcome == Outcome::ScanAsFile || !coverage.is_complete();
        // Half a tar is all zeros behind its first member's records, and a
        // journal may end behind any of its objects.
        let may_end = kind == "tar" || kind.starts_with("journal");
        assert!(told || may_end, "{kind}");
    }
}

#[test]
fn what_is_changed_never_panics() {
    let mut random = fastrand::Rng::with_seed(1);
    for (_, bytes, _) in archives() {
        let mut changed = bytes.clone();
        for at in 0..bytes.len() {
            for value in [0, 0xff, bytes[at] ^ 1, bytes[at] ^ 0x80] {
                changed[at] = value;
                look(&changed);
            }
            changed[at] = bytes[at];
        }
        for _ in 0..500 {
            let mut changed = bytes.clone();
            for _ in 0..random.usize(1..8) {
                let at = random.usize(..changed.len());
                changed[at] = random.u8(..);
            }
            look(&changed);
        }
    }
}

/// Behind a codec, so that the checksum of the outer layer does not hide the
/// change from the inner one.
#[test]
fn what_is_changed_or_cut_short_inside_never_panics() {
    for (_, bytes, _) in archives() {
        for len in 0..bytes.len() {
            look(&lz4(&bytes[..len]));
        }
    }
    // An entry that nothing here decompresses is given as it is stored.
    let mut unknown = zip(TEXT, true);
    unknown[8] = 97;
    for len in 0..unknown.len() {
        look(&lz4(&unknown[..len]));
    }
    for (_, bytes, _) in archives() {
        let mut changed = bytes.clone();
        for at in 0..bytes.len() {
            changed[at] = bytes[at].wrapping_add(0x55);
            look(&lz4(&changed));
            look(&ar(&changed));
            changed[at] = bytes[at];
        }
    }
}

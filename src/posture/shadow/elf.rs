//! What a compiled program says of the libraries in it: Go's build
//! information, and the paths that Rust keeps for its panics.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Bytes read of the table of sections and of their names.
const MAX_TABLE: usize = 256 * 1024;

/// Bytes read of one section.
const MAX_SECTION: usize = 16 * 1024 * 1024;

/// The SDKs that are built into a program.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Built {
    pub(super) go: bool,
    pub(super) go_v1: bool,
    pub(super) go_v2: bool,
    pub(super) rust: bool,
}

/// Reads the section headers of a 64-bit little-endian ELF file; anything
/// else has nothing built in.
pub(super) fn built_in(file: &File) -> Built {
    let sections = sections(file).unwrap_or_default();
    let content = |name: &[u8], limit: usize| {
        let section = sections.iter().find(|section| section.name == name)?;
        read(file, section.offset, section.size.min(limit))
    };
    let holds = |bytes: &[u8], text: &[u8]| memchr::memmem::find(bytes, text).is_some();
    if let Some(information) = content(b".go.buildinfo", MAX_TABLE) {
        // Behind the magic number stands the module list since Go 1.18, as
        // `dep\tPATH\tVERSION` lines; before that a pointer to it.
        return Built {
            go: true,
            go_v1: holds(&information, b"github.com/aws/aws-sdk-go\t"),
            go_v2: holds(&information, b"github.com/aws/aws-sdk-go-v2\t"),
            rust: false,
        };
    }
    Built {
        rust: content(b".rodata", MAX_SECTION)
            .is_some_and(|constants| holds(&constants, b"/aws-config-")),
        ..Built::default()
    }
}

struct Section {
    name: Vec<u8>,
    offset: u64,
    size: usize,
}

fn sections(file: &File) -> Option<Vec<Section>> {
    let header = read(file, 0, 64)?;
    if header.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let count = usize::from(u16_at(&header, 60)?);
    let names = usize::from(u16_at(&header, 62)?);
    let size = usize::from(u16_at(&header, 58)?);
    if size < 64 {
        return None;
    }
    let table = read(file, u64_at(&header, 40)?, (count * size).min(MAX_TABLE))?;
    let entries: Vec<(usize, u64, usize)> = table
        .chunks_exact(size)
        .filter_map(|entry| {
            let name = usize::try_from(u32_at(entry, 0)?).ok()?;
            let size = usize::try_from(u64_at(entry, 32)?).ok()?;
            Some((name, u64_at(entry, 24)?, size))
        })
        .collect();
    let (_, offset, length) = *entries.get(names)?;
    let names = read(file, offset, length.min(MAX_TABLE))?;
    let sections = entries.into_iter().filter_map(|(name, offset, size)| {
        let name = names.get(name..)?.split(|byte| *byte == 0).next()?;
        Some(Section {
            name: name.to_vec(),
            offset,
            size,
        })
    });
    Some(sections.collect())
}

/// At most `limit` bytes; fewer where the file ends.
fn read(file: &File, offset: u64, limit: usize) -> Option<Vec<u8>> {
    let rest = file.metadata().ok()?.len().saturating_sub(offset);
    let mut bytes = vec![0; usize::try_from(rest).ok()?.min(limit)];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    /// An ELF file with one section besides that of the names.
    fn elf(name: &str, content: &[u8]) -> Built {
        let names = format!("\0{name}\0.shstrtab\0");
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        let mut entries = vec![0; 64];
        for (at, offset, size) in [
            (1, 64, content.len()),
            (2 + name.len(), 64 + content.len(), names.len()),
        ] {
            let mut entry = vec![0; 64];
            entry[..4].copy_from_slice(&u32::try_from(at).unwrap().to_le_bytes());
            entry[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
            entry[32..40].copy_from_slice(&(size as u64).to_le_bytes());
            entries.extend(entry);
        }
        let table = (64 + content.len() + names.len()) as u64;
        bytes[40..48].copy_from_slice(&table.to_le_bytes());
        bytes[58..64].copy_from_slice(&[64, 0, 3, 0, 2, 0]);
        bytes.extend(content);
        bytes.extend(names.as_bytes());
        bytes.extend(entries);
        read_back(&bytes)
    }

    fn read_back(bytes: &[u8]) -> Built {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        built_in(&file)
    }

    #[test]
    fn go_names_its_modules_and_rust_its_paths() {
        let go = elf(
            ".go.buildinfo",
            b"\xff Go buildinf:..dep\tgithub.com/aws/aws-sdk-go-v2\tv1.2\n",
        );
        assert!(go.go && go.go_v2 && !go.go_v1 && !go.rust);
        let rust = elf(
            ".rodata",
            b"index.crates.io-1949cf8c/aws-config-1.5.0/src/lib.rs",
        );
        assert!(rust.rust && !rust.go);
        assert_eq!(elf(".rodata", b"nothing"), Built::default());
    }

    #[test]
    fn what_lies_about_its_size_is_not_believed() {
        let mut lie = b"\x7fELF\x02\x01\x01".to_vec();
        lie.resize(64, 0xff);
        assert_eq!(read_back(&lie), Built::default());
        lie[40..48].copy_from_slice(&0u64.to_le_bytes());
        lie[58..64].copy_from_slice(&[64, 0, 0xff, 0xff, 0, 0]);
        assert_eq!(read_back(&lie), Built::default());
        assert_eq!(read_back(b"#!/bin/sh\n"), Built::default());
    }
}

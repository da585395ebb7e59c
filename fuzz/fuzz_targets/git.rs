//! The git reader on stores that are made of any bytes: it ends, it does not
//! panic, and what it held back is told at most once.
//!
//! An input begins with its kind. As a *store* it holds references, an index
//! and a pack as they are; as a *pack* it holds the objects of one, which are
//! compressed here, since a fuzzer does not get past the checksums of zlib; as
//! a *loose* object it holds what is to be compressed.

#![no_main]

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use libfuzzer_sys::fuzz_target;
use rolecall::finding::Coverage;
use rolecall::source::archive::Settings;
use rolecall::source::files::{Files, Queue, Walked};
use rolecall::source::mounts::Mounts;
use rolecall::source::repositories::Repositories;
use rolecall::source::{Blob, Changed, Content, Held, Holder, Known, Look, Origin, Visitor, git};

/// Where the store is written; in memory, if the system has such a place.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let below = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    let folder = below.join(format!("rolecall-fuzz-{}", std::process::id()));
    let git = folder.join("r/.git");
    for made in ["refs", "objects/pack", "objects/ab"] {
        fs::create_dir_all(git.join(made)).expect("a folder");
    }
    fs::write(git.join("HEAD"), "ref: refs/heads/main\n").expect("a file");
    folder
});

/// Stands for what a credential begins with.
const MARK: u8 = b'1';

/// Holds back half of what it sees, so that places are looked for.
#[derive(Default)]
struct Keeper {
    held: Vec<bool>,
}

impl Visitor for Keeper {
    fn visit(&mut self, blob: Blob<'_>, coverage: &mut Coverage) -> io::Result<()> {
        io::copy(blob.content, &mut io::sink())?;
        coverage.scanned += 1;
        Ok(())
    }

    fn is_over(&self) -> bool {
        false
    }

    fn found(&self) -> u64 {
        0
    }
}

/// What is known of a content in which each mark is worth a look.
fn marked(bytes: &[u8]) -> Known {
    let marks = (0..bytes.len()).filter(|at| bytes[*at] == MARK);
    let spots: Vec<_> = marks.map(|at| (at, MARK)).collect();
    if spots.is_empty() {
        Known::Nothing { reach: 0 }
    } else {
        Known::Spots(spots.into())
    }
}

impl Holder for Keeper {
    fn hold(&mut self, content: Content<'_>, coverage: &mut Coverage) -> Look {
        coverage.scanned += 1;
        let mut known = None;
        let read = match content {
            Content::Bytes(bytes) => {
                known = Some(marked(bytes));
                Ok(bytes.len() as u64)
            }
            Content::Changed(changed) => {
                let Changed { bytes, changes, .. } = changed;
                let spots = match changed.known {
                    Known::Nothing { .. } => &[],
                    Known::Spots(spots) => spots,
                };
                assert!(spots.is_sorted());
                assert!(spots.iter().all(|(at, _)| bytes[*at] == MARK));
                let mut seen = 0;
                let all = bytes.len()..bytes.len();
                for change in changes.iter().chain([&all]) {
                    let marks = (seen..change.start).filter(|at| bytes[*at] == MARK);
                    for at in marks {
                        assert!(spots.binary_search(&(at, MARK)).is_ok());
                    }
                    seen = change.end;
                }
                known = Some(marked(bytes));
                Ok(bytes.len() as u64)
            }
            Content::Stream(content) => io::copy(content, &mut io::sink()),
        };
        let odd = read.as_ref().map_or(true, |count| count % 2 == 1);
        if odd {
            self.held.push(true);
        }
        Look {
            held: odd.then(|| Held(self.held.len() - 1)),
            known,
            outcome: read.map(drop),
        }
    }

    fn passes(&mut self, changed: Changed<'_>, coverage: &mut Coverage) -> bool {
        let Changed { bytes, changes, .. } = changed;
        let near = |at: usize| {
            let is_near = |change: &Range<usize>| {
                change.start.saturating_sub(Changed::NEAR) <= at && at < change.end + Changed::NEAR
            };
            at < Changed::NEAR || at + Changed::NEAR >= bytes.len() || changes.iter().any(is_near)
        };
        let is_new = |at: usize| changes.iter().any(|change| change.contains(&at));
        let mut marks = (0..bytes.len())
            .filter(|at| bytes[*at] == MARK && near(*at))
            .peekable();
        let passes = marks.peek().is_none();
        assert!(marks.all(is_new));
        coverage.scanned += u64::from(passes);
        passes
    }

    fn tell(&mut self, held: Held, origin: &dyn Origin, _: &mut Coverage) {
        assert!(std::mem::take(&mut self.held[held.0]), "told twice");
        let _ = origin.location();
    }

    fn forget(&mut self) {
        self.held.clear();
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, mut rest)) = input.split_first() else {
        return;
    };
    let git = FOLDER.join("r/.git");
    let refs = section(&mut rest);
    let mut made = vec![(git.join("packed-refs"), refs.to_vec())];
    let in_pack = |name: &str| git.join("objects/pack").join(name);
    match kind % 4 {
        0 => {
            let index = section(&mut rest);
            made.push((in_pack("pack-1.idx"), index.to_vec()));
            made.push((in_pack("pack-1.pack"), rest.to_vec()));
        }
        1 => made.push((in_pack("pack-1.pack"), pack(rest))),
        2 => {
            let name = "c".repeat(38);
            made.push((git.join("objects/ab").join(name), zlib(rest)));
        }
        _ => made.push((FOLDER.join("x.bundle"), [refs, &pack(rest)].concat())),
    }
    for (path, bytes) in &made {
        fs::write(path, bytes).expect("a file");
    }
    scan();
    for (path, _) in &made {
        fs::remove_file(path).expect("removed");
    }
});

fn scan() {
    let mounts = Mounts::default();
    let repositories = Repositories::default();
    let files = Files {
        root: Path::new("/"),
        exclude: None,
        mounts: &mounts,
        threads: 1,
        archives: Some(Settings { max_depth: 2 }),
        git: Some(&repositories),
        user_data: None,
        memory: None,
        tails: None,
        pending_time: None,
    };
    let (queue, walked) = (Queue::default(), Mutex::new(Walked::new(true)));
    files.add_root(&FOLDER, &queue, &walked);
    files.work(&queue, &mut Keeper::default(), &walked);
    let mut walked = walked.into_inner().expect("nobody panicked");
    let visitors = || Box::new(Keeper::default()) as Box<dyn Holder>;
    let _ = git::read(&files, &repositories, &visitors, &mut walked);
}

/// Bytes in front of which their number stands.
fn section<'i>(input: &mut &'i [u8]) -> &'i [u8] {
    let mut size = [0; 2];
    if input.read_exact(&mut size).is_err() {
        return b"";
    }
    let size = usize::from(u16::from_le_bytes(size)).min(input.len());
    let (section, rest) = input.split_at(size);
    *input = rest;
    section
}

/// A pack of the objects in `input`: each has a kind, the distance to its base
/// in objects or the base's id, and its bytes.
fn pack(mut input: &[u8]) -> Vec<u8> {
    let mut starts = Vec::new();
    let mut pack = b"PACK\0\0\0\x02\0\0\0\0".to_vec();
    while let Some((head, rest)) = input.split_first_chunk::<2>() {
        input = rest;
        let kind = head[0] & 7;
        let id: &[u8; 20] = match (kind, input.split_first_chunk()) {
            (7, Some((id, rest))) => {
                input = rest;
                id
            }
            _ => &[0; 20],
        };
        let bytes = section(&mut input);
        starts.push(pack.len());
        // Now and then it claims another size than it has.
        let mut size = bytes.len() + usize::from(head[0] >> 7);
        let mut byte = (kind << 4) | (size & 15) as u8;
        size >>= 4;
        while size > 0 {
            pack.push(byte | 0x80);
            byte = (size & 0x7f) as u8;
            size >>= 7;
        }
        pack.push(byte);
        if kind == 6 {
            let base = starts.len().checked_sub(1 + usize::from(head[1]));
            let start = starts[starts.len() - 1];
            let mut distance = start - base.map_or(0, |base| starts[base]);
            let mut digits = vec![(distance & 0x7f) as u8];
            while distance >> 7 > 0 {
                distance = (distance >> 7) - 1;
                digits.push((distance & 0x7f) as u8 | 0x80);
            }
            pack.extend(digits.iter().rev());
        } else if kind == 7 {
            pack.extend(id);
        }
        pack.extend(zlib(bytes));
    }
    let count = u32::try_from(starts.len()).expect("few objects");
    pack[8..12].copy_from_slice(&count.to_be_bytes());
    pack.extend([0; 20]);
    pack
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

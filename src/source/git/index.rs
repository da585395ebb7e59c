//! Which object is where in a pack: its `.idx` file, or a table made while
//! the pack was read.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{self, AtomicU64};

use gix_hash::{Kind, ObjectId, oid};

use super::inflate::invalid;
use super::pack::Pack;
use super::seen::short;
use crate::source::files::open_regular;

/// Bytes of a table read at a time.
const CHUNK: usize = 64 * 1024;

const MAGIC: &[u8] = b"\xfftOc\0\0\0\x02";
const FAN_OUT: usize = 256;

pub(super) enum Index {
    File(IndexFile),
    /// Sorted.
    Table(Vec<(ObjectId, u64)>),
}

impl Index {
    /// Takes what is searched often into memory, as far as there is room, and
    /// counts what was taken before.
    pub(super) fn hold(&mut self, room: &mut usize) {
        if let Self::File(file) = self {
            let bytes = file.count as usize * Held::BYTES;
            if bytes <= *room && file.held.is_none() {
                file.held = file.load().ok().flatten();
            }
            if file.held.is_some() {
                *room = room.saturating_sub(bytes);
            }
        }
    }

    /// Where in the pack the object is.
    pub(super) fn find(&self, id: &oid) -> Option<u64> {
        match self {
            Self::File(file) => file.find(id).ok().flatten(),
            Self::Table(table) => {
                let at = table.binary_search_by(|(known, _)| known.as_ref().cmp(id));
                at.ok().map(|at| table[at].1)
            }
        }
    }
}

pub(super) struct IndexFile {
    file: File,
    version: u8,
    pub(super) hash: Kind,
    pub(super) count: u32,
    /// How many ids have a first byte up to that of the place.
    fan_out: Box<[u32]>,
    /// Offsets that take more than 31 bits.
    large: u64,
    held: Option<Held>,
    length: u64,
    /// Bytes of the objects whose ids were asked for.
    asked: AtomicU64,
    sound: OnceLock<bool>,
}

/// What is searched, in memory.
struct Held {
    /// The start of each id, which is enough to tell objects apart: see
    /// [`short`].
    ids: Vec<u64>,
    offsets: Vec<u32>,
}

impl Held {
    const BYTES: usize = 12;
}

impl IndexFile {
    /// Opens an index. Which hash it is made with is told by its length.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let (file, state) = open_regular(path)?.ok_or_else(|| invalid("not a file"))?;
        let length = state.size;
        let mut head = vec![0; 8 + FAN_OUT * 4];
        file.read_exact_at(&mut head, 0)?;
        let version = if head.starts_with(MAGIC) { 2 } else { 1 };
        let table = if version == 2 { &head[8..] } else { &head[..] };
        let fan_out: Box<[u32]> = table
            .chunks_exact(4)
            .take(FAN_OUT)
            .map(|number| u32::from_be_bytes([number[0], number[1], number[2], number[3]]))
            .collect();
        let count = fan_out[FAN_OUT - 1];
        if !fan_out.is_sorted() {
            return Err(invalid("an index out of order"));
        }
        let objects = u64::from(count);
        let fits = |hash: &Kind| {
            let id = hash.len_in_bytes() as u64;
            if version == 1 {
                let whole = (FAN_OUT * 4) as u64 + objects * (4 + id) + 2 * id;
                return (whole == length).then_some((*hash, 0));
            }
            let least = head.len() as u64 + objects * (id + 8) + 2 * id;
            let large = length.checked_sub(least)?;
            (large % 8 == 0 && large / 8 <= objects).then_some((*hash, large / 8))
        };
        let (hash, large) = [Kind::Sha1, Kind::Sha256]
            .iter()
            .find_map(fits)
            .ok_or_else(|| invalid("an index of an impossible length"))?;
        Ok(Self {
            file,
            version,
            hash,
            count,
            fan_out,
            large,
            held: None,
            length,
            asked: AtomicU64::new(0),
            sound: OnceLock::new(),
        })
    }

    /// Whether to take an id from it rather than to make it of the bytes of an
    /// object: as soon as that costs more than to see that it is sound.
    pub(super) fn is_worth_it(&self, bytes: u64, pack: &Pack) -> bool {
        let asked = bytes + self.asked.fetch_add(bytes, atomic::Ordering::Relaxed);
        asked > self.length && self.is_sound(pack)
    }

    /// Whether it is of this pack, and as git wrote it.
    pub(super) fn is_sound(&self, pack: &Pack) -> bool {
        *self.sound.get_or_init(|| self.check(pack).unwrap_or(false))
    }

    /// Whether it is of this pack and as it was written: it ends with the hash
    /// that the pack ends with, and with its own.
    fn check(&self, pack: &Pack) -> io::Result<bool> {
        let hash_length = self.id_length();
        let mut trailer = vec![0; 2 * hash_length];
        let end = self.length - hash_length as u64;
        self.file
            .read_exact_at(&mut trailer, end - hash_length as u64)?;
        let (of_pack, own) = trailer.split_at(hash_length);
        if pack.trailer()? != of_pack {
            return Ok(false);
        }
        let mut hasher = gix_hash::hasher(self.hash);
        let mut buffer = vec![0; CHUNK];
        let mut at = 0;
        while at < end {
            let count = CHUNK.min(usize::try_from(end - at).unwrap_or(CHUNK));
            self.file.read_exact_at(&mut buffer[..count], at)?;
            hasher.update(&buffer[..count]);
            at += count as u64;
        }
        let hash = hasher.try_finalize();
        Ok(hash.is_ok_and(|hash| hash.as_bytes() == own))
    }

    /// The ids of the objects that begin at these offsets, as far as they can
    /// be read. If two have the same, one of them has none.
    pub(super) fn ids_at(&self, wanted: &HashSet<u64>) -> HashMap<u64, ObjectId> {
        let (mut rows, mut row) = (HashMap::new(), 0_u32);
        let (start, step) = self.small_offsets();
        let _ = self.table(start, step, 4, |bytes| {
            let offset = self.full_offset(u64::from(be32(bytes))).ok();
            rows.extend(offset.filter(|at| wanted.contains(at)).map(|at| (row, at)));
            row += 1;
        });
        let (mut ids, mut row, mut last) = (HashMap::new(), 0, None);
        let _ = self.each_id(|id| {
            if let Some(offset) = rows.get(&row)
                && last.as_deref() != Some(id)
            {
                ids.insert(*offset, id.to_owned());
                last = Some(id.to_owned());
            }
            row += 1;
        });
        ids
    }

    fn id_length(&self) -> usize {
        self.hash.len_in_bytes()
    }

    /// Where the ids begin, and how far they are apart.
    fn ids(&self) -> (u64, u64) {
        let id = self.id_length() as u64;
        match self.version {
            1 => ((FAN_OUT * 4 + 4) as u64, id + 4),
            _ => ((8 + FAN_OUT * 4) as u64, id),
        }
    }

    /// Where the 32-bit offsets begin, and how far they are apart.
    fn small_offsets(&self) -> (u64, u64) {
        if self.version == 1 {
            return ((FAN_OUT * 4) as u64, self.id_length() as u64 + 4);
        }
        let objects = u64::from(self.count);
        let (ids, step) = self.ids();
        (ids + objects * (step + 4), 4)
    }

    /// All offsets, in the order of the ids.
    pub(super) fn offsets(&self) -> io::Result<Vec<u64>> {
        let mut offsets = Vec::with_capacity(self.count as usize);
        let (start, step) = self.small_offsets();
        self.table(start, step, 4, |bytes| {
            offsets.push(u64::from(be32(bytes)));
        })?;
        for offset in &mut offsets {
            *offset = self.full_offset(*offset)?;
        }
        Ok(offsets)
    }

    /// All ids, in order.
    pub(super) fn each_id(&self, mut take: impl FnMut(&oid)) -> io::Result<()> {
        let (start, step) = self.ids();
        self.table(start, step, self.id_length(), |bytes| {
            take(oid::from_bytes_unchecked(bytes));
        })
    }

    /// Reads a column of `width` bytes in chunks.
    fn table(
        &self,
        start: u64,
        step: u64,
        width: usize,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let stride = usize::try_from(step).unwrap_or(usize::MAX);
        let rows = CHUNK / stride;
        let mut buffer = vec![0; rows * stride];
        let mut done = 0;
        while done < self.count as usize {
            let rows = rows.min(self.count as usize - done);
            let length = (rows - 1) * stride + width;
            let at = start + done as u64 * step;
            self.file.read_exact_at(&mut buffer[..length], at)?;
            for row in 0..rows {
                take(&buffer[row * stride..row * stride + width]);
            }
            done += rows;
        }
        Ok(())
    }

    /// An offset with its top bit set stands in the table of large ones.
    fn full_offset(&self, offset: u64) -> io::Result<u64> {
        if self.version == 1 || offset >> 31 == 0 {
            return Ok(offset);
        }
        let row = offset & 0x7fff_ffff;
        if row >= self.large {
            return Err(invalid("an index that points outside of itself"));
        }
        let (start, _) = self.small_offsets();
        let mut bytes = [0; 8];
        let at = start + u64::from(self.count) * 4 + row * 8;
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// `None` if an offset does not fit.
    fn load(&self) -> io::Result<Option<Held>> {
        let count = self.count as usize;
        let mut held = Held {
            ids: Vec::with_capacity(count),
            offsets: Vec::with_capacity(count),
        };
        self.each_id(|id| held.ids.push(short(id)))?;
        let (start, step) = self.small_offsets();
        let mut is_large = false;
        self.table(start, step, 4, |bytes| {
            let offset = be32(bytes);
            is_large |= self.version != 1 && offset >> 31 == 1;
            held.offsets.push(offset);
        })?;
        Ok((!is_large).then_some(held))
    }

    /// Where in the pack the object is.
    pub(super) fn find(&self, id: &oid) -> io::Result<Option<u64>> {
        if id.kind() != self.hash {
            return Ok(None);
        }
        let first = usize::from(id.first_byte());
        let mut low = if first == 0 {
            0
        } else {
            self.fan_out[first - 1]
        };
        let mut high = self.fan_out[first];
        if let Some(held) = &self.held {
            let range = low as usize..high as usize;
            let found = held.ids[range].binary_search(&short(id));
            let offset = |at: usize| u64::from(held.offsets[low as usize + at]);
            return Ok(found.ok().map(offset));
        }
        let (start, step) = self.ids();
        let mut buffer = Kind::buf();
        let known = &mut buffer[..self.id_length()];
        while low < high {
            let middle = low + (high - low) / 2;
            self.file
                .read_exact_at(known, start + u64::from(middle) * step)?;
            match (*known).cmp(id.as_bytes()) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => {
                    let (start, step) = self.small_offsets();
                    let mut bytes = [0; 4];
                    let at = start + u64::from(middle) * step;
                    self.file.read_exact_at(&mut bytes, at)?;
                    return self.full_offset(u64::from(be32(&bytes))).map(Some);
                }
            }
        }
        Ok(None)
    }
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

//! One object after another, by id, for the walk through the history. What was
//! made last is kept, since neighbours in the history share their bases.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::rc::Rc;

use gix_hash::{ObjectId, oid};
use gix_object::Kind;
use gix_pack::data::entry::Header;

use super::blocks::Blocks;
use super::delta::{self, MAX_CHAIN};
use super::index::Index;
use super::inflate::{Inflater, Inflating, bounded, invalid};
use super::pack::{Pack, sized};
use crate::source::files::open_regular;

/// The largest object looked at; commits and trees are far smaller.
const MAX_OBJECT: usize = 16 * 1024 * 1024;

/// Bytes kept, twice.
const MAX_KEPT: usize = 1024 * 1024;

/// Bytes of ids and offsets that are held; the rest is searched on disk.
const MAX_INDEX: usize = 16 * 1024 * 1024;

/// A pack and where its objects are.
pub(super) struct Indexed {
    pub(super) pack: Pack,
    pub(super) index: Option<Index>,
}

pub(super) type Object = (Kind, Rc<Vec<u8>>);

/// By pack and offset.
type Kept = HashMap<(usize, u64), Object, foldhash::fast::FixedState>;

pub(super) struct Odb {
    pub(super) packs: Vec<Indexed>,
    /// Whether these are all packs that there are.
    pub(super) is_whole: bool,
    /// Folders with loose objects.
    pub(super) stores: Vec<PathBuf>,
    /// The one that had the last loose object: it has its neighbours, too.
    recent: usize,
    young: Kept,
    old: Kept,
    kept: usize,
    inflater: Inflater,
    blocks: Blocks,
    delta: Vec<u8>,
}

impl Odb {
    pub(super) fn new(mut packs: Vec<Indexed>, stores: Vec<PathBuf>) -> Self {
        let mut room = MAX_INDEX;
        for index in packs.iter_mut().filter_map(|pack| pack.index.as_mut()) {
            index.hold(&mut room);
        }
        Self {
            packs,
            is_whole: true,
            stores,
            recent: 0,
            young: Kept::default(),
            old: Kept::default(),
            kept: 0,
            inflater: Inflater::new(),
            blocks: Blocks::new(),
            delta: Vec::new(),
        }
    }

    /// The pack that has the object, and where in it that begins.
    pub(super) fn place(&self, id: &oid) -> Option<(usize, u64)> {
        self.packs.iter().enumerate().find_map(|(number, pack)| {
            let offset = pack.index.as_ref()?.find(id)?;
            Some((number, offset))
        })
    }

    /// The object, if it is on this host and can be read.
    pub(super) fn find(&mut self, id: &oid) -> Option<Object> {
        for pack in 0..self.packs.len() {
            let index = self.packs[pack].index.as_ref();
            if let Some(offset) = index.and_then(|index| index.find(id))
                && let Ok(object) = self.in_pack(pack, offset)
            {
                return Some(object);
            }
        }
        let name = id.to_string();
        let (folder, name) = name.split_at(2);
        let others = (0..self.stores.len()).filter(|store| *store != self.recent);
        let (store, object) = std::iter::once(self.recent)
            .chain(others)
            .find_map(|store| {
                let path = self.stores.get(store)?.join(folder).join(name);
                let (file, _) = open_regular(&path).ok()??;
                Some((store, loose(file).ok()?))
            })?;
        self.recent = store;
        Some(object)
    }

    /// The object that begins at `offset`.
    pub(super) fn in_pack(&mut self, pack: usize, offset: u64) -> io::Result<Object> {
        let mut deltas = Vec::new();
        let mut at = offset;
        let (kind, mut bytes) = loop {
            if let Some(known) = self.kept(pack, at) {
                break known;
            }
            if deltas.len() > MAX_CHAIN {
                return Err(invalid("a chain of deltas without an end"));
            }
            let Indexed { pack: file, index } = &self.packs[pack];
            let entry = file.entry(at, &mut self.blocks)?;
            let base = match entry.header {
                Header::OfsDelta { base_distance } => {
                    Header::verified_base_pack_offset(at, base_distance)
                }
                Header::RefDelta { base_id } => {
                    index.as_ref().and_then(|index| index.find(&base_id))
                }
                whole => {
                    let kind = whole.as_kind().ok_or_else(|| invalid("no kind"))?;
                    let mut bytes = vec![0; bounded(entry.decompressed_size, MAX_OBJECT)?];
                    file.inflate(
                        &entry,
                        None,
                        &mut self.inflater,
                        &mut self.blocks,
                        &mut bytes,
                    )?;
                    break self.keep(pack, at, kind, bytes);
                }
            };
            deltas.push(entry);
            at = base.ok_or_else(|| invalid("a delta without its base"))?;
        };
        for entry in deltas.into_iter().rev() {
            let size = bounded(entry.decompressed_size, MAX_OBJECT)?;
            let delta = sized(&mut self.delta, size);
            let file = &self.packs[pack].pack;
            file.inflate(&entry, None, &mut self.inflater, &mut self.blocks, delta)?;
            let mut made = vec![0; delta::made_size(delta, MAX_OBJECT)?];
            delta::apply(&bytes, delta, &mut made)?;
            (_, bytes) = self.keep(pack, entry.pack_offset(), kind, made);
        }
        Ok((kind, bytes))
    }

    fn kept(&mut self, pack: usize, offset: u64) -> Option<Object> {
        let key = (pack, offset);
        if let Some(known) = self.young.get(&key) {
            return Some(known.clone());
        }
        let (kind, bytes) = self.old.remove(&key)?;
        self.kept += bytes.len();
        self.young.insert(key, (kind, Rc::clone(&bytes)));
        Some((kind, bytes))
    }

    /// Keeps an object. When the young are many they become the old, and the
    /// old are let go.
    fn keep(&mut self, pack: usize, offset: u64, kind: Kind, bytes: Vec<u8>) -> Object {
        let bytes = Rc::new(bytes);
        // Far larger than commits and trees: the base of a delta in another pack.
        if bytes.len() > MAX_KEPT {
            return (kind, bytes);
        }
        self.kept += bytes.len();
        if self.kept > MAX_KEPT {
            self.old = std::mem::take(&mut self.young);
            self.kept = bytes.len();
        }
        let object = (kind, bytes);
        self.young.insert((pack, offset), object.clone());
        object
    }

    /// The commit that `id` is or, by way of tags, points to.
    pub(super) fn peel(&mut self, id: ObjectId) -> Option<ObjectId> {
        let mut id = id;
        for _ in 0..16 {
            let (kind, bytes) = self.find(&id)?;
            match kind {
                Kind::Commit => return Some(id),
                Kind::Tag => id = super::text::tag(&bytes)?.1,
                _ => return None,
            }
        }
        None
    }
}

/// A loose object of a bounded size.
fn loose(file: File) -> io::Result<Object> {
    let mut stream = Inflating::new(file);
    let (kind, size) = super::loose::head(&mut stream)?;
    let mut bytes = vec![0; bounded(size, MAX_OBJECT)?];
    stream.read_exact(&mut bytes)?;
    Ok((kind, Rc::new(bytes)))
}

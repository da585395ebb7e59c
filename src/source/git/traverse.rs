//! Every object of one pack, each inflated once: from whole objects down to
//! their deltas, so that a base is in memory when it is needed and gone when
//! it is not. Families of trees are left out, since they hold names only.
//!
//! gix has a traversal of this kind, `index::File::traverse`. This one does
//! without the trees, goes on behind what is damaged, reads objects of any
//! size, and takes a fifth of the memory an entry.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use gix_hash::ObjectId;
use gix_object::Kind;
use gix_pack::data::Entry;

use super::delta;
use super::forest::{Forest, NONE};
use super::inflate::{bounded, invalid};
use super::pack::{Pack, sized};
use super::worker::{Buffers, CommitAt, Worker};
use crate::source::files::lock;
use crate::source::{Changed, Content};

/// The largest object held in memory. Larger ones are read as a stream, which
/// cannot be done with a delta or its base.
pub(super) const MAX_HELD: usize = 32 * 1024 * 1024;

/// From this size on, objects are held by one thread at a time.
const LARGE: usize = 4 * 1024 * 1024;

/// The largest object read as a stream.
pub(super) const MAX_STREAMED: u64 = 16 * 1024 * 1024 * 1024;

/// Bytes of bases that one thread holds; beyond, those needed last are let go
/// and made again.
const MAX_BASES: usize = 4 * 1024 * 1024;

/// Roots that a thread takes at a time.
const BATCH: usize = 16;

/// What could not be read, in objects.
#[derive(Debug, Default)]
pub(super) struct Losses {
    pub(super) corrupt: AtomicU64,
    pub(super) too_large: AtomicU64,
    pub(super) is_over: AtomicBool,
}

/// What the threads of one traversal share.
pub(super) struct Traversal<'a> {
    pub(super) pack: &'a Pack,
    /// Which pack it is of those of the repository.
    pub(super) number: u32,
    pub(super) forest: &'a Forest,
    pub(super) losses: &'a Losses,
    /// Held while a large object is in memory; by all traversals alike.
    pub(super) large: &'a Mutex<()>,
    /// Filled, if the pack comes without an index.
    pub(super) ids: Option<&'a Mutex<Vec<(ObjectId, u64)>>>,
    /// Deltas that wait for an object of that id.
    pub(super) waiting: &'a Mutex<HashMap<ObjectId, Vec<u32>>>,
    next: AtomicUsize,
}

/// An entry to be made from its base.
struct Step {
    node: u32,
    parent: u32,
    /// `None` if it was let go.
    base: Option<Rc<Vec<u8>>>,
    /// The [`reach`](crate::source::Look::reach) of the base.
    reach: Option<usize>,
}

impl<'a> Traversal<'a> {
    pub(super) fn new(
        pack: &'a Pack,
        number: u32,
        forest: &'a Forest,
        losses: &'a Losses,
        large: &'a Mutex<()>,
        ids: Option<&'a Mutex<Vec<(ObjectId, u64)>>>,
        waiting: &'a Mutex<HashMap<ObjectId, Vec<u32>>>,
    ) -> Self {
        Self {
            pack,
            number,
            forest,
            losses,
            large,
            ids,
            waiting,
            next: AtomicUsize::new(0),
        }
    }

    /// Reads the families that no other thread has taken, until none is left.
    pub(super) fn work(&self, worker: &mut Worker<'_>) {
        loop {
            let start = self.next.fetch_add(BATCH, Ordering::Relaxed);
            let roots = &self.forest.roots[start.min(self.forest.roots.len())..];
            if roots.is_empty() {
                return;
            }
            for (root, kind) in roots.iter().take(BATCH) {
                if worker.visitor.is_over() || self.losses.is_over.load(Ordering::Relaxed) {
                    self.losses.is_over.store(true, Ordering::Relaxed);
                    return;
                }
                if *kind == Kind::Tree && self.ids.is_none() {
                    continue;
                }
                if let Err(error) = self.root(worker, *root, *kind) {
                    self.lose(&error, *root);
                }
            }
        }
    }

    /// Reads deltas whose base is in another pack.
    pub(super) fn work_below(&self, worker: &mut Worker<'_>, kind: Kind, base: &[u8], of: &[u32]) {
        let base = Rc::new(base.to_vec());
        let steps = of.iter().map(|node| Step {
            node: *node,
            parent: NONE,
            base: Some(Rc::clone(&base)),
            reach: None,
        });
        self.below(worker, kind, steps.collect());
    }

    fn root(&self, worker: &mut Worker<'_>, node: u32, kind: Kind) -> io::Result<()> {
        let entry = self.entry(worker, node)?;
        if entry.decompressed_size > MAX_HELD as u64 {
            return self.stream(worker, node, kind, &entry);
        }
        let size = bounded(entry.decompressed_size, MAX_HELD)?;
        let _alone = (size > LARGE).then(|| lock(self.large));
        let mut object = worker.buffers.take(size);
        let whole = self.inflate(worker, node, &entry, sized(&mut object, size));
        let mut reach = None;
        if whole.is_ok() {
            reach = self.visit(worker, node, kind, Content::Bytes(&object[..size]));
        }
        if whole.is_ok() && self.has_deltas(node, kind, &object[..size]) {
            object.truncate(size);
            self.below(worker, kind, self.steps(node, kind, object, reach));
        } else {
            worker.buffers.recycle(object);
        }
        worker.buffers.shrink();
        whole
    }

    /// Makes the deltas on the stack, and those of them.
    fn below(&self, worker: &mut Worker<'_>, kind: Kind, mut stack: Vec<Step>) {
        let first = stack.first().and_then(|step| step.base.as_ref());
        let mut held = first.map_or(0, |base| base.capacity());
        while let Some(step) = stack.pop() {
            if worker.visitor.is_over() {
                self.losses.is_over.store(true, Ordering::Relaxed);
                return;
            }
            let (node, reach) = (step.node, step.reach);
            let base = self.base(worker, step, &mut stack, &mut held);
            let made = base.and_then(|base| {
                let object = self.make(worker, node, kind, &base, reach);
                if let Some(bytes) = Rc::into_inner(base) {
                    held = held.saturating_sub(bytes.capacity());
                    worker.buffers.recycle(bytes);
                }
                object
            });
            let object = match made {
                Ok(Some(made)) => made,
                Ok(None) => continue,
                Err(error) => {
                    self.lose(&error, node);
                    continue;
                }
            };
            let changes = std::mem::take(&mut worker.buffers.changes);
            let content = match reach {
                Some(reach) => Content::Changed(Changed {
                    bytes: &object,
                    changes: &changes,
                    reach,
                }),
                None => Content::Bytes(&object),
            };
            let reach = self.visit(worker, node, kind, content);
            worker.buffers.changes = changes;
            if !self.has_deltas(node, kind, &object) {
                worker.buffers.recycle(object);
                continue;
            }
            held += object.capacity();
            let kept = stack.len();
            stack.extend(self.steps(node, kind, object, reach));
            // Those needed last are near the whole object: few deltas make
            // them again.
            for step in &mut stack[..kept] {
                if held <= MAX_BASES {
                    break;
                }
                // Of another pack, and not to be made from this one.
                if step.parent == NONE {
                    continue;
                }
                if let Some(bytes) = step.base.take().and_then(Rc::into_inner) {
                    held = held.saturating_sub(bytes.capacity());
                    worker.buffers.recycle(bytes);
                }
            }
        }
    }

    /// The base of a step, made again if it was let go.
    fn base(
        &self,
        worker: &mut Worker<'_>,
        step: Step,
        stack: &mut [Step],
        held: &mut usize,
    ) -> io::Result<Rc<Vec<u8>>> {
        if let Some(base) = step.base {
            return Ok(base);
        }
        let offset = self.forest.offset(step.parent);
        let base = Rc::new(self.chain(worker, offset)?);
        *held += base.capacity();
        // Its siblings wait right below.
        for sibling in stack.iter_mut().rev() {
            if sibling.parent != step.parent {
                break;
            }
            sibling.base = Some(Rc::clone(&base));
        }
        Ok(base)
    }

    /// An object from its whole base on.
    fn chain(&self, worker: &mut Worker<'_>, offset: u64) -> io::Result<Vec<u8>> {
        use gix_pack::data::entry::Header;

        let mut deltas = Vec::new();
        let buffers = &mut worker.buffers;
        let mut entry = self.pack.entry(offset, offset, &mut buffers.windows)?;
        while let Header::OfsDelta { base_distance } = entry.header {
            let base = Header::verified_base_pack_offset(entry.pack_offset(), base_distance)
                .ok_or_else(|| invalid("a delta without its base"))?;
            deltas.push(entry);
            entry = self.pack.entry(base, base, &mut buffers.windows)?;
        }
        if entry.header.as_kind().is_none() {
            // Told by id; packs on disk hardly ever have these, and none so
            // large that their bases are let go.
            return Err(super::inflate::too_large());
        }
        let size = bounded(entry.decompressed_size, MAX_HELD)?;
        let mut bytes = buffers.take(size);
        let object = sized(&mut bytes, size);
        self.pack.inflate(
            &entry,
            None,
            &mut buffers.inflater,
            &mut buffers.windows,
            object,
        )?;
        bytes.truncate(size);
        for entry in deltas.into_iter().rev() {
            let size = bounded(entry.decompressed_size, MAX_HELD)?;
            let mut delta = std::mem::take(&mut buffers.delta);
            let instructions = sized(&mut delta, size);
            self.pack.inflate(
                &entry,
                None,
                &mut buffers.inflater,
                &mut buffers.windows,
                instructions,
            )?;
            let size = delta::made_size(instructions, MAX_HELD)?;
            let mut made = buffers.take(size);
            delta::apply(&bytes, instructions, sized(&mut made, size))?;
            made.truncate(size);
            buffers.recycle(std::mem::replace(&mut bytes, made));
            buffers.delta = delta;
        }
        Ok(bytes)
    }

    /// An object from its base, with what changed noted; `None` if it means
    /// nothing and nothing is made from it, so that all of it is not needed.
    fn make(
        &self,
        worker: &mut Worker<'_>,
        node: u32,
        kind: Kind,
        base: &[u8],
        reach: Option<usize>,
    ) -> io::Result<Option<Vec<u8>>> {
        let is_last = kind == Kind::Blob && self.ids.is_none() && !self.forest.has_children(node);
        if is_last && self.forest.is_known(node) {
            return Ok(None);
        }
        let entry = self.entry(worker, node)?;
        let size = bounded(entry.decompressed_size, MAX_HELD)?;
        let mut delta = std::mem::take(&mut worker.buffers.delta);
        let instructions = sized(&mut delta, size);
        self.inflate(worker, node, &entry, instructions)?;
        let passes = match reach.filter(|_| is_last) {
            Some(reach) => worker.passes(base, instructions, reach)?,
            None => false,
        };
        let made = if passes {
            None
        } else {
            let size = delta::made_size(instructions, MAX_HELD)?;
            let mut object = worker.buffers.take(size);
            let (made, changes) = (sized(&mut object, size), &mut worker.buffers.changes);
            delta::apply_near(base, instructions, usize::MAX, made, changes)?;
            object.truncate(size);
            Some(object)
        };
        worker.buffers.delta = delta;
        Ok(made)
    }

    fn entry(&self, worker: &mut Worker<'_>, node: u32) -> io::Result<Entry> {
        let (offset, end) = (self.forest.offset(node), self.forest.end(node, self.pack));
        self.pack.entry(offset, end, &mut worker.buffers.windows)
    }

    fn inflate(
        &self,
        worker: &mut Worker<'_>,
        node: u32,
        entry: &Entry,
        output: &mut [u8],
    ) -> io::Result<()> {
        let end = self.forest.end(node, self.pack);
        let Buffers {
            inflater, windows, ..
        } = &mut worker.buffers;
        self.pack
            .inflate(entry, Some(end), inflater, windows, output)
    }

    fn stream(
        &self,
        worker: &mut Worker<'_>,
        node: u32,
        kind: Kind,
        entry: &Entry,
    ) -> io::Result<()> {
        let size = entry.decompressed_size;
        if size > MAX_STREAMED {
            return Err(super::inflate::too_large());
        }
        if !self.forest.is_known(node) && kind != Kind::Tree {
            // One more than it says, so that a lie is seen.
            let open = || self.pack.stream(entry).take(size + 1);
            worker.stream(kind, size, open(), self.pack.hash, || Ok(open()))?;
        }
        let below = self.forest.size(node) - 1;
        self.losses.too_large.fetch_add(below, Ordering::Relaxed);
        Ok(())
    }

    /// Looks into an object and tells its [`reach`](crate::source::Look::reach).
    fn visit(
        &self,
        worker: &mut Worker<'_>,
        node: u32,
        kind: Kind,
        content: Content<'_>,
    ) -> Option<usize> {
        let offset = self.forest.offset(node);
        if kind == Kind::Commit {
            let pack = self.number;
            worker.commit(CommitAt::Pack { pack, offset });
        }
        if self.forest.is_known(node) {
            return None;
        }
        worker.object(kind, content, self.pack.hash)
    }

    /// Whether anything is made from this object. Where ids are not known
    /// from an index, this is when they are.
    fn has_deltas(&self, node: u32, kind: Kind, bytes: &[u8]) -> bool {
        let Some(ids) = self.ids else {
            return self.forest.has_children(node);
        };
        let Ok(id) = gix_object::compute_hash(self.pack.hash, kind, bytes) else {
            return false;
        };
        lock(ids).push((id, self.forest.offset(node)));
        self.forest.has_children(node) || lock(self.waiting).contains_key(&id)
    }

    /// What is to be made from an object, the last of it first.
    fn steps(&self, node: u32, kind: Kind, base: Vec<u8>, reach: Option<usize>) -> Vec<Step> {
        let mut children: Vec<u32> = self.forest.children(node).collect();
        if self.ids.is_some()
            && let Ok(id) = gix_object::compute_hash(self.pack.hash, kind, &base)
        {
            children.extend(lock(self.waiting).remove(&id).unwrap_or_default());
        }
        if let Some(costliest) = self.forest.costliest(&children) {
            children[costliest..].rotate_left(1);
        }
        let base = Rc::new(base);
        let step = |child| Step {
            node: child,
            parent: node,
            base: Some(Rc::clone(&base)),
            reach,
        };
        children.into_iter().rev().map(step).collect()
    }

    fn lose(&self, error: &io::Error, node: u32) {
        let count = match error.kind() {
            io::ErrorKind::TimedOut => {
                self.losses.is_over.store(true, Ordering::Relaxed);
                return;
            }
            io::ErrorKind::FileTooLarge => &self.losses.too_large,
            _ => &self.losses.corrupt,
        };
        count.fetch_add(self.forest.size(node), Ordering::Relaxed);
    }
}

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
use super::index::IndexFile;
use super::inflate::bounded;
use super::large;
use super::pack::{Pack, sized};
use super::worker::{Buffers, Worker};
use crate::source::files::lock;
use crate::source::{Changed, Content, Known, MAX_SPOTS};

/// The largest object held in memory. Larger ones are read as a stream, which
/// cannot be done with a delta or its base.
pub(super) const MAX_HELD: usize = 32 * 1024 * 1024;

/// From this size on, objects are held by one thread at a time.
pub(super) const ALONE: usize = 1024 * 1024;

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

/// Where the ids of the objects are.
#[derive(Clone, Copy)]
pub(super) enum Ids<'a> {
    Index(&'a IndexFile),
    /// Made of the objects as they are read, and collected here.
    Made(&'a Mutex<Vec<(ObjectId, u64)>>),
}

impl Ids<'_> {
    fn are_made(&self) -> bool {
        matches!(self, Self::Made(_))
    }
}

/// What the threads of one traversal share.
pub(super) struct Traversal<'a> {
    pub(super) pack: &'a Pack,
    /// Which pack it is of those of the repository.
    pub(super) number: u32,
    pub(super) forest: &'a Forest,
    pub(super) losses: &'a Losses,
    /// Held while a large object is in memory.
    pub(super) large: Mutex<()>,
    pub(super) ids: Ids<'a>,
    /// Deltas that wait for an object of that id.
    pub(super) waiting: &'a Mutex<HashMap<ObjectId, Vec<u32>>>,
    next: AtomicUsize,
    /// Deltas that were applied again, to make bases that were let go.
    pub(super) again: AtomicU64,
}

/// An entry to be made from its base.
pub(super) struct Step {
    pub(super) node: u32,
    pub(super) parent: u32,
    /// `None` if it was let go.
    pub(super) base: Option<Rc<Vec<u8>>>,
    /// Of the base.
    known: Option<Known>,
}

impl Step {
    /// Bytes that its base takes.
    fn held(&self) -> usize {
        let base = self.base.as_ref().map_or(0, |base| base.capacity());
        base + spots_size(self.known.as_ref())
    }
}

fn spots_size(known: Option<&Known>) -> usize {
    match known {
        Some(Known::Spots(spots)) => size_of_val(&spots[..]),
        _ => 0,
    }
}

impl<'a> Traversal<'a> {
    pub(super) fn new(
        pack: &'a Pack,
        number: u32,
        forest: &'a Forest,
        losses: &'a Losses,
        ids: Ids<'a>,
        waiting: &'a Mutex<HashMap<ObjectId, Vec<u32>>>,
    ) -> Self {
        Self {
            pack,
            number,
            forest,
            losses,
            large: Mutex::new(()),
            ids,
            waiting,
            next: AtomicUsize::new(0),
            again: AtomicU64::new(0),
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
                if self.losses.is_over.load(Ordering::Relaxed) || self.is_over(worker) {
                    return;
                }
                if *kind == Kind::Tree && !self.ids.are_made() {
                    continue;
                }
                if let Err(error) = self.root(worker, *root, *kind) {
                    self.lose(&error, *root);
                }
            }
        }
    }

    /// Reads deltas whose base is in another pack.
    pub(super) fn work_below(
        &self,
        worker: &mut Worker<'_>,
        kind: Kind,
        base: Vec<u8>,
        of: Vec<u32>,
    ) {
        if is_large(kind, &base) {
            self.below_large(worker, kind, of, base);
            return;
        }
        let base = Rc::new(base);
        let steps = of.iter().map(|node| Step {
            node: *node,
            parent: NONE,
            base: Some(Rc::clone(&base)),
            known: None,
        });
        self.below(worker, kind, steps.collect());
    }

    fn root(&self, worker: &mut Worker<'_>, node: u32, kind: Kind) -> io::Result<()> {
        let entry = self.entry(worker, node)?;
        if entry.decompressed_size > MAX_HELD as u64 {
            return self.stream(worker, node, kind, &entry);
        }
        let size = bounded(entry.decompressed_size, MAX_HELD)?;
        let alone = (size > ALONE).then(|| lock(&self.large));
        let mut object = worker.buffers.take(size);
        let whole = self.inflate(worker, node, &entry, sized(&mut object, size));
        if whole.is_err() {
            worker.buffers.recycle(object);
            worker.buffers.shrink();
            drop(alone);
            self.beginning(worker, node, kind, &entry);
            return whole;
        }
        let known = self.visit(worker, node, kind, Content::Bytes(&object[..size]));
        object.truncate(size);
        let children = self.children(node, || self.id(kind, &object));
        if children.is_empty() {
            worker.buffers.recycle(object);
        } else if is_large(kind, &object) {
            self.below_large(worker, kind, children, object);
        } else {
            let steps = self.steps(node, children, object, known.as_ref());
            self.below(worker, kind, steps);
        }
        worker.buffers.shrink();
        Ok(())
    }

    /// Makes the deltas on the stack, and those of them.
    fn below(&self, worker: &mut Worker<'_>, kind: Kind, mut stack: Vec<Step>) {
        let mut held = stack.first().map_or(0, Step::held);
        while let Some(step) = stack.pop() {
            if self.is_over(worker) {
                return;
            }
            let (node, known) = (step.node, step.known.clone());
            let spots = spots_size(known.as_ref());
            let base = self.base(worker, step, &mut stack, &mut held);
            let made = base.and_then(|base| {
                let object = self.make(worker, node, kind, &base, known.as_ref());
                if let Some(bytes) = Rc::into_inner(base) {
                    held = held.saturating_sub(bytes.capacity() + spots);
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
            let spots = std::mem::take(&mut worker.buffers.spots);
            let made_from = |known| {
                Content::Changed(Changed {
                    bytes: &object,
                    changes: &changes,
                    known,
                })
            };
            let content = match known {
                Some(Known::Nothing { reach }) => made_from(Known::Nothing { reach }),
                Some(Known::Spots(_)) if spots.len() <= MAX_SPOTS => {
                    made_from(Known::Spots(&spots))
                }
                _ => Content::Bytes(&object),
            };
            let known = self.visit(worker, node, kind, content);
            (worker.buffers.changes, worker.buffers.spots) = (changes, spots);
            let children = self.children(node, || self.id(kind, &object));
            if children.is_empty() {
                worker.buffers.recycle(object);
                continue;
            }
            if is_large(kind, &object) {
                self.below_large(worker, kind, children, object);
                continue;
            }
            held += object.capacity() + spots_size(known.as_ref());
            let kept = stack.len();
            stack.extend(self.steps(node, children, object, known.as_ref()));
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
                let let_go = step.known.take_if(|known| matches!(known, Known::Spots(_)));
                if let Some(bytes) = step.base.take().and_then(Rc::into_inner) {
                    held = held.saturating_sub(bytes.capacity() + spots_size(let_go.as_ref()));
                    worker.buffers.recycle(bytes);
                }
            }
        }
    }

    /// An object from its base, with what changed noted; `None` if it means
    /// nothing and nothing is made from it, so that all of it is not needed.
    fn make(
        &self,
        worker: &mut Worker<'_>,
        node: u32,
        kind: Kind,
        base: &[u8],
        known: Option<&Known>,
    ) -> io::Result<Option<Vec<u8>>> {
        let is_last = kind == Kind::Blob && !self.ids.are_made() && !self.forest.has_children(node);
        if is_last && self.forest.is_known(node) {
            return Ok(None);
        }
        let entry = self.entry(worker, node)?;
        let size = bounded(entry.decompressed_size, MAX_HELD)?;
        let mut delta = std::mem::take(&mut worker.buffers.delta);
        let instructions = sized(&mut delta, size);
        self.inflate(worker, node, &entry, instructions)?;
        let passes = match known {
            Some(Known::Nothing { reach }) if is_last => {
                worker.passes(base, instructions, *reach)?
            }
            _ => false,
        };
        let made = if passes {
            None
        } else {
            let size = delta::made_size(instructions, MAX_HELD - size)?;
            let mut object = worker.buffers.take(size);
            let (made, changes) = (sized(&mut object, size), &mut worker.buffers.changes);
            delta::apply_near(base, instructions, usize::MAX, made, changes)?;
            if let Some(Known::Spots(spots)) = known {
                let moved = &mut worker.buffers.spots;
                delta::move_spots(spots, base, instructions, size, moved)?;
            }
            object.truncate(size);
            Some(object)
        };
        worker.buffers.delta = delta;
        Ok(made)
    }

    pub(super) fn entry(&self, worker: &mut Worker<'_>, node: u32) -> io::Result<Entry> {
        let offset = self.forest.offset(node);
        self.pack.entry(offset, &mut worker.buffers.blocks)
    }

    pub(super) fn inflate(
        &self,
        worker: &mut Worker<'_>,
        node: u32,
        entry: &Entry,
        output: &mut [u8],
    ) -> io::Result<()> {
        let end = self.forest.end(node, self.pack);
        let Buffers {
            inflater, blocks, ..
        } = &mut worker.buffers;
        self.pack
            .inflate(entry, Some(end), inflater, blocks, output)
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

    /// Looks into an object and tells what is known of it.
    fn visit(
        &self,
        worker: &mut Worker<'_>,
        node: u32,
        kind: Kind,
        content: Content<'_>,
    ) -> Option<Known> {
        let offset = self.forest.offset(node);
        if kind == Kind::Commit
            && let Content::Bytes(bytes) | Content::Changed(Changed { bytes, .. }) = content
        {
            worker.commits.add_packed(self.number, offset, bytes);
        }
        if self.forest.is_known(node) {
            return None;
        }
        let indexed = match self.ids {
            Ids::Index(index) => Some((index, self.pack, offset)),
            Ids::Made(_) => None,
        };
        worker.object(kind, content, self.pack.hash, indexed)
    }

    /// The deltas of an object that was read. Where no index tells its `id`, this
    /// is when it is known.
    pub(super) fn children(&self, node: u32, id: impl FnOnce() -> Option<ObjectId>) -> Vec<u32> {
        let mut children: Vec<u32> = self.forest.children(node).collect();
        if let Ids::Made(ids) = self.ids
            && let Some(id) = id()
        {
            lock(ids).push((id, self.forest.offset(node)));
            children.extend(lock(self.waiting).remove(&id).unwrap_or_default());
        }
        children
    }

    fn id(&self, kind: Kind, bytes: &[u8]) -> Option<ObjectId> {
        gix_object::compute_hash(self.pack.hash, kind, bytes).ok()
    }

    /// What is to be made from an object, the last of it first.
    fn steps(
        &self,
        node: u32,
        children: Vec<u32>,
        base: Vec<u8>,
        known: Option<&Known>,
    ) -> Vec<Step> {
        let base = Rc::new(base);
        let step = |child| Step {
            node: child,
            parent: node,
            base: Some(Rc::clone(&base)),
            known: known.cloned(),
        };
        self.in_order(children).map(step).collect()
    }

    /// Entries as they are put on a stack: what is made last is the costliest,
    /// and comes first.
    pub(super) fn in_order(&self, mut children: Vec<u32>) -> impl Iterator<Item = u32> + use<> {
        if let Some(costliest) = self.forest.costliest(&children) {
            children[costliest..].rotate_left(1);
        }
        children.into_iter().rev()
    }

    pub(super) fn is_over(&self, worker: &Worker<'_>) -> bool {
        let is_over = worker.visitor.is_over();
        if is_over {
            self.losses.is_over.store(true, Ordering::Relaxed);
        }
        is_over
    }

    pub(super) fn lose(&self, error: &io::Error, node: u32) {
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

/// Whether what hangs below an object is told as pieces of it.
fn is_large(kind: Kind, object: &[u8]) -> bool {
    kind == Kind::Blob && object.len() > large::LARGE
}

//! The versions of an object that is too large to be in memory twice.

use std::io;
use std::rc::Rc;

use gix_hash::ObjectId;
use gix_object::Kind;

use super::inflate::bounded;
use super::pieces::Pieces;
use super::traverse::{MAX_HELD, Traversal};
use super::worker::Worker;

/// From this size on, versions of an object are told as pieces of it: they are
/// read through to their end each, which costs more than to look at what changed.
pub(super) const LARGE: usize = 8 * 1024 * 1024;

/// Bytes of a whole object and of the pieces of all its versions: one of 30 MiB
/// and a delta of nearly half of it fit, which is the most that git makes.
const MAX_WITH_PIECES: usize = MAX_HELD + 14 * 1024 * 1024;

impl Traversal<'_> {
    /// Makes what hangs below `whole`: its deltas are `children`.
    pub(super) fn below_large(
        &self,
        worker: &mut Worker<'_>,
        kind: Kind,
        children: Vec<u32>,
        whole: Vec<u8>,
    ) {
        let most = MAX_WITH_PIECES.saturating_sub(whole.len());
        let whole = Pieces::of(whole);
        let mut held = whole.size();
        let mut stack: Vec<_> = self.versions(children, whole).collect();
        while let Some((node, base)) = stack.pop() {
            if self.is_over(worker) {
                return;
            }
            let version = self.version(worker, node, kind, &base, most.saturating_sub(held));
            if let Some(base) = Rc::into_inner(base) {
                held -= base.size();
            }
            match version {
                Ok((version, id)) => {
                    let children = self.children(node, || id);
                    if !children.is_empty() {
                        held += version.size();
                        stack.extend(self.versions(children, version));
                    }
                }
                Err(error) => self.lose(&error, node),
            }
        }
    }

    /// Those to be made of this one, the last of them first.
    fn versions(
        &self,
        children: Vec<u32>,
        base: Pieces,
    ) -> impl Iterator<Item = (u32, Rc<Pieces>)> {
        let base = Rc::new(base);
        self.in_order(children)
            .map(move |child| (child, Rc::clone(&base)))
    }

    /// Makes a version and looks into it; its id, unless it was read before.
    fn version(
        &self,
        worker: &mut Worker<'_>,
        node: u32,
        kind: Kind,
        base: &Pieces,
        most: usize,
    ) -> io::Result<(Pieces, Option<ObjectId>)> {
        let entry = self.entry(worker, node)?;
        let mut delta = vec![0; bounded(entry.decompressed_size, most)?];
        self.inflate(worker, node, &entry, &mut delta)?;
        let version = base.apply(delta, MAX_HELD, most)?;
        let mut id = None;
        if !self.forest.is_known(node) {
            let again = || Ok(version.reader());
            let size = version.len() as u64;
            id = worker.stream(kind, size, version.reader(), self.pack.hash, again)?;
        }
        Ok((version, id))
    }
}

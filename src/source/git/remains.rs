//! What there is of objects that cannot be made: the beginning of one that is
//! damaged, and what deltas add to one that is nowhere.

use std::io::Read as _;

use gix_object::Kind;
use gix_pack::data::Entry;

use super::delta;
use super::inflate::bounded;
use super::traverse::{ALONE, MAX_HELD, Traversal};
use super::worker::Worker;
use crate::source::files::lock;

impl Traversal<'_> {
    /// Looks into what there is of an object that is cut short or damaged, and
    /// at what is left of those made from it.
    pub(super) fn beginning(&self, worker: &mut Worker<'_>, node: u32, kind: Kind, entry: &Entry) {
        if kind == Kind::Tree {
            return;
        }
        if !self.forest.is_known(node) {
            let size = entry.decompressed_size;
            let open = || self.pack.stream(entry).take(size + 1);
            // That it fails is told already.
            let _ = worker.stream(kind, size, open(), self.pack.hash, || Ok(open()));
        }
        let children: Vec<u32> = self.forest.children(node).collect();
        self.work_without_base(worker, &children);
    }

    /// Looks at what deltas add whose base is nowhere, and those made from them.
    pub(super) fn work_without_base(&self, worker: &mut Worker<'_>, of: &[u32]) {
        let mut left = of.to_vec();
        while let Some(node) = left.pop() {
            if self.is_over(worker) {
                return;
            }
            left.extend(self.forest.children(node));
            if self.forest.is_known(node) {
                continue;
            }
            let added = self.entry(worker, node).and_then(|entry| {
                let size = bounded(entry.decompressed_size, MAX_HELD)?;
                let _alone = (size > ALONE).then(|| lock(&self.large));
                let mut instructions = vec![0; size];
                self.inflate(worker, node, &entry, &mut instructions)?;
                delta::added(&instructions)
            });
            if let Ok(added) = added {
                worker.part(&added);
            }
        }
    }
}

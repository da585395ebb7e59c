//! Which entry of a pack is a delta of which: a forest, kept in arrays of a
//! few bytes an entry, since a pack may have millions.

use std::cmp::Ordering;
use std::collections::HashMap;

use gix_hash::ObjectId;
use gix_object::Kind;
use gix_pack::data::entry::Header;

use super::blocks::Blocks;
use super::index::Index;
use super::inflate::invalid;
use super::pack::Pack;

/// No entry.
pub(super) const NONE: u32 = u32::MAX;

pub(super) struct Forest {
    /// Ascending.
    offsets: Vec<u64>,
    /// Entries that were read elsewhere and are only needed as bases.
    known: Vec<bool>,
    first_child: Vec<u32>,
    next_sibling: Vec<u32>,
    /// Strahler numbers: how many bases have to be in memory at once to make
    /// all that hangs below an entry, if the costliest child comes last.
    strahler: Vec<u8>,
    /// Whole objects; deltas hang below them.
    pub(super) roots: Vec<(u32, Kind)>,
    /// Deltas whose base is told by an id that the index does not know.
    pub(super) waiting: HashMap<ObjectId, Vec<u32>>,
    /// Entries whose head makes no sense.
    pub(super) bad: u64,
}

impl Forest {
    pub(super) fn build(
        pack: &Pack,
        index: Option<&Index>,
        mut offsets: Vec<u64>,
        blocks: &mut Blocks,
    ) -> Self {
        offsets.sort_unstable();
        offsets.dedup();
        let count = offsets.len();
        let mut forest = Self {
            known: Vec::new(),
            first_child: vec![NONE; count],
            next_sibling: vec![NONE; count],
            strahler: vec![0; count],
            roots: Vec::new(),
            waiting: HashMap::new(),
            bad: 0,
            offsets,
        };
        let mut by_id = false;
        // Backwards, so that children come out in the order of the pack.
        let offsets = std::mem::take(&mut forest.offsets);
        pack.each_head(&offsets, blocks, |node, entry| {
            let offset = offsets[node];
            let node = u32::try_from(node).unwrap_or(NONE);
            let placed = entry.and_then(|entry| {
                let base = match entry.header {
                    Header::OfsDelta { base_distance } => {
                        Header::verified_base_pack_offset(offset, base_distance)
                    }
                    Header::RefDelta { base_id } => {
                        by_id = true;
                        let base = index.and_then(|index| index.find(&base_id));
                        if base.is_none() {
                            forest.waiting.entry(base_id).or_default().push(node);
                            return Ok(());
                        }
                        base
                    }
                    whole => {
                        let kind = whole.as_kind().ok_or_else(|| invalid("no kind"))?;
                        forest.roots.push((node, kind));
                        return Ok(());
                    }
                };
                let base = base.and_then(|base| offsets.binary_search(&base).ok());
                let base = base.and_then(|base| u32::try_from(base).ok());
                let base = base.ok_or_else(|| invalid("a delta without its base"))?;
                forest.attach(base, node);
                Ok(())
            });
            forest.bad += u64::from(placed.is_err());
        });
        forest.offsets = offsets;
        forest.roots.reverse();
        if by_id {
            forest.count_cycles();
        }
        forest
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    pub(super) fn offset(&self, node: u32) -> u64 {
        self.offsets[node as usize]
    }

    /// Where the entry ends at the latest.
    pub(super) fn end(&self, node: u32, pack: &Pack) -> u64 {
        let next = self.offsets.get(node as usize + 1);
        next.copied().unwrap_or_else(|| pack.end())
    }

    pub(super) fn node(&self, offset: u64) -> Option<u32> {
        let at = self.offsets.binary_search(&offset).ok()?;
        u32::try_from(at).ok()
    }

    pub(super) fn children(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let first = self.first_child[node as usize];
        std::iter::successors(Some(first), |node| {
            (*node != NONE).then(|| self.next_sibling[*node as usize])
        })
        .take_while(|node| *node != NONE)
    }

    /// The child to be made last: by then its base is not needed any more.
    pub(super) fn costliest(&self, nodes: &[u32]) -> Option<usize> {
        (0..nodes.len()).max_by_key(|at| self.strahler[nodes[*at] as usize])
    }

    pub(super) fn has_children(&self, node: u32) -> bool {
        self.first_child[node as usize] != NONE
    }

    /// The entry and all that hang below it.
    pub(super) fn size(&self, node: u32) -> u64 {
        let mut size = 0;
        let mut stack = vec![node];
        while let Some(node) = stack.pop() {
            size += 1;
            stack.extend(self.children(node));
        }
        size
    }

    /// Marks the entry at `offset` as read elsewhere.
    pub(super) fn mark_known(&mut self, offset: u64) {
        if let Some(node) = self.node(offset) {
            self.known.resize(self.offsets.len(), false);
            self.known[node as usize] = true;
        }
    }

    pub(super) fn is_known(&self, node: u32) -> bool {
        self.known.get(node as usize).copied().unwrap_or(false)
    }

    fn attach(&mut self, base: u32, node: u32) {
        let first = std::mem::replace(&mut self.first_child[base as usize], node);
        self.next_sibling[node as usize] = first;
        // Deltas stand behind their bases, so that, backwards, all below the
        // node is there; where a base is told by its id this is an estimate.
        let below = self.strahler[node as usize];
        let strahler = &mut self.strahler[base as usize];
        *strahler = match below.cmp(strahler) {
            Ordering::Less => *strahler,
            Ordering::Equal => below.saturating_add(1),
            Ordering::Greater => below,
        };
    }

    /// Bases told by id can go round in a ring, which hangs below no root.
    fn count_cycles(&mut self) {
        let roots = self.roots.iter().map(|(node, _)| *node);
        let waiting = self.waiting.values().flatten().copied();
        let reached: u64 = roots.chain(waiting).map(|node| self.size(node)).sum();
        self.bad = self.bad.max(self.offsets.len() as u64 - reached);
    }
}

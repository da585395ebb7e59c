//! Bases of deltas that were let go, since they took too much room, and are made
//! again.

use std::io;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use gix_pack::data::entry::Header;

use super::delta::{self, MAX_CHAIN};
use super::inflate::{bounded, invalid, too_large};
use super::pack::sized;
use super::traverse::{Ids, MAX_HELD, Step, Traversal};
use super::worker::Worker;

/// How often an object may be made again to be a base: packs that git writes
/// need it for one of a thousand.
const MAX_AGAIN: u64 = 16;

impl Traversal<'_> {
    /// The base of a step, made again if it was let go.
    pub(super) fn base(
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
        let limit = MAX_AGAIN * self.forest.len() as u64;
        if self.again.load(Ordering::Relaxed) > limit {
            return Err(too_large());
        }
        let mut deltas = Vec::new();
        let buffers = &mut worker.buffers;
        let mut entry = self.pack.entry(offset, &mut buffers.blocks)?;
        while entry.header.is_delta() {
            let base = match (entry.header, self.ids) {
                (Header::OfsDelta { base_distance }, _) => {
                    Header::verified_base_pack_offset(entry.pack_offset(), base_distance)
                }
                (Header::RefDelta { base_id }, Ids::Index(index)) => index.find(&base_id)?,
                // Without an index an id leads nowhere.
                _ => return Err(too_large()),
            };
            let base = base.ok_or_else(|| invalid("a delta without its base"))?;
            if deltas.len() > MAX_CHAIN {
                return Err(invalid("a chain of deltas without an end"));
            }
            deltas.push(entry);
            entry = self.pack.entry(base, &mut buffers.blocks)?;
        }
        self.again.fetch_add(deltas.len() as u64, Ordering::Relaxed);
        let size = bounded(entry.decompressed_size, MAX_HELD)?;
        let mut bytes = buffers.take(size);
        let object = sized(&mut bytes, size);
        self.pack.inflate(
            &entry,
            None,
            &mut buffers.inflater,
            &mut buffers.blocks,
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
                &mut buffers.blocks,
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
}

//! One thread's own: its visitor, its counts, its buffers, and the objects in
//! which something was found.

use std::io::{self, Read};

use gix_hash::ObjectId;
use gix_object::Kind;

use super::inflate::Inflater;
use crate::finding::{Coverage, SourceKind};
use crate::source::{Content, Held, Visitor};

/// An object in which something was found.
#[derive(Debug)]
pub(super) struct Hit {
    pub(super) id: ObjectId,
    pub(super) kind: Kind,
    pub(super) held: Held,
    /// The tag's own name and target, if it is one.
    pub(super) tag: Option<(String, ObjectId)>,
}

/// Where a commit was read, for the walk over those that nothing refers to.
#[derive(Debug, Clone, Copy)]
pub(super) enum CommitAt {
    Pack { pack: u32, offset: u64 },
    Loose(ObjectId),
}

/// The largest buffer that is kept for the next object.
const KEEP: usize = 1024 * 1024;

/// Commits remembered a thread.
const MAX_COMMITS: usize = 500_000;

pub(super) struct Worker<'v> {
    pub(super) visitor: Box<dyn Visitor + 'v>,
    pub(super) coverage: Coverage,
    /// Files in an object store that git did not write.
    pub(super) plain: Coverage,
    pub(super) hits: Vec<Hit>,
    pub(super) commits: Vec<CommitAt>,
    /// The loose objects it read: see [`Seen`](super::seen::Seen).
    pub(super) loose: Vec<u64>,
    pub(super) buffers: Buffers,
}

/// Buffers that are used again and again.
pub(super) struct Buffers {
    pub(super) inflater: Inflater,
    pub(super) compressed: Vec<u8>,
    pub(super) delta: Vec<u8>,
    pub(super) object: Vec<u8>,
    /// Of bases that are no longer needed.
    pub(super) spare: Vec<Vec<u8>>,
}

impl Buffers {
    pub(super) fn new() -> Self {
        Self {
            inflater: Inflater::new(),
            compressed: Vec::new(),
            delta: Vec::new(),
            object: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Takes a buffer that is no longer needed.
    pub(super) fn recycle(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() <= KEEP && self.spare.len() < 4 {
            self.spare.push(buffer);
        }
    }

    /// Gives back what a large object made grow.
    pub(super) fn shrink(&mut self) {
        for buffer in [&mut self.compressed, &mut self.delta, &mut self.object] {
            if buffer.capacity() > KEEP {
                *buffer = Vec::new();
            }
        }
    }
}

impl<'v> Worker<'v> {
    pub(super) fn new(visitor: Box<dyn Visitor + 'v>) -> Self {
        Self {
            visitor,
            coverage: Coverage::new(SourceKind::Git),
            plain: Coverage::new(SourceKind::File),
            hits: Vec::new(),
            commits: Vec::new(),
            loose: Vec::new(),
            buffers: Buffers::new(),
        }
    }

    /// Looks into an object that is in memory. Trees hold names only.
    pub(super) fn object(&mut self, kind: Kind, bytes: &[u8], hash: gix_hash::Kind) {
        if kind == Kind::Tree {
            return;
        }
        let content = Content::Bytes(bytes);
        // Bytes in memory do not fail to be read, and an end of the run is
        // seen by whoever asks for it.
        let Ok(Some(held)) = self.visitor.hold(content, &mut self.coverage) else {
            return;
        };
        let Ok(id) = gix_object::compute_hash(hash, kind, bytes) else {
            return;
        };
        let tag = (kind == Kind::Tag)
            .then(|| super::text::tag(bytes))
            .flatten();
        self.hits.push(Hit {
            id,
            kind,
            held,
            tag,
        });
    }

    /// Looks into an object that is too large to be held.
    pub(super) fn stream(
        &mut self,
        kind: Kind,
        size: u64,
        content: &mut dyn Read,
        hash: gix_hash::Kind,
    ) -> io::Result<()> {
        let mut hasher = gix_hash::hasher(hash);
        hasher.update(&gix_object::encode::loose_header(kind, size));
        let mut content = Hashing {
            content,
            hasher,
            count: 0,
        };
        let held = self
            .visitor
            .hold(Content::Stream(&mut content), &mut self.coverage)?;
        if let Some(held) = held
            && let Ok(id) = content.hasher.try_finalize()
        {
            self.hits.push(Hit {
                id,
                kind,
                held,
                tag: None,
            });
        }
        if content.count != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    pub(super) fn commit(&mut self, at: CommitAt) {
        if self.commits.len() < MAX_COMMITS {
            self.commits.push(at);
        }
    }
}

/// Hashes what is read through it.
struct Hashing<'a> {
    content: &'a mut dyn Read,
    hasher: gix_hash::Hasher,
    count: u64,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.count += count as u64;
        Ok(count)
    }
}

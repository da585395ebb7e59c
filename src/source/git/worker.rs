//! One thread's own: its visitor, its counts, its buffers, and the objects in
//! which something was found.

use std::io::{self, Read};
use std::ops::Range;

use gix_hash::ObjectId;
use gix_object::Kind;

use super::inflate::Inflater;
use super::members::{Findings, Members, Unplaced};
use crate::finding::{Coverage, SourceKind};
use crate::source::archive::{self, Outcome};
use crate::source::repositories::begins_as_pack;
use crate::source::{Content, Holder, Origin, Visitor};

/// An object in which something was found.
#[derive(Debug)]
pub(super) struct Hit {
    pub(super) id: ObjectId,
    pub(super) kind: Kind,
    pub(super) held: Findings,
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
    pub(super) visitor: Box<dyn Holder + 'v>,
    /// How archives are looked into, if they are.
    settings: Option<archive::Settings>,
    /// The store or pack at hand, as it is told.
    pub(super) shown: String,
    pub(super) coverage: Coverage,
    /// Files in an object store that git did not write.
    pub(super) plain: Coverage,
    /// What lies in archives.
    pub(super) archives: Coverage,
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
    /// What a delta changed: see [`delta::apply`](super::delta::apply).
    pub(super) changes: Vec<Range<usize>>,
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
            changes: Vec::new(),
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
    pub(super) fn new(visitor: Box<dyn Holder + 'v>, settings: Option<archive::Settings>) -> Self {
        Self {
            visitor,
            settings,
            shown: String::new(),
            coverage: Coverage::new(SourceKind::Git),
            plain: Coverage::new(SourceKind::File),
            archives: Coverage::new(SourceKind::Archive),
            hits: Vec::new(),
            commits: Vec::new(),
            loose: Vec::new(),
            buffers: Buffers::new(),
        }
    }

    /// Looks into an object that is in memory; tells whether it is
    /// [`unmarked`](crate::source::Look::unmarked). Trees hold names only.
    pub(super) fn object(
        &mut self,
        kind: Kind,
        content: Content<'_>,
        hash: gix_hash::Kind,
    ) -> bool {
        let (Content::Bytes(bytes) | Content::Changed(bytes, _)) = content else {
            return false;
        };
        if kind == Kind::Tree {
            return false;
        }
        let id = || gix_object::compute_hash(hash, kind, bytes).ok();
        let mut held = Vec::new();
        let is_archive = kind == Kind::Blob
            && (archive::at_start(bytes) || begins_as_pack(bytes) || archive::at_end(bytes));
        let is_read = is_archive
            && self.look_into(&mut held, &id, |settings, origin, visitor, coverage| {
                archive::read_bytes(bytes, origin, settings, visitor, coverage)
            });
        let mut unmarked = false;
        if is_read {
            self.coverage.scanned += 1;
            self.coverage.bytes += bytes.len() as u64;
        } else {
            // Bytes in memory do not fail to be read, and an end of the run is
            // seen by whoever asks for it.
            let look = self.visitor.hold(content, &mut self.coverage);
            held.extend(look.held.map(|found| (None, found)));
            unmarked = look.unmarked;
        }
        if held.is_empty() {
            return unmarked;
        }
        let Some(id) = id() else {
            return unmarked;
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
        unmarked
    }

    /// Looks into an object that is too large to be held. `again` opens it
    /// anew, for an archive that has to be read as it is as well.
    pub(super) fn stream<R: Read>(
        &mut self,
        kind: Kind,
        size: u64,
        content: impl Read,
        hash: gix_hash::Kind,
        again: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<()> {
        let mut content = Hashing::new(content, kind, size, hash);
        let mut held = Vec::new();
        let mut start = Vec::new();
        (&mut content)
            .take(archive::HEAD as u64)
            .read_to_end(&mut start)?;
        // Its end is out of sight.
        let is_archive = kind == Kind::Blob
            && (archive::at_start(&start)
                || begins_as_pack(&start)
                || archive::may_have_prefix(&start, size));
        let is_read = is_archive
            && self.look_into(
                &mut held,
                &|| None,
                |settings, origin, visitor, coverage| {
                    let mut content = start.as_slice().chain(&mut content);
                    archive::read_stream(&mut content, size, origin, settings, visitor, coverage)
                },
            );
        let outcome = if is_read {
            self.coverage.scanned += 1;
            self.coverage.bytes += size;
            Ok(())
        } else {
            let mut rest: &mut dyn Read = &mut start.as_slice().chain(&mut content);
            let mut anew;
            if is_archive {
                anew = again()?;
                rest = &mut anew;
            }
            let look = self.visitor.hold(Content::Stream(rest), &mut self.coverage);
            held.extend(look.held.map(|found| (None, found)));
            look.outcome
        };
        let rest = outcome.and_then(|()| io::copy(&mut content, &mut io::sink()));
        if !held.is_empty()
            && let Ok(id) = content.hasher.try_finalize()
        {
            self.hits.push(Hit {
                id,
                kind,
                held,
                tag: None,
            });
        }
        rest?;
        if content.count != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Looks into an archive, and tells whether all of it could be read so.
    fn look_into(
        &mut self,
        held: &mut Findings,
        id: &dyn Fn() -> Option<ObjectId>,
        read: impl FnOnce(
            archive::Settings,
            &dyn Origin,
            &mut dyn Visitor,
            &mut Coverage,
        ) -> io::Result<Outcome>,
    ) -> bool {
        let Some(settings) = self.settings else {
            return false;
        };
        let mut members = Members {
            holder: &mut *self.visitor,
            held,
        };
        let shown = &self.shown;
        let origin = Unplaced { shown, id };
        let outcome = read(settings, &origin, &mut members, &mut self.archives);
        outcome.is_ok_and(|outcome| outcome == Outcome::Read)
    }

    pub(super) fn commit(&mut self, at: CommitAt) {
        if self.commits.len() < MAX_COMMITS {
            self.commits.push(at);
        }
    }
}

/// Hashes what is read through it.
struct Hashing<R> {
    content: R,
    hasher: gix_hash::Hasher,
    count: u64,
}

impl<R: Read> Hashing<R> {
    /// Of an object of `kind` that has `size` bytes.
    fn new(content: R, kind: Kind, size: u64, hash: gix_hash::Kind) -> Self {
        let mut hasher = gix_hash::hasher(hash);
        hasher.update(&gix_object::encode::loose_header(kind, size));
        Self {
            content,
            hasher,
            count: 0,
        }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.count += count as u64;
        Ok(count)
    }
}

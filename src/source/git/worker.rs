//! One thread's own: its visitor, its counts, its buffers, and the objects in
//! which something was found.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use gix_hash::ObjectId;
use gix_object::Kind;

use super::blocks::Blocks;
use super::commits::Commits;
use super::delta;
use super::index::IndexFile;
use super::inflate::{self, Inflater};
use super::members::{Findings, Members, Unplaced};
use super::pack::{Pack, sized};
use crate::finding::{Coverage, FileFacts, SourceKind};
use crate::source::archive::{self, Outcome};
use crate::source::files::Walked;
use crate::source::repositories::begins_as_pack;
use crate::source::{Changed, Content, Holder, Known, Origin, Spot, Visitor};

/// An object in which something was found.
#[derive(Debug)]
pub(super) struct Hit {
    /// `None` if it cannot be told: an index that was sound cannot be read any
    /// more, or the object is made to have the hash of another one.
    pub(super) id: Option<ObjectId>,
    pub(super) kind: Kind,
    pub(super) held: Findings,
    /// The tag's own name and target, if it is one.
    pub(super) tag: Option<(String, ObjectId)>,
    /// Of the file that it is stored in, once that is known.
    pub(super) stored: Option<Arc<FileFacts>>,
}

/// The largest buffer that is kept for the next object.
const KEEP: usize = 1024 * 1024;

/// The smallest buffer that is kept for an object to come: smaller ones cost
/// little to make.
const MIN_SPARE: usize = 1024;

/// Bytes of buffers that are kept for the next objects, and their number.
const MAX_SPARE: usize = 3 * 1024 * 1024;
const MAX_SPARES: usize = 12;

/// Bytes that a buffer may have more than twice what is asked for: bases wait
/// in them.
const MAX_SLACK: usize = 16 * 1024;

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
    /// How many of them have the facts of their file.
    pub(super) stored: usize,
    /// Those whose ids the index of the pack at hand has, each with where in
    /// the pack it begins.
    pub(super) unnamed: Vec<(u64, Hit)>,
    pub(super) commits: Commits,
    /// The loose objects it read: see [`Seen`](super::seen::Seen).
    pub(super) loose: Vec<u64>,
    pub(super) buffers: Buffers,
}

/// Buffers that are used again and again.
pub(super) struct Buffers {
    pub(super) inflater: Inflater,
    /// For loose objects.
    pub(super) stream: Option<inflate::State>,
    pub(super) blocks: Blocks,
    pub(super) delta: Vec<u8>,
    /// What a delta changed: see [`delta::apply_near`].
    pub(super) changes: Vec<Range<usize>>,
    /// See [`delta::move_spots`].
    pub(super) spots: Vec<Spot>,
    pub(super) object: Vec<u8>,
    /// Of bases that are no longer needed.
    pub(super) spare: Vec<Vec<u8>>,
}

impl Buffers {
    pub(super) fn new() -> Self {
        Self {
            inflater: Inflater::new(),
            stream: None,
            blocks: Blocks::new(),
            delta: Vec::new(),
            changes: Vec::new(),
            spots: Vec::new(),
            object: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// A buffer for an object of `size` bytes, which may be full of another.
    pub(super) fn take(&mut self, size: usize) -> Vec<u8> {
        let fitting = size..=2 * size + MAX_SLACK;
        let spare = (0..self.spare.len())
            .filter(|at| fitting.contains(&self.spare[*at].capacity()))
            .min_by_key(|at| self.spare[*at].capacity());
        match spare {
            Some(at) => self.spare.swap_remove(at),
            // Versions of a file grow: the next one fits, too.
            None => vec![0; size + size / 8],
        }
    }

    /// Takes back a buffer that is no longer needed.
    pub(super) fn recycle(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() < MIN_SPARE {
            return;
        }
        self.spare.push(buffer);
        let kept = |spare: &[Vec<u8>]| spare.iter().map(Vec::capacity).sum::<usize>();
        while self.spare.len() > MAX_SPARES || kept(&self.spare) > MAX_SPARE {
            self.spare.remove(0);
        }
    }

    /// Gives back what a large object made grow.
    pub(super) fn shrink(&mut self) {
        self.blocks.shrink();
        for buffer in [&mut self.delta, &mut self.object] {
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
            stored: 0,
            unnamed: Vec::new(),
            commits: Commits::default(),
            loose: Vec::new(),
            buffers: Buffers::new(),
        }
    }

    /// Looks into an object that is in memory; tells what is
    /// [`known`](crate::source::Look::known) of it. Trees hold names only.
    /// `indexed` is the index that has its id, and where in which pack it begins.
    pub(super) fn object(
        &mut self,
        kind: Kind,
        content: Content<'_>,
        hash: gix_hash::Kind,
        indexed: Option<(&IndexFile, &Pack, u64)>,
    ) -> Option<Known> {
        let (Content::Bytes(bytes) | Content::Changed(Changed { bytes, .. })) = content else {
            return None;
        };
        if kind == Kind::Tree {
            return None;
        }
        let id = || gix_object::compute_hash(hash, kind, bytes).ok();
        let mut held = Vec::new();
        let is_read = kind == Kind::Blob
            && is_archive(bytes)
            && self.look_into(&mut held, &id, |settings, origin, visitor, coverage| {
                archive::read_bytes(bytes, origin, settings, visitor, coverage)
            });
        let mut known = None;
        if is_read {
            self.coverage.scanned += 1;
            self.coverage.bytes += bytes.len() as u64;
        } else {
            // Bytes in memory do not fail to be read, and an end of the run is
            // seen by whoever asks for it.
            let look = self.visitor.hold(content, &mut self.coverage);
            held.extend(look.held.map(|found| (None, found)));
            known = look.known;
        }
        if held.is_empty() {
            return known;
        }
        let tag = (kind == Kind::Tag)
            .then(|| super::text::tag(bytes))
            .flatten();
        let mut hit = Hit {
            id: None,
            kind,
            held,
            tag,
            stored: None,
        };
        let saved = bytes.len() as u64;
        let indexed = indexed.filter(|(index, pack, _)| index.is_worth_it(saved, pack));
        if let Some((_, _, offset)) = indexed {
            self.unnamed.push((offset, hit));
        } else {
            hit.id = id();
            self.hits.push(hit);
        }
        known
    }

    /// Looks into what is known of an object that cannot be made: it has no id
    /// and no place.
    pub(super) fn part(&mut self, bytes: &[u8]) {
        let look = self.visitor.hold(Content::Bytes(bytes), &mut self.coverage);
        if let Some(found) = look.held {
            self.hits.push(Hit {
                id: None,
                kind: Kind::Blob,
                held: vec![(None, found)],
                tag: None,
                stored: None,
            });
        }
    }

    /// Whether what a delta changes in a blob is enough to see that it means
    /// nothing; `reach` is that of the base.
    pub(super) fn passes(&mut self, base: &[u8], delta: &[u8], reach: usize) -> io::Result<bool> {
        let Ok(size) = delta::made_size(delta, KEEP) else {
            return Ok(false);
        };
        let Buffers {
            object, changes, ..
        } = &mut self.buffers;
        let bytes = sized(object, size);
        delta::apply_near(base, delta, reach + Changed::NEAR, bytes, changes)?;
        let changed = Changed {
            bytes,
            changes,
            known: Known::Nothing { reach },
        };
        Ok(!is_archive(bytes) && self.visitor.passes(changed, &mut self.coverage))
    }

    /// Looks into an object that is too large to be held, and tells its id; also
    /// into what there is of one that was cut short, which has none. `again` opens
    /// it anew, for an archive that has to be read as it is as well.
    pub(super) fn stream<R: Read>(
        &mut self,
        kind: Kind,
        size: u64,
        content: impl Read,
        hash: gix_hash::Kind,
        again: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<Option<ObjectId>> {
        let mut content = Hashing::new(content, kind, size, hash);
        let mut held = Vec::new();
        let mut start = Vec::new();
        let begun = (&mut content)
            .take(archive::HEAD as u64)
            .read_to_end(&mut start);
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
        let rest = begun.and(outcome);
        let rest = rest.and_then(|()| io::copy(&mut content, &mut io::sink()));
        let is_whole = rest.is_ok() && content.count == size;
        let id = is_whole.then(|| content.hasher.try_finalize().ok());
        let id = id.flatten();
        if !held.is_empty() {
            self.hits.push(Hit {
                id,
                kind,
                held,
                tag: None,
                stored: None,
            });
        }
        rest?;
        if !is_whole {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(id)
    }

    /// What it counted since the last call.
    pub(super) fn counted(&mut self) -> (Coverage, Walked) {
        let take =
            |coverage: &mut Coverage, source| std::mem::replace(coverage, Coverage::new(source));
        let objects = take(&mut self.coverage, SourceKind::Git);
        let files = take(&mut self.plain, SourceKind::File);
        let archives = take(&mut self.archives, SourceKind::Archive);
        let archives = self.settings.map(|_| archives);
        (objects, Walked { files, archives })
    }

    /// Gives what was found since the last call the facts of the file that it
    /// is stored in.
    pub(super) fn stored_in(&mut self, facts: impl FnOnce() -> Option<Arc<FileFacts>>) {
        let found = &mut self.hits[self.stored..];
        if !found.is_empty() {
            let facts = facts();
            for hit in found {
                hit.stored.clone_from(&facts);
            }
            self.stored = self.hits.len();
        }
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
        let origin = Unplaced::new(&self.shown, id);
        let outcome = read(settings, &origin, &mut members, &mut self.archives);
        outcome.is_ok_and(|outcome| outcome == Outcome::Read)
    }
}

/// Whether a blob looks as if an archive were to be found in it.
fn is_archive(bytes: &[u8]) -> bool {
    archive::at_start(bytes)
        || begins_as_pack(bytes)
        || archive::at_end(bytes)
        || archive::is_prefixed(bytes)
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

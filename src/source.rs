//! Where bytes come from. A source yields blobs, each with its provenance,
//! and keeps count of what it skipped and why. It knows nothing of keys.

pub mod archive;
pub mod files;
pub mod git;
pub mod hidden;
mod memory;
pub mod mounts;
pub mod process;
pub mod repositories;
pub mod tail;
pub mod user_data;

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use crate::finding::{Coverage, FileFacts, Location};
pub use memory::{FileState, Memory};

/// Bytes and where they are from.
pub struct Blob<'a> {
    pub content: &'a mut dyn Read,
    /// Asked only when something was found: it may cost system calls.
    pub origin: &'a dyn Origin,
}

impl std::fmt::Debug for Blob<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blob")
            .field("location", &self.origin.location())
            .finish_non_exhaustive()
    }
}

/// The provenance of a blob.
pub trait Origin {
    fn location(&self) -> Location;

    /// The member of the location alone: the rest may cost something.
    fn member_path(&self) -> Option<Arc<str>> {
        self.location().member
    }

    /// Lines of the place that the blob leaves out at its start.
    fn lines_before(&self) -> u64 {
        0
    }

    /// How often the content left out some of the blob so far, none of it the end
    /// of a line.
    fn holes(&self) -> u64 {
        0
    }

    /// What the file system says, for blobs that are files.
    fn facts(&self) -> Option<FileFacts> {
        None
    }
}

/// Bytes whose place is told later, if at all.
pub enum Content<'a> {
    /// In memory, and looked at where they are.
    Bytes(&'a [u8]),
    /// In memory, and made from another content by changing it.
    Changed(Changed<'a>),
    Stream(&'a mut dyn Read),
}

/// A content that was put together from pieces of another one.
#[derive(Clone, Copy)]
pub struct Changed<'a> {
    pub bytes: &'a [u8],
    /// What is not of the other one, ascending; empty ranges stand where two
    /// pieces meet.
    pub changes: &'a [Range<usize>],
    /// What is known of the rest.
    pub known: Known<&'a [Spot]>,
}

/// A place in a content, and what is there in the terms of the visitor.
pub type Spot = (usize, u8);

/// What a look at a content tells of what is made from it by changes.
#[derive(Debug, Clone, Copy)]
pub enum Known<S = Rc<[Spot]>> {
    /// That there is nothing to be found that is further from a change than
    /// `reach` bytes.
    Nothing { reach: usize },
    /// What has to be looked at besides the changes: places of the content,
    /// ascending, at where they are now.
    Spots(S),
}

/// Where there are more of them, all of a content has to be looked at.
pub const MAX_SPOTS: usize = 4096;

impl Changed<'_> {
    /// Bytes at the start and end of a content, and beyond the reach of its
    /// changes, that are enough for [`Holder::passes`].
    pub const NEAR: usize = 1024;
}

impl std::fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bytes(_) => "Bytes(..)",
            Self::Changed(_) => "Changed(..)",
            Self::Stream(_) => "Stream(..)",
        })
    }
}

impl std::fmt::Debug for Changed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changed")
            .field("changes", &self.changes)
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

/// Stands for what a visitor found in one content and has not told yet.
#[derive(Debug, PartialEq, Eq)]
pub struct Held(pub usize);

/// What became of a content.
#[derive(Debug)]
pub struct Look {
    /// `None` if nothing was found.
    pub held: Option<Held>,
    /// `None` if all of what is made from this content has to be looked at.
    pub known: Option<Known>,
    /// How the read ended; what was found before a failure counts.
    pub outcome: std::io::Result<()>,
}

/// What takes the blobs; each thread of a source has its own.
pub trait Visitor: Send {
    /// Reads the blob to its end, or fails as the read failed. Adds what it
    /// read to the coverage.
    fn visit(&mut self, blob: Blob<'_>, coverage: &mut Coverage) -> std::io::Result<()>;

    /// How often something was found so far.
    fn found(&self) -> u64;

    /// Whether the run has to end, at least for this visitor.
    fn is_over(&self) -> bool;

    /// Notes what is touched next, which may never answer; `None` before
    /// waiting for work.
    fn enters(&mut self, _place: Option<&Path>) {}

    /// Notes that the thread which calls this works on what was entered, too.
    fn takes_part(&mut self) {}

    /// Whether nobody waits any more for what was entered.
    fn is_given_up(&self) -> bool {
        false
    }
}

/// A visitor that also takes content whose place costs much to tell.
pub trait Holder: Visitor {
    /// Reads the content to its end and holds back what was found until
    /// [`tell`](Self::tell).
    fn hold(&mut self, content: Content<'_>, coverage: &mut Coverage) -> Look;

    /// Whether a content surely means nothing, of which only the reach of its
    /// changes and [`Changed::NEAR`] bytes more are there, and any others in the
    /// place of the rest. It is read then, and counted.
    fn passes(&mut self, changed: Changed<'_>, coverage: &mut Coverage) -> bool;

    /// Reports what was held back, now that its place is known. Each is told
    /// once, by the visitor that held it.
    fn tell(&mut self, held: Held, origin: &dyn Origin, coverage: &mut Coverage);

    /// Lets go of what was held back and has no place to be told.
    fn forget(&mut self) {}
}

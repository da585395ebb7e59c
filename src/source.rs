//! Where bytes come from. A source yields blobs, each with its provenance,
//! and keeps count of what it skipped and why. It knows nothing of keys.

pub mod archive;
pub mod files;
pub mod mounts;
pub mod process;

use std::io::Read;

use crate::finding::{Coverage, FileFacts, Location};

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

    /// What the file system says, for blobs that are files.
    fn facts(&self) -> Option<FileFacts> {
        None
    }
}

/// What takes the blobs; each thread of a source has its own.
pub trait Visitor: Send {
    /// Reads the blob to its end, or fails as the read failed. Adds what it
    /// read to the coverage.
    fn visit(&mut self, blob: Blob<'_>, coverage: &mut Coverage) -> std::io::Result<()>;

    /// Whether the run has to end.
    fn is_over(&self) -> bool;
}

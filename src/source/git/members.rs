//! Archives that are stored as objects: what lies in them is held back like
//! the objects themselves, until their place in the history is known.

use std::io;
use std::sync::Arc;

use gix_hash::ObjectId;

use crate::finding::{Coverage, Location, SourceKind};
use crate::source::{Blob, Content, Held, Holder, Origin, Visitor};

/// What was found in one object, each with its member if the object is an
/// archive.
pub(super) type Findings = Vec<(Option<Arc<str>>, Held)>;

/// Holds what an archive's reader tells at once.
pub(super) struct Members<'w> {
    pub(super) holder: &'w mut dyn Holder,
    pub(super) held: &'w mut Findings,
}

impl Visitor for Members<'_> {
    fn visit(&mut self, blob: Blob<'_>, coverage: &mut Coverage) -> io::Result<()> {
        let content = Content::Stream(blob.content);
        let look = self.holder.hold(content, coverage);
        if let Some(held) = look.held {
            self.held.push((blob.origin.location().member, held));
        }
        look.outcome
    }

    fn found(&self) -> u64 {
        self.holder.found()
    }

    fn is_over(&self) -> bool {
        self.holder.is_over()
    }
}

/// An archive whose place is not known: where what is left out of it is told.
pub(super) struct Unplaced<'a> {
    /// The store or pack.
    pub(super) shown: &'a str,
    /// Asked only when something is left out: it costs a hash.
    pub(super) id: &'a dyn Fn() -> Option<ObjectId>,
}

impl Origin for Unplaced<'_> {
    fn location(&self) -> Location {
        let path = match (self.id)() {
            Some(id) => format!("{}!blob {id}", self.shown),
            None => self.shown.to_owned(),
        };
        Location {
            path: Some(path.into()),
            ..Location::new(SourceKind::Archive)
        }
    }
}

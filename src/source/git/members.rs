//! Archives that are stored as objects: what lies in them is held back like
//! the objects themselves, until their place in the history is known.

use std::cell::OnceCell;
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
            self.held.push((blob.origin.member_path(), held));
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
    shown: &'a str,
    make_id: &'a dyn Fn() -> Option<ObjectId>,
    id: OnceCell<Option<ObjectId>>,
}

impl<'a> Unplaced<'a> {
    /// `make_id` is asked once, and only if something is left out: it costs a
    /// hash, and an archive may have many members that cannot be read.
    pub(super) fn new(shown: &'a str, make_id: &'a dyn Fn() -> Option<ObjectId>) -> Self {
        Self {
            shown,
            make_id,
            id: OnceCell::new(),
        }
    }
}

impl Origin for Unplaced<'_> {
    fn location(&self) -> Location {
        let path = match self.id.get_or_init(self.make_id) {
            Some(id) => format!("{}!blob {id}", self.shown),
            None => self.shown.to_owned(),
        };
        Location {
            path: Some(path.into()),
            ..Location::new(SourceKind::Archive)
        }
    }

    fn member_path(&self) -> Option<Arc<str>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn an_id_is_made_once_and_not_to_tell_a_member() {
        let count = Cell::new(0);
        let make = || {
            count.set(count.get() + 1);
            Some(ObjectId::Sha1([7; 20]))
        };
        let origin = Unplaced::new("pack", &make);
        assert_eq!((origin.member_path(), count.get()), (None, 0));
        let path = format!("pack!blob {}", "07".repeat(20));
        for _ in 0..3 {
            assert_eq!(origin.location().path.as_deref(), Some(path.as_str()));
        }
        assert_eq!(count.get(), 1);
    }
}

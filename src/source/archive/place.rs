//! Where in an archive a blob is: the file, and the members on the way.

use std::sync::Arc;

use crate::finding::{FileFacts, Location, SourceKind};
use crate::sanitize;
use crate::source::Origin;

/// One step into a file. Its text is made only when it is asked for.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    file: &'a dyn Origin,
    parent: Option<&'a Place<'a>>,
    name: &'a [u8],
}

impl<'a> Place<'a> {
    pub(super) const fn of_file(file: &'a dyn Origin) -> Self {
        Self {
            file,
            parent: None,
            name: b"",
        }
    }

    /// The member of that name in the archive that is here.
    pub(super) const fn member(&'a self, name: &'a [u8]) -> Self {
        Self {
            file: self.file,
            parent: Some(self),
            name,
        }
    }

    /// The members on the way, or nothing for the file itself. A file that is
    /// only compressed has no member either.
    fn path(&self) -> Option<String> {
        let parent = self.parent?;
        let name = sanitize::bytes(self.name);
        Some(match parent.path() {
            Some(path) => format!("{path}!{name}"),
            None => name,
        })
    }
}

/// As an example of what was left out: put into words only where one is wanted.
impl From<&Place<'_>> for String {
    fn from(place: &Place<'_>) -> Self {
        let file = place.file.location();
        let member = joined(file.member.as_deref(), place.path());
        joined(file.path.as_deref(), member).unwrap_or_default()
    }
}

fn joined(outer: Option<&str>, inner: Option<String>) -> Option<String> {
    match (outer, inner) {
        (Some(outer), Some(inner)) => Some(format!("{outer}!{inner}")),
        (outer, inner) => inner.or_else(|| outer.map(ToOwned::to_owned)),
    }
}

impl Origin for Place<'_> {
    fn location(&self) -> Location {
        let file = self.file.location();
        let source = match file.source {
            SourceKind::File => SourceKind::Archive,
            other => other,
        };
        Location {
            source,
            member: self.member_path(),
            ..file
        }
    }

    fn member_path(&self) -> Option<Arc<str>> {
        joined(self.file.member_path().as_deref(), self.path()).map(Into::into)
    }

    fn facts(&self) -> Option<FileFacts> {
        self.file.facts()
    }
}

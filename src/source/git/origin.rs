//! Where an object is, as it is told.

use std::sync::Arc;

use gix_object::Kind;

use super::history::Place;
use super::worker::Hit;
use crate::finding::{FileFacts, Location, SourceKind};
use crate::sanitize;
use crate::source::Origin;

pub(super) fn location(repository: &Arc<str>, hit: &Hit, place: &Place) -> Location {
    let member = match (&place.path, &hit.tag) {
        (Some(path), _) => Some(sanitize::bytes(path)),
        (None, Some((name, _))) => Some(format!("refs/tags/{name}")),
        (None, None) => {
            // Nothing names it but its own id.
            let id = hit.id.filter(|_| hit.kind == Kind::Blob);
            id.map(|id| format!("blob {id}"))
        }
    };
    let date = place.commit.and_then(|first| first.authored);
    let date = date.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let commit = place.commit.map(|first| first.id);
    let commit = commit.or_else(|| hit.id.filter(|_| hit.kind == Kind::Commit));
    Location {
        path: Some(repository.clone()),
        member: member.map(Into::into),
        commit: commit.map(|id| id.to_string().into()),
        author_date: date.map(|date| date.to_string().into()),
        git_state: place.state,
        ..Location::new(SourceKind::Git)
    }
}

pub(super) struct ObjectOrigin<'a> {
    pub(super) location: Location,
    pub(super) facts: Option<&'a FileFacts>,
}

impl Origin for ObjectOrigin<'_> {
    fn location(&self) -> Location {
        self.location.clone()
    }

    fn facts(&self) -> Option<FileFacts> {
        self.facts.cloned()
    }
}

//! Whether a value that is left over is one more secret of an ID that has one,
//! as after a rotation, or what another service is given beside it.

use std::collections::HashMap;

use super::{IdSighting, Named, SecretSighting, belongs};
use crate::detect::label::Said;
use crate::detect::owner::Owner;
use crate::finding::AccessKeyId;

/// How plainly the secret that an ID has is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Plainly {
    /// Its name says nothing of a secret.
    No,
    /// It is a password or the like.
    Likely,
    /// It is a secret, or right beside the ID without a name.
    Yes,
    /// It has the name of a secret access key, or the ID's with one of a secret.
    Named,
}

/// The IDs that have a secret.
#[derive(Default)]
pub(super) struct Served(HashMap<AccessKeyId, (Plainly, bool)>);

impl Served {
    pub(super) fn has(&self, id: &IdSighting) -> bool {
        self.0.contains_key(&id.id)
    }

    pub(super) fn serve(&mut self, id: &IdSighting, secret: &SecretSighting) {
        let plainly = match (secret.named, secret.said) {
            (Named::Exactly | Named::Loosely, _) => Plainly::Named,
            (_, Said::Own | Said::Secret)
                if secret.place.owner == id.place.owner
                    && secret.place.offset > id.place.offset =>
            {
                Plainly::Named
            }
            (_, Said::Nothing | Said::Own | Said::Secret) => Plainly::Yes,
            (_, Said::Key) => Plainly::Likely,
            (_, Said::Other | Said::Service) => Plainly::No,
        };
        let known = self.0.entry(id.id).or_insert((plainly, false));
        known.0 = known.0.max(plainly);
        known.1 |= is_together(id, secret);
    }

    /// Whether this may be one more secret of the ID, or its first one.
    pub(super) fn may_take(&self, id: &IdSighting, secret: &SecretSighting) -> bool {
        if !belongs(id, secret) || is_of_service(id, secret) {
            return false;
        }
        let Some((plainly, has_record)) = self.0.get(&id.id) else {
            return true;
        };
        if secret.named != Named::No || secret.said == Said::Own || *plainly == Plainly::No {
            return true;
        }
        let is_own = || {
            let owner = secret.place.owner;
            owner == id.place.owner || owner == Some(Owner::NOBODY)
        };
        // Where each setting is a record, as in lists, records tell nothing.
        (is_together(id, secret) || !has_record)
            && match secret.said {
                Said::Nothing => true,
                Said::Secret => *plainly < Plainly::Named || is_own(),
                Said::Key => *plainly < Plainly::Named,
                _ => *plainly < Plainly::Yes,
            }
    }
}

/// Whether the value has no name of a secret access key, but that of what another
/// service is given, and the ID has not.
pub(super) fn is_of_service(id: &IdSighting, secret: &SecretSighting) -> bool {
    let owner = secret.place.owner;
    secret.named == Named::No
        && secret.said == Said::Service
        && (owner.is_none() || owner != id.place.owner)
}

/// Whether the two stand in one record, such as a section.
fn is_together(id: &IdSighting, secret: &SecretSighting) -> bool {
    let (id, secret) = (&id.place, &secret.place);
    id.record.max(secret.record) <= id.offset.min(secret.offset)
}

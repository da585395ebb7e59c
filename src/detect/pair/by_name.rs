//! What belongs together by its names, where position says otherwise: settings
//! of several keys may stand in any order, and say themselves whose they are.

use std::collections::{BTreeSet, HashSet};

use super::match_in_order;
use crate::detect::owner::Owner;
use crate::detect::sighting::{IdSighting, Place, SecretSighting};

/// The owners whom the names in one text tell.
pub(super) struct Owners {
    of_ids: HashSet<Owner>,
    of_secrets: HashSet<Owner>,
}

impl Owners {
    pub(super) fn new(ids: &[IdSighting], secrets: &[SecretSighting]) -> Self {
        let of_secrets = secrets.iter().filter_map(|secret| secret.place.owner);
        Self {
            of_ids: ids.iter().filter_map(|id| id.place.owner).collect(),
            of_secrets: of_secrets.collect(),
        }
    }

    /// Whether these two are of different owners, and one of them has another ID
    /// or secret here. What has no owner's name may be anybody's.
    pub(super) fn keep_apart(&self, id: &IdSighting, secret: &SecretSighting) -> bool {
        let is_plain = |owner: Owner| owner == Owner::NOBODY;
        let Some((of_id, of_secret)) = different(id, secret) else {
            return false;
        };
        !is_plain(of_id)
            && !is_plain(of_secret)
            && (self.of_ids.contains(&of_secret) || self.of_secrets.contains(&of_id))
    }
}

/// The owners of the two, if their names tell different ones.
fn different(id: &IdSighting, secret: &SecretSighting) -> Option<(Owner, Owner)> {
    let owners = id.place.owner.zip(secret.place.owner);
    owners.filter(|(of_id, of_secret)| of_id != of_secret)
}

/// The ID that a secret is one more of, if any: the nearest one, unless another
/// one has the same owner, or it is of somebody else.
pub(super) fn own<'a>(
    ids: &'a [IdSighting],
    nearest: &'a IdSighting,
    secret: &SecretSighting,
    owners: &Owners,
) -> Option<&'a IdSighting> {
    let Some((_, owner)) = different(nearest, secret) else {
        return Some(nearest);
    };
    let of_owner = ids.iter().filter(|id| id.place.owner == Some(owner));
    super::nearest(of_owner, secret).or(Some(nearest).filter(|id| !owners.keep_apart(id, secret)))
}

/// What is matched by position, as indices, but where names contradict: there,
/// what has the same owner first, and then the rest by position again.
pub(super) fn settle(
    ids: &[IdSighting],
    secrets: &[SecretSighting],
    owners: &Owners,
    mut matched: Vec<(usize, usize)>,
) -> Vec<(usize, usize)> {
    let contested = contested(ids, secrets, &matched);
    if contested.is_empty() {
        return matched;
    }
    let is_contested = |owner: Option<Owner>| owner.is_some_and(|owner| contested.contains(&owner));
    matched.retain(|(id, secret)| {
        let (id, secret) = (ids[*id].place.owner, secrets[*secret].place.owner);
        id == secret || !(is_contested(id) || is_contested(secret))
    });
    let mut rest = Rest {
        ids: (0..ids.len()).collect(),
        secrets: (0..secrets.len()).collect(),
    };
    rest.take(&matched);
    let of_ids = rest.ids.iter().filter_map(|id| ids[*id].place.owner);
    for owner in of_ids.collect::<BTreeSet<_>>() {
        let own = Rest {
            ids: such(&rest.ids, |id| ids[id].place.owner == Some(owner)),
            secrets: such(&rest.secrets, |secret| {
                secrets[secret].place.owner == Some(owner)
            }),
        };
        matched.extend(own.matched(ids, secrets, |_, _| true));
    }
    rest.take(&matched);
    let may_be = |id: &_, secret: &_| !owners.keep_apart(id, secret);
    matched.extend(rest.matched(ids, secrets, may_be));
    matched
}

/// The owners of pairs whose two names tell different ones, and who are named
/// beside another ID or secret, too: one that has no partner of that name yet,
/// and is not set off from the pair.
fn contested(
    ids: &[IdSighting],
    secrets: &[SecretSighting],
    matched: &[(usize, usize)],
) -> BTreeSet<Owner> {
    let is_settled =
        |(id, secret): &&(usize, usize)| ids[*id].place.owner == secrets[*secret].place.owner;
    let settled = matched.iter().filter(is_settled).copied();
    let (settled_ids, settled_secrets): (HashSet<_>, HashSet<_>) = settled.unzip();
    let mut contested = BTreeSet::new();
    for (id, secret) in matched {
        let (id, secret) = (&ids[*id], &secrets[*secret]);
        let Some((of_id, of_secret)) = different(id, secret) else {
            continue;
        };
        let is_free =
            |other: &Place, owner| other.owner == Some(owner) && !sets_off(id, secret, other);
        let other_id = |at: &usize| {
            let other = &ids[*at];
            !settled_ids.contains(at) && other.id != id.id && is_free(&other.place, of_secret)
        };
        let other_secret = |at: &usize| {
            let other = &secrets[*at];
            !settled_secrets.contains(at)
                && other.value != secret.value
                && is_free(&other.place, of_id)
        };
        if (0..ids.len()).any(|at| other_id(&at)) || (0..secrets.len()).any(|at| other_secret(&at))
        {
            contested.extend([of_id, of_secret]);
        }
    }
    contested
}

/// Whether the two stand in one record, such as a section, and `other` in another.
fn sets_off(id: &IdSighting, secret: &SecretSighting, other: &Place) -> bool {
    let (mut first, mut last) = (&id.place, &secret.place);
    if first.offset > last.offset {
        std::mem::swap(&mut first, &mut last);
    }
    let is_one = last.record <= first.offset;
    is_one
        && if other.offset > last.offset {
            other.record > last.offset
        } else {
            first.record > other.offset
        }
}

fn such(indices: &[usize], is_such: impl Fn(usize) -> bool) -> Vec<usize> {
    let indices = indices.iter().copied();
    indices.filter(|index| is_such(*index)).collect()
}

/// What is to be matched, as indices.
struct Rest {
    ids: Vec<usize>,
    secrets: Vec<usize>,
}

impl Rest {
    fn take(&mut self, matched: &[(usize, usize)]) {
        let (ids, secrets): (HashSet<_>, HashSet<_>) = matched.iter().copied().unzip();
        self.ids.retain(|id| !ids.contains(id));
        self.secrets.retain(|secret| !secrets.contains(secret));
    }

    /// By position.
    fn matched(
        &self,
        ids: &[IdSighting],
        secrets: &[SecretSighting],
        may_be: impl Fn(&IdSighting, &SecretSighting) -> bool,
    ) -> Vec<(usize, usize)> {
        let of_ids: Vec<_> = self.ids.iter().map(|id| &ids[*id]).collect();
        let of_secrets: Vec<_> = self
            .secrets
            .iter()
            .map(|secret| &secrets[*secret])
            .collect();
        let matched = match_in_order(&of_ids, &of_secrets, may_be);
        let index = |(id, secret): (usize, usize)| (self.ids[id], self.secrets[secret]);
        matched.into_iter().map(index).collect()
    }
}

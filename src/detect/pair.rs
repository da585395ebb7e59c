//! Which secret belongs to which access key ID.
//!
//! Both stand in the order of the text. As many as possible are matched, and
//! among all such matchings the one with the smallest sum of distances is
//! taken, in which pairs do not cross. So `ID secret ID secret` and
//! `secret ID secret ID` both come out right where the nearest neighbour would
//! not, and a list of IDs before a list of secrets is matched in order. Where names
//! tell different owners of a pair, names decide ([`by_name`]).

mod by_name;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use by_name::Owners;

use super::sighting::{IdSighting, Named, Pair, SecretSighting, Sightings};
use crate::finding::AccessKeyId;

/// Characters of an ID and of a secret, to measure the gap between them.
const ID_LEN: u64 = 20;
const SECRET_LEN: u64 = 40;

/// A value without a name is taken over a named one only when it is nearer by
/// more bytes than this.
const NO_NAME: u64 = 2_000;

/// The shape of an SMTP password alone says less than that of a secret.
const SMTP: u64 = 1_000;

/// Costs of leaving a value without a partner; far above any distance for an
/// ID, so that the number of pairs comes first.
const LONE_ID: u64 = 1 << 44;
const LONE_NAMED_SECRET: u64 = 1 << 32;

/// Largest distance counted: beyond it all are equally far.
const MAX_GAP: u64 = 1 << 30;

/// Farthest that a value without a name may stand from its ID, in text and
/// among binary data: random-looking runs of 40 characters are rare in the
/// one and common in the other.
const REACH_IN_TEXT: u64 = 1 << 20;
const REACH_IN_BINARY: u64 = 512;

/// Cost of a match that is out of reach: leaving both alone is cheaper.
const OUT_OF_REACH: u64 = 4 * LONE_ID;

/// Where nothing else decides, the ID comes first and both stand in one
/// record. In bytes, as are the distances that these are weighed against.
const SECRET_FIRST: u64 = 24;
const OTHER_RECORD: u64 = 64;

/// A value without a name that is left over belongs to an ID that has a
/// secret already only when it stands right beside it.
pub(super) const BESIDE: u64 = 160;

/// Moves what belongs together from `ids` and `secrets` to `pairs`.
pub(super) fn pair(sightings: &mut Sightings) {
    if sightings.ids.is_empty() || sightings.secrets.is_empty() {
        return;
    }
    sightings.secrets.sort_by_key(|secret| secret.place.offset);
    // Of many, some were seen twice: by name and by shape, or where two parts of
    // an encoded text overlap. What is left over of two would be another's.
    sightings.secrets.dedup_by(|again, known| {
        let is_same = again.place.offset == known.place.offset && again.value == known.value;
        known.named = known
            .named
            .max(if is_same { again.named } else { Named::No });
        // What overlaps it is another reading of the same characters.
        let is_other = again.overlaps(known) && again.beginning != known.beginning;
        if is_other && again.beginning > known.beginning {
            std::mem::swap(again, known);
        }
        is_same || is_other
    });
    sightings.ids.sort_by_key(|id| id.place.offset);
    sightings
        .ids
        .dedup_by(|again, known| again.place.offset == known.place.offset && again.id == known.id);
    let Some(cut) = sightings.cut.clone() else {
        return pair_kept(sightings);
    };
    let kept = |secret: &SecretSighting| secret.place.offset < cut.place.offset;
    let kept = sightings.secrets.partition_point(kept);
    let mut beyond = sightings.secrets.split_off(kept);
    let mut known = std::mem::take(&mut sightings.pairs);
    // It takes its own secret, which nobody else gets then.
    sightings.ids.push(cut.clone());
    sightings.ids.sort_by_key(|id| id.place.offset);
    pair_kept(sightings);
    sightings.ids.retain(|id| id.id != cut.id);
    sightings.pairs.retain(|pair| pair.id.id != cut.id);
    known.append(&mut sightings.pairs);
    sightings.pairs = known;
    sightings.secrets.append(&mut beyond);
}

/// Pairs IDs with secrets that are in order.
fn pair_kept(sightings: &mut Sightings) {
    let owners = Owners::new(&sightings.ids, &sightings.secrets);
    let mut pairs = {
        let ids: Vec<_> = sightings.ids.iter().collect();
        let secrets: Vec<_> = sightings.secrets.iter().collect();
        let by_position = match_in_order(&ids, &secrets, |_, _| true);
        by_name::settle(&sightings.ids, &sightings.secrets, &owners, by_position)
    };
    pairs.sort_by_key(|(id, secret)| cost(&sightings.ids[*id], &sightings.secrets[*secret]));
    let mut known: HashMap<(AccessKeyId, Vec<u8>), usize> = HashMap::new();
    let mut served: HashSet<AccessKeyId> = HashSet::new();
    let mut used = HashSet::new();
    let mut accepted: Vec<Pair> = Vec::new();
    for (id, secret) in pairs {
        let sighting = &sightings.ids[id];
        let value = &sightings.secrets[secret];
        // A second secret of an ID seen several times needs a name or has to
        // stand beside it.
        if served.contains(&sighting.id) && !belongs(sighting, value) {
            continue;
        }
        served.insert(sighting.id);
        used.insert(value.value.expose().to_vec());
        match known.entry((sighting.id, value.value.expose().to_vec())) {
            Entry::Vacant(entry) => {
                entry.insert(accepted.len());
                accepted.push(Pair::new(sighting, value));
            }
            // The first of several places is told.
            Entry::Occupied(entry) => {
                let pair = &mut accepted[*entry.get()];
                if sighting.place.offset < pair.id.place.offset {
                    pair.id = sighting.clone();
                }
            }
        }
    }
    // Rotation: secrets left over go to the nearest ID.
    for secret in &mut sightings.secrets {
        if used.contains(secret.value.expose()) || secret.smtp {
            continue;
        }
        let Some(nearest) = nearest(&sightings.ids, secret).filter(|id| belongs(id, secret)) else {
            continue;
        };
        let own = by_name::own(&sightings.ids, nearest, secret, &owners);
        if let Some(id) = own.filter(|id| belongs(id, secret)) {
            // Its other copies are known now and go nowhere else.
            used.insert(secret.value.expose().to_vec());
            accepted.push(Pair::new(id, secret));
        } else {
            // It is none of an ID's that is here, and told by itself.
            secret.named = secret.named.max(Named::Loosely);
        }
    }
    sightings.pairs.append(&mut accepted);
    sightings.ids.retain(|id| !served.contains(&id.id));
    sightings
        .secrets
        .retain(|secret| !used.contains(secret.value.expose()));
    let copies = known.into_keys().map(|(_, value)| value).chain(used);
    for mut value in copies {
        zeroize::Zeroize::zeroize(&mut value);
    }
}

impl Pair {
    fn new(id: &IdSighting, secret: &SecretSighting) -> Self {
        Self {
            gap: gap(id, secret),
            id: id.clone(),
            secret: secret.clone(),
        }
    }
}

fn nearest<'a>(
    ids: impl IntoIterator<Item = &'a IdSighting>,
    secret: &SecretSighting,
) -> Option<&'a IdSighting> {
    ids.into_iter().min_by_key(|id| gap(id, secret))
}

fn belongs(id: &IdSighting, secret: &SecretSighting) -> bool {
    secret.named != Named::No || (!secret.smtp && !secret.foreign && gap(id, secret) <= BESIDE)
}

fn gap(id: &IdSighting, secret: &SecretSighting) -> u64 {
    let (id, secret) = (id.place.offset, secret.place.offset);
    if secret >= id {
        (secret - id).saturating_sub(ID_LEN)
    } else {
        (id - secret).saturating_sub(SECRET_LEN)
    }
}

fn cost(id: &IdSighting, secret: &SecretSighting) -> u64 {
    let reach = match (secret.named, secret.in_binary) {
        (Named::Exactly | Named::Loosely, _) => u64::MAX,
        (Named::No, true) => REACH_IN_BINARY,
        (Named::No, false) => REACH_IN_TEXT,
    };
    if gap(id, secret) > reach {
        return OUT_OF_REACH;
    }
    let name = if secret.named == Named::No {
        NO_NAME
    } else {
        0
    };
    let smtp = if secret.smtp { SMTP } else { 0 };
    let (first, second, order) = if id.place.offset <= secret.place.offset {
        (&id.place, &secret.place, 0)
    } else {
        (&secret.place, &id.place, SECRET_FIRST)
    };
    let record = if second.record > first.offset {
        OTHER_RECORD
    } else {
        0
    };
    gap(id, secret).min(MAX_GAP) + name + smtp + order + record
}

/// The cheapest matching that keeps the order of both, as index pairs: the
/// classic alignment by dynamic programming, a row for each ID.
fn match_in_order(
    ids: &[&IdSighting],
    secrets: &[&SecretSighting],
    may_be: impl Fn(&IdSighting, &SecretSighting) -> bool,
) -> Vec<(usize, usize)> {
    #[derive(Clone, Copy)]
    enum Step {
        Match,
        SkipId,
        SkipSecret,
    }
    let cost_of = |id: &IdSighting, secret: &SecretSighting| {
        if may_be(id, secret) {
            cost(id, secret)
        } else {
            OUT_OF_REACH
        }
    };
    let width = secrets.len() + 1;
    let lone: Vec<u64> = secrets
        .iter()
        .map(|secret| match secret.named {
            Named::No => 0,
            Named::Loosely | Named::Exactly => LONE_NAMED_SECRET,
        })
        .collect();
    let mut row = vec![0u64; width];
    for (index, lone) in lone.iter().enumerate() {
        row[index + 1] = row[index] + lone;
    }
    let mut steps = vec![Step::SkipSecret; (ids.len() + 1) * width];
    for (i, id) in ids.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] += LONE_ID;
        steps[(i + 1) * width] = Step::SkipId;
        for (j, secret) in secrets.iter().enumerate() {
            // A blob may have two million of these: no iterator, no array.
            let (mut best, mut step) = (diagonal + cost_of(id, secret), Step::Match);
            diagonal = row[j + 1];
            if diagonal + LONE_ID < best {
                (best, step) = (diagonal + LONE_ID, Step::SkipId);
            }
            if row[j] + lone[j] < best {
                (best, step) = (row[j] + lone[j], Step::SkipSecret);
            }
            row[j + 1] = best;
            steps[(i + 1) * width + j + 1] = step;
        }
    }
    let mut pairs = Vec::new();
    let (mut i, mut j) = (ids.len(), secrets.len());
    while i > 0 || j > 0 {
        match steps[i * width + j] {
            Step::Match => {
                i -= 1;
                j -= 1;
                pairs.push((i, j));
            }
            Step::SkipId => i -= 1,
            Step::SkipSecret => j -= 1,
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::sighting::{Beginning, Place};
    use crate::secret::Secret;

    /// `a A` are an ID and its secret, `A` lower-cased names the ID.
    fn sightings(text: &str, named: Named) -> Sightings {
        let mut sightings = Sightings::default();
        for (offset, c) in text.char_indices() {
            let place = Place::at(offset as u64 * 100);
            if c.is_ascii_lowercase() {
                let tail = c.to_ascii_uppercase().to_string().repeat(16);
                sightings.push_id(IdSighting {
                    place,
                    id: AccessKeyId::parse(format!("AKIA{tail}").as_bytes()).unwrap(),
                    glued: false,
                    mention: None,
                });
            } else if c.is_ascii_uppercase() || c.is_ascii_digit() {
                sightings.push_secret(SecretSighting {
                    place,
                    value: Secret::new(vec![c as u8; 40]),
                    named,
                    beginning: Beginning::Bounded,
                    smtp: false,
                    foreign: false,
                    in_binary: false,
                });
            }
        }
        sightings
    }

    fn paired(text: &str, named: Named) -> Vec<String> {
        let mut sightings = sightings(text, named);
        pair(&mut sightings);
        let mut pairs: Vec<String> = sightings
            .pairs
            .iter()
            .map(|pair| {
                let id = pair.id.id.as_str().as_bytes()[4].to_ascii_lowercase();
                format!(
                    "{}{}",
                    char::from(id),
                    char::from(pair.secret.value.expose()[0])
                )
            })
            .collect();
        pairs.sort();
        pairs
    }

    #[test]
    fn each_id_takes_its_own_secret_in_either_order() {
        for named in [Named::No, Named::Exactly] {
            assert_eq!(paired("aA bB cC", named), ["aA", "bB", "cC"]);
            assert_eq!(paired("Aa Bb Cc", named), ["aA", "bB", "cC"]);
            // The next ID is nearer to a secret than its own.
            assert_eq!(paired("a  Ab  Bc  C", named), ["aA", "bB", "cC"]);
            assert_eq!(paired("A  aB  bC  c", named), ["aA", "bB", "cC"]);
        }
    }

    #[test]
    fn lists_are_matched_in_order() {
        assert_eq!(paired("abc ABC", Named::No), ["aA", "bB", "cC"]);
    }

    #[test]
    fn one_id_keeps_both_secrets_of_a_rotation() {
        assert_eq!(paired("AaB", Named::Exactly), ["aA", "aB"]);
        assert_eq!(paired("a A B", Named::Exactly), ["aA", "aB"]);
    }

    #[test]
    fn between_two_ids_a_secret_goes_to_the_one_before_it() {
        assert_eq!(paired("a A b", Named::Exactly), ["aA"]);
        assert_eq!(paired("a b B c", Named::Exactly), ["bB"]);
    }

    #[test]
    fn of_a_pair_that_stands_in_several_places_the_first_is_told() {
        let mut sightings = sightings("a  A aA a A", Named::Exactly);
        pair(&mut sightings);
        let places: Vec<u64> = sightings
            .pairs
            .iter()
            .map(|pair| pair.id.place.offset)
            .collect();
        assert_eq!(places, [0]);
    }

    #[test]
    fn a_repeated_id_takes_no_foreign_secret() {
        assert_eq!(paired("aA a bB", Named::Exactly), ["aA", "bB"]);
        assert_eq!(paired("aA a          Z", Named::No), ["aA"]);
    }

    #[test]
    fn among_binary_data_only_a_neighbour_without_a_name_is_taken() {
        for (text, pairs) in [("a A", 1), ("a         A", 0)] {
            let mut sightings = sightings(text, Named::No);
            sightings.secrets[0].in_binary = true;
            pair(&mut sightings);
            assert_eq!(sightings.pairs.len(), pairs, "{text}");
        }
    }

    #[test]
    fn an_id_without_a_secret_stays_alone() {
        let mut sightings = sightings("a bB", Named::Exactly);
        pair(&mut sightings);
        assert_eq!((sightings.pairs.len(), sightings.ids.len()), (1, 1));
        assert_eq!(sightings.ids[0].id.as_str(), "AKIAAAAAAAAAAAAAAAAA");
    }
}

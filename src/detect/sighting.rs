//! What the readers of single values report before anything is paired.

use std::collections::HashMap;

use super::encoding::{Allowance, Encoding};
use super::owner::Owner;
use super::pair::BESIDE;
use super::secret;
use crate::finding::{AccessKeyId, Mention, Rule};
use crate::secret::Secret;

/// Sightings kept a blob. More are counted; their values are not kept, so
/// that a file of nothing but keys stays bounded in memory and time.
pub(super) const MAX_IDS: usize = 1024;
pub(super) const MAX_SECRETS: usize = 2048;
const MAX_STANDALONE: usize = 256;

/// Candidates for secrets that make room for one beside an ID.
const MAX_REPLACED: u32 = 64;

/// Positions kept of one and the same access key ID, the first and the latest:
/// a log may name it often before its secret stands beside it.
const FIRST_POSITIONS: u64 = 8;
const LATEST_POSITIONS: usize = 8;

/// The latest sightings among which one is looked for that is there already: two
/// parts of an encoded text overlap by a few kilobytes.
const OVERLAP: usize = 64;

/// Where a value stands in its blob.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Of its first character, or of the text that encodes it.
    pub(super) offset: u64,
    /// Where the paragraph, section, item or object that holds it begins, if
    /// that is near.
    pub(super) record: u64,
    /// Whose the value is, if its name is one of an ID or a secret.
    pub(super) owner: Option<Owner>,
    /// `None` until the blob's lines up to here are counted.
    pub(super) position: Option<Position>,
    /// Outermost first.
    pub(super) encoding: Vec<Encoding>,
}

/// Where in a text; unknown far inside a binary blob, whose lines say nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: Option<u64>,
    pub(super) column: Option<u64>,
    pub(super) character: Option<u64>,
}

impl Place {
    pub(super) fn at(offset: u64) -> Self {
        Self {
            offset,
            ..Self::default()
        }
    }

    pub(super) fn in_text(bytes: &[u8], at: usize) -> Self {
        Self {
            record: record_start(bytes, at) as u64,
            owner: Owner::of(bytes, at),
            ..Self::at(at as u64)
        }
    }

    /// The text turns out to begin at `base`.
    pub(super) fn moved(self, base: u64) -> Self {
        Self {
            offset: self.offset + base,
            record: self.record + base,
            ..self
        }
    }
}

/// Where what the syntaxes of most files set off as one record begins before
/// `at`: behind a blank line, at a section's heading, at an item of a list,
/// at an opening brace or parenthesis. 0 where there is none nearby.
fn record_start(bytes: &[u8], at: usize) -> usize {
    const REACH: usize = 192;
    let begins = |place: &usize| match bytes[*place] {
        b'{' | b'(' => true,
        b':' => matches!(bytes[place + 1..at], [b'\n' | b'\r', ..]),
        b'\n' => match bytes[place + 1..at].trim_ascii_start() {
            _ if matches!(bytes[place + 1..at], [b'\n', ..] | [b'\r', b'\n', ..]) => true,
            [b'[', ..] | [b'-', b' ', ..] => true,
            _ => false,
        },
        _ => false,
    };
    (at.saturating_sub(REACH)..at)
        .rev()
        .find(begins)
        .unwrap_or(0)
}

#[derive(Debug, Clone)]
pub(super) struct IdSighting {
    pub(super) place: Place,
    pub(super) id: AccessKeyId,
    /// Glued to lower-case text, as literals are in a string table.
    pub(super) glued: bool,
    pub(super) mention: Option<Mention>,
}

/// How much a name says about the value beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Named {
    No,
    /// `secret_key` with a word of AWS nearby.
    Loosely,
    /// `aws_secret_access_key` and its kin.
    Exactly,
}

/// What tells where a secret without a name begins, the weakest first: of those
/// that overlap only one can be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Beginning {
    /// It stands right behind an ID, as a column may.
    Guessed,
    /// What is beside it is not of the alphabet, or a separator.
    Bounded,
    /// It stands right behind an ID that a binary field or a length is before.
    Field,
    /// It is a column of a row whose lengths are known.
    Column,
}

#[derive(Debug, Clone)]
pub(super) struct SecretSighting {
    pub(super) place: Place,
    pub(super) value: Secret,
    pub(super) named: Named,
    pub(super) beginning: Beginning,
    /// The shape of an SES SMTP password rather than of a secret access key.
    pub(super) smtp: bool,
    /// Its name says that it is a secret of something else.
    pub(super) foreign: bool,
    /// Among bytes that are no text, where random-looking runs are common.
    pub(super) in_binary: bool,
}

impl SecretSighting {
    /// Whether the two are readings of the same characters without a name.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let (from, to) = (self.place.offset, other.place.offset);
        self.named == Named::No
            && other.named == Named::No
            && from.abs_diff(to) < secret::LEN as u64
            && self.place.encoding == other.place.encoding
    }
}

/// A credential that needs no partner.
#[derive(Debug, Clone)]
pub(super) struct Standalone {
    pub(super) place: Place,
    pub(super) rule: Rule,
    pub(super) value: Secret,
    pub(super) account_id: Option<String>,
    pub(super) long_term: bool,
}

/// Values that belong together.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) id: IdSighting,
    pub(super) secret: SecretSighting,
    /// Bytes between the two.
    pub(super) gap: u64,
}

/// How often an ID was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) count: u64,
    /// Where the latest are among those that are kept.
    latest: Vec<usize>,
}

/// All that one blob, or one decoded text within it, holds.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    pub(super) ids: Vec<IdSighting>,
    pub(super) secrets: Vec<SecretSighting>,
    pub(super) standalone: Vec<Standalone>,
    pub(super) pairs: Vec<Pair>,
    /// How often each ID was seen, kept or not.
    pub(super) seen: HashMap<AccessKeyId, Seen>,
    /// Sightings that were not kept because of the limits above.
    pub(super) excess: u64,
    /// The first of the IDs that were not kept: a secret beside it may be its
    /// own, and secrets behind it those of the others.
    pub(super) cut: Option<IdSighting>,
    /// Candidates that made room.
    pub(super) replaced: u32,
    /// What decoding may still cost.
    pub(super) allowance: Allowance,
    /// Encoded texts that were not looked into, or not to their end, because
    /// they would have cost more.
    pub(super) undecoded: u64,
}

impl Sightings {
    /// Whether there is nothing to conclude from.
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
            && self.secrets.is_empty()
            && self.standalone.is_empty()
            && self.pairs.is_empty()
            && self.excess == 0
            && self.undecoded == 0
    }

    pub(super) fn push_id(&mut self, sighting: IdSighting) {
        let known = self.ids.iter_mut().rev().take(OVERLAP);
        let is_same = |known: &&mut IdSighting| {
            known.id == sighting.id && known.place.offset == sighting.place.offset
        };
        if let Some(known) = known.into_iter().find(is_same) {
            known.place.owner = known.place.owner.or(sighting.place.owner);
            return;
        }
        let is_full = self.ids.len() >= MAX_IDS;
        if is_full && !self.seen.contains_key(&sighting.id) {
            self.excess += 1;
            self.is_cut_at(sighting);
            return;
        }
        let seen = self.seen.entry(sighting.id).or_default();
        seen.count += 1;
        if seen.count > FIRST_POSITIONS && (is_full || seen.latest.len() == LATEST_POSITIONS) {
            // In turn, the oldest of them first.
            let turn = usize::try_from(seen.count).unwrap_or(0) % seen.latest.len().max(1);
            if let Some(at) = seen.latest.get(turn) {
                self.ids[*at] = sighting;
            }
        } else if !is_full {
            if seen.count > FIRST_POSITIONS {
                seen.latest.push(self.ids.len());
            }
            self.ids.push(sighting);
        }
    }

    fn is_cut_at(&mut self, sighting: IdSighting) {
        let at = sighting.place.offset;
        if self.cut.as_ref().is_none_or(|cut| at < cut.place.offset) {
            self.cut = Some(sighting);
        }
    }

    /// A secret seen twice at one place (by its name and by its shape) is
    /// kept once, under the better name.
    pub(super) fn push_secret(&mut self, sighting: SecretSighting) {
        let recent = self.secrets.len().saturating_sub(OVERLAP);
        let known = self.secrets[recent..].iter().position(|known| {
            known.place.offset == sighting.place.offset && known.value == sighting.value
        });
        if let Some(index) = known {
            let known = &mut self.secrets[recent + index];
            known.named = known.named.max(sighting.named);
            known.beginning = known.beginning.max(sighting.beginning);
            known.place.owner = known.place.owner.or(sighting.place.owner);
        } else if self.secrets.len() < MAX_SECRETS {
            self.secrets.push(sighting);
        } else if sighting.named != Named::No {
            // What has no name was only ever a candidate and makes room.
            let candidate = self.secrets.iter_mut().rev();
            match candidate.into_iter().find(|known| known.named == Named::No) {
                Some(candidate) => *candidate = sighting,
                None => self.excess += 1,
            }
        } else if self.replaced < MAX_REPLACED
            // Where not all IDs are kept either, more is told than anybody reads.
            && self.ids.len() < MAX_IDS
            && self.is_beside_an_id(&sighting)
        {
            self.replaced += 1;
            let is_far =
                |known: &SecretSighting| known.named == Named::No && !self.is_beside_an_id(known);
            if let Some(far) = self.secrets.iter().rposition(is_far) {
                self.secrets[far] = sighting;
            }
        }
    }

    fn is_beside_an_id(&self, secret: &SecretSighting) -> bool {
        let at = secret.place.offset;
        let mut ids = self.ids.iter();
        ids.any(|id| at.abs_diff(id.place.offset) <= BESIDE)
    }

    pub(super) fn push_standalone(&mut self, sighting: Standalone) {
        if self.standalone.iter().any(|known| {
            known.value == sighting.value && known.place.offset == sighting.place.offset
        }) {
            return;
        }
        if self.standalone.len() < MAX_STANDALONE {
            self.standalone.push(sighting);
        } else {
            self.excess += 1;
        }
    }

    /// Takes over what a decoded text held; `outer` turns a place in it into
    /// one of this text.
    pub(super) fn absorb(&mut self, inner: Self, encoding: Encoding, outer: impl Fn(u64) -> u64) {
        let moved = |mut place: Place| {
            place.offset = outer(place.offset);
            place.record = outer(place.record);
            place.encoding.insert(0, encoding);
            place
        };
        for mut sighting in inner.ids {
            sighting.place = moved(sighting.place);
            self.push_id(sighting);
        }
        for mut sighting in inner.secrets {
            sighting.place = moved(sighting.place);
            self.push_secret(sighting);
        }
        for mut sighting in inner.standalone {
            sighting.place = moved(sighting.place);
            self.push_standalone(sighting);
        }
        for mut pair in inner.pairs {
            pair.id.place = moved(pair.id.place);
            pair.secret.place = moved(pair.secret.place);
            if self.pairs.len() < MAX_IDS {
                self.seen.entry(pair.id.id).or_default().count += 1;
                self.pairs.push(pair);
            } else {
                self.excess += 1;
            }
        }
        self.excess += inner.excess;
        if let Some(mut cut) = inner.cut {
            cut.place = moved(cut.place);
            self.is_cut_at(cut);
        }
        self.allowance = inner.allowance;
        self.undecoded += inner.undecoded;
    }

    /// The places whose lines are not counted yet.
    pub(super) fn unplaced(&mut self) -> impl Iterator<Item = &mut Place> {
        let pairs = self
            .pairs
            .iter_mut()
            .flat_map(|pair| [&mut pair.id.place, &mut pair.secret.place]);
        self.ids
            .iter_mut()
            .map(|sighting| &mut sighting.place)
            .chain(self.secrets.iter_mut().map(|sighting| &mut sighting.place))
            .chain(
                self.standalone
                    .iter_mut()
                    .map(|sighting| &mut sighting.place),
            )
            .chain(pairs)
            .filter(|place| place.position.is_none())
    }
}

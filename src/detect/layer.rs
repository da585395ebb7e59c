//! One text at one depth of encoding: follows each hit to what it means, and
//! decoded texts down to their own hits.

use super::encoding::{self, Allowance, Decoded, Encoding};
use super::name::{self, Value};
use super::owner::Owner;
use super::prefilter::{self, Anchor, Hit};
use super::run::Runs;
use super::sighting::{IdSighting, Named, SecretSighting, Sightings, Standalone};
use super::window::{TEXT_HEAD, is_text};
use super::{Detector, access_key, cbor, pair, placeholder, row, secret, token};
use crate::finding::AccessKeyId;

/// Bytes of a decoded text that may be a part of a longer one: its first ID may
/// be that of a secret in the part before it, so they are paired together.
const PART: usize = 48 * 1024;

/// Up to where each kind of encoded text was decoded, and tokens were read,
/// so that many hits in one text cost no more than one.
#[derive(Debug, Default)]
pub(super) struct Marks {
    base64: usize,
    /// Up to where gzip in base64 was looked for. Where there was none, the
    /// text may still hold a prefix at another alignment.
    gzip: usize,
    /// Up to where base64 texts without an anchor were looked at.
    looked: usize,
    hex: usize,
    utf16: usize,
    escapes: usize,
    spelled: usize,
    token: usize,
    barren: name::Barren,
    rows: row::Window,
}

impl Marks {
    /// The window moved on by `bytes`.
    pub(super) fn shift(&mut self, bytes: usize) {
        for mark in [
            &mut self.base64,
            &mut self.gzip,
            &mut self.looked,
            &mut self.hex,
            &mut self.utf16,
            &mut self.escapes,
            &mut self.spelled,
            &mut self.token,
        ] {
            *mark = mark.saturating_sub(bytes);
        }
        self.barren = name::Barren::default();
        self.rows = row::Window::default();
    }
}

/// A text within another one.
struct Inner {
    decoded: Decoded,
    rows: row::Window,
}

impl From<Decoded> for Inner {
    fn from(decoded: Decoded) -> Self {
        Self {
            decoded,
            rows: row::Window::default(),
        }
    }
}

impl Detector {
    /// Looks closer at one hit in `bytes`, which stand at `base` in their blob.
    pub(super) fn follow(
        &self,
        hit: Hit,
        bytes: &[u8],
        base: u64,
        depth: usize,
        marks: &mut Marks,
        out: &mut Sightings,
    ) {
        let at = hit.at;
        match hit.anchor {
            Anchor::AccessKeyId => {
                let row = row::of_id(bytes, at, &mut marks.rows);
                let in_row = row.is_some() || cbor::is_text(bytes, at, AccessKeyId::LEN);
                let row = row.unwrap_or_default();
                if let Some(mut found) = access_key::read(bytes, at, in_row) {
                    found.place.owner = row.owner.or(found.place.owner);
                    out.push_id(IdSighting {
                        place: found.place.moved(base),
                        ..found
                    });
                }
                let secrets = row.secrets.into_iter();
                let secrets = secrets.map(|(at, beginning)| secret::in_row(bytes, at, beginning));
                push_secrets(secrets, base, out);
            }
            Anchor::SecretName => {
                let setting = row::of_setting(bytes, at, &mut marks.rows);
                if !push_setting(setting, base, out) {
                    self.read_name(at, bytes, base, depth, marks, out);
                }
            }
            Anchor::SessionToken | Anchor::BedrockApiKey if at < marks.token => {}
            Anchor::SessionToken => {
                push_standalone(token::read_session_token(bytes, at), base, marks, out);
            }
            Anchor::BedrockApiKey => {
                if push_standalone(token::read_bedrock_key(bytes, at), base, marks, out) {
                    // What the key encodes is the key itself, told already.
                    marks.base64 = marks.base64.max(marks.token);
                }
            }
            Anchor::Base64 { .. } | Anchor::Base64Text | Anchor::Base64Gzip
                if at < marks.base64 => {}
            Anchor::Base64 { phase } if encoding::base64::may_be_id(bytes, at, phase) => {
                let decoded = encoding::base64::decode(bytes, at, phase, marks.base64);
                self.descend(decoded, bytes, base, depth, &mut marks.base64, out);
            }
            Anchor::Base64Gzip if at >= marks.gzip => {
                let decoded = encoding::base64::decode(bytes, at, 0, at);
                self.descend(decoded, bytes, base, depth, &mut marks.gzip, out);
                marks.looked = marks.looked.max(marks.gzip);
            }
            Anchor::Base64Text if at < marks.looked => {}
            Anchor::Base64Text => {
                let decoded =
                    encoding::base64::decode_text(bytes, at, marks.base64, &mut marks.looked);
                self.descend(decoded, bytes, base, depth, &mut marks.base64, out);
            }
            Anchor::Hex if at >= marks.hex => {
                let decoded = encoding::hex::decode(bytes, at, marks.hex);
                self.descend(Some(decoded), bytes, base, depth, &mut marks.hex, out);
            }
            Anchor::Utf16 => {
                let setting = row::of_setting_in_utf16(bytes, at, &mut marks.rows);
                let is_told =
                    push_setting(setting, base, out) || push_row(bytes, at, base, marks, out);
                if !is_told && at >= marks.utf16 {
                    let decoded = encoding::decode_utf16(bytes, at, marks.utf16);
                    let inner = decoded.map(|decoded| Inner {
                        rows: marks.rows.within(bytes, &decoded),
                        decoded,
                    });
                    self.descend(inner, bytes, base, depth, &mut marks.utf16, out);
                }
            }
            Anchor::Escapes if at >= marks.escapes => {
                let decoded = encoding::decode_escapes(bytes, at, marks.escapes);
                self.descend(Some(decoded), bytes, base, depth, &mut marks.escapes, out);
            }
            Anchor::Base64 { .. } | Anchor::Base64Gzip => {}
            Anchor::Hex | Anchor::Escapes => {}
        }
    }

    /// What follows the name of a secret at `at`.
    fn read_name(
        &self,
        at: usize,
        bytes: &[u8],
        base: u64,
        depth: usize,
        marks: &mut Marks,
        out: &mut Sightings,
    ) {
        match name::read(bytes, at, &mut marks.barren) {
            Value::Found(found) => push_secrets([found], base, out),
            // It may be spelled out, and its ID with it.
            Value::Missing if depth < self.max_depth && at >= marks.spelled => {
                let from = marks.spelled;
                for decoded in encoding::spelled::decode(bytes, at, from) {
                    self.descend(Some(decoded), bytes, base, depth, &mut marks.spelled, out);
                }
                marks.spelled = marks.spelled.max(at + encoding::spelled::AFTER);
            }
            Value::Missing | Value::OfAnother => {}
        }
    }

    /// Scans a decoded text and takes over what it holds.
    fn descend(
        &self,
        inner: Option<impl Into<Inner>>,
        bytes: &[u8],
        base: u64,
        depth: usize,
        mark: &mut usize,
        out: &mut Sightings,
    ) {
        let Some(inner) = inner else { return };
        let Inner { decoded, rows } = inner.into();
        let goes_on = decoded.source.first().is_some_and(|start| {
            let start = usize::try_from(*start).unwrap_or(usize::MAX);
            start <= *mark && *mark > 0
        });
        // Other values are in rows, and belong to those in this text.
        let is_part = goes_on || decoded.bytes.len() >= PART || rows.has_settings();
        *mark = (*mark).max(decoded.done);
        if !out.allowance.spend(decoded.bytes.len()) {
            out.undecoded += 1;
            return;
        }
        if depth >= self.max_depth {
            let is_worth_it = self.is_worth_a_look(&decoded.bytes, &mut out.allowance);
            out.undecoded += u64::from(is_worth_it);
            return;
        }
        let mut inner = self.sight(&decoded.bytes, depth + 1, out.allowance, rows);
        if !is_part {
            conclude(&mut inner);
        }
        // A value that is encoded by itself has its name before the encoding.
        if let Some(id) = inner.ids.first_mut().filter(|id| id.place.offset == 0) {
            let start = usize::try_from(decoded.source_of(0)).unwrap_or(usize::MAX);
            id.place.owner = Owner::of(bytes, start);
        }
        out.absorb(inner, decoded.encoding, |offset| {
            base + decoded.source_of(offset)
        });
    }

    /// Whether a text that lies deeper than is looked into may hold a key.
    fn is_worth_a_look(&self, bytes: &[u8], allowance: &mut Allowance) -> bool {
        if encoding::is_gzip(bytes) {
            let (inflated, _) = encoding::inflate(bytes, allowance);
            if self.has_hits(&inflated) {
                return true;
            }
        }
        self.has_hits(bytes)
    }

    fn has_hits(&self, bytes: &[u8]) -> bool {
        let mut hits = Vec::new();
        self.prefilter.search(bytes, 0, &mut hits);
        // A certificate is no text, although it may have no NUL.
        let head = &bytes[..bytes.len().min(TEXT_HEAD)];
        let is_utf8 = match std::str::from_utf8(head) {
            Ok(_) => true,
            Err(error) => error.error_len().is_none(),
        };
        if is_text(bytes) && is_utf8 {
            prefilter::probe(bytes, 0, bytes.len(), 0, &mut hits);
        }
        !hits.is_empty()
    }

    /// All that a text in memory holds.
    fn sight(
        &self,
        bytes: &[u8],
        depth: usize,
        allowance: Allowance,
        rows: row::Window,
    ) -> Sightings {
        let mut out = Sightings {
            allowance,
            ..Sightings::default()
        };
        if encoding::is_gzip(bytes) {
            let (inflated, cut) = encoding::inflate(bytes, &mut out.allowance);
            out.undecoded += u64::from(cut);
            if depth < self.max_depth {
                let rows = row::Window::default();
                let mut inner = self.sight(&inflated, depth + 1, out.allowance, rows);
                conclude(&mut inner);
                out.absorb(inner, Encoding::Gzip, |_| 0);
            } else {
                out.undecoded += u64::from(self.has_hits(&inflated));
            }
            // Three bytes make no gzip: noise begins so too, and goes on as
            // something else.
        }
        let mut hits = Vec::new();
        self.prefilter.search(bytes, 0, &mut hits);
        prefilter::probe(bytes, 0, bytes.len(), 0, &mut hits);
        hits.sort_by_key(|hit| hit.at);
        hits.retain(|hit| !rows.is_setting(hit.at));
        let mut marks = Marks {
            rows,
            ..Marks::default()
        };
        for hit in hits {
            self.follow(hit, bytes, 0, depth, &mut marks, &mut out);
        }
        if !out.ids.is_empty() {
            secret::collect(Runs::new(bytes, 0, bytes.len()), 0, &mut out);
        }
        out
    }
}

/// Pairs what a text holds, as far as that goes.
fn conclude(sightings: &mut Sightings) {
    pair::pair(sightings);
    // A candidate without a name meant nothing but to the IDs here.
    sightings.secrets.retain(|secret| secret.named != Named::No);
}

/// Whether a name of a secret is the one of a setting in a database.
fn push_setting(found: Option<Vec<SecretSighting>>, base: u64, out: &mut Sightings) -> bool {
    let is_setting = found.is_some();
    push_secrets(found.into_iter().flatten(), base, out);
    is_setting
}

fn push_secrets(found: impl IntoIterator<Item = SecretSighting>, base: u64, out: &mut Sightings) {
    for secret in found {
        out.push_secret(SecretSighting {
            place: secret.place.moved(base),
            ..secret
        });
    }
}

/// Whether the ID in UTF-16 at `at` stands in a row of a database with a secret.
fn push_row(bytes: &[u8], at: usize, base: u64, marks: &mut Marks, out: &mut Sightings) -> bool {
    let Some((id, secrets)) = row::in_utf16(bytes, at, &mut marks.rows) else {
        return false;
    };
    out.push_id(IdSighting {
        place: id.place.moved(base),
        ..id
    });
    let is_whole = !secrets.is_empty();
    push_secrets(secrets, base, out);
    is_whole
}

fn push_standalone(
    found: Option<Standalone>,
    base: u64,
    marks: &mut Marks,
    out: &mut Sightings,
) -> bool {
    let Some(found) = found else { return false };
    let start = usize::try_from(found.place.offset).unwrap_or(usize::MAX);
    marks.token = start.saturating_add(found.value.expose().len());
    if placeholder::is_placeholder_token(found.value.expose()) {
        return true;
    }
    out.push_standalone(Standalone {
        place: found.place.moved(base),
        ..found
    });
    true
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use ::base64::prelude::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn what_lies_too_deep_is_counted() {
        let mut random = fastrand::Rng::with_seed(2);
        let mut pick = |alphabet: &[u8], count: usize| -> String {
            let pick = |_| char::from(alphabet[random.usize(..alphabet.len())]);
            (0..count).map(pick).collect()
        };
        let id = format!("AKIA{}", pick(b"QRSTUVWXYZ234567", 16));
        let mut texts = vec![format!("a file with {id} in it, and no more than this")];
        let mut words = vec!["a file with nothing in it but some more words than these".to_owned()];
        for texts in [&mut texts, &mut words] {
            for depth in 0..7 {
                texts.push(BASE64_STANDARD.encode(&texts[depth]));
            }
        }
        let detector = Detector::new(4);
        let seen = |text: &String| {
            let detection = detector.scan(text.as_bytes());
            (detection.matches.len(), detection.undecoded)
        };
        let expected = [
            (1, 0),
            (1, 0),
            (1, 0),
            (1, 0),
            (1, 0),
            (0, 1),
            (0, 1),
            (0, 1),
        ];
        assert_eq!(texts.iter().map(seen).collect::<Vec<_>>(), expected);
        let nothing: Vec<_> = words.iter().take(6).map(seen).collect();
        assert_eq!(nothing, [(0, 0); 6]);
        // What is packed as well, and what is none of it.
        let gzipped = |bytes: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            BASE64_STANDARD.encode(encoder.finish().unwrap())
        };
        let packed = (0..3).fold(texts[0].clone(), |text, _| gzipped(text.as_bytes()));
        assert_eq!(seen(&packed), (0, 1));
        let noise: Vec<u8> = (0..3000).map(|_| random.u8(1..)).collect();
        let deep = (0..5).fold(noise, |bytes, _| BASE64_STANDARD.encode(bytes).into_bytes());
        assert_eq!(seen(&String::from_utf8(deep).unwrap()), (0, 0));
    }
}

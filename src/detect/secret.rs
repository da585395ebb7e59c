//! Secret access keys: 40 characters of the base64 alphabet that look random,
//! with boundaries that know that alphabet.

use base64::Engine as _;
use base64::engine::general_purpose::GeneralPurpose;

use super::encoding::{self, Encoding};
use super::sighting::{Named, Place, SecretSighting, Sightings};
use super::{entropy, glyph, placeholder};
use crate::secret::Secret;

/// Characters of a secret access key.
const LEN: usize = 40;

/// Characters of an SES SMTP password.
const SMTP_LEN: usize = 44;

/// Longest run of the alphabet whose decoded form is looked at: base64 of
/// base64 of a secret has 76 characters.
const MAX_ENCODED: usize = 80;

/// Entropy below which 40 characters are no secret: none of 200,000 real ones
/// was, and every hexadecimal text is.
const MIN_ENTROPY: f64 = 4.0;

/// Changes of kind below which 40 characters without a name are a path or
/// identifiers; a random secret has fewer once in 100,000.
const MIN_CHANGES: usize = 13;

/// A maximal run of characters of the alphabet.
pub(super) struct Run {
    pub(super) start: usize,
    pub(super) end: usize,
    characters: Vec<u8>,
    /// More than `MAX_ENCODED` characters: none of our business.
    too_long: bool,
    /// `-` or `_` beside it: part of a longer word of the URL-safe alphabet.
    in_word: bool,
}

/// The first run at or after `from` that starts before `to`.
pub(super) fn next_run(bytes: &[u8], from: usize, to: usize) -> Option<Run> {
    let mut at = from;
    while at < to.min(bytes.len()) {
        if glyph::is_base64(bytes[at]) {
            at += glyph::escape_len(bytes, at);
        }
        if glyph::read(bytes, at).is_some() {
            return Some(read_run(bytes, at));
        }
        at += 1;
    }
    None
}

fn read_run(bytes: &[u8], start: usize) -> Run {
    let mut characters = Vec::new();
    let mut at = start;
    let mut too_long = false;
    loop {
        if let Some((byte, next)) = glyph::read(bytes, at) {
            if characters.len() < MAX_ENCODED {
                characters.push(byte);
            } else {
                too_long = true;
            }
            at = next;
            continue;
        }
        // A value that is whole ends here, whatever literal comes next.
        let whole = matches!(characters.len(), 20 | LEN | SMTP_LEN) || too_long;
        match glyph::joint(bytes, at) {
            Some(next) if !whole && glyph::read(bytes, next).is_some() => at = next,
            _ => break,
        }
    }
    let word = |at: Option<&u8>| matches!(at, Some(b'-' | b'_'));
    Run {
        start,
        end: at.max(start + 1),
        characters,
        too_long,
        in_word: word(start.checked_sub(1).and_then(|before| bytes.get(before)))
            || word(bytes.get(at)),
    }
}

impl Run {
    /// The secret that the run is, plain or encoded.
    pub(super) fn secret(&self, named: Named) -> Option<SecretSighting> {
        let (value, encoding) = match self.characters.len() {
            _ if self.too_long => return None,
            LEN if is_secret(&self.characters, named) => (self.characters.clone(), Vec::new()),
            // Base64 of 40 bytes, or of the 56 that encode them once more.
            54..=76 => decode(&self.characters, named)?,
            80 => {
                let bytes = encoding::hex::decode_all(&self.characters)?;
                is_secret(&bytes, named).then_some((bytes, vec![Encoding::Hex]))?
            }
            _ => return None,
        };
        if named == Named::No && self.in_word {
            return None;
        }
        Some(SecretSighting {
            place: Place {
                encoding,
                ..Place::at(self.start as u64)
            },
            value: Secret::new(value),
            named,
            smtp: false,
        })
    }

    /// The SES SMTP password that the run is: base64 of the version byte 4
    /// and a 32-byte signature.
    fn smtp_password(&self) -> Option<SecretSighting> {
        let shaped = matches!(self.characters[..], [b'B', b'A'..=b'P', ..])
            && self.characters.len() == SMTP_LEN
            && !self.too_long
            && looks_random(&self.characters);
        shaped.then(|| SecretSighting {
            place: Place::at(self.start as u64),
            value: Secret::new(self.characters.clone()),
            named: Named::No,
            smtp: true,
        })
    }
}

fn decode(characters: &[u8], named: Named) -> Option<(Vec<u8>, Vec<Encoding>)> {
    const LENIENT: GeneralPurpose = encoding::base64::LENIENT;
    let once = LENIENT.decode(characters).ok()?;
    if is_secret(&once, named) {
        return Some((once, vec![Encoding::Base64]));
    }
    let trimmed = once.trim_ascii_end();
    let unpadded: &[u8] = trimmed.strip_suffix(b"==").unwrap_or(trimmed);
    if is_secret(unpadded, named) {
        return Some((unpadded.to_vec(), vec![Encoding::Base64]));
    }
    if !unpadded.iter().all(|byte| glyph::is_base64(*byte)) {
        return None;
    }
    let twice = LENIENT.decode(unpadded).ok()?;
    is_secret(&twice, named).then(|| (twice, vec![Encoding::Base64, Encoding::Base64]))
}

/// Whether these are 40 characters that look like a secret. Without a name
/// the look alone has to convince.
fn is_secret(characters: &[u8], named: Named) -> bool {
    characters.len() == LEN
        && characters.iter().all(|byte| glyph::is_base64(*byte))
        && !placeholder::is_placeholder_secret(characters)
        && if named == Named::No {
            looks_random(characters)
        } else {
            entropy::shannon(characters) >= MIN_ENTROPY
                && characters.iter().any(u8::is_ascii_uppercase)
                && characters.iter().any(u8::is_ascii_lowercase)
        }
}

fn looks_random(characters: &[u8]) -> bool {
    entropy::shannon(characters) >= MIN_ENTROPY
        && entropy::changes_of_kind(characters) >= MIN_CHANGES
}

/// Adds every value in `bytes[from..to]` that could be the secret of an ID
/// seen in the same text, named or not. Returns where the last run ended.
pub(super) fn collect(
    bytes: &[u8],
    from: usize,
    to: usize,
    base: u64,
    out: &mut Sightings,
) -> usize {
    let mut at = from;
    while let Some(run) = next_run(bytes, at, to) {
        at = run.end;
        if let Some(mut sighting) = run.secret(Named::No).or_else(|| run.smtp_password()) {
            sighting.place.offset += base;
            out.push_secret(sighting);
        }
    }
    at
}

//! Secret access keys: 40 characters of the base64 alphabet that look random,
//! with boundaries that know that alphabet.

use base64::Engine as _;
use base64::engine::general_purpose::GeneralPurpose;

use super::encoding::{self, Encoding};
pub use super::run::LEN;
use super::run::{MAX_ENCODED, Run, SMTP_LEN};
use super::sighting::{Beginning, Named, Place, SecretSighting, Sightings};
use super::{cbor, entropy, glyph, name, placeholder, symbol};
use crate::finding::AccessKeyId;
use crate::secret::Secret;

/// Entropy below which 40 characters are no secret: none of 200,000 real ones
/// was, and every hexadecimal text is.
const MIN_ENTROPY: f64 = 4.0;

/// Changes of kind below which 40 characters without a name are a path or
/// identifiers; a random secret has fewer once in 100,000.
const MIN_CHANGES: usize = 11;

/// Letters followed by one of the same case above which 40 characters are
/// words; one random secret of 10,000 has more.
const MAX_SAME_CASE: usize = 20;

/// Entropy from which 40 characters that have a secret's name are no words:
/// one of a million random secrets passes for words below it, and one of 30
/// texts of words is not below it.
const MIN_NAMED_ENTROPY: f64 = 4.4;

/// Length of the last line of a wrapped base64 text at which it could be
/// taken for a secret, were it not for the lines above it.
const MIN_LINE_ABOVE: usize = 48;

/// Bytes before a run in which the line above it is looked for.
const ABOVE: usize = 256;

/// Whether the line above the one that begins at `start` is long base64.
fn ends_base64(bytes: &[u8], start: usize) -> bool {
    let near = &bytes[start.saturating_sub(ABOVE)..start];
    let above = near.trim_ascii_end();
    memchr::memchr(b'\n', &near[above.len()..]).is_some()
        && above
            .iter()
            .rev()
            .take(MIN_LINE_ABOVE)
            .take_while(|byte| glyph::is_base64(**byte))
            .count()
            == MIN_LINE_ABOVE
}

/// Whether a secret stands at `at` and ends where the alphabet does: the next
/// field of a binary record.
pub(super) fn follows(bytes: &[u8], at: usize) -> bool {
    let rest = &bytes[at..];
    // No more is read than can be a secret: IDs may follow each other in one
    // run as long as the file.
    let len = rest
        .iter()
        .take(LEN + 1)
        .take_while(|byte| glyph::is_base64(**byte))
        .count();
    is_secret(&rest[..len], Named::No)
}

/// Whether 40 characters at `at` are a secret, whatever stands beside them.
pub(super) fn is_at(bytes: &[u8], at: usize) -> bool {
    let value = bytes.get(at..at + LEN);
    value.is_some_and(|value| is_secret(value, Named::No))
}

/// The secret that is a column of a row, from `at` on.
pub(super) fn in_row(bytes: &[u8], at: usize, beginning: Beginning) -> SecretSighting {
    SecretSighting {
        place: Place::in_text(bytes, at),
        value: Secret::new(&bytes[at..at + LEN]),
        named: Named::No,
        beginning,
        smtp: false,
        foreign: false,
        // It is known to belong there, and may be far from its ID.
        in_binary: false,
    }
}

impl Run<'_> {
    /// The secret that the run is, plain or encoded.
    pub(super) fn secret(&self, named: Named) -> Option<SecretSighting> {
        if self.characters.len() < LEN
            || (named == Named::No && ends_base64(self.bytes, self.start))
            || (self.in_word && symbol::is_mangled(self.bytes, self.start))
        {
            return None;
        }
        // The first characters may belong to an escape before the run: `0A`
        // of `%0A`, which a secret can also begin with.
        let skips = match glyph::escape_len(self.bytes, self.start) {
            0 if glyph::is_pickled(self.bytes, self.start + 1) => &[0, 1][..],
            // Twice its length, as Avro writes it.
            0 if self.is_counted_twofold() => &[0, 1],
            0 => &[0],
            escape => &[0, escape],
        };
        let is_whole = named != Named::No || !self.in_word;
        let found = skips.iter().filter(|_| is_whole).find_map(|skip| {
            let (value, encoding) = decode(self.characters.get(*skip..)?, named)?;
            Some((*skip, value, encoding))
        });
        let (skip, value, encoding) = found
            .or_else(|| self.after_id(named))
            .or_else(|| self.counted(named))?;
        Some(SecretSighting {
            place: Place {
                encoding,
                ..Place::in_text(self.bytes, self.start + skip)
            },
            value: Secret::new(value),
            named,
            beginning: Beginning::Bounded,
            smtp: false,
            foreign: false,
            in_binary: false,
        })
    }

    fn is_counted_twofold(&self) -> bool {
        self.characters[0] == b'P'
            && !glyph::is_counted(self.bytes, self.start, LEN)
            && is_binary(self.bytes, self.start)
    }

    /// The secret in `…/ID/secret` and in `IDsecret`, where the separators, if
    /// there are any, are of the alphabet too.
    fn after_id(&self, named: Named) -> Option<(usize, Vec<u8>, Vec<Encoding>)> {
        let in_id = |at: usize| matches!(self.characters[at], b'A'..=b'Z' | b'0'..=b'9');
        let last = self.characters.len().checked_sub(AccessKeyId::LEN + LEN)?;
        let end = (0..=last)
            .filter(|at| *at == 0 || !in_id(at - 1))
            .map(|at| at + AccessKeyId::LEN)
            .find(|end| {
                AccessKeyId::parse(&self.characters[end - AccessKeyId::LEN..*end]).is_some()
            })?;
        let skip = match self.characters.len() - end - LEN {
            _ if self.in_word || self.characters.len() > MAX_ENCODED => return None,
            0 => 0,
            1 if !self.characters[end].is_ascii_alphanumeric() => 1,
            _ => return None,
        };
        let value = &self.characters[end + skip..][..LEN];
        is_secret(value, named).then(|| (end + skip, value.to_vec(), Vec::new()))
    }

    /// The secret of which a binary format tells the length before it, whatever
    /// letter the next field begins with.
    fn counted(&self, named: Named) -> Option<(usize, Vec<u8>, Vec<Encoding>)> {
        let value = self.characters.get(..LEN)?;
        // Twice the length of an ID is that of a secret.
        let is_id = self
            .characters
            .get(..AccessKeyId::LEN)
            .is_some_and(|id| AccessKeyId::parse(id).is_some());
        let found = self.characters.len() > LEN
            && !is_id
            && glyph::is_counted(self.bytes, self.start, LEN)
            && (is_binary(self.bytes, self.start) || cbor::is_text(self.bytes, self.start, LEN))
            && is_secret(value, named);
        found.then(|| (0, value.to_vec(), Vec::new()))
    }

    /// The SES SMTP password that the run is, plain or in base64.
    fn smtp_password(&self) -> Option<SecretSighting> {
        // Base64 of 44 bytes, without padding, and with a line end.
        const ENCODED: std::ops::RangeInclusive<usize> = 59..=60;
        let (value, encoding) = match self.characters.len() {
            SMTP_LEN => (self.characters.to_vec(), Vec::new()),
            len if ENCODED.contains(&len) => {
                let decoded = encoding::base64::LENIENT.decode(&*self.characters).ok()?;
                (decoded.trim_ascii().to_vec(), vec![Encoding::Base64])
            }
            _ => return None,
        };
        if ends_base64(self.bytes, self.start) {
            return None;
        }
        is_smtp_password(&value).then(|| SecretSighting {
            place: Place {
                encoding,
                ..Place::in_text(self.bytes, self.start)
            },
            value: Secret::new(value),
            named: Named::No,
            beginning: Beginning::Bounded,
            smtp: true,
            foreign: false,
            in_binary: false,
        })
    }
}

/// The secret that these characters are or encode, and how.
fn decode(characters: &[u8], named: Named) -> Option<(Vec<u8>, Vec<Encoding>)> {
    const LENIENT: GeneralPurpose = encoding::base64::LENIENT;
    match characters.len() {
        LEN => is_secret(characters, named).then(|| (characters.to_vec(), Vec::new())),
        // Base64 of 40 bytes, or of the 54 to 56 that encode them once more.
        54..=76 => {
            let once = LENIENT.decode(characters).ok()?;
            let text = once.trim_ascii();
            if is_secret(text, named) {
                return Some((text.to_vec(), vec![Encoding::Base64]));
            }
            let unpadded = text.strip_suffix(b"==").unwrap_or(text);
            let twice = LENIENT.decode(unpadded).ok()?;
            let text = twice.trim_ascii();
            is_secret(text, named).then(|| (text.to_vec(), vec![Encoding::Base64; 2]))
        }
        80 | 82 => {
            let digits = characters.strip_prefix(b"0x").unwrap_or(characters);
            let text = encoding::hex::decode_all(digits)?;
            is_secret(&text, named).then(|| (text, vec![Encoding::Hex]))
        }
        _ => None,
    }
}

/// Whether a word looks like a secret access key, whatever stands beside it.
pub fn is_like_secret(word: &[u8]) -> bool {
    is_secret(word, Named::No)
}

/// Whether these are 40 characters that look like a secret. Without a name
/// the look alone has to convince.
fn is_secret(characters: &[u8], named: Named) -> bool {
    characters.len() == LEN
        && characters.iter().all(|byte| glyph::is_base64(*byte))
        && if named == Named::No {
            looks_random(characters)
        } else {
            let entropy = entropy::shannon(characters);
            entropy >= MIN_NAMED_ENTROPY || (entropy >= MIN_ENTROPY && !is_words(characters))
        }
        && !placeholder::is_placeholder_secret(characters)
        && !is_encoded_text(characters)
}

/// Whether these are a line of base64 of a text: one in 10^13 of what is random
/// decodes to characters only.
fn is_encoded_text(characters: &[u8]) -> bool {
    let decoded = encoding::base64::LENIENT.decode(characters);
    let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~');
    decoded.is_ok_and(|decoded| decoded.iter().all(is_text))
}

/// Whether these are base64 of the version byte 4 and a 32-byte signature.
fn is_smtp_password(characters: &[u8]) -> bool {
    matches!(characters, [b'B', b'A'..=b'P', ..])
        && characters.len() == SMTP_LEN
        && characters.iter().all(|byte| glyph::is_base64(*byte))
        && looks_random(characters)
}

fn looks_random(characters: &[u8]) -> bool {
    // What costs least comes first: most candidates are paths and hashes.
    entropy::changes_of_kind(characters) >= MIN_CHANGES
        && entropy::shannon(characters) >= MIN_ENTROPY
        && !is_words(characters)
}

/// Whether letters follow letters of their own case, and vowels are as
/// frequent, as in words and paths.
fn is_words(characters: &[u8]) -> bool {
    let pairs = |of: fn(&u8) -> bool| {
        characters
            .windows(2)
            .filter(|pair| pair.iter().all(of))
            .count()
    };
    let letters = characters.iter().filter(|byte| byte.is_ascii_alphabetic());
    let vowels = letters.clone().filter(|byte| b"aeiouAEIOU".contains(byte));
    // 19 of 100 letters are vowels by chance, 38 in English.
    vowels.count() * 10 > letters.count() * 3
        && (pairs(u8::is_ascii_lowercase) > MAX_SAME_CASE
            || pairs(u8::is_ascii_uppercase) > MAX_SAME_CASE)
}

/// Whether a NUL stands in the text around `at`.
pub(super) fn is_binary(bytes: &[u8], at: usize) -> bool {
    const AROUND: usize = 16 * 1024;
    let around = &bytes[at.saturating_sub(AROUND)..bytes.len().min(at + AROUND)];
    memchr::memchr(0, around).is_some()
}

/// Adds each of the runs that could be the secret of an ID seen in the same
/// text, named or not; `base` is where their bytes stand in it. Returns where
/// these runs start.
pub(super) fn collect<'a>(
    runs: impl Iterator<Item = Run<'a>>,
    base: u64,
    out: &mut Sightings,
) -> Vec<usize> {
    let mut starts = Vec::new();
    for run in runs {
        if let Some(mut sighting) = run.secret(Named::No).or_else(|| run.smtp_password()) {
            sighting.place = sighting.place.moved(base);
            sighting.in_binary = is_binary(run.bytes, run.start);
            sighting.foreign = name::is_of_another(run.bytes, run.start);
            out.push_secret(sighting);
            starts.push(run.start);
        }
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardly_any_random_secret_is_lost_for_its_look() {
        let mut random = fastrand::Rng::with_seed(1);
        let alphabet: Vec<u8> = (0..=255).filter(|byte| glyph::is_base64(*byte)).collect();
        let mut lost = [0, 0];
        for _ in 0..20_000 {
            let secret: Vec<u8> = (0..LEN).map(|_| alphabet[random.usize(..64)]).collect();
            lost[0] += usize::from(!is_secret(&secret, Named::No));
            lost[1] += usize::from(!is_secret(&secret, Named::Exactly));
        }
        assert!(lost[0] <= 2 && lost[1] <= 1, "{lost:?}");
    }

    #[test]
    fn a_name_makes_up_for_the_look_of_words() {
        let text = concat!("eaziowcufaybodigetuhaqel", "3K+Q9jX/7mN2Lr5B").as_bytes();
        assert!(is_words(text) && !is_secret(text, Named::No));
        assert!(is_secret(text, Named::Exactly));
    }

    #[test]
    fn words_paths_and_hashes_are_no_secrets() {
        for text in [
            "refuseTheUploadOfV2ArchivesWithout5Parts",
            "assets/Fonts/Roboto2/Regular/v30/indexes",
            "AbstractSingletonProxyFactoryBeanMaking1",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            // A line of base64 of a configuration.
            "WzJhIEIzLCBjXQ0KNFk9NlotOFcKZCRlJWZeZyZo",
        ] {
            assert_eq!(text.len(), LEN);
            assert!(!is_secret(text.as_bytes(), Named::Exactly), "{text}");
        }
    }
}

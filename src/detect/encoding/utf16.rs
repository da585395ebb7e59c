//! UTF-16 in either byte order, with or without a mark: of the code units
//! only those below 128 matter, the others are read as `?`.
//!
//! A unit is named by the place of its low byte.

use super::{Decoded, Encoding, MAX_TEXT};
use crate::detect::{glyph, run};
use crate::finding::AccessKeyId;

/// Bytes in a row that are no such units before the text is taken to end: among
/// binary data a secret is looked for as far from its ID.
const MAX_FOREIGN: usize = 512;

/// Up to here a single unit shows that the text goes on, and further only
/// [`MIN_RUN`] of them: half of the numbers of a table look like one.
const NEAR: usize = 32;

/// Units in a row that are no accident.
const MIN_RUN: usize = 4;

/// Bytes decoded again when a text is cut.
const OVERLAP: usize = 2048;

/// Bytes decoded before a hit; what is left of the longest text is behind it.
const MAX_BEFORE: usize = MAX_TEXT / 2;

/// Decodes the text around the low byte at `at`, if it is one.
pub(in crate::detect) fn decode(bytes: &[u8], at: usize, from: usize) -> Option<Decoded> {
    let read = |order: Order| {
        let text = Units { bytes, order };
        text.is_run(at).then(|| text.decode(at, from))
    };
    match (read(Order::Little), read(Order::Big)) {
        (Some(little), Some(big)) => Some(likelier(bytes, little, big)),
        (little, big) => little.or(big),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

/// The zeros between the characters are those of both byte orders. Only the
/// first or the last of them differs: beside it stands what is no part of the
/// text, and what is right is told by the length of what is in it.
fn likelier(bytes: &[u8], little: Decoded, big: Decoded) -> Decoded {
    let weight = |text: &Decoded| {
        let is_part = |byte: u8| glyph::is_base64(byte) || matches!(byte, b'-' | b'_');
        let words = text.bytes.split(|byte| !is_part(*byte));
        let is_key = |word: &&[u8]| match word.len() {
            AccessKeyId::LEN => AccessKeyId::parse(word).is_some(),
            len => len == run::LEN,
        };
        let keys = words.filter(is_key).count();
        let is_shown = |byte: &&u8| !glyph::is_mark(**byte);
        (keys, text.bytes.iter().filter(is_shown).count())
    };
    let is_big = if little.bytes == big.bytes {
        None
    } else {
        let (little, big) = (weight(&little), weight(&big));
        (little != big).then_some(big > little)
    };
    // A zero ends a text of the other order too, which begins at an even place.
    let begins_big = || {
        let start = big.source.first().map_or(0, |start| *start as usize);
        start % 2 == 1 && bytes[start - 1] == 0
    };
    if is_big.unwrap_or_else(begins_big) {
        big
    } else {
        little
    }
}

/// Bytes read in one of the orders.
#[derive(Debug, Clone, Copy)]
struct Units<'a> {
    bytes: &'a [u8],
    order: Order,
}

impl Units<'_> {
    /// The high byte of the unit at `at`.
    fn high(self, at: usize) -> Option<u8> {
        let high = match self.order {
            Order::Little => at + 1,
            Order::Big => at.checked_sub(1)?,
        };
        self.bytes.get(high).copied()
    }

    fn is_ascii(self, at: usize) -> bool {
        matches!(self.bytes.get(at), Some(1..=0x7f)) && self.high(at) == Some(0)
    }

    fn is_run(self, at: usize) -> bool {
        (0..MIN_RUN).all(|unit| self.is_ascii(at + 2 * unit))
    }

    fn ends_run(self, at: usize) -> bool {
        const BEFORE: usize = 2 * (MIN_RUN - 1);
        at.checked_sub(BEFORE)
            .is_some_and(|first| self.is_run(first))
    }

    fn decode(self, at: usize, from: usize) -> Decoded {
        const MAX_UNITS: usize = MAX_TEXT / 2;
        let (mut decoded, mut source) = (Vec::new(), Vec::new());
        let mut place = self.start_of(at, from);
        let (mut foreign, mut end) = (0, 0);
        while place < self.bytes.len() && decoded.len() < MAX_UNITS {
            let is_text = self.is_ascii(place) && (foreign <= NEAR || self.is_run(place));
            if !is_text && foreign >= MAX_FOREIGN && place > at {
                break;
            }
            source.push(u32::try_from(place).unwrap_or(u32::MAX));
            if is_text {
                decoded.push(self.bytes[place]);
                foreign = 0;
                place += 2;
                end = decoded.len();
                continue;
            }
            // The text next to this one may be what belongs to it.
            let is_zero = self.bytes[place] == 0 && self.high(place) == Some(0);
            decoded.push(if is_zero { 0 } else { b'?' });
            // In binary data it begins at an even place or at an odd one.
            let step = if self.is_run(place + 1) { 1 } else { 2 };
            foreign += step;
            place += step;
        }
        let stop = place.min(self.bytes.len());
        let cut = stop + 2 > self.bytes.len() || decoded.len() == MAX_UNITS;
        // What is no text behind it is not its own.
        if !cut {
            decoded.truncate(end);
            source.truncate(end);
        }
        let done = if cut && decoded.len() > OVERLAP {
            stop - OVERLAP
        } else {
            stop
        };
        Decoded {
            encoding: match self.order {
                Order::Little => Encoding::Utf16Le,
                Order::Big => Encoding::Utf16Be,
            },
            source,
            bytes: decoded,
            done,
        }
    }

    fn start_of(self, at: usize, from: usize) -> usize {
        let (mut start, mut place, mut foreign) = (at, at, 0);
        while place >= from + 2 && at - place < MAX_BEFORE {
            let before = place - 2;
            if self.is_ascii(before) && (foreign <= NEAR || self.ends_run(before)) {
                foreign = 0;
                start = before;
                place = before;
                continue;
            }
            if foreign >= MAX_FOREIGN {
                break;
            }
            let is_odd = before > from && self.ends_run(before - 1);
            let step = if is_odd { 1 } else { 2 };
            foreign += step;
            place -= step;
        }
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{Detection, Detector, Scanner};

    #[test]
    fn a_hit_behind_a_long_text_is_decoded_with_what_follows_it() {
        let mut text: Vec<u8> = [b'a', 0].repeat(MAX_TEXT);
        let at = text.len();
        text.extend([b'B', 0].repeat(1000));
        let decoded = decode(&text, at, 0).unwrap();
        assert!(decoded.bytes.ends_with(&[b'B'; 1000]));
    }

    /// A random ID and a secret.
    fn key(random: &mut fastrand::Rng) -> [String; 2] {
        let alphabet: Vec<u8> = (0..=255).filter(|byte| glyph::is_base64(*byte)).collect();
        let mut pick = |alphabet: &[u8], count: usize| -> String {
            let pick = |_| char::from(alphabet[random.usize(..alphabet.len())]);
            (0..count).map(pick).collect()
        };
        let id = format!("AKIA{}", pick(b"QRSTUVWXYZ234567", 16));
        [id, pick(&alphabet, run::LEN)]
    }

    fn written(text: &str, order: Order) -> Vec<u8> {
        let bytes = match order {
            Order::Little => u16::to_le_bytes,
            Order::Big => u16::to_be_bytes,
        };
        text.encode_utf16().flat_map(bytes).collect()
    }

    fn is_pair(found: &Detection, [id, secret]: &[String; 2]) -> bool {
        let [found] = &found.matches[..] else {
            return false;
        };
        let value = found.secret.as_ref();
        value.is_some_and(|value| value.expose() == secret.as_bytes())
            && found
                .access_key_id
                .is_some_and(|known| known.as_str() == id)
    }

    #[test]
    fn a_text_begins_and_ends_rightly_whatever_is_beside_it() {
        let mut random = fastrand::Rng::with_seed(7);
        let detector = Detector::new(4);
        let mut scanner = Scanner::new(&detector);
        for order in [Order::Little, Order::Big] {
            for byte in 0..=255 {
                for (before, behind) in [(byte, byte), (5, byte), (byte, b'#'), (0, byte)] {
                    let key = key(&mut random);
                    let [id, secret] = &key;
                    let named = format!("aws_secret_access_key={secret}");
                    for texts in [[id, secret], [secret, id], [id, &named], [&named, id]] {
                        let start = random.usize(..2);
                        let mut bytes = vec![0xee; start];
                        for text in texts {
                            // As the length of an array stands before it.
                            bytes.extend([0, 0, 0, 0x14, before]);
                            bytes.extend(written(text, order));
                            bytes.extend([behind, 0xb7]);
                        }
                        scanner.feed(&bytes);
                        let told = is_pair(&scanner.finish(), &key);
                        assert!(told, "{order:?} {before:#x} {behind:#x} {bytes:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_belongs_together_is_found_as_far_among_binary_data() {
        let mut random = fastrand::Rng::with_seed(8);
        let detector = Detector::new(4);
        for order in [Order::Little, Order::Big] {
            for between in (1..80).chain(500..530) {
                let key = key(&mut random);
                let [id, secret] = &key;
                for texts in [[id, secret], [secret, id]] {
                    let [first, second] = texts.map(|text| written(text, order));
                    let noise: Vec<u8> = (0..between).map(|_| random.u8(0x80..)).collect();
                    let bytes = [&[0xee; 3][..], &first, &noise, &second].concat();
                    let told = is_pair(&detector.scan(&bytes), &key);
                    assert_eq!(told, between <= MAX_FOREIGN, "{order:?} {between}");
                }
            }
        }
    }
}

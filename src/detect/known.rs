//! Versions of one text in which something is: where the last one was worth a
//! look, this one is, and besides that only where it changed.

use std::ops::Range;
use std::slice::from_ref;

use super::changes::{grown, has_nul};
use super::matches::Detection;
use super::prefilter::{self, Anchor, Hit};
use super::run::{Run, Runs, run_at};
use super::window::{Scanner, WINDOW};

/// A place in a text, and what is there: a number of [`ANCHORS`], or [`RUN`].
pub type Spot = (usize, u8);

/// What a look at one version of a text tells of the next one.
#[derive(Debug)]
pub enum Known {
    /// That it means nothing further from its changes than `reach` bytes.
    Nothing { reach: usize },
    /// Where one has to look besides its changes, ascending.
    Spots(Vec<Spot>),
}

/// What literals stand for.
const ANCHORS: [Anchor; 11] = [
    Anchor::AccessKeyId,
    Anchor::SecretName,
    Anchor::Base64 { phase: 0 },
    Anchor::Base64 { phase: 2 },
    Anchor::Base64 { phase: 3 },
    Anchor::Base64Gzip,
    Anchor::Hex,
    Anchor::Utf16,
    Anchor::Escapes,
    Anchor::SessionToken,
    Anchor::BedrockApiKey,
];

/// A run that may be a secret.
const RUN: u8 = u8::MAX;

/// Bytes on each side of a change in which runs are looked for anew: the longest
/// one that may be a secret, in many literals.
const RUN_REACH: usize = 1024;

impl Scanner<'_> {
    /// More spots tell nothing.
    pub const MAX_SPOTS: usize = 4096;

    /// As [`examine`](Self::examine), for a version of a text in which there
    /// were `spots`, that are now here.
    pub fn examine_again(
        &mut self,
        bytes: &[u8],
        changes: &[Range<usize>],
        spots: &[Spot],
    ) -> (Detection, Option<Known>) {
        if bytes.len() > WINDOW || has_nul(bytes, changes) {
            return self.examine(bytes, from_ref(&(0..bytes.len())), 0);
        }
        self.search_near(bytes, changes, prefilter::OVERLAP);
        let whole = spots.iter().filter(|(at, _)| !is_cut(*at, changes));
        self.hits.extend(whole.filter_map(|(at, number)| {
            let anchor = *ANCHORS.get(usize::from(*number))?;
            Some(Hit { at: *at, anchor })
        }));
        self.hits.sort_by_key(|hit| hit.at);
        self.hits.dedup_by_key(|hit| hit.at);
        let literals = literals(&self.hits);
        // Where they land depends on how far something is from the start.
        prefilter::probe(bytes, 0, bytes.len(), 0, &mut self.hits);
        let (detection, starts) = self.follow_all(bytes, || runs(bytes, changes, spots));
        let known = starts.and_then(|starts| of(literals, starts));
        (detection, known)
    }
}

/// Whether a literal at this place may be one that a change cut.
fn is_cut(at: usize, changes: &[Range<usize>]) -> bool {
    let next = changes.partition_point(|change| change.end <= at);
    let change = changes.get(next);
    change.is_some_and(|change| change.start <= at + prefilter::OVERLAP)
}

/// The runs that may be secrets: those near changes, and those known before.
fn runs<'a>(
    bytes: &'a [u8],
    changes: &[Range<usize>],
    spots: &[Spot],
) -> impl Iterator<Item = Run<'a>> {
    let known = spots.iter().filter(|(_, number)| *number == RUN);
    let mut known = known.map(|(at, _)| *at).peekable();
    let mut starts = Vec::new();
    let mut done = 0;
    for near in grown(changes, RUN_REACH, bytes.len()) {
        while let Some(start) = known.next_if(|start| *start < near.start) {
            starts.push(start);
        }
        while known.next_if(|start| *start < near.end).is_some() {}
        // Where a run starts depends on those before it. One that is longer
        // than the way to the next change is read once.
        let before = near.start.saturating_sub(RUN_REACH).max(done);
        if before < near.end {
            let mut runs = Runs::new(bytes, before, near.end);
            let found = runs.by_ref().map(|run| run.start);
            starts.extend(found.filter(|start| *start >= near.start));
            done = runs.at();
        }
    }
    starts.extend(known);
    starts.into_iter().filter_map(|start| run_at(bytes, start))
}

/// The spots of hits, but for those of probes.
pub(super) fn literals(hits: &[Hit]) -> Vec<Spot> {
    let number = |anchor: Anchor| ANCHORS.iter().position(|known| *known == anchor);
    let spot = |hit: &Hit| Some((hit.at, u8::try_from(number(hit.anchor)?).ok()?));
    hits.iter().filter_map(spot).collect()
}

/// What these literals and runs, which are all of a text, tell of the next
/// version of it, if they are not too many.
pub(super) fn of(literals: Vec<Spot>, runs: Vec<usize>) -> Option<Known> {
    let mut spots = literals;
    spots.extend(runs.into_iter().map(|start| (start, RUN)));
    spots.sort_unstable();
    (spots.len() <= Scanner::MAX_SPOTS).then_some(Known::Spots(spots))
}

#[cfg(test)]
mod tests {
    use ::base64::prelude::*;

    use super::*;
    use crate::detect::Detector;

    #[test]
    fn all_that_literals_stand_for_has_a_number() {
        for (literal, anchor) in prefilter::literals() {
            let spots = literals(&[Hit { at: 7, anchor }]);
            assert!(matches!(spots[..], [(7, _)]), "{literal:?}");
        }
    }

    /// A line of a text that may hold a part of a key.
    fn line(random: &mut fastrand::Rng) -> String {
        let mut pick = |alphabet: &[u8], count: usize| -> String {
            let pick = |_| char::from(alphabet[random.usize(..alphabet.len())]);
            (0..count).map(pick).collect()
        };
        let id = format!("AKIA{}", pick(b"QRSTUVWXYZ234567", 16));
        let alphabet: Vec<u8> = (b'a'..=b'z')
            .chain(b'A'..=b'Z')
            .chain(b'0'..=b'9')
            .collect();
        let secret = pick(&alphabet, 40);
        let words = pick(b"abc def, \"g\": [h]", 60);
        match random.usize(..18) {
            0 => id,
            1 => format!("id = {id}"),
            2 => format!("aws_secret_access_key = {secret}"),
            3 => secret,
            4 => format!("\"{}\" + \"{}\"", &secret[..17], &secret[17..]),
            5 => format!("\"{}\" +", &secret[..17]),
            6 => BASE64_STANDARD.encode(format!("{id} {secret}")),
            7 => format!("the secret of {words}"),
            8 => secret.repeat(3),
            9 => secret.repeat(150),
            10 => format!("\\u0041KIA{}", &id[4..]),
            11 if random.usize(..40) == 0 => format!("{id}{secret}X\0"),
            _ => words,
        }
    }

    #[test]
    fn a_version_that_is_known_is_seen_as_if_it_were_not() {
        let detector = Detector::new(4);
        let mut scanner = Scanner::new(&detector);
        let mut random = fastrand::Rng::with_seed(5);
        let shown = |detection: &Detection| format!("{:?}", detection.matches);
        let (mut again, mut found) = (0, 0);
        for _ in 0..20 {
            let lines = random.usize(1..400);
            let mut text: String = (0..lines).map(|_| line(&mut random) + "\n").collect();
            let (_, mut known) = scanner.examine(text.as_bytes(), from_ref(&(0..text.len())), 0);
            for _ in 0..20 {
                // Pieces of the text, each with something new behind it.
                let (mut made, mut changes, mut spots) = (String::new(), Vec::new(), Vec::new());
                let mut from = 0;
                let known_spots = match known {
                    Some(Known::Spots(spots)) => Some(spots),
                    _ => None,
                };
                while from < text.len() {
                    let to = text.len().min(from + random.usize(..text.len()));
                    let copied = known_spots.iter().flatten();
                    let copied = copied.filter(|(at, _)| (from..to).contains(at));
                    spots.extend(copied.map(|(at, number)| (made.len() + at - from, *number)));
                    made += &text[from..to];
                    if to == text.len() && random.bool() {
                        break;
                    }
                    let start = made.len();
                    for _ in 0..random.usize(..3) {
                        made += &line(&mut random);
                        made += ["\n", "\n", ""][random.usize(..3)];
                    }
                    changes.push(start..made.len());
                    // Cut out, or copied from anywhere.
                    from = match random.usize(..9) {
                        0 => random.usize(..text.len()),
                        left => to + (left % 3) * random.usize(..50),
                    };
                    if made.len() > 60_000 {
                        break;
                    }
                }
                text = made;
                let all = 0..text.len();
                let (expected, whole) = scanner.examine(text.as_bytes(), from_ref(&all), 0);
                known = whole;
                if known_spots.is_none() {
                    continue;
                }
                let (detection, seen) = scanner.examine_again(text.as_bytes(), &changes, &spots);
                assert_eq!(shown(&detection), shown(&expected), "{text}");
                again += 1;
                found += detection.matches.len();
                let spots = |known: &Option<Known>| match known {
                    Some(Known::Spots(spots)) => Some(spots.clone()),
                    _ => None,
                };
                assert_eq!(spots(&seen), spots(&known), "{text}");
            }
        }
        assert!(again > 250 && found > 4_000, "{again} and {found}");
    }
}

//! Versions of one text: what meant nothing in one of them means nothing in
//! the next, unless something changed near it.

use std::ops::Range;

use memchr::memchr;

use super::encoding::base64;
use super::known::{self, Known};
use super::layer::Marks;
use super::matches::Detection;
use super::name;
use super::prefilter::{self, Anchor, Hit};
use super::run::Runs;
use super::sighting::Sightings;
use super::window::{Scanner, TEXT_HEAD, WINDOW, is_text};

/// Bytes on each side of a hit that decide what it means, unless it may be
/// part of a long encoded text: a name, the words of AWS around it and the
/// value behind it, spelled out or in many literals.
const NEAR: usize = 2048;

const _: () = {
    assert!(prefilter::PROBED + base64::LOOKED_AT <= Scanner::LOOKED_AT);
    assert!(prefilter::OVERLAP + name::LOOKED_AT <= Scanner::LOOKED_AT);
    assert!(TEXT_HEAD <= Scanner::LOOKED_AT);
};

impl Scanner<'_> {
    /// Bytes beyond the reach of a change that decide whether a hit there is
    /// worth more than a glance.
    pub const LOOKED_AT: usize = 1024;

    /// What is in a blob that is in memory, looked at where it is, and what that
    /// tells of the next version of it; `None` if all of that is to be looked at.
    ///
    /// What is further than `reach` bytes from `changes`, ranges which ascend,
    /// was looked at in an earlier version, and means nothing.
    pub fn examine(
        &mut self,
        bytes: &[u8],
        changes: &[Range<usize>],
        reach: usize,
    ) -> (Detection, Option<Known>) {
        let reach = reach.max(prefilter::OVERLAP);
        let is_all = matches!(changes, [change] if *change == (0..bytes.len()));
        self.search_near(bytes, changes, reach);
        let is_marked = !self.hits.is_empty();
        let is_probed = !(is_all && is_marked);
        let is_text = is_text(bytes);
        if is_probed && is_text {
            self.probe_near(bytes, changes);
        }
        if self.hits.is_empty() {
            // In what is no text nothing was probed.
            return (
                Detection::default(),
                is_text.then_some(Known::Nothing { reach }),
            );
        }
        if is_all {
            return self.examine_all(bytes, is_probed);
        }
        if is_text && self.is_near(bytes) && !has_nul(bytes, changes) && self.is_nothing(bytes) {
            let reach = if is_marked { NEAR } else { reach };
            return (Detection::default(), Some(Known::Nothing { reach }));
        }
        self.hits.clear();
        self.search(bytes, 0..bytes.len());
        self.examine_all(bytes, false)
    }

    /// Whether [`examine`](Self::examine) would surely find nothing, told by
    /// what is near the changes alone: [`LOOKED_AT`](Self::LOOKED_AT) bytes more
    /// than `reach` on each side of them, and as many at the start.
    pub fn passes(&mut self, bytes: &[u8], changes: &[Range<usize>], reach: usize) -> bool {
        if !is_text(bytes) {
            return false;
        }
        self.search_near(bytes, changes, reach.max(prefilter::OVERLAP));
        self.probe_near(bytes, changes);
        if self.hits.is_empty() {
            return true;
        }
        let mut hits = self.hits.drain(..);
        let means_nothing = hits.all(|hit| match hit.anchor {
            Anchor::Base64Text => !base64::looks_encoded(bytes, hit.at),
            Anchor::SecretName => !name::is_of_secret(bytes, hit.at),
            _ => false,
        });
        means_nothing && !has_nul(bytes, changes)
    }

    pub(super) fn search_near(&mut self, bytes: &[u8], changes: &[Range<usize>], reach: usize) {
        for range in grown(changes, reach, bytes.len()) {
            self.search(bytes, range);
        }
    }

    fn probe_near(&mut self, bytes: &[u8], changes: &[Range<usize>]) {
        for range in grown(changes, prefilter::PROBE_REACH, bytes.len()) {
            prefilter::probe(bytes, range.start, range.end, 0, &mut self.hits);
        }
    }

    /// Follows the hits, which are all that the literals gave, and with those
    /// of the probes if it `is_probed`.
    fn examine_all(&mut self, bytes: &[u8], is_probed: bool) -> (Detection, Option<Known>) {
        let is_near = self.is_near(bytes);
        let reach = if is_probed { prefilter::OVERLAP } else { NEAR };
        let (detection, known) = if bytes.len() > WINDOW {
            self.hits.clear();
            self.feed(bytes);
            (self.finish(), None)
        } else {
            let literals = known::literals(&self.hits);
            if !is_probed && is_text(bytes) {
                prefilter::probe(bytes, 0, bytes.len(), 0, &mut self.hits);
            }
            let (detection, starts) = self.follow_all(bytes, || Runs::new(bytes, 0, bytes.len()));
            // What follows an ID may mean something else with a NUL near it.
            let starts = starts.filter(|_| memchr(0, bytes).is_none());
            (
                detection,
                starts.and_then(|starts| known::of(literals, starts)),
            )
        };
        let means_nothing = is_near && detection.is_empty() && is_text(bytes);
        let known = known.or(means_nothing.then_some(Known::Nothing { reach }));
        (detection, known)
    }

    /// Whether what is near the hits decides what they mean.
    fn is_near(&self, bytes: &[u8]) -> bool {
        self.hits.iter().all(|hit| match hit.anchor {
            // A probe lands in any part of a text.
            Anchor::AccessKeyId | Anchor::SecretName | Anchor::Base64Text => true,
            Anchor::Base64 { phase } => !base64::may_be_id(bytes, hit.at, phase),
            _ => false,
        })
    }

    /// Whether none of the hits means anything; they are gone then.
    fn is_nothing(&mut self, bytes: &[u8]) -> bool {
        let mut hits = std::mem::take(&mut self.hits);
        hits.sort_by_key(|hit| hit.at);
        self.sightings.allowance.earn(bytes.len());
        let mut marks = Marks::default();
        let is_nothing = hits.drain(..).all(|hit: Hit| {
            let out = &mut self.sightings;
            self.detector.follow(hit, bytes, 0, 0, &mut marks, out);
            out.is_empty()
        });
        self.hits = hits;
        self.sightings = Sightings::default();
        is_nothing
    }
}

/// Whether a NUL came in, which makes other data of the text around it.
pub(super) fn has_nul(bytes: &[u8], changes: &[Range<usize>]) -> bool {
    let has_nul = |change: &Range<usize>| memchr(0, &bytes[change.clone()]).is_some();
    changes.iter().any(has_nul)
}

/// The ranges with `by` bytes more on each side, those that then meet as one.
pub(super) fn grown(
    ranges: &[Range<usize>],
    by: usize,
    len: usize,
) -> impl Iterator<Item = Range<usize>> + '_ {
    let grow = move |range: &Range<usize>| range.start.saturating_sub(by)..len.min(range.end + by);
    let mut rest = ranges.iter().map(grow).peekable();
    std::iter::from_fn(move || {
        let mut range = rest.next()?;
        while let Some(next) = rest.next_if(|next| next.start <= range.end) {
            range.end = next.end;
        }
        Some(range)
    })
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use ::base64::prelude::*;

    use super::*;
    use crate::detect::Detector;

    #[test]
    fn what_a_change_brings_is_found_by_a_look_at_the_change() {
        let detector = Detector::new(4);
        let mut random = fastrand::Rng::with_seed(3);
        let mut pick = |alphabet: &[u8], count: usize| -> String {
            let pick = |_| char::from(alphabet[random.usize(..alphabet.len())]);
            (0..count).map(pick).collect()
        };
        let lines = |pick: &mut dyn FnMut(&[u8], usize) -> String, count: usize| -> String {
            (0..count).map(|_| pick(b"abc def.", 70) + "\n").collect()
        };
        for round in 0..200 {
            let id = format!("AKIA{}", pick(b"QRSTUVWXYZ234567", 16));
            let text = format!("a file with {id} in it, and no more than this");
            let added = match round % 3 {
                0 => text,
                1 => BASE64_STANDARD.encode(text),
                _ => BASE64_STANDARD.encode(BASE64_STANDARD.encode(text)),
            };
            let beside = BASE64_STANDARD.encode(pick(b"abc def.", 90));
            let added = format!("\n{added}\n");
            let before = lines(&mut pick, round % 40) + &beside + "\n";
            let whole = format!("{before}{added}{}", lines(&mut pick, 30));
            let changes = before.len()..before.len() + added.len();
            let mut scanner = Scanner::new(&detector);
            let means_nothing = |known| matches!(known, Some(Known::Nothing { .. }));
            let (of_all, known) = scanner.examine(whole.as_bytes(), from_ref(&(0..whole.len())), 0);
            assert!(!means_nothing(known), "{whole}");
            let (of_change, known) = scanner.examine(whole.as_bytes(), from_ref(&changes), 0);
            assert!(!means_nothing(known), "{whole}");
            let ids = |detection: &Detection| -> Vec<String> {
                let ids = detection
                    .matches
                    .iter()
                    .filter_map(|found| found.access_key_id.as_ref());
                ids.map(|id| id.as_str().to_owned()).collect()
            };
            assert_eq!(ids(&of_all), [id], "{whole}");
            assert_eq!(ids(&of_change), ids(&of_all), "{whole}");
            assert!(!scanner.passes(whole.as_bytes(), &[changes], 0), "{whole}");
            let (nothing, known) =
                scanner.examine(before.as_bytes(), from_ref(&(0..before.len())), 0);
            assert!(nothing.is_empty() && means_nothing(known), "{before}");
        }
    }

    #[test]
    fn what_passes_by_what_is_near_its_changes_means_nothing() {
        const PIECES: [&str; 5] = [
            "a line like any other\n",
            "commit 9fceb02d0ae598e95dc970b74767f19372d61af8\n",
            "the secret of a good soup\n",
            "client_secret: see elsewhere\n",
            "\u{e9}t\u{e9}\n",
        ];
        let detector = Detector::new(4);
        let mut scanner = Scanner::new(&detector);
        let mut random = fastrand::Rng::with_seed(8);
        let mut text = |lines: usize, with_key: bool| -> String {
            let mut pick = || PIECES[random.usize(..PIECES.len())];
            let mut text: String = (0..lines).map(|_| pick()).collect();
            if with_key {
                let mut pick =
                    |alphabet: &[u8]| char::from(alphabet[random.usize(..alphabet.len())]);
                text += "AKIA";
                text.extend((0..16).map(|_| pick(b"QRSTUVWXYZ234567")));
                text += "\n";
            }
            text
        };
        let (mut passed, mut found) = (0, 0);
        for round in 0..2_000 {
            let before = text(round % 701, false);
            let (nothing, known) =
                scanner.examine(before.as_bytes(), from_ref(&(0..before.len())), 0);
            let Some(Known::Nothing { reach }) = known.filter(|_| nothing.is_empty()) else {
                continue;
            };
            let lines: Vec<usize> = before.match_indices('\n').map(|(at, _)| at + 1).collect();
            let at = lines.get(round % 31).copied().unwrap_or(before.len());
            let added = text(round % 3, round % 7 == 0);
            let whole = format!("{}{added}{}", &before[..at], &before[at..]);
            let changes = at..at + added.len();
            let near = reach + Scanner::LOOKED_AT;
            let mut bytes = whole.clone().into_bytes();
            let others = |at: usize| {
                at >= near
                    && at + near < whole.len()
                    && at.abs_diff(changes.start) > near
                    && at.abs_diff(changes.end) > near
            };
            for place in (0..bytes.len()).filter(|at| others(*at)) {
                bytes[place] = b'A';
            }
            let (detection, _) = scanner.examine(whole.as_bytes(), from_ref(&(0..whole.len())), 0);
            if scanner.passes(&bytes, &[changes], reach) {
                assert!(detection.is_empty(), "{whole}");
                passed += 1;
            }
            found += usize::from(!detection.is_empty());
        }
        assert!(passed > 500 && found > 100, "{passed} and {found}");
    }
}

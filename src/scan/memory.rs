//! The memory of a scan: which files an earlier scan read to their end with
//! nothing to tell, and which places of known findings this one looked
//! through.
//!
//! A file is remembered by a keyed hash of its state, 8 bytes for each: a
//! million files take 8 MB while a scan runs, and nobody can make a file whose
//! state is taken for another's.

use std::collections::HashMap;
use std::hash::{Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::Timestamp;
use siphasher::sip::SipHasher13;

use super::names;
use crate::source::{FileState, Memory};

/// A file that changed less than this many seconds before the scan began may
/// change again without its change time showing it: file systems keep that
/// time in steps, and some in whole seconds.
const SETTLED_SECONDS: i64 = 2;

/// What is remembered from earlier scans, and learned in this one.
#[derive(Debug)]
pub struct Recollection {
    key: [u8; 16],
    /// Sorted.
    known: Vec<u64>,
    /// A bit for each of `known`: it was asked for, so the file is still there.
    met: Vec<AtomicU64>,
    learned: Mutex<Vec<u64>>,
    /// States that changed later than this are not learned.
    settled: i64,
    /// Places of findings that are open, and whether they were looked through.
    places: HashMap<String, AtomicBool>,
    /// Those of them of which a secret was taken out.
    masked: Vec<String>,
}

impl Recollection {
    /// `known` are sorted hashes made with the same `key`; `places` are paths
    /// as findings have them; the scan begins `now`.
    pub fn new(
        key: [u8; 16],
        known: Vec<u64>,
        places: impl IntoIterator<Item = String>,
        now: Timestamp,
    ) -> Self {
        let met = (0..known.len().div_ceil(64)).map(|_| AtomicU64::new(0));
        let places: Vec<String> = places.into_iter().collect();
        let masked = places.iter().filter(|place| names::is_masked(place));
        Self {
            key,
            met: met.collect(),
            known,
            learned: Mutex::default(),
            settled: now.as_second().saturating_sub(SETTLED_SECONDS),
            masked: masked.cloned().collect(),
            places: places
                .into_iter()
                .map(|place| (place, AtomicBool::new(false)))
                .collect(),
        }
    }

    /// Whether all that is to be found at `place` was told in this scan.
    pub fn was_looked_through(&self, place: &str) -> bool {
        self.places
            .get(place)
            .is_some_and(|seen| seen.load(Ordering::Relaxed))
    }

    /// The places of open findings that were not looked through in this scan.
    pub fn not_looked_through(&self) -> impl Iterator<Item = &String> {
        let places = self.places.iter();
        places
            .filter(|(_, seen)| !seen.load(Ordering::Relaxed))
            .map(|(place, _)| place)
    }

    /// What the next scan is to know, sorted. After a scan of everything,
    /// states that were not met belong to files that are gone or changed.
    pub fn to_known(&self, of_everything: bool) -> Vec<u64> {
        let met = |at: usize| self.met[at / 64].load(Ordering::Relaxed) >> (at % 64) & 1 == 1;
        let learned = self.learned.lock();
        let mut known = learned
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone();
        let kept = self.known.iter().enumerate();
        known.extend(
            kept.filter(|(at, _)| !of_everything || met(*at))
                .map(|(_, hash)| *hash),
        );
        known.sort_unstable();
        known.dedup();
        known
    }

    fn hash(&self, states: &[FileState]) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        states.hash(&mut hasher);
        hasher.finish()
    }
}

impl Memory for Recollection {
    fn knows(&self, states: &[FileState]) -> bool {
        if self.known.is_empty() {
            return false;
        }
        let Ok(at) = self.known.binary_search(&self.hash(states)) else {
            return false;
        };
        self.met[at / 64].fetch_or(1 << (at % 64), Ordering::Relaxed);
        true
    }

    fn learn(&self, states: &[FileState]) {
        if states.iter().all(|state| state.changed < self.settled) {
            self.learned
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .push(self.hash(states));
        }
    }

    fn looked_through(&self, path: &Path) {
        if self.places.is_empty() {
            return;
        }
        let path = names::shown(path);
        let masked = self.masked.iter().map(String::as_str);
        let masked = masked.filter(|place| names::may_be_at(place, &path));
        for place in masked.chain([&*path]) {
            if let Some(seen) = self.places.get(place) {
                seen.store(true, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sanitize;

    fn state(inode: u64, changed: i64) -> FileState {
        FileState {
            device: 1,
            inode,
            size: 10,
            changed,
            changed_nanoseconds: 5,
        }
    }

    fn at(second: i64, known: Vec<u64>) -> Recollection {
        let now = Timestamp::from_second(second).expect("a time");
        Recollection::new([7; 16], known, ["/a".to_owned()], now)
    }

    #[test]
    fn a_state_that_was_learned_is_known_until_its_file_is_gone() {
        let first = at(100, Vec::new());
        assert!(!first.knows(&[state(1, 50)]));
        first.learn(&[state(1, 50)]);
        first.learn(&[state(2, 60)]);
        let known = first.to_known(true);
        assert_eq!(known.len(), 2);

        let second = at(200, known);
        assert!(second.knows(&[state(1, 50)]));
        assert!(!second.knows(&[state(1, 51)]));
        assert!(!second.knows(&[state(1, 50), state(2, 60)]));
        let known = second.to_known(true);
        assert_eq!(known.len(), 1);

        let part = at(300, known);
        assert_eq!(part.to_known(false).len(), 1);
    }

    #[test]
    fn a_file_that_changed_a_moment_ago_is_not_learned() {
        let scan = at(100, Vec::new());
        scan.learn(&[state(1, 98)]);
        scan.learn(&[state(2, 50), state(3, 101)]);
        assert!(scan.to_known(true).is_empty());
    }

    #[test]
    fn places_are_looked_through_by_the_path_that_findings_have() {
        use std::os::unix::ffi::OsStrExt as _;
        let odd = Path::new(std::ffi::OsStr::from_bytes(b"/b\xff"));
        let shown = sanitize::bytes(b"/b\xff");
        let now = Timestamp::UNIX_EPOCH;
        let scan = Recollection::new([0; 16], Vec::new(), ["/a".into(), shown.clone()], now);
        scan.looked_through(Path::new("/a"));
        scan.looked_through(odd);
        assert!(scan.was_looked_through("/a") && scan.was_looked_through(&shown));
        assert!(!scan.was_looked_through("/c"));
    }
}

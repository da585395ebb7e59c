//! What a thread does with the contents that the sources give it: scans them,
//! and adds what was found to the findings of the run.

use std::io;
use std::path::Path;
use std::slice::from_ref;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::crew::Member;
use super::finding::{finding, pair};
use super::{Progress, Scan, Settings, key_in_file, version_key};
use crate::detect::{Detection, Known, Match, Scanner};
use crate::finding::{Coverage, Finding, SkipReason, SourceKind};
use crate::source::files::lock;
use crate::source::{self, Blob, Changed, Content, Held, Holder, Look, Origin, Visitor};

/// Findings told one by one in a run, of 2 kB each with their report; more
/// are counted.
const MAX_FINDINGS: usize = 10_000;

/// Of them, those that are kept for what is looked at last and matters most:
/// processes, and user-data.
const KEPT_FREE: usize = 1000;

/// Bytes of the names of their places, each place counted once. Who may name
/// files can make names of 16 kB, and of archives within archives longer ones.
const MAX_NAMES: usize = 4 * 1024 * 1024;

/// Findings that another one may turn out to be a version of.
const MAX_VERSIONS: usize = 100_000;

// What is there of a content that is not wholly made is what is looked at.
const _: () = assert!(Scanner::LOOKED_AT <= Changed::NEAR);
const _: () = assert!(Scanner::MAX_SPOTS <= source::MAX_SPOTS);

/// A thread's own scanner.
pub(super) struct Examiner<'a> {
    settings: &'a Settings,
    progress: &'a Progress,
    scanner: Scanner<'a>,
    results: &'a Mutex<Scan>,
    member: &'a Member,
    /// What was found in contents whose place is not told yet.
    held: Vec<Option<Detection>>,
    matches_held: usize,
    found: u64,
}

impl<'a> Examiner<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        progress: &'a Progress,
        scanner: Scanner<'a>,
        results: &'a Mutex<Scan>,
        member: &'a Member,
    ) -> Self {
        Self {
            settings,
            progress,
            scanner,
            results,
            member,
            held: Vec::new(),
            matches_held: 0,
            found: 0,
        }
    }
}

/// The name of a file or member, without the folders that it is in.
fn name_of(origin: &dyn Origin) -> Vec<u8> {
    let location = origin.location();
    let place = location.member.or(location.path).unwrap_or_default();
    let name = place.rsplit(['/', '!']).next().unwrap_or_default();
    name.as_bytes().to_vec()
}

impl Visitor for Examiner<'_> {
    fn visit(&mut self, blob: Blob<'_>, coverage: &mut Coverage) -> io::Result<()> {
        let outcome = self.read(blob.content, &|| blob.origin.holes(), coverage);
        // What was read before a failure counts.
        let detection = if outcome.is_ok() && self.scanner.holds_lone_value() {
            self.scanner.finish_named(&name_of(blob.origin))
        } else {
            self.scanner.finish()
        };
        if !detection.is_empty() {
            self.found += 1;
            self.report(detection, blob.origin, coverage);
        }
        outcome?;
        self.count(coverage);
        Ok(())
    }

    fn found(&self) -> u64 {
        self.found
    }

    fn is_over(&self) -> bool {
        self.member.beat();
        self.settings.deadline.is_over() || self.member.is_given_up()
    }

    fn enters(&mut self, place: Option<&Path>) {
        self.member.enters(place);
    }

    fn takes_part(&mut self) {
        self.member.takes_part();
    }

    fn is_given_up(&self) -> bool {
        self.member.is_given_up()
    }
}

impl Holder for Examiner<'_> {
    fn hold(&mut self, content: Content<'_>, coverage: &mut Coverage) -> Look {
        let mut look = Look {
            held: None,
            known: None,
            outcome: Ok(()),
        };
        let mut detection = match content {
            Content::Bytes(bytes) => {
                let all = 0..bytes.len();
                let changed = Changed {
                    bytes,
                    changes: from_ref(&all),
                    known: source::Known::Nothing { reach: 0 },
                };
                self.examine(changed, &mut look, coverage)
            }
            Content::Changed(changed) => self.examine(changed, &mut look, coverage),
            Content::Stream(content) => {
                look.outcome = self.read(content, &|| 0, coverage);
                self.scanner.finish()
            }
        };
        if look.outcome.is_ok() {
            self.count(coverage);
        }
        if detection.is_empty() {
            return look;
        }
        self.found += 1;
        let count = detection.matches.len();
        if self.matches_held + count > MAX_FINDINGS {
            coverage.skip_many(SkipReason::FindingLimit, count as u64, "git");
            return look;
        }
        self.matches_held += count;
        detection.matches.shrink_to_fit();
        look.held = Some(Held(self.held.len()));
        self.held.push(Some(detection));
        look
    }

    fn passes(&mut self, changed: Changed<'_>, coverage: &mut Coverage) -> bool {
        let Changed {
            bytes,
            changes,
            known,
        } = changed;
        let passes = match known {
            source::Known::Nothing { reach } => self.scanner.passes(bytes, changes, reach),
            source::Known::Spots(_) => false,
        };
        if passes {
            self.count_bytes(bytes.len(), coverage);
            self.count(coverage);
        }
        passes
    }

    fn tell(&mut self, held: Held, origin: &dyn Origin, coverage: &mut Coverage) {
        if let Some(detection) = self.held.get_mut(held.0).and_then(Option::take) {
            self.matches_held -= detection.matches.len();
            self.report(detection, origin, coverage);
        }
    }

    fn forget(&mut self) {
        self.held.clear();
        self.matches_held = 0;
    }
}

impl Examiner<'_> {
    fn count(&self, coverage: &mut Coverage) {
        coverage.scanned += 1;
        self.progress.blobs.fetch_add(1, Ordering::Relaxed);
    }

    fn count_bytes(&self, count: usize, coverage: &mut Coverage) {
        coverage.bytes += count as u64;
        self.progress
            .bytes
            .fetch_add(count as u64, Ordering::Relaxed);
    }

    fn examine(
        &mut self,
        changed: Changed<'_>,
        look: &mut Look,
        coverage: &mut Coverage,
    ) -> Detection {
        let Changed {
            bytes,
            changes,
            known,
        } = changed;
        self.count_bytes(bytes.len(), coverage);
        let (detection, known) = match known {
            source::Known::Nothing { reach } => self.scanner.examine(bytes, changes, reach),
            source::Known::Spots(spots) => self.scanner.examine_again(bytes, changes, spots),
        };
        look.known = known.map(|known| match known {
            Known::Nothing { reach } => source::Known::Nothing { reach },
            Known::Spots(spots) => source::Known::Spots(spots.into()),
        });
        detection
    }

    /// `holes` tells how many the content passed over so far.
    fn read(
        &mut self,
        content: &mut dyn io::Read,
        holes: &dyn Fn() -> u64,
        coverage: &mut Coverage,
    ) -> io::Result<()> {
        let mut passed = 0;
        loop {
            let count = match content.read(self.scanner.space()) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.scanner.advance(count);
            let holes = holes();
            if holes > passed {
                passed = holes;
                self.scanner.pass_hole();
            }
            self.count_bytes(count, coverage);
            if self.is_over() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    fn report(&self, detection: Detection, origin: &dyn Origin, coverage: &mut Coverage) {
        let location = origin.location();
        let place = location.path.as_deref().unwrap_or_default();
        // Those of the place, until they are counted.
        let mut names = location.names();
        let facts = origin.facts().map(Arc::new);
        let lines_before = origin.lines_before();
        if detection.excess > 0 {
            coverage.skip_many(SkipReason::FindingLimit, detection.excess, place);
        }
        if detection.undecoded > 0 {
            let count = detection.undecoded;
            coverage.skip_many(SkipReason::DecodingLimit, count, place);
        }
        let mut results = lock(self.results);
        for found in detection.matches {
            let found = Match {
                line: found.line.map(|line| line + lines_before),
                ..found
            };
            let pair = self.settings.keep_pairs.then(|| pair(&found)).flatten();
            let mut finding = finding(
                found,
                &location,
                facts.as_ref(),
                self.settings,
                &mut results.titles,
            );
            let is_redacted = self.settings.redact;
            let shown = |finding: Finding| {
                if is_redacted {
                    finding.redacted()
                } else {
                    finding
                }
            };
            if matches!(location.source, SourceKind::Git | SourceKind::Archive) {
                // Versions of one file in git are one place, told once, and so
                // are members of one name, such as `tar --append` leaves.
                if location.source == SourceKind::Git {
                    finding.occurrences = 1;
                }
                let key = version_key(&finding);
                if let Some(version) = results.versions.get(&key).copied() {
                    if let Some(known) = results.findings.get_mut(version as usize) {
                        known.add_version(shown(finding));
                    }
                    continue;
                }
                if results.versions.len() < MAX_VERSIONS {
                    let place = u32::try_from(results.findings.len()).unwrap_or(u32::MAX);
                    results.versions.insert(key, place);
                    if location.source == SourceKind::Archive {
                        let key = key_in_file(&finding);
                        results.versions.entry(key).or_insert(place);
                    }
                }
            } else if results.versions.contains_key(&version_key(&finding)) {
                // Of a damaged archive, which is also read as the file that it is.
                continue;
            }
            if self.settings.allow.allows(&finding) {
                results.allowed += 1;
                results.untold(&finding);
                continue;
            }
            let finding = shown(finding);
            let limit = match location.source {
                SourceKind::Process | SourceKind::UserData => MAX_FINDINGS,
                _ => MAX_FINDINGS - KEPT_FREE,
            };
            if results.findings.len() < limit && results.names + names <= MAX_NAMES {
                results.names += std::mem::take(&mut names);
                self.progress.findings.fetch_add(1, Ordering::Relaxed);
                if let Some(pair) = pair {
                    results.keep_pair(&finding, pair);
                }
                results.findings.push(finding);
            } else {
                results.untold(&finding);
                coverage.skip(SkipReason::FindingLimit, place);
            }
        }
    }
}

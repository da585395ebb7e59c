//! Drives the sources through the detector and turns matches into findings,
//! within the run's time and with every omission counted.

mod allow;
mod crew;
mod join;
mod memory;
mod priority;
mod silence;
mod stages;
mod user_data;

use std::collections::HashMap;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::slice::from_ref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::config::PathGlobs;
use crate::deadline::Deadline;
use crate::detect::{Detection, Match, Scanner};
use crate::finding::{
    AccessKeyId, Coverage, Evidence, FileFacts, Finding, Instance, Location, Mention, Pool,
    Remediation, Rule, SkipReason, SourceKind, Verified, controls, finding_id, judge,
    secret_fingerprint,
};
use crate::secret::Credentials;
use crate::source::files::lock;
use crate::source::{Blob, Changed, Content, Held, Holder, Look, Origin, Visitor};
use crew::Member;

pub use crate::source::tail::Tails;
pub use crate::source::user_data::Answer as UserData;
pub use allow::AllowList;
pub use memory::Recollection;
pub use silence::Silences;
pub use stages::run;

/// Pairs that AWS can be asked about in a run.
const MAX_PAIRS: usize = 500;

/// Findings told one by one in a run, of 2 kB each with their report; more
/// are counted.
const MAX_FINDINGS: usize = 10_000;

/// Bytes of the names of their places, each place counted once. Who may name
/// files can make names of 16 kB, and of archives within archives longer ones.
const MAX_NAMES: usize = 4 * 1024 * 1024;

/// Findings that another one may turn out to be a version of.
const MAX_VERSIONS: usize = 100_000;

// What is there of a content that is not wholly made is what is looked at.
const _: () = assert!(Scanner::LOOKED_AT <= Changed::NEAR);

/// What is scanned, and how.
#[derive(Debug)]
pub struct Settings {
    /// The host's `/` as seen from here.
    pub root: PathBuf,
    /// Files and directories, absolute on the host.
    pub roots: Vec<PathBuf>,
    pub exclude: PathGlobs,
    /// The ledger, which names what was found before; what lies beside it with
    /// its name in front is its own. It holds no secret.
    pub ledger: Option<PathBuf>,
    pub network_filesystems: bool,
    pub threads: usize,
    pub max_depth: usize,
    pub archives: bool,
    pub git: bool,
    pub processes: bool,
    /// `None` treats the copies of user-data like any other file.
    pub user_data: Option<UserData>,
    pub allow: Arc<AllowList>,
    pub instance: Instance,
    /// The ID of the credentials that the instance's role gives out now.
    pub role_access_key_id: Option<String>,
    /// Keep the pairs that were found, for AWS to be asked about them.
    pub keep_pairs: bool,
    /// Mask the middle of access key IDs in what is told.
    pub redact: bool,
    pub deadline: Deadline,
    /// What earlier scans read; `None` reads everything.
    pub memory: Option<Arc<Recollection>>,
    /// How far files that grow were read; `None` reads all of each.
    pub tails: Option<Arc<Mutex<Tails>>>,
    /// What earlier scans still wait for, which is not asked again.
    pub silences: Arc<Silences>,
}

impl Settings {
    fn is_excluded(&self, path: &Path) -> bool {
        let of_ledger = |ledger: &PathBuf| {
            let (name, beside) = (path.as_os_str().as_bytes(), ledger.as_os_str().as_bytes());
            name.starts_with(beside) && path.parent() == ledger.parent()
        };
        self.ledger.as_ref().is_some_and(of_ledger) || self.exclude.is_match(path)
    }
}

/// What a scan came to.
#[derive(Debug, Default)]
pub struct Scan {
    pub findings: Vec<Finding>,
    pub coverage: Vec<Coverage>,
    /// Findings that the allow list set aside.
    pub allowed: u64,
    /// By [`Finding::credential`]; empty unless they were to be kept.
    pub pairs: HashMap<(String, String), Credentials>,
    /// Which of the findings is told for all versions of a file in git, or for
    /// all members of one name.
    versions: HashMap<VersionKey, u32>,
    titles: Pool<str>,
    /// See [`MAX_NAMES`].
    names: usize,
}

/// The id of a finding, in as little as it takes.
type VersionKey = [u8; 16];

fn version_key(finding: &Finding) -> VersionKey {
    u128::from_str_radix(&finding.id, 16)
        .unwrap_or_default()
        .to_be_bytes()
}

impl Scan {
    /// Other versions of a finding that was set aside are not told either.
    fn untold(&mut self, finding: &Finding) {
        if let Some(version) = self.versions.get_mut(&version_key(finding)) {
            *version = u32::MAX;
        }
    }

    fn keep_pair(&mut self, finding: &Finding, pair: Credentials) {
        if self.pairs.len() < MAX_PAIRS {
            let (id, fingerprint) = finding.credential();
            let credential = (id.to_owned(), fingerprint.to_owned());
            self.pairs.entry(credential).or_insert(pair);
        }
    }
}

/// How far a scan has come, for whoever watches it.
#[derive(Debug, Default)]
pub struct Progress {
    pub blobs: AtomicU64,
    pub bytes: AtomicU64,
    pub findings: AtomicU64,
}

/// A thread's own scanner.
struct Examiner<'a> {
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

impl Visitor for Examiner<'_> {
    fn visit(&mut self, blob: Blob<'_>, coverage: &mut Coverage) -> io::Result<()> {
        let outcome = self.read(blob.content, coverage);
        // What was read before a failure counts.
        let detection = self.scanner.finish();
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

    fn is_given_up(&self) -> bool {
        self.member.is_given_up()
    }
}

impl Holder for Examiner<'_> {
    fn hold(&mut self, content: Content<'_>, coverage: &mut Coverage) -> Look {
        let mut look = Look {
            held: None,
            reach: None,
            outcome: Ok(()),
        };
        let mut detection = match content {
            Content::Bytes(bytes) => {
                let all = 0..bytes.len();
                let changed = Changed {
                    bytes,
                    changes: from_ref(&all),
                    reach: 0,
                };
                self.examine(changed, &mut look, coverage)
            }
            Content::Changed(changed) => self.examine(changed, &mut look, coverage),
            Content::Stream(content) => {
                look.outcome = self.read(content, coverage);
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
            reach,
        } = changed;
        let passes = self.scanner.passes(bytes, changes, reach);
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
            reach,
        } = changed;
        self.count_bytes(bytes.len(), coverage);
        let (detection, reach) = self.scanner.examine(bytes, changes, reach);
        look.reach = reach;
        detection
    }

    fn read(&mut self, content: &mut dyn io::Read, coverage: &mut Coverage) -> io::Result<()> {
        loop {
            let count = match content.read(self.scanner.space()) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.scanner.advance(count);
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
            if matches!(location.source, SourceKind::Git | SourceKind::Archive) {
                // Versions of one file in git are one place, told once, and so
                // are members of one name, such as `tar --append` leaves.
                if location.source == SourceKind::Git {
                    finding.occurrences = 1;
                }
                let key = version_key(&finding);
                if let Some(version) = results.versions.get(&key).copied() {
                    if let Some(known) = results.findings.get_mut(version as usize) {
                        known.occurrences += finding.occurrences;
                    }
                    continue;
                }
                if results.versions.len() < MAX_VERSIONS {
                    let place = u32::try_from(results.findings.len()).unwrap_or(u32::MAX);
                    results.versions.insert(key, place);
                }
            }
            if self.settings.allow.allows(&finding) {
                results.allowed += 1;
                results.untold(&finding);
                continue;
            }
            let finding = if self.settings.redact {
                finding.redacted()
            } else {
                finding
            };
            if results.findings.len() < MAX_FINDINGS && results.names + names <= MAX_NAMES {
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

/// What signs, where all of it was found and using it raises no alarm.
fn pair(found: &Match) -> Option<Credentials> {
    let id = found.access_key_id.as_ref()?;
    let is_whole = match found.rule {
        Rule::AccessKeyPair => true,
        Rule::TemporaryCredentials => found.session_token.is_some(),
        _ => false,
    };
    (is_whole && !id.is_canary()).then_some(Credentials {
        access_key_id: id.as_str().to_owned(),
        secret_access_key: found.secret.clone()?,
        session_token: found.session_token.clone(),
    })
}

fn finding(
    found: Match,
    location: &Location,
    facts: Option<&Arc<FileFacts>>,
    settings: &Settings,
    titles: &mut Pool<str>,
) -> Finding {
    let instance = &settings.instance;
    let id = found.access_key_id.as_ref().map(AccessKeyId::as_str);
    let of_own_role = id.is_some() && id == settings.role_access_key_id.as_deref();
    let secret_fingerprint = found.secret.as_ref().map(secret_fingerprint);
    let in_process = location.source == SourceKind::Process;
    let same_account = found
        .account_id
        .as_ref()
        .zip(instance.account_id.as_ref())
        .map(|(theirs, ours)| theirs == ours);
    let is_pair = found.access_key_id.is_some()
        && found.secret.is_some()
        && matches!(found.rule, Rule::AccessKeyPair | Rule::TemporaryCredentials);
    let severity = judge(&Evidence {
        rule: found.rule,
        confidence: found.confidence,
        long_term: found.long_term,
        mention: found.mention,
        of_own_role,
        in_process,
    });
    let canary = found
        .access_key_id
        .as_ref()
        .is_some_and(AccessKeyId::is_canary);
    let credential = [
        id.unwrap_or(""),
        secret_fingerprint.as_deref().unwrap_or(""),
    ];
    let title = title(
        &found,
        location,
        of_own_role,
        canary,
        facts.map(|facts| &**facts),
    );
    Finding {
        id: finding_id(credential, location),
        rule: found.rule,
        severity,
        confidence: found.confidence,
        title: titles.share(title),
        account_id: found.account_id,
        same_account,
        canary,
        secret_fingerprint,
        verified: (settings.keep_pairs && is_pair).then_some(Verified::Unknown),
        location: Location {
            line: found.line,
            column: found.column,
            character: found.character,
            encoding: found
                .encoding
                .iter()
                .map(|encoding| encoding.name())
                .collect(),
            ..location.clone()
        },
        also_in: Vec::new(),
        occurrences: found.occurrences,
        file: facts.cloned(),
        usage: None,
        controls: controls(found.rule),
        remediation: Remediation::OfKey(found.rule, found.access_key_id),
        access_key_id: found.access_key_id,
    }
}

/// The rule's sentence, and what makes this finding worse or better.
fn title(
    found: &Match,
    location: &Location,
    of_own_role: bool,
    canary: bool,
    facts: Option<&FileFacts>,
) -> String {
    let mut title = match (found.rule, found.long_term) {
        _ if of_own_role => "temporary credentials of the instance's own role",
        (Rule::AccessKeyIdAlone, false) => "temporary AWS access key ID without its secret",
        (Rule::AccessKeyPair, _) => "long-term AWS access key with its secret",
        (rule, _) => rule.title(),
    }
    .to_owned();
    if location.source == SourceKind::Process {
        title += ", in a process environment or command line";
    }
    if location.source == SourceKind::UserData {
        title += ", in user-data";
    }
    if let Some(state) = location.git_state {
        title += ", ";
        title += state.phrase();
    }
    if facts.is_some_and(FileFacts::world_readable) {
        title += ", world-readable";
    }
    title += match found.mention {
        Some(Mention::Signature) => ", as the signer of a request",
        Some(Mention::Report) => ", in a report of it",
        None => "",
    };
    if canary {
        title += ", a canary: whoever uses it is reported";
    }
    title
}

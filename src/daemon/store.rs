//! The ledger as the service uses it: what goes wrong with it is told, and
//! stops neither the scan nor the delivery.
//!
//! Where the state directory cannot be used the service goes on with a ledger
//! in memory, which begins with what the one on disk knows, if that can be
//! read, and moves to the disk as soon as that can be used: what was told in
//! between is not told again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::telling::Lines;
use crate::finding::{Finding, Instance};
use crate::ledger::{
    Changes, Entry, Error, Fate, Ledger, Limits, Notice, Open, OpenCounts, Pass, Queued,
    Resolutions, Seq, Standing, Transition,
};
use crate::report::journal;
use crate::status;

/// The fact that says which instance the ledger is of.
const INSTANCE: &str = "instance";

pub(super) struct Store {
    ledger: Ledger,
    state_dir: PathBuf,
    limits: Limits,
    /// The ledger is in memory only.
    volatile: Option<Volatile>,
    /// It was begun just now.
    pub(super) is_new: bool,
    /// What failed and has not succeeded since.
    failures: BTreeMap<Task, String>,
    /// Another ledger took the place of the one that events were taken from
    /// last: their places in it mean others here.
    replaced: bool,
    /// Events are to be delivered, and kept until they are.
    pub(super) delivers: bool,
    /// Something was not taken down: only another sweep can tell it.
    pub(super) incomplete: bool,
    /// Events given up since the outbox was found full.
    given_up: u64,
    /// Paths of open findings, and of how many.
    places: HashMap<String, usize>,
    /// Findings that were told although they could not be taken down.
    unrecorded: HashSet<String>,
}

/// What the ledger is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    Read,
    Record,
    Enqueue,
    Settle,
    Cache,
    Note,
}

/// Why the ledger is in memory only.
struct Volatile {
    why: String,
    /// It began with all that the one on disk knew.
    knows_all: bool,
}

impl Volatile {
    fn new(error: &Error) -> Self {
        Self {
            why: error.to_string(),
            knows_all: false,
        }
    }
}

impl Store {
    pub(super) fn open(state_dir: PathBuf, limits: Limits) -> Result<Self, Error> {
        let mut is_new = true;
        let (ledger, volatile) = match Ledger::open(&state_dir, limits, Timestamp::now()) {
            Ok((ledger, notices)) => {
                is_new = notices.contains(&Notice::Created);
                for notice in notices {
                    log::warn!("{notice}");
                }
                (ledger, None)
            }
            Err(error) => {
                log::error!("{error}; findings are remembered in memory only");
                let mut ledger = Ledger::in_memory(limits)?;
                let mut volatile = Volatile::new(&error);
                let is_ours = !matches!(error, Error::Exposed { .. } | Error::Foreign { .. });
                volatile.knows_all = is_ours && is_copied(&state_dir, &mut ledger);
                (ledger, Some(volatile))
            }
        };
        let mut store = Self {
            ledger,
            state_dir,
            limits,
            volatile,
            is_new,
            failures: BTreeMap::new(),
            replaced: false,
            delivers: true,
            incomplete: false,
            given_up: 0,
            places: HashMap::new(),
            unrecorded: HashSet::new(),
        };
        store.read_places();
        Ok(store)
    }

    /// Moves to the disk if that can be used again. What was not known of it
    /// is to be looked at again.
    pub(super) fn retry(&mut self) {
        let Some(volatile) = &mut self.volatile else {
            return;
        };
        match Ledger::open(&self.state_dir, self.limits, Timestamp::now()) {
            Ok((mut ledger, notices)) => {
                for notice in notices {
                    log::warn!("{notice}");
                }
                if let Err(error) = hand_over(&self.ledger, volatile.knows_all, &mut ledger) {
                    log::error!("{error}; findings are still remembered in memory only");
                    return;
                }
                log::warn!("the ledger in {} can be used", self.state_dir.display());
                self.ledger = ledger;
                self.replaced = true;
                self.volatile = None;
                self.incomplete = true;
                self.read_places();
            }
            Err(error) => volatile.why = error.to_string(),
        }
    }

    fn read_places(&mut self) {
        self.places.clear();
        let open = self.ledger.open_findings();
        for open in self.take(Task::Read, open).unwrap_or_default() {
            if let Some(path) = open.facts.location.path {
                *self.places.entry(path).or_default() += 1;
            }
        }
    }

    /// The paths at which findings are open.
    pub(super) fn places(&self) -> impl Iterator<Item = &String> {
        self.places.keys()
    }

    /// Takes down what was found; each change is told, in the journal and to
    /// the outbox.
    pub(super) fn record(
        &mut self,
        found: &[Finding],
        standing: &dyn Fn(&Open) -> Standing,
        instance: &Instance,
    ) -> Option<Changes> {
        let now = Timestamp::now();
        let delivers = self.delivers;
        let mut places = std::mem::take(&mut self.places);
        let before = places.clone();
        let mut lines = Lines::default();
        let changes = self.ledger.record(
            &Pass { found, standing },
            now,
            &mut |transition: &Transition<'_>| {
                follow(&mut places, transition);
                let entry = lines.note(transition, instance, now);
                delivers.then_some(entry)
            },
        );
        let changes = self.take(Task::Record, changes);
        if changes.is_some() {
            self.places = places;
            self.unrecorded.clear();
            lines.tell(found);
        } else {
            self.places = before;
            self.tell_unrecorded(found);
        }
        self.incomplete |= changes.is_none_or(|changes| changes.not_taken > 0);
        self.give_up(changes.map_or(0, |changes| changes.lost));
        changes
    }

    /// Tells what is new and could not be taken down, once: else nobody would
    /// know of it until it can.
    fn tell_unrecorded(&mut self, found: &[Finding]) {
        for finding in found {
            let is_known = self.ledger.is_open(&finding.id).unwrap_or(false);
            if !is_known && self.unrecorded.insert(finding.id.clone()) {
                journal::finding(finding, "unrecorded");
            }
        }
    }

    /// Puts events into the outbox.
    pub(super) fn enqueue(&mut self, entries: &[Entry]) {
        if !self.delivers {
            return;
        }
        let outcome = self.ledger.enqueue(entries, Timestamp::now());
        let lost = self.take(Task::Enqueue, outcome);
        self.give_up(lost.unwrap_or(0));
    }

    /// The loss is told when it begins, and in sum when there is room again.
    fn give_up(&mut self, events: u64) {
        if events > 0 && self.given_up == 0 {
            log::error!(
                "the outbox is full (ship.outbox_max): the oldest events that weigh least are \
                 given up, and counted"
            );
        }
        self.given_up += events;
    }

    pub(super) fn pending(&mut self, events: usize, bytes: usize) -> Vec<Queued> {
        self.replaced = false;
        let pending = self.ledger.pending(events, bytes);
        self.take(Task::Read, pending).unwrap_or_default()
    }

    /// What became of the events that were pending.
    pub(super) fn settle(&mut self, fates: &[(Seq, Fate)]) {
        if self.replaced {
            return;
        }
        let outcome = self.ledger.settle(fates);
        self.take(Task::Settle, outcome);
        if !fates.is_empty() && self.given_up > 0 {
            log::warn!(
                "the outbox has room again; {} events were given up",
                self.given_up
            );
            self.given_up = 0;
        }
    }

    pub(super) const fn scan_cache_key(&self) -> [u8; 16] {
        self.ledger.scan_cache_key()
    }

    pub(super) fn load_scan_cache(&mut self, rules: &str) -> Vec<u64> {
        let known = self.ledger.load_scan_cache(rules);
        self.take(Task::Read, known).unwrap_or_default()
    }

    pub(super) fn store_scan_cache(&mut self, rules: &str, known: &[u64]) {
        let outcome = self.ledger.store_scan_cache(rules, known);
        self.take(Task::Cache, outcome);
    }

    pub(super) fn counts(&mut self) -> OpenCounts {
        let counts = self.ledger.count_open();
        self.take(Task::Read, counts).unwrap_or_default()
    }

    pub(super) fn resolutions(&mut self, since: Timestamp) -> Resolutions {
        let resolutions = self.ledger.resolutions(since);
        self.take(Task::Read, resolutions).unwrap_or_default()
    }

    pub(super) fn outbox(&mut self) -> status::Outbox {
        let outbox = status::outbox(&self.ledger);
        self.take(Task::Read, outbox).unwrap_or_default()
    }

    /// What is told when nobody runs.
    pub(super) fn keep_status(&mut self, status: &status::Status) {
        if let Ok(value) = serde_json::to_value(status) {
            let outcome = self.ledger.set_fact(status::FACT, &value);
            self.take(Task::Note, outcome);
        }
    }

    pub(super) fn last_status(&mut self) -> Option<status::Status> {
        let fact = self.ledger.fact(status::FACT);
        serde_json::from_value(self.take(Task::Read, fact)??).ok()
    }

    /// Makes the ledger this instance's. Begins anew, and tells so, if it is of
    /// another one, of which an image was made while its service ran: what was
    /// told there was not told of this one.
    pub(super) fn adopt(&mut self, instance_id: &str) -> bool {
        let known = self.ledger.fact(INSTANCE);
        let known = self.take(Task::Read, known).flatten();
        let known = known.as_ref().and_then(serde_json::Value::as_str);
        if known == Some(instance_id) {
            return false;
        }
        if let Some(known) = known {
            let why = format!("it is of {known}, and this is {instance_id}");
            self.begin_anew(&why, log::Level::Warn);
        }
        let outcome = self.ledger.set_fact(INSTANCE, &instance_id.into());
        self.take(Task::Note, outcome);
        known.is_some()
    }

    /// What an operator should know of it.
    pub(super) fn problems(&self) -> impl Iterator<Item = String> {
        let volatile = self
            .volatile
            .as_ref()
            .map(|volatile| format!("findings are remembered in memory only: {}", volatile.why));
        let failures: BTreeSet<_> = self.failures.values().cloned().collect();
        volatile.into_iter().chain(failures)
    }

    /// Unwraps what the ledger did. A failure is told once, until what failed
    /// succeeds: on a full disk much can be read, and a little written.
    fn take<T>(&mut self, what: Task, outcome: Result<T, Error>) -> Option<T> {
        let error = match outcome {
            Ok(value) => {
                if self.failures.remove(&what).is_some() && self.failures.is_empty() {
                    log::warn!("the ledger works again");
                }
                return Some(value);
            }
            Err(error) => error,
        };
        let said = error.to_string();
        if !self.failures.values().any(|known| *known == said) {
            log::error!("{said}");
        }
        self.failures.insert(what, said);
        self.incomplete = true;
        match error {
            Error::Corrupt(why) => self.begin_anew(&why, log::Level::Error),
            Error::Moved => self.rescue(&error),
            _ => {}
        }
        None
    }

    /// Takes what a deleted ledger knows to another.
    fn rescue(&mut self, error: &Error) {
        let spare = Ledger::in_memory(self.limits).and_then(|mut spare| {
            hand_over(&self.ledger, false, &mut spare)?;
            Ok(spare)
        });
        if let Ok(spare) = spare {
            self.ledger = spare;
            self.replaced = true;
            self.volatile = Some(Volatile::new(error));
            self.retry();
        }
    }

    /// A sweep tells all open findings anew, to the ledger that follows.
    fn begin_anew(&mut self, why: &str, level: log::Level) {
        let Ok(spare) = Ledger::in_memory(self.limits) else {
            return;
        };
        let useless = std::mem::replace(&mut self.ledger, spare);
        self.replaced = true;
        self.incomplete = true;
        match useless.set_aside(why, Timestamp::now()) {
            Ok((ledger, notices)) => {
                for notice in notices {
                    log::log!(level, "{notice}");
                }
                self.ledger = ledger;
            }
            Err(error) => {
                log::error!("{error}; findings are remembered in memory only");
                self.volatile = Some(Volatile::new(&error));
            }
        }
        self.places.clear();
    }
}

/// Whether all that is open in the ledger on disk is known to `ledger` now.
fn is_copied(state_dir: &Path, ledger: &mut Ledger) -> bool {
    let copied = Ledger::open_read_only(state_dir).and_then(|on_disk| match on_disk {
        Some(on_disk) => ledger.take_over(&on_disk, false, &[], Timestamp::now()),
        None => Ok(()),
    });
    copied.is_ok()
}

/// Puts what is open and what waits in `from` into a ledger on disk.
fn hand_over(from: &Ledger, knows_all: bool, to: &mut Ledger) -> Result<(), Error> {
    let queued = from.pending(u32::MAX as usize, usize::MAX)?.into_iter();
    let events: Vec<_> = queued.map(|queued| queued.entry).collect();
    to.take_over(from, knows_all, &events, Timestamp::now())
}

fn follow(places: &mut HashMap<String, usize>, transition: &Transition<'_>) {
    match transition {
        Transition::Opened { finding, .. } => {
            if let Some(path) = &finding.location.path {
                *places.entry(path.to_string()).or_default() += 1;
            }
        }
        Transition::Changed { .. } => {}
        Transition::Resolved { open, .. } => {
            if let Some(path) = &open.facts.location.path
                && let Some(count) = places.get_mut(path)
            {
                *count -= 1;
                if *count == 0 {
                    places.remove(path);
                }
            }
        }
    }
}

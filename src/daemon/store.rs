//! The ledger as the service uses it: what goes wrong with it is told, and
//! stops neither the scan nor the delivery.
//!
//! Where the state directory cannot be used the service goes on with a ledger
//! in memory, and moves what it holds to the disk as soon as that can be used.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use jiff::Timestamp;

use super::telling::Lines;
use crate::finding::{Finding, Instance};
use crate::ledger::{
    Changes, Entry, Error, Fate, Ledger, Limits, Open, OpenCounts, Pass, Queued, Resolutions, Seq,
    Standing, Transition,
};
use crate::report::journal;
use crate::status;

pub(super) struct Store {
    ledger: Ledger,
    state_dir: PathBuf,
    limits: Limits,
    /// Why the ledger is in memory only.
    volatile: Option<String>,
    /// What failed last; nothing has succeeded since.
    failure: Option<String>,
    /// Events are to be delivered, and kept until they are.
    pub(super) delivers: bool,
    /// Something was not taken down: only another sweep can tell it.
    pub(super) incomplete: bool,
    /// Paths of open findings, and of how many.
    places: HashMap<String, usize>,
    /// Findings that were told although they could not be taken down.
    unrecorded: HashSet<String>,
}

impl Store {
    pub(super) fn open(state_dir: PathBuf, limits: Limits) -> Result<Self, Error> {
        let (ledger, volatile) = match Ledger::open(&state_dir, limits, Timestamp::now()) {
            Ok((ledger, notices)) => {
                for notice in notices {
                    log::warn!("{notice}");
                }
                (ledger, None)
            }
            Err(error) => {
                log::error!("{error}; findings are remembered in memory only");
                (Ledger::in_memory(limits)?, Some(error.to_string()))
            }
        };
        let mut store = Self {
            ledger,
            state_dir,
            limits,
            volatile,
            failure: None,
            delivers: true,
            incomplete: false,
            places: HashMap::new(),
            unrecorded: HashSet::new(),
        };
        store.read_places();
        Ok(store)
    }

    /// Moves to the disk if that can be used again. Its own open findings
    /// count from then on, so that everything is to be looked at again.
    pub(super) fn retry(&mut self) {
        if self.volatile.is_none() {
            return;
        }
        match Ledger::open(&self.state_dir, self.limits, Timestamp::now()) {
            Ok((mut ledger, notices)) => {
                for notice in notices {
                    log::warn!("{notice}");
                }
                if let Err(error) = hand_over(&mut self.ledger, &mut ledger) {
                    log::error!("{error}; findings are still remembered in memory only");
                    return;
                }
                log::warn!("the ledger in {} can be used", self.state_dir.display());
                self.ledger = ledger;
                self.volatile = None;
                self.incomplete = true;
                self.read_places();
            }
            Err(error) => self.volatile = Some(error.to_string()),
        }
    }

    fn read_places(&mut self) {
        self.places.clear();
        let open = self.ledger.open_findings();
        for open in self.take(open).unwrap_or_default() {
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
        let changes = self.take(changes);
        if changes.is_some() {
            self.places = places;
            self.unrecorded.clear();
            lines.tell(found);
        } else {
            self.places = before;
            self.tell_unrecorded(found);
        }
        self.incomplete |= changes.is_none_or(|changes| changes.not_taken > 0);
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
        self.take(outcome);
    }

    pub(super) fn pending(&mut self, events: usize, bytes: usize) -> Vec<Queued> {
        let pending = self.ledger.pending(events, bytes);
        self.take(pending).unwrap_or_default()
    }

    pub(super) fn settle(&mut self, fates: &[(Seq, Fate)]) {
        let outcome = self.ledger.settle(fates);
        self.take(outcome);
    }

    pub(super) const fn scan_cache_key(&self) -> [u8; 16] {
        self.ledger.scan_cache_key()
    }

    pub(super) fn load_scan_cache(&mut self, rules: &str) -> Vec<u64> {
        let known = self.ledger.load_scan_cache(rules);
        self.take(known).unwrap_or_default()
    }

    pub(super) fn store_scan_cache(&mut self, rules: &str, known: &[u64]) {
        let outcome = self.ledger.store_scan_cache(rules, known);
        self.take(outcome);
    }

    pub(super) fn counts(&mut self) -> OpenCounts {
        let counts = self.ledger.count_open();
        self.take(counts).unwrap_or_default()
    }

    pub(super) fn resolutions(&mut self, since: Timestamp) -> Resolutions {
        let resolutions = self.ledger.resolutions(since);
        self.take(resolutions).unwrap_or_default()
    }

    pub(super) fn outbox(&mut self) -> status::Outbox {
        let outbox = status::outbox(&self.ledger);
        self.take(outbox).unwrap_or_default()
    }

    /// What is told when nobody runs.
    pub(super) fn keep_status(&mut self, status: &status::Status) {
        if let Ok(value) = serde_json::to_value(status) {
            let outcome = self.ledger.set_fact(status::FACT, &value);
            self.take(outcome);
        }
    }

    pub(super) fn last_status(&mut self) -> Option<status::Status> {
        let fact = self.ledger.fact(status::FACT);
        serde_json::from_value(self.take(fact)??).ok()
    }

    /// What an operator should know of it.
    pub(super) fn problems(&self) -> impl Iterator<Item = String> {
        let volatile = self
            .volatile
            .as_ref()
            .map(|why| format!("findings are remembered in memory only: {why}"));
        volatile.into_iter().chain(self.failure.clone())
    }

    /// Unwraps what the ledger did; a failure is told once until it is over.
    fn take<T>(&mut self, outcome: Result<T, Error>) -> Option<T> {
        let error = match outcome {
            Ok(value) => {
                if let Some(failure) = self.failure.take() {
                    log::warn!("the ledger works again; before: {failure}");
                }
                return Some(value);
            }
            Err(error) => error,
        };
        let said = error.to_string();
        if self.failure.as_ref() != Some(&said) {
            log::error!("{said}");
        }
        self.failure = Some(said);
        self.incomplete = true;
        if let Error::Corrupt(why) = error {
            self.begin_anew(&why);
        }
        None
    }

    /// A sweep tells all open findings anew, to the ledger that follows.
    fn begin_anew(&mut self, why: &str) {
        let Ok(spare) = Ledger::in_memory(self.limits) else {
            return;
        };
        let corrupt = std::mem::replace(&mut self.ledger, spare);
        match corrupt.set_aside(why, Timestamp::now()) {
            Ok((ledger, notices)) => {
                for notice in notices {
                    log::error!("{notice}");
                }
                self.ledger = ledger;
            }
            Err(error) => {
                log::error!("{error}; findings are remembered in memory only");
                self.volatile = Some(error.to_string());
            }
        }
        self.places.clear();
    }
}

/// What waits in one outbox, put at the end of another.
fn hand_over(from: &mut Ledger, to: &mut Ledger) -> Result<(), Error> {
    loop {
        let queued = from.pending(super::delivery::MAX_EVENTS, super::delivery::MAX_BYTES)?;
        if queued.is_empty() {
            return Ok(());
        }
        let (seqs, entries): (Vec<_>, Vec<_>) = queued
            .into_iter()
            .map(|queued| ((queued.seq, Fate::Accepted), queued.entry))
            .unzip();
        to.enqueue(&entries, Timestamp::now())?;
        from.settle(&seqs)?;
    }
}

fn follow(places: &mut HashMap<String, usize>, transition: &Transition<'_>) {
    match transition {
        Transition::Opened { finding, .. } => {
            if let Some(path) = &finding.location.path {
                *places.entry(path.clone()).or_default() += 1;
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

//! What the service knows, and how it changes with what comes in. No task is
//! started here, and nothing is waited for.

use std::path::PathBuf;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Error;
use super::delivery::{self, Delivered};
use super::outgoing::Urgency;
use super::pass::{Look, Scope};
use super::schedule::Schedule;
use super::service::rules;
use super::standing::{self, Files, Looked};
use super::stated::Stated;
use super::store::Store;
use super::telling::entry;
use super::watch::Notice;
use crate::config::{Config, ShipMode};
use crate::finding::{
    Coverage, Finding, Instance, PostureCheck, RoleKey, Rule, SourceKind, Summary, Verdict,
};
use crate::ledger::{Class, Entry, Limits, Queued};
use crate::posture::Posture;
use crate::report::journal;
use crate::scan::UserData;
use crate::settings;
use crate::ship::{Event, Metrics};
use crate::status::{self, STOPPED, Status};

/// Places that are not watched and stand in the status.
const MAX_UNWATCHED: usize = 10;

pub(super) struct State {
    pub(super) store: Store,
    pub(super) instance: Instance,
    pub(super) role_usable: bool,
    /// At one of the checks since the start.
    role_was_usable: bool,
    pub(super) role_key: Option<RoleKey>,
    pub(super) user_data: UserData,
    /// What the posture checks found, what is allowed included.
    pub(super) shadows: Vec<Finding>,
    pub(super) status: Status,
    /// Why the configuration in use is not the one that is there.
    pub(super) config_problem: Option<String>,
    /// Something is to be delivered; taken by who arranges that.
    pub(super) wanted: Option<Urgency>,
    checks: Vec<PostureCheck>,
    stated: Stated,
    /// Events accepted since the last sign of life.
    accepted: u64,
    /// When the last sign of life was given.
    last_heartbeat: Timestamp,
    /// Notes of the last sweep.
    notes: Vec<String>,
    /// What cannot be watched, a sentence each.
    pub(super) unwatched: Vec<String>,
    /// How often more changed than could be followed.
    pub(super) overflows: u64,
}

impl State {
    pub(super) fn open(config: &Config) -> Result<Self, Error> {
        let limits = Limits {
            outbox_bytes: config.ship.outbox_max.as_u64(),
            ..Limits::default()
        };
        let mut store = Store::open(config.state_dir.clone(), limits)?;
        store.delivers = config.ship.mode != ShipMode::Never;
        let mut status = Status::starting(env!("CARGO_PKG_VERSION"));
        if let Some(last) = store.last_status() {
            tell_last_run(&last, &mut store);
            status.last_sweep = last.last_sweep;
            status.coverage = last.coverage;
            status.last_delivery = last.last_delivery;
            status.last_posture = last.last_posture;
        } else if !store.is_new {
            log::warn!("the last run was cut off while it began");
        }
        status.pid = Some(std::process::id());
        status.started = Some(now());
        // What an earlier run did not deliver.
        let waits = store.outbox().events > 0;
        // Whoever comes next sees whether this run was ended in order.
        store.keep_status(&status);
        Ok(Self {
            store,
            instance: Instance::default(),
            role_usable: false,
            role_was_usable: false,
            role_key: None,
            user_data: UserData::default(),
            shadows: Vec::new(),
            status,
            config_problem: None,
            wanted: waits.then_some(Urgency::Finding),
            checks: Vec::new(),
            stated: Stated::default(),
            accepted: 0,
            last_heartbeat: Timestamp::now(),
            notes: Vec::new(),
            unwatched: Vec::new(),
            overflows: 0,
        })
    }

    /// Whether there is a way to deliver at all. That the role is gone again is
    /// for a delivery to find out: an answer of the metadata service that came
    /// too late must not hold back events until the next check.
    pub(super) fn may_deliver(&self, config: &Config) -> bool {
        match config.ship.mode {
            ShipMode::Auto => self.role_was_usable,
            ShipMode::Always => true,
            ShipMode::Never => false,
        }
    }

    pub(super) fn record_posture(&mut self, posture: Posture) {
        self.role_usable = posture.role_usable;
        self.role_was_usable |= posture.role_usable;
        self.role_key = posture.role_key;
        self.user_data = settings::user_data(posture.user_data);
        self.instance = posture
            .instance
            .completed_from(std::mem::take(&mut self.instance));
        self.status
            .instance_id
            .clone_from(&self.instance.instance_id);
        if let Some(id) = &self.instance.instance_id
            && self.store.adopt(id)
        {
            self.status.last_sweep = None;
            self.status.last_delivery = None;
            self.status.coverage.clear();
        }
        let at_ms = Timestamp::now().as_millisecond();
        let clock = Instant::now();
        self.checks = posture.checks;
        let mut events = Vec::new();
        for check in &self.checks {
            if !self.stated.is_news(check, clock) {
                continue;
            }
            if check.verdict == Verdict::Unknown {
                journal::unknown(check);
            }
            let event = Event::posture(check, &self.instance, at_ms);
            events.push(entry(Class::Posture, event));
        }
        let told = !events.is_empty();
        self.enqueue(&events, Urgency::Routine);
        let found: Vec<_> = self
            .checks
            .iter()
            .filter_map(|check| Finding::of_check(check, &self.instance))
            .chain(posture.findings)
            .collect();
        let looked = Looked {
            checks: &self.checks,
            saw_all_shadows: posture.findings_are_all,
            ..Looked::default()
        };
        let changes = self.store.record(
            &found,
            &|open| standing::of(&open.facts, &looked),
            &self.instance,
        );
        self.note(changes);
        self.status.last_posture = Some(status::Posture {
            at: now(),
            checks: self
                .checks
                .iter()
                .filter_map(|check| serde_json::to_value(check).ok())
                .collect(),
        });
        if told {
            self.keep_status();
        }
    }

    /// `cut_short`: the look was ended before it was done. `overtaken`: what
    /// was looked at again, and recorded, while this look went on.
    pub(super) fn record_look(&mut self, mut look: Look, cut_short: bool, overtaken: &[PathBuf]) {
        let config = &look.loaded.config;
        let is_overtaken = |finding: &Finding| {
            let path = finding.location.path.as_deref();
            path.is_some_and(|path| standing::lies_in(path, overtaken))
        };
        look.scan.findings.retain(|finding| !is_overtaken(finding));
        let of = |kind: SourceKind| {
            let mut coverage = look.scan.coverage.iter();
            coverage.find(|coverage| coverage.source == kind)
        };
        let within = look.scope.within(config);
        let looked = Looked {
            files: Some(Files {
                memory: &look.memory,
                gone: &look.gone,
                archives: config.scan.archives,
                git: config.scan.git,
                within: &within,
                overtaken,
            }),
            processes: of(SourceKind::Process),
            user_data: of(SourceKind::UserData),
            ..Looked::default()
        };
        let changes = self.store.record(
            &look.scan.findings,
            &|open| standing::of(&open.facts, &looked),
            &self.instance,
        );
        self.note(changes);
        let of_everything = look.scope == Scope::Everything;
        if (of_everything || look.scope == Scope::Watched)
            && changes.is_some_and(|changes| changes.not_taken == 0)
        {
            let known = look.memory.to_known(of_everything && !cut_short);
            self.store.store_scan_cache(&rules(config), &known);
        }
        if !of_everything || cut_short {
            return;
        }
        let complete = look.scan.coverage.iter().all(Coverage::is_complete);
        let duration_ms = u64::try_from(look.took.as_millis()).unwrap_or(u64::MAX);
        self.notes = look.unused;
        self.status.sweeps += 1;
        self.status.last_sweep = Some(status::Sweep {
            started: seconds(look.started),
            duration_ms,
            complete,
            allowed: look.scan.allowed,
        });
        self.status.coverage = look
            .scan
            .coverage
            .iter()
            .filter_map(|coverage| serde_json::to_value(coverage).ok())
            .collect();
        self.give_sign_of_life(
            &look.scan.coverage,
            look.scan.allowed,
            duration_ms,
            complete,
        );
        self.keep_status();
    }

    /// After a sweep: what each source looked at, if that is news, and the
    /// summary.
    fn give_sign_of_life(
        &mut self,
        coverage: &[Coverage],
        allowed: u64,
        duration_ms: u64,
        complete: bool,
    ) {
        let counts = self.store.counts();
        let unknown = self
            .checks
            .iter()
            .filter(|check| check.verdict == Verdict::Unknown)
            .count() as u64;
        let outbox = self.store.outbox();
        let summary = Summary {
            instance_id: self.instance.instance_id.clone(),
            credentials: counts.credentials,
            findings: counts.findings,
            critical: counts.critical,
            high: counts.high,
            medium: counts.medium,
            low: counts.low,
            info: counts.info,
            allowed,
            unknown,
            shipped: std::mem::take(&mut self.accepted),
            undelivered: outbox.events,
            lost: outbox.lost + outbox.rejected,
            duration_ms,
            complete: complete && unknown == 0,
        };
        let since = std::mem::replace(&mut self.last_heartbeat, Timestamp::now());
        let resolutions = self.store.resolutions(since);
        let passed = |rule: Rule| {
            let check = self.checks.iter().find(|check| check.check == rule);
            match check.map(|check| check.verdict) {
                Some(Verdict::Pass) => Some(true),
                Some(Verdict::Fail) => Some(false),
                _ => None,
            }
        };
        let metrics = Metrics {
            static_credentials: counts.static_credentials,
            role_present: passed(Rule::RoleMissing),
            imds_v1_enabled: passed(Rule::ImdsV1Enabled).map(|passed| !passed),
            imds_hop_limit_exceeded: passed(Rule::ImdsHopLimit).map(|passed| !passed),
            time_to_resolve: resolutions.newest,
        };
        let at_ms = Timestamp::now().as_millisecond();
        let clock = Instant::now();
        let mut events: Vec<Entry> = coverage
            .iter()
            .filter(|part| self.stated.is_news_of(part, clock))
            .map(|part| {
                entry(
                    Class::Coverage,
                    Event::coverage(part, &self.instance, at_ms),
                )
            })
            .collect();
        let heartbeat = Event::heartbeat(&summary, &metrics, &self.instance, at_ms);
        events.push(entry(Class::Heartbeat, heartbeat));
        self.enqueue(&events, Urgency::Routine);
        journal::sweep(counts.findings, complete, duration_ms);
    }

    /// What a sweep alone sees is told once, and stands in the status.
    pub(super) fn cannot_watch(&mut self, notice: &Notice) {
        let problem = match notice {
            Notice::LimitReached {
                path,
                watched,
                needed,
                max_user_watches,
            } => {
                let raise = max_user_watches.map_or_else(String::new, |limit| {
                    format!(
                        ": raise sysctl fs.inotify.max_user_watches, now {limit}, by {}",
                        needed.saturating_sub(*watched)
                    )
                });
                format!(
                    "{watched} of {needed} directories are watched, {} and others are only \
                     swept{raise}",
                    path.display()
                )
            }
            Notice::Unwatchable { path, why } => {
                format!("{} is not watched, only swept: {why}", path.display())
            }
            _ => return,
        };
        log::warn!("{problem}");
        self.unwatched.truncate(MAX_UNWATCHED);
        self.unwatched.push(problem);
    }

    /// What is delivered next.
    pub(super) fn pending(&mut self) -> Vec<Queued> {
        self.store
            .pending(delivery::MAX_EVENTS, delivery::MAX_BYTES)
    }

    /// Settles what was delivered; whether more waits.
    pub(super) fn settle(&mut self, delivered: &Delivered) -> bool {
        let delivery = &delivered.delivery;
        self.store.settle(&delivered.fates);
        self.accepted += delivery.accepted();
        self.status.last_delivery = Some(status::Delivery {
            at: now(),
            accepted: delivery.accepted(),
            undelivered: delivery.undelivered(),
            problems: delivery.problems.clone(),
        });
        self.keep_status();
        !self.is_delivered()
    }

    pub(super) fn is_delivered(&mut self) -> bool {
        self.store.outbox().events == 0
    }

    /// What is known right now.
    pub(super) fn describe(&mut self, schedule: Option<&Schedule>) -> &Status {
        self.status.open = self.store.counts().into();
        self.status.outbox = self.store.outbox();
        self.status.next_sweep = schedule
            .and_then(Schedule::next_sweep)
            .map(|at| at.saturating_duration_since(Instant::now()))
            .and_then(|left| Timestamp::now().checked_add(left).ok())
            .map(seconds);
        let problems = self.store.problems().chain(self.config_problem.clone());
        let notes = self.unwatched.iter().chain(&self.notes).cloned();
        self.status.problems = problems.chain(notes).collect();
        &self.status
    }

    /// Takes down what is known, and says what was left undone.
    pub(super) fn end(&mut self) {
        let left = self.store.outbox().events;
        if left > 0 {
            log::warn!("stopped; {left} events wait for delivery in the next run");
        } else {
            log::info!("stopped; all events were delivered");
        }
        STOPPED.clone_into(&mut self.status.activity);
        self.keep_status();
    }

    fn keep_status(&mut self) {
        self.describe(None);
        self.store.keep_status(&self.status);
    }

    fn enqueue(&mut self, events: &[Entry], urgency: Urgency) {
        if !events.is_empty() {
            self.store.enqueue(events);
            self.want(urgency);
        }
    }

    fn note(&mut self, changes: Option<crate::ledger::Changes>) {
        if changes.is_some_and(|changes| changes.opened + changes.changed + changes.resolved > 0) {
            self.want(Urgency::Finding);
        }
    }

    fn want(&mut self, urgency: Urgency) {
        self.wanted = self.wanted.max(Some(urgency));
    }
}

/// Says at the start what the last run left, and whether it was ended in
/// order.
fn tell_last_run(last: &Status, store: &mut Store) {
    let (open, waiting) = (store.counts().findings, store.outbox().events);
    let left = format!("open findings: {open}; events that wait for delivery: {waiting}");
    if last.activity == STOPPED {
        log::info!("the last run was stopped; {left}");
    } else {
        let (pid, since) = (last.pid.unwrap_or_default(), last.started.as_deref());
        log::warn!(
            "the last run, pid {pid} since {}, was cut off while {}; {left}",
            since.unwrap_or("?"),
            last.activity
        );
    }
}

fn now() -> String {
    seconds(Timestamp::now())
}

/// More would only be noise for a reader.
fn seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second())
        .unwrap_or(at)
        .to_string()
}

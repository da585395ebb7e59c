//! The loop that owns the service's state: it waits for something to happen,
//! takes in what came of it, and starts what is due.

mod changes;
mod readers;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::delivery::{self, Delivered};
use super::outgoing::{self, Outgoing};
use super::pass::{self, Look, Order, Scope};
use super::schedule::{Intervals, Job, Schedule};
use super::settle::Settle;
use super::state::State;
use super::supervisor::{self, Supervisor};
use super::watch::aside::Aside;
use super::watch::{self, Notice};
use super::{Error, Request};
use crate::alarm;
use crate::config::{Config, Loaded, ShipMode, Sources};
use crate::posture::{self, Posture};
use crate::scan::{AllowList, Progress, Recollection, Silences, Tails};
use crate::ship::Shipper;
use crate::{settings, status};
use changes::notices;
use readers::listen;

/// Time between two looks at the environments of the processes.
const PROCESSES_EVERY: Duration = Duration::from_mins(5);

/// After the word to stop, the time that one more delivery may take.
const DRAIN: Duration = Duration::from_secs(10);

/// What runs beside the loop hands this back.
enum Done {
    Watch(Box<Result<(Aside, Vec<Notice>), watch::Error>>),
    Posture(Box<Posture>),
    Look(Box<Look>),
    Delivery(Box<Delivered>),
    Answered,
}

/// What something runs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Watch,
    Job(Job),
    /// A look at what is watched, or at what changed of it.
    Changes,
    Delivery,
    Answer,
}

pub(super) struct Service {
    root: PathBuf,
    sources: Sources,
    console: PathBuf,
    loaded: Arc<Loaded>,
    state: State,
    /// The first posture checks were made.
    ready: bool,
    /// `None` until the service is ready and watches.
    schedule: Option<Schedule>,
    outgoing: Outgoing,
    /// `None` while it delivers.
    shipper: Option<Shipper>,
    watch: Option<Aside>,
    /// Directories that the watching waits for, and leaves alone.
    hung: Vec<watch::Hang>,
    settle: Settle,
    looks: posture::Looks,
    /// More happened than was heard of: all that is watched is due.
    missed: bool,
    tails: Arc<Mutex<Tails>>,
    silences: Arc<Silences>,
    /// What was looked at while a sweep goes on.
    overtaken: Vec<PathBuf>,
    supervisor: Supervisor,
    listener: UnixListener,
    tasks: JoinSet<Done>,
    running: HashMap<tokio::task::Id, Purpose>,
    progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
}

impl Service {
    pub(super) fn start(request: Request, loaded: Loaded) -> Result<Self, Error> {
        let config = &loaded.config;
        let listener = listen(&config.runtime_dir.join(status::SOCKET))?;
        Ok(Self {
            state: State::open(config)?,
            outgoing: Outgoing::new(config.ship.spread),
            shipper: None,
            root: request.root,
            sources: request.sources,
            console: request.console,
            loaded: Arc::new(loaded),
            ready: false,
            schedule: None,
            watch: None,
            hung: Vec::new(),
            settle: Settle::new(Vec::new()),
            looks: posture::Looks::default(),
            missed: false,
            tails: Arc::default(),
            silences: Arc::default(),
            overtaken: Vec::new(),
            supervisor: Supervisor::new(),
            listener,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            progress: Arc::default(),
            stop: Arc::default(),
        })
    }

    /// Until it is told to stop.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        self.begin_posture(self.loaded.config.posture.boot_wait);
        let mut next_ping = self.ping();
        loop {
            let wake = [self.next(), next_ping].into_iter().flatten().min();
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => self.reload(),
                Some(done) = self.tasks.join_next_with_id() => self.take_in(done),
                heard = notices(&mut self.watch) => match heard {
                    Some(notices) => self.hear(notices),
                    None => self.end_watch("it broke off"),
                },
                Ok((reader, _)) = self.listener.accept() => self.answer(reader),
                () = until(wake) => {}
            }
            if next_ping.is_some_and(|at| at <= Instant::now()) {
                next_ping = self.ping();
            }
            self.look_after_watch();
            self.start_due();
        }
        self.end().await;
        Ok(())
    }

    /// When the loop has something to do of its own accord.
    fn next(&self) -> Option<Instant> {
        let schedule = self.schedule.as_ref().and_then(Schedule::next);
        let delivery = self
            .outgoing
            .next()
            .filter(|_| self.state.may_deliver(&self.loaded.config));
        let changes = self.changes_due().filter(|_| !self.runs(Purpose::Changes));
        let watch = self.watch.as_ref().and_then(Aside::ask_again);
        let parts = [schedule, delivery, changes, watch];
        parts.into_iter().flatten().min()
    }

    fn runs(&self, purpose: Purpose) -> bool {
        self.running.values().any(|running| *running == purpose)
    }

    /// Tells the service manager that the loop runs; when to do so again.
    fn ping(&mut self) -> Option<Instant> {
        let every = self.supervisor.every?;
        // Before that it does not wait to hear of us.
        if !self.ready {
            return Some(Instant::now() + every);
        }
        let looking = self.running.values().any(|purpose| {
            matches!(
                purpose,
                Purpose::Changes | Purpose::Job(Job::Sweep | Job::Processes)
            )
        });
        let progress = looking.then(|| self.progress.bytes.load(Ordering::Relaxed));
        self.supervisor.ping(progress, std::time::Instant::now());
        Some(Instant::now() + every)
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        while let Some(job) = self
            .schedule
            .as_mut()
            .and_then(|schedule| schedule.take_due(now))
        {
            match job {
                Job::Posture => self.begin_posture(Duration::ZERO),
                Job::Sweep => self.begin_look(Purpose::Job(job), Scope::Everything),
                Job::Processes => self.begin_look(Purpose::Job(job), Scope::Processes),
            }
        }
        if !self.runs(Purpose::Changes) {
            if std::mem::take(&mut self.missed) {
                self.begin_look(Purpose::Changes, Scope::Watched);
            } else {
                let due = self.settle.take_due(now.into_std());
                if !due.is_empty() {
                    self.begin_look(Purpose::Changes, Scope::Changed(due));
                }
            }
        }
        if self.state.may_deliver(&self.loaded.config) && self.outgoing.take_due(now) {
            self.begin_delivery(outgoing::PATIENCE);
        }
    }

    fn begin(&mut self, purpose: Purpose, task: impl Future<Output = Done> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.running.insert(id, purpose);
    }

    fn begin_posture(&mut self, wait: Duration) {
        let mut settings = settings::posture(&self.loaded, wait);
        settings.looks = self.looks.clone();
        let root = self.root.clone();
        self.begin(Purpose::Job(Job::Posture), async move {
            Done::Posture(Box::new(posture::assess(&settings, &root).await))
        });
    }

    /// The next sweep sees what was there before the watching began.
    fn begin_schedule(&mut self) {
        let (intervals, now) = (intervals(&self.loaded.config), Instant::now());
        match &mut self.schedule {
            Some(schedule) => schedule.sweep_from(now),
            None => self.schedule = Some(Schedule::new(intervals, now, dice())),
        }
    }

    fn begin_look(&mut self, purpose: Purpose, scope: Scope) {
        if scope == Scope::Everything {
            self.state.store.retry();
            self.state.status.activity = "sweeping".into();
            self.overtaken.clear();
        }
        let known = match scope {
            Scope::Everything | Scope::Watched => self
                .state
                .store
                .load_scan_cache(&rules(&self.loaded.config)),
            Scope::Processes | Scope::Changed(_) => Vec::new(),
        };
        let order = Order {
            memory: Arc::new(Recollection::new(
                self.state.store.scan_cache_key(),
                known,
                self.state.store.places().cloned(),
                Timestamp::now(),
            )),
            scope,
            loaded: Arc::clone(&self.loaded),
            root: self.root.clone(),
            instance: self.state.instance.clone(),
            role_key: self.state.role_key.clone(),
            user_data: self.state.user_data.clone(),
            shadows: self.state.shadows.clone(),
            tails: Arc::clone(&self.tails),
            silences: Arc::clone(&self.silences),
            progress: Arc::clone(&self.progress),
            stop: Arc::clone(&self.stop),
        };
        let look = move || Done::Look(Box::new(pass::look(order)));
        let id = self.tasks.spawn_blocking(look).id();
        self.running.insert(id, purpose);
    }

    fn begin_delivery(&mut self, patience: Duration) {
        let queued = self.state.pending();
        let settings = settings::ship(&self.loaded.config, &self.state.instance);
        let shipper = match self.shipper.take() {
            Some(shipper) if *shipper.settings() == settings => shipper,
            _ => Shipper::new(settings),
        };
        self.begin(Purpose::Delivery, async move {
            Done::Delivery(Box::new(delivery::deliver(shipper, queued, patience).await))
        });
    }

    /// Takes in what came of something that ran.
    fn take_in(&mut self, done: Result<(tokio::task::Id, Done), JoinError>) {
        let now = Instant::now();
        let id = match &done {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let purpose = self.running.remove(&id);
        match done {
            Ok((_, Done::Watch(started))) => self.take_in_watch(*started),
            Ok((_, Done::Posture(posture))) => self.take_in_posture(*posture),
            Ok((_, Done::Look(look))) => self.take_in_look(*look),
            Ok((_, Done::Delivery(delivered))) => self.take_in_delivery(*delivered),
            Ok((_, Done::Answered)) => {}
            // A defect of ours; the host is looked at again when it is due.
            Err(error) => {
                log::error!("{purpose:?} failed: {error}");
                if purpose == Some(Purpose::Delivery) {
                    self.outgoing.failed(now, dice());
                }
            }
        }
        if let (Some(Purpose::Job(job)), Some(schedule)) = (purpose, &mut self.schedule) {
            schedule.finished(job, now, dice());
        }
        if std::mem::take(&mut self.state.store.incomplete)
            && let Some(schedule) = &mut self.schedule
        {
            schedule.sweep_again(now);
        }
        if let Some(urgency) = self.state.wanted.take() {
            self.outgoing.wanted(urgency, now, dice());
        }
    }

    fn take_in_posture(&mut self, mut posture: Posture) {
        let config = &self.loaded.config;
        let allow = AllowList::new(&config.allow, Timestamp::now());
        self.state.shadows.clone_from(&posture.findings);
        (posture.findings, _) = allow.told(posture.findings, config.redact_access_key_ids);
        let appeared = posture.role_usable && !self.state.role_usable;
        let is_first = !self.ready;
        if !posture.role_usable
            && (is_first || self.state.role_usable)
            && let Some(cause) = alarm::cause(&posture.checks, &posture.instance)
        {
            let console = is_first.then(|| self.console.clone());
            // It may wait for a journal that is not reading.
            tokio::task::spawn_blocking(move || alarm::raise(&cause, console.as_deref()));
        }
        let known = self.state.instance.clone();
        self.state.record_posture(posture);
        // What it says of itself tells where to deliver.
        if appeared || self.state.instance != known {
            self.outgoing.retry_now(Instant::now());
        }
        if !self.ready {
            self.ready = true;
            self.state.status.activity = "idle".into();
            supervisor::ready();
            self.begin_watch();
        }
    }

    fn take_in_look(&mut self, look: Look) {
        let of_everything = look.scope == Scope::Everything;
        let cut_short = self.stop.load(Ordering::Relaxed);
        let overtaken = if of_everything {
            std::mem::take(&mut self.overtaken)
        } else {
            Vec::new()
        };
        if let Scope::Changed(paths) = &look.scope
            && self.runs(Purpose::Job(Job::Sweep))
        {
            self.overtaken.extend(paths.iter().cloned());
        }
        self.state.record_look(look, cut_short, &overtaken);
        if of_everything {
            self.state.status.activity = "idle".into();
            self.watch_again();
        }
    }

    fn take_in_delivery(&mut self, delivered: Delivered) {
        let now = Instant::now();
        let was_failing = self.outgoing.is_failing();
        let left = self.state.settle(&delivered);
        let delivery = &delivered.delivery;
        let next = self.outgoing.delivered(delivery, left, now, dice());
        // What was rejected for good happened once.
        if next.tell || delivery.obstacle.is_none() || delivery.rejected().total() > 0 {
            for problem in &delivery.problems {
                log::warn!("{problem}");
            }
        }
        if next.recovered {
            log::warn!("events are delivered again");
        }
        // The role may have been taken away: then posture says so at once.
        if self.outgoing.is_failing()
            && !was_failing
            && let Some(schedule) = &mut self.schedule
        {
            schedule.no_later(Job::Posture, now);
        }
        self.shipper = Some(delivered.shipper);
    }

    /// Takes over a changed configuration; one that is wrong changes nothing.
    fn reload(&mut self) {
        supervisor::reloading();
        match Config::load(&self.sources) {
            Ok(loaded) => {
                let (old, new) = (&self.loaded.config, &loaded.config);
                if (&old.state_dir, &old.runtime_dir) != (&new.state_dir, &new.runtime_dir) {
                    log::warn!("other directories take effect with the next start");
                }
                self.outgoing.set_spread(new.ship.spread);
                // Somebody was here, and may have cured what stood in the way.
                self.outgoing.retry_now(Instant::now());
                if let Some(schedule) = &mut self.schedule {
                    schedule.set_intervals(intervals(new), Instant::now(), dice());
                    schedule.no_later(Job::Sweep, Instant::now());
                    schedule.no_later(Job::Posture, Instant::now());
                }
                let watches_differ = old.watch != new.watch
                    || old.scan.exclude != new.scan.exclude
                    || old.scan.network_filesystems != new.scan.network_filesystems;
                log::info!("the configuration was read again");
                self.state.store.delivers = new.ship.mode != ShipMode::Never;
                self.loaded = Arc::new(loaded);
                self.state.config_problem = None;
                if watches_differ && self.ready {
                    self.begin_watch();
                }
            }
            Err(error) => {
                let problem = format!("the configuration is wrong, and the old one stays: {error}");
                log::error!("{problem}");
                self.state.config_problem = Some(problem);
            }
        }
        supervisor::ready();
    }

    /// Ends what runs, tries once more to deliver, and says what is left.
    async fn end(mut self) {
        supervisor::stopping();
        self.stop.store(true, Ordering::Relaxed);
        let end = Instant::now() + DRAIN;
        // What asks or watches has nothing to write down, and ends with us.
        let looks_or_delivers = |purpose: &Purpose| {
            let looks = matches!(purpose, Purpose::Job(Job::Sweep | Job::Processes));
            looks || matches!(purpose, Purpose::Changes | Purpose::Delivery)
        };
        let mut delivered_once = false;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if !self.running.values().any(looks_or_delivers) {
                if delivered_once
                    || self.state.is_delivered()
                    || !self.state.may_deliver(&self.loaded.config)
                {
                    break;
                }
                delivered_once = true;
                self.begin_delivery(left);
            }
            match timeout(left, self.tasks.join_next_with_id()).await {
                Ok(Some(Ok((_, Done::Posture(_) | Done::Watch(_))))) => {}
                Ok(Some(done)) => self.take_in(done),
                _ => break,
            }
        }
        self.state.end();
    }
}

fn intervals(config: &Config) -> Intervals {
    Intervals {
        posture: config.posture.interval,
        sweep: config.scan.interval,
        // A sweep looks at them as well.
        processes: config
            .scan
            .processes
            .then(|| PROCESSES_EVERY.min(config.scan.interval)),
    }
}

/// Names all that decides what is found in a file: what was read under other
/// rules is read again.
pub(super) fn rules(config: &Config) -> String {
    let scan = &config.scan;
    format!(
        "{} depth={} archives={} git={}",
        env!("CARGO_PKG_VERSION"),
        scan.max_depth,
        scan.archives,
        scan.git
    )
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn dice() -> f64 {
    fastrand::f64()
}

//! Puts batches of events, creates what is missing for it, and takes no for an
//! answer where the table of decisions says so.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::attempts::{Attempts, Step};
use super::cloudwatch::{Failure, Logs};
use super::decision::{Call, Fault};
use super::delivery::{Delivery, Fate, Obstacle, Reason};
use super::problem::Context;
use super::restamp::restamp;
use super::{Event, Settings, batch};
use crate::aws::{self, Metadata, Role, RoleError};

/// Credentials that were refused this often, fetched anew each time, are not
/// going to be accepted.
const MAX_RENEWALS: u32 = 3;
/// How often a metadata service that gives no answer is asked for the role, and
/// the longest pause in between.
const MAX_ASKED: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);
/// Batches that are divided in a delivery to find the event that makes them
/// invalid: enough for a few events among ten thousand.
const MAX_DIVISIONS: u32 = 64;

/// What lasts from one delivery to the next.
pub(super) struct Link {
    metadata: Metadata,
    logs: Logs,
    region: String,
    role: String,
}

impl Link {
    /// Everything up to, and without, the first connection to CloudWatch Logs.
    pub(super) async fn prepare(settings: &Settings) -> Result<Self, (Obstacle, String)> {
        let metadata = Metadata::new(&settings.imds_endpoint).map_err(no_credentials)?;
        let Role { name, credentials } = fetch_role(&metadata).await?;
        let region = match aws::non_empty(settings.region.as_ref()) {
            Some(region) => region.clone(),
            None => metadata.fetch_region().await.map_err(|error| {
                let problem = format!("the region is not known: {error}; set ship.region");
                (Obstacle::Settings, problem)
            })?,
        };
        let logs = Logs::new(settings, &region, credentials)
            .map_err(|error| (Obstacle::Settings, error.to_string()))?;
        Ok(Self {
            metadata,
            logs,
            region,
            role: name,
        })
    }

    /// The role may have been changed or taken away since the last delivery.
    pub(super) async fn renew(&mut self) -> Result<(), (Obstacle, String)> {
        let role = fetch_role(&self.metadata).await?;
        self.role = role.name;
        self.logs.renew(role.credentials);
        Ok(())
    }
}

/// A check has one delivery, which one late answer must not cost.
async fn fetch_role(metadata: &Metadata) -> Result<Role, (Obstacle, String)> {
    for _ in 1..MAX_ASKED {
        match metadata.fetch_role().await {
            Err(RoleError::Unreachable { .. }) => sleep(PAUSE.mul_f64(fastrand::f64())).await,
            outcome => return outcome.map_err(no_credentials),
        }
    }
    metadata.fetch_role().await.map_err(no_credentials)
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn no_credentials(error: RoleError) -> (Obstacle, String) {
    (Obstacle::Role, format!("no credentials of a role: {error}"))
}

/// Why a batch was not put.
enum Stop {
    /// The others can still be.
    Batch(Failure),
    /// None will be in this delivery.
    Run(Obstacle, String),
}

/// One delivery.
pub(super) struct Courier<'a> {
    pub(super) settings: &'a Settings,
    pub(super) link: &'a mut Link,
    pub(super) deadline: Duration,
    pub(super) end: Instant,
    pub(super) delivery: &'a mut Delivery,
    pub(super) renewals: u32,
    pub(super) divisions: u32,
}

impl Courier<'_> {
    /// Delivers the events, and once more those whose time was the reason for
    /// their rejection.
    pub(super) async fn deliver(mut self, events: &[Event]) {
        let stopped = self.put_all(events).await.is_err();
        let now_ms = self.link.logs.now_ms();
        let (places, again): (Vec<usize>, Vec<Event>) = events
            .iter()
            .enumerate()
            .filter_map(|(place, event)| {
                let fate = *self.delivery.fates.get(place)?;
                Some((place, restamp(event, fate, now_ms)?))
            })
            .unzip();
        let first = std::mem::take(&mut self.delivery.fates);
        if !stopped && !again.is_empty() {
            let _ = self.put_all(&again).await;
        }
        let second = std::mem::replace(&mut self.delivery.fates, first);
        for (n, place) in places.into_iter().enumerate() {
            // One that was not tried again is still to be.
            let fate = second.get(n).copied().unwrap_or(Fate::Undelivered);
            self.delivery.restamped += u64::from(fate == Fate::Accepted);
            if let Some(of_event) = self.delivery.fates.get_mut(place) {
                *of_event = fate;
            }
        }
    }

    /// Puts the events, and leaves their fates, in their order, in the
    /// delivery. Fails where none of those left can be put; the obstacle is
    /// told then.
    async fn put_all(&mut self, events: &[Event]) -> Result<(), ()> {
        // What is not settled below stays so: no path can forget an event.
        self.delivery.fates = vec![Fate::Undelivered; events.len()];
        let split = batch::split(events);
        for place in split.too_large {
            self.delivery.fates[place] = Fate::Rejected(Reason::TooLarge);
        }
        let mut invalid = Vec::new();
        let mut batches = split.batches;
        batches.reverse();
        while let Some(mut batch) = batches.pop() {
            match self.put(events, &batch).await {
                Ok(()) => {}
                Err(Stop::Batch(failure)) if batch.len() == 1 => invalid.push((batch, failure)),
                Err(Stop::Batch(failure)) if self.divisions == MAX_DIVISIONS => {
                    self.refused(&failure);
                }
                Err(Stop::Batch(_)) => {
                    self.divisions += 1;
                    let rest = batch.split_off(batch.len() / 2);
                    batches.extend([rest, batch]);
                }
                Err(Stop::Run(obstacle, problem)) => {
                    self.stop(obstacle, &problem);
                    return Err(());
                }
            }
        }
        // Where nothing is accepted, the events are not to blame.
        let some_accepted = self.delivery.fates.contains(&Fate::Accepted);
        for (batch, failure) in invalid {
            if !some_accepted {
                self.refused(&failure);
                continue;
            }
            match self.put(events, &batch).await {
                Ok(()) => {}
                Err(Stop::Batch(_)) => {
                    for place in batch {
                        self.delivery.fates[place] = Fate::Rejected(Reason::Invalid);
                    }
                }
                Err(Stop::Run(obstacle, problem)) => {
                    self.stop(obstacle, &problem);
                    return Err(());
                }
            }
        }
        Ok(())
    }

    fn refused(&mut self, failure: &Failure) {
        let call = Call::PutLogEvents;
        let problem = self.context().refused(call, failure);
        self.stop(Obstacle::Refused(call, failure.fault), &problem);
    }

    fn stop(&mut self, obstacle: Obstacle, problem: &str) {
        self.delivery.obstacle = Some(obstacle);
        self.delivery.tell(problem);
    }

    /// Puts one batch, and creates on the way what is missing.
    async fn put(&mut self, events: &[Event], batch: &[usize]) -> Result<(), Stop> {
        let batched: Vec<&Event> = batch.iter().map(|place| &events[*place]).collect();
        let mut attempts = Attempts::default();
        let mut tried = 0;
        let mut last: Option<Failure> = None;
        loop {
            let call = attempts.call();
            let Some(limit) = Attempts::limit(self.left()) else {
                let problem = self
                    .context()
                    .out_of_time(call, tried, self.deadline, last.as_ref());
                let fault = last.map_or(Fault::TimedOut, |failure| failure.fault);
                return Err(Stop::Run(Obstacle::OutOfTime(call, fault), problem));
            };
            tried += 1;
            let outcome = timeout(limit, self.link.logs.perform(call, &batched))
                .await
                .unwrap_or_else(|_| {
                    Err(Failure {
                        fault: Fault::TimedOut,
                        cause: format!("no answer within {:.1} s", limit.as_secs_f64()),
                    })
                });
            let failure = match outcome {
                Ok(fates) => {
                    for (place, fate) in batch.iter().zip(fates) {
                        self.delivery.fates[*place] = fate;
                    }
                    match attempts.succeeded() {
                        Some(_) => continue,
                        None => return Ok(()),
                    }
                }
                Err(failure) => failure,
            };
            let may_renew = self.renewals < MAX_RENEWALS;
            match attempts.failed(failure.fault, may_renew, self.left(), fastrand::f64()) {
                Step::Attempt { pause, renew } => {
                    sleep(pause).await;
                    if renew {
                        self.renewals += 1;
                        // A failure here is no reason to stop: the next attempt
                        // tells whether those at hand are still refused.
                        let _ = timeout_at(self.end, self.link.renew()).await;
                    }
                }
                Step::Done => {
                    for place in batch {
                        self.delivery.fates[*place] = Fate::Accepted;
                    }
                    return Ok(());
                }
                Step::SkipBatch => return Err(Stop::Batch(failure)),
                Step::GiveUp => return Err(self.give_up(call, &failure)),
            }
            // An attempt that was cut short because the time was running out
            // tells less than what went wrong before.
            if last.is_none() || failure.fault != Fault::TimedOut {
                last = Some(failure);
            }
        }
    }

    fn give_up(&self, call: Call, failure: &Failure) -> Stop {
        Stop::Run(
            Obstacle::Refused(call, failure.fault),
            self.context().refused(call, failure),
        )
    }

    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    fn context(&self) -> Context<'_> {
        Context {
            settings: self.settings,
            region: &self.link.region,
            role: &self.link.role,
        }
    }
}

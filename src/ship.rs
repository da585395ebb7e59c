//! Sends events to CloudWatch Logs, signed by the instance's role and nothing
//! else, and says of every event what became of it.
//!
//! Put first; what is missing is created when the service says so, because a
//! fleet that starts together must not ask for a thousand streams that are
//! there already. Retries pause with full jitter. Everything ends at the
//! deadline, whatever the other side does.

mod batch;
mod cloudwatch;
mod decision;
mod event;
mod metrics;
mod problem;

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

pub use batch::{
    Batches, EVENT_OVERHEAD_BYTES, MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MAX_BATCH_SPAN_MS,
    MAX_EVENT_BYTES, split,
};
pub use decision::{Call, Decision, Fault, decide};
pub use event::{Event, MAX_BODY_BYTES};
pub use metrics::Metrics;

use cloudwatch::{Failure, Logs};
use problem::Context;

use crate::aws::{self, Metadata, Network, Role, RoleError};

/// As good as none, and never beyond what a clock can count to.
const LONGEST_DEADLINE: Duration = Duration::from_hours(365 * 24);
/// The longest that one call may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest first pause; it doubles with every failure up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// With less time left a further attempt would only be cut off.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(250);
/// Credentials that were refused this often, fetched anew each time, are not
/// going to be accepted.
const MAX_RENEWALS: u32 = 3;

/// Where to deliver, and how to get there.
#[derive(Debug, Clone)]
pub struct Settings {
    pub log_group: String,
    /// With all placeholders filled in.
    pub log_stream: String,
    /// `None`: the instance's own.
    pub region: Option<String>,
    /// `None`: the public endpoint of the region.
    pub endpoint: Option<String>,
    pub imds_endpoint: String,
    pub network: Network,
}

/// Events that will never be accepted, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rejected {
    /// More than 14 days old.
    pub too_old: u64,
    /// More than 2 hours ahead.
    pub too_new: u64,
    /// Older than the log group's retention.
    pub expired: u64,
    pub too_large: u64,
}

impl Rejected {
    pub const fn total(&self) -> u64 {
        self.too_old + self.too_new + self.expired + self.too_large
    }

    const fn add(&mut self, other: Self) {
        self.too_old += other.too_old;
        self.too_new += other.too_new;
        self.expired += other.expired;
        self.too_large += other.too_large;
    }
}

/// What became of the events. The three counts add up to what was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    pub accepted: u64,
    pub rejected: Rejected,
    /// Neither accepted nor rejected for good, as far as is known: they may be
    /// sent again. One whose answer was lost may be there already, under the
    /// same `event_id`.
    pub undelivered: u64,
    /// One sentence each: the cause, and what is missing. Without secrets and
    /// safe for a terminal.
    pub problems: Vec<String>,
}

impl Delivery {
    /// Whether every event was accepted.
    pub const fn is_complete(&self) -> bool {
        self.rejected.total() == 0 && self.undelivered == 0
    }

    fn tell(&mut self, problem: &str) {
        let problem = crate::sanitize::line(problem).into_owned();
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

/// Delivers the events and returns when each is accepted, rejected for good or
/// given up, at the latest after `deadline`. Without events, or without a
/// role, no connection to CloudWatch Logs is made.
///
/// Name resolution runs on a thread of the runtime's that cannot be cancelled:
/// a caller that must not wait for it ends its runtime with
/// `shutdown_background`.
pub async fn deliver(settings: &Settings, events: Vec<Event>, deadline: Duration) -> Delivery {
    let given = events.len() as u64;
    let mut delivery = Delivery::default();
    let split = batch::split(events);
    delivery.rejected.too_large = split.too_large.len() as u64;
    if !split.batches.is_empty() {
        deliver_batches(settings, &split.batches, deadline, &mut delivery).await;
    }
    // The rest, by subtraction: no path can forget an event.
    delivery.undelivered = given - delivery.accepted - delivery.rejected.total();
    for problem in problem::rejections(&delivery.rejected) {
        delivery.tell(&problem);
    }
    delivery
}

async fn deliver_batches(
    settings: &Settings,
    batches: &[Vec<Event>],
    deadline: Duration,
    delivery: &mut Delivery,
) {
    let end = Instant::now() + deadline.min(LONGEST_DEADLINE);
    let mut courier = match timeout_at(end, Courier::prepare(settings, deadline, end)).await {
        Ok(Ok(courier)) => courier,
        Ok(Err(problem)) => return delivery.tell(&problem),
        Err(_) => {
            return delivery.tell(&format!(
                "no credentials of a role within {:.1} s: the metadata service gave no answer",
                deadline.as_secs_f64()
            ));
        }
    };
    for events in batches {
        match courier.put(events).await {
            Ok(rejected) => {
                delivery.accepted += events.len() as u64 - rejected.total();
                delivery.rejected.add(rejected);
            }
            Err(Stop::Batch(problem)) => delivery.tell(&problem),
            Err(Stop::Run(problem)) => return delivery.tell(&problem),
        }
    }
}

/// Why a batch was not put.
enum Stop {
    /// The others can still be.
    Batch(String),
    /// None will be in this run.
    Run(String),
}

struct Courier<'a> {
    settings: &'a Settings,
    metadata: Metadata,
    logs: Logs,
    region: String,
    role: String,
    deadline: Duration,
    end: Instant,
    renewals: u32,
}

impl<'a> Courier<'a> {
    /// Everything up to, and without, the first connection to CloudWatch Logs.
    async fn prepare(
        settings: &'a Settings,
        deadline: Duration,
        end: Instant,
    ) -> Result<Self, String> {
        let no_credentials = |error: RoleError| format!("no credentials of a role: {error}");
        let metadata = Metadata::new(&settings.imds_endpoint).map_err(no_credentials)?;
        let Role { name, credentials } = metadata.fetch_role().await.map_err(no_credentials)?;
        let region = match aws::non_empty(settings.region.as_ref()) {
            Some(region) => region.clone(),
            None => metadata
                .fetch_region()
                .await
                .map_err(|error| format!("the region is not known: {error}; set ship.region"))?,
        };
        let logs = Logs::new(settings, &region, credentials).map_err(|error| error.to_string())?;
        Ok(Self {
            settings,
            metadata,
            logs,
            region,
            role: name,
            deadline,
            end,
            renewals: 0,
        })
    }

    /// Puts one batch, and creates on the way what is missing.
    async fn put(&mut self, events: &[Event]) -> Result<Rejected, Stop> {
        let mut call = Call::PutLogEvents;
        let mut attempts = 0;
        let mut failures = 0;
        let mut created = Vec::new();
        let mut last = None;
        loop {
            let Some(limit) = self.attempt_limit() else {
                let context = self.context();
                let problem = context.out_of_time(call, attempts, self.deadline, last.as_ref());
                return Err(Stop::Run(problem));
            };
            attempts += 1;
            let outcome = tokio::time::timeout(limit, self.logs.perform(call, events))
                .await
                .unwrap_or_else(|_| {
                    Err(Failure {
                        fault: Fault::TimedOut,
                        cause: format!("no answer within {:.1} s", limit.as_secs_f64()),
                    })
                });
            let failure = match outcome {
                Ok(rejected) => match done(call) {
                    None => return Ok(rejected),
                    Some(next) => {
                        call = next;
                        continue;
                    }
                },
                Err(failure) => failure,
            };
            match decide(call, failure.fault) {
                Decision::Done => match done(call) {
                    None => return Ok(Rejected::default()),
                    Some(next) => call = next,
                },
                Decision::Retry => self.pause(&mut failures).await,
                Decision::RenewCredentials => {
                    if self.renewals == MAX_RENEWALS {
                        return Err(Stop::Run(self.context().refused(call, &failure)));
                    }
                    self.renewals += 1;
                    self.pause(&mut failures).await;
                    self.renew().await;
                }
                missing @ (Decision::CreateStream | Decision::CreateGroup) => {
                    // It was created, and is not there yet for everyone.
                    if created.contains(&missing) {
                        self.pause(&mut failures).await;
                    } else {
                        created.push(missing);
                    }
                    call = match missing {
                        Decision::CreateStream => Call::CreateLogStream,
                        _ => Call::CreateLogGroup,
                    };
                }
                Decision::SkipBatch => {
                    return Err(Stop::Batch(self.context().refused(call, &failure)));
                }
                Decision::GiveUp => {
                    return Err(Stop::Run(self.context().refused(call, &failure)));
                }
            }
            // An attempt that was cut short because the time was running out
            // tells less than what went wrong before.
            if last.is_none() || failure.fault != Fault::TimedOut {
                last = Some(failure);
            }
        }
    }

    /// How long the next attempt may take: never all that is left, so that a
    /// hung connection leaves time for another one.
    fn attempt_limit(&self) -> Option<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        (left >= SHORTEST_ATTEMPT).then(|| ATTEMPT_TIMEOUT.min(left / 2))
    }

    /// Full jitter: anything between nothing and a bound that doubles, so that
    /// those who failed together do not return together.
    async fn pause(&self, failures: &mut u32) {
        let left = self.end.saturating_duration_since(Instant::now());
        let bound = longest_pause(*failures, left);
        *failures = failures.saturating_add(1);
        sleep(bound.mul_f64(fastrand::f64())).await;
    }

    /// A failure here is no reason to stop: the next attempt tells whether the
    /// credentials at hand are still refused.
    async fn renew(&mut self) {
        if let Ok(Ok(role)) = timeout_at(self.end, self.metadata.fetch_role()).await {
            self.role = role.name;
            self.logs.renew(role.credentials);
        }
    }

    fn context(&self) -> Context<'_> {
        Context {
            settings: self.settings,
            region: &self.region,
            role: &self.role,
        }
    }
}

/// The bound doubles with each failure, and leaves time for another attempt.
fn longest_pause(failures: u32, left: Duration) -> Duration {
    FIRST_PAUSE
        .saturating_mul(2u32.saturating_pow(failures))
        .min(LONGEST_PAUSE)
        .min(left / 2)
}

/// The call that follows on success; none after the last.
const fn done(call: Call) -> Option<Call> {
    match call {
        Call::CreateLogGroup => Some(Call::CreateLogStream),
        Call::CreateLogStream => Some(Call::PutLogEvents),
        Call::PutLogEvents => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_never_take_the_time_of_the_next_attempt() {
        let hour = Duration::from_hours(1);
        let bounds: Vec<_> = (0..5).map(|n| longest_pause(n, hour).as_millis()).collect();
        assert_eq!(bounds, [200, 400, 800, 1600, 3200]);
        assert_eq!(longest_pause(u32::MAX, hour), LONGEST_PAUSE);
        let second = Duration::from_secs(1);
        assert_eq!(longest_pause(9, second), second / 2);
        assert_eq!(longest_pause(0, Duration::ZERO), Duration::ZERO);
    }
}

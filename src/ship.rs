//! Sends events to CloudWatch Logs, signed by the instance's role and nothing
//! else, and says of every event what became of it.
//!
//! Put first; what is missing is created when the service says so, because a
//! fleet that starts together must not ask for a thousand streams that are
//! there already. Retries pause with full jitter. Everything ends at the
//! deadline, whatever the other side does.

mod attempts;
mod batch;
mod cloudwatch;
mod courier;
mod decision;
mod delivery;
mod event;
mod metrics;
mod problem;
mod restamp;
mod rounds;

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

pub use attempts::{Attempts, Step};
pub use batch::{
    Batches, EVENT_OVERHEAD_BYTES, MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MAX_BATCH_SPAN_MS,
    MAX_EVENT_BYTES, split,
};
pub use decision::{Call, Decision, Fault, decide};
pub use delivery::{Delivery, Fate, Obstacle, Reason, Rejected};
pub use event::{Event, MAX_BODY_BYTES, Resolution};
pub use metrics::Metrics;
pub use restamp::restamp;
pub use rounds::{Next, Rounds};

use courier::{Courier, Link};

use crate::aws::Network;

/// As good as none, and never beyond what a clock can count to.
const LONGEST_DEADLINE: Duration = Duration::from_hours(365 * 24);

/// Where to deliver, and how to get there.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Delivers the events and returns when each is accepted, rejected for good or
/// given up, at the latest after `deadline`. Without events, or without a
/// role, no connection to CloudWatch Logs is made.
///
/// Name resolution runs on a thread of the runtime's that cannot be cancelled:
/// a caller that must not wait for it ends its runtime with
/// `shutdown_background`.
pub async fn deliver(settings: &Settings, events: &[Event], deadline: Duration) -> Delivery {
    Shipper::new(settings.clone())
        .deliver(events, deadline)
        .await
}

/// Delivers again and again, all on one runtime. Between two deliveries it
/// keeps the connection, the trust store and what was learnt of the service's
/// clock; the role's credentials are asked for anew each time, which costs no
/// call to AWS.
pub struct Shipper {
    settings: Settings,
    link: Option<Link>,
}

impl fmt::Debug for Shipper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shipper")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Shipper {
    pub const fn new(settings: Settings) -> Self {
        Self {
            settings,
            link: None,
        }
    }

    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// As [`deliver`].
    pub async fn deliver(&mut self, events: &[Event], deadline: Duration) -> Delivery {
        let mut delivery = Delivery {
            fates: vec![Fate::Undelivered; events.len()],
            ..Delivery::default()
        };
        if events.is_empty() {
            return delivery;
        }
        let end = Instant::now() + deadline.min(LONGEST_DEADLINE);
        match timeout_at(end, self.link()).await {
            Ok(Ok((settings, link))) => {
                let courier = Courier {
                    settings,
                    link,
                    deadline,
                    end,
                    delivery: &mut delivery,
                    renewals: 0,
                    divisions: 0,
                };
                courier.deliver(events).await;
            }
            Ok(Err((obstacle, problem))) => {
                delivery.obstacle = Some(obstacle);
                delivery.tell(&problem);
            }
            Err(_) => {
                delivery.obstacle = Some(Obstacle::Role);
                delivery.tell(&format!(
                    "no credentials of a role within {:.1} s: the metadata service gave no answer",
                    deadline.as_secs_f64()
                ));
            }
        }
        for problem in problem::rejections(&delivery) {
            delivery.tell(&problem);
        }
        delivery
    }

    /// The link, with credentials of this moment.
    async fn link(&mut self) -> Result<(&Settings, &mut Link), (Obstacle, String)> {
        let link = match self.link.take() {
            Some(mut link) => {
                link.renew().await?;
                link
            }
            None => Link::prepare(&self.settings).await?,
        };
        Ok((&self.settings, self.link.insert(link)))
    }
}

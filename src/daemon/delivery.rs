//! One delivery of what waits in the outbox.

use std::time::Duration;

use crate::ledger::{Fate, Queued, Seq};
use crate::ship::{self, Delivery, Event, Shipper};

/// Of the outbox, what is delivered at a time: so that what was accepted is
/// soon settled, and memory does not follow the outbox's size.
pub(super) const MAX_EVENTS: usize = 2000;
pub(super) const MAX_BYTES: usize = 2 * 1024 * 1024;

/// What became of a delivery.
pub(super) struct Delivered {
    /// For the next one.
    pub(super) shipper: Shipper,
    pub(super) delivery: Delivery,
    /// Of those events that need not wait any more.
    pub(super) fates: Vec<(Seq, Fate)>,
}

pub(super) async fn deliver(
    mut shipper: Shipper,
    queued: Vec<Queued>,
    patience: Duration,
) -> Delivered {
    let (seqs, events): (Vec<Seq>, Vec<Event>) = queued
        .into_iter()
        .map(|queued| {
            let event = Event {
                id: queued.entry.id,
                timestamp_ms: queued.entry.timestamp_ms,
                body: queued.entry.body,
            };
            (queued.seq, event)
        })
        .unzip();
    let delivery = shipper.deliver(&events, patience).await;
    let settled = |(seq, fate): (Seq, &ship::Fate)| match fate {
        ship::Fate::Accepted => Some((seq, Fate::Accepted)),
        ship::Fate::Rejected(reason) => Some((seq, Fate::Rejected(reason.name().to_owned()))),
        ship::Fate::Undelivered => None,
    };
    let fates = seqs
        .into_iter()
        .zip(&delivery.fates)
        .filter_map(settled)
        .collect();
    Delivered {
        shipper,
        delivery,
        fates,
    }
}

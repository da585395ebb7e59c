//! What the service manager is told: `sd_notify`(3). Without one, nothing.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// Work that shows no progress for this long is stuck, and the watchdog is
/// left to say so.
const STUCK_AFTER: Duration = Duration::from_mins(10);

/// The service manager's watchdog.
#[derive(Debug)]
pub(super) struct Supervisor {
    /// How often it is to hear of us; `None` where it does not ask.
    pub(super) every: Option<Duration>,
    last: Option<(u64, Instant)>,
}

impl Supervisor {
    pub(super) fn new() -> Self {
        Self {
            // Half of what it waits for, as it advises.
            every: sd_notify::watchdog_enabled().map(|within| within / 2),
            last: None,
        }
    }

    /// Tells that the loop runs; `progress` counts what the work at hand has
    /// done so far, if there is any.
    pub(super) fn ping(&mut self, progress: Option<u64>, now: Instant) {
        if is_moving(&mut self.last, progress, now) {
            tell(&[NotifyState::Watchdog]);
        } else {
            log::error!("a scan has made no progress for {STUCK_AFTER:?}");
        }
    }
}

/// Whether the work has moved within the last while.
fn is_moving(last: &mut Option<(u64, Instant)>, progress: Option<u64>, now: Instant) -> bool {
    let Some(progress) = progress else {
        *last = None;
        return true;
    };
    match *last {
        Some((known, since)) if known == progress => now.duration_since(since) < STUCK_AFTER,
        _ => {
            *last = Some((progress, now));
            true
        }
    }
}

pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Until [`ready`] is told again.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Waits for a service manager that does not read; it is told little.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::debug!("the service manager does not listen: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_stands_still_for_too_long_is_not_vouched_for() {
        let start = Instant::now();
        let mut last = None;
        assert!(is_moving(&mut last, Some(1), start));
        assert!(is_moving(&mut last, Some(1), start + STUCK_AFTER / 2));
        assert!(!is_moving(&mut last, Some(1), start + STUCK_AFTER));
        assert!(is_moving(&mut last, Some(2), start + STUCK_AFTER));
        assert!(is_moving(&mut last, None, start + 9 * STUCK_AFTER));
        // Idle time does not count against the next work.
        assert!(is_moving(&mut last, Some(2), start + 9 * STUCK_AFTER));
    }
}

//! What is done with an event whose time CloudWatch Logs does not take. Pure.
//!
//! A finding that could not be told for 15 days is no less true, so an event
//! that outlives the 14 days (or the retention of its log group, or that was
//! made while this host's clock ran ahead) is not dropped. It is sent once
//! more, with the present time as CloudWatch Logs tells it, its own in the
//! body as `original_timestamp`, and the same `event_id`. If that is rejected
//! as well, it is rejected for good.
//!
//! The embedded metrics of a heartbeat keep their own time: two weeks later
//! they are of no moment, and must not pass for those of today.

use jiff::Timestamp;

use super::{Event, Fate};

const MEMBER: &str = "{\"original_timestamp\":";

/// What a new stamp adds to a body at most.
pub(super) const MAX_ADDED_BYTES: usize = 64;

/// The event as it is sent again; `None` where its fate stands.
pub fn restamp(event: &Event, fate: Fate, now_ms: i64) -> Option<Event> {
    let Fate::Rejected(reason) = fate else {
        return None;
    };
    if !reason.is_time() || event.body.starts_with(MEMBER) {
        return None;
    }
    let rest = event.body.strip_prefix('{')?;
    // Beyond what a calendar counts to there is no date to tell.
    let original = match Timestamp::from_millisecond(event.timestamp_ms) {
        Ok(time) => format!("\"{time:.3}\""),
        Err(_) => "null".to_owned(),
    };
    Some(Event {
        id: event.id.clone(),
        timestamp_ms: now_ms,
        body: format!("{MEMBER}{original},{rest}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::ship::Reason;

    fn event(timestamp_ms: i64, body: &str) -> Event {
        Event {
            id: "1".into(),
            timestamp_ms,
            body: body.into(),
        }
    }

    #[test]
    fn an_event_outside_of_the_window_is_sent_once_more_with_both_times() {
        for reason in [Reason::TooOld, Reason::TooNew, Reason::Expired] {
            let event = event(1_700_000_000_123, r#"{"a":1}"#);
            let again = restamp(&event, Fate::Rejected(reason), 5).expect("another try");
            assert_eq!((again.id.as_str(), again.timestamp_ms), ("1", 5));
            let body: Value = serde_json::from_str(&again.body).expect("JSON");
            assert_eq!(body["original_timestamp"], "2023-11-14T22:13:20.123Z");
            assert_eq!(body["a"], 1);
            assert!(again.body.len() <= event.body.len() + MAX_ADDED_BYTES);
            assert_eq!(restamp(&again, Fate::Rejected(reason), 6), None);
        }
    }

    #[test]
    fn any_time_can_be_told() {
        for timestamp_ms in [i64::MIN, -62_135_596_800_001, i64::MAX] {
            let event = event(timestamp_ms, r#"{"a":1}"#);
            let again = restamp(&event, Fate::Rejected(Reason::TooOld), 5).expect("another try");
            serde_json::from_str::<Value>(&again.body).expect("JSON");
            assert!(again.body.len() <= event.body.len() + MAX_ADDED_BYTES);
        }
    }

    #[test]
    fn nothing_else_is_sent_again() {
        let event = event(7, r#"{"a":1}"#);
        for fate in [
            Fate::Accepted,
            Fate::Undelivered,
            Fate::Rejected(Reason::TooLarge),
            Fate::Rejected(Reason::Invalid),
        ] {
            assert_eq!(restamp(&event, fate, 5), None);
        }
    }
}

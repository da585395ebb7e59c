//! Divides events into batches that `PutLogEvents` takes. Pure.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html>:
//! a batch that breaks one limit fails as a whole, so every limit is kept here
//! and none is left to the service.

use super::Event;

/// What the service adds to each event when it counts.
pub const EVENT_OVERHEAD_BYTES: usize = 26;
/// Of a batch: the messages in UTF-8 and the overhead of each.
pub const MAX_BATCH_BYTES: usize = 1_048_576;
/// Of one event, its overhead included: a larger one fits no batch.
pub const MAX_EVENT_BYTES: usize = MAX_BATCH_BYTES;
pub const MAX_BATCH_EVENTS: usize = 10_000;
/// The first and the last event of a batch are less than this apart. Whether
/// the limit itself is inside is not written down, so it is left out.
pub const MAX_BATCH_SPAN_MS: i64 = 24 * 60 * 60 * 1000;

/// Events in batches, and those that fit none, by their places among those
/// given.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batches {
    /// None empty; chronological, within each and from one to the next.
    pub batches: Vec<Vec<usize>>,
    /// Larger than any batch may be: they can never be delivered.
    pub too_large: Vec<usize>,
}

/// Every event into exactly one place, in the order of time; events of one
/// moment keep their order.
pub fn split(events: &[Event]) -> Batches {
    let (mut places, too_large): (Vec<usize>, Vec<usize>) =
        (0..events.len()).partition(|place| size(&events[*place]) <= MAX_EVENT_BYTES);
    places.sort_by_key(|place| events[*place].timestamp_ms);

    let mut batches = Vec::new();
    let mut batch: Vec<usize> = Vec::new();
    let mut bytes = 0;
    for place in places {
        let event = &events[place];
        let full = batch.len() == MAX_BATCH_EVENTS
            || bytes + size(event) > MAX_BATCH_BYTES
            || batch.first().is_some_and(|first| {
                let span = event
                    .timestamp_ms
                    .saturating_sub(events[*first].timestamp_ms);
                span >= MAX_BATCH_SPAN_MS
            });
        if full && !batch.is_empty() {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += size(event);
        batch.push(place);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    Batches { batches, too_large }
}

const fn size(event: &Event) -> usize {
    event.body.len() + EVENT_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(timestamp_ms: i64, bytes: usize) -> Event {
        Event {
            id: String::new(),
            timestamp_ms,
            body: "x".repeat(bytes),
        }
    }

    fn assert_within_limits(events: &[Event], batches: &[Vec<usize>]) {
        for batch in batches {
            let batch: Vec<_> = batch.iter().map(|place| &events[*place]).collect();
            assert!((1..=MAX_BATCH_EVENTS).contains(&batch.len()));
            assert!(batch.iter().map(|event| size(event)).sum::<usize>() <= MAX_BATCH_BYTES);
            assert!(batch.is_sorted_by_key(|event| event.timestamp_ms));
            let span = batch[batch.len() - 1].timestamp_ms - batch[0].timestamp_ms;
            assert!(span < MAX_BATCH_SPAN_MS);
        }
    }

    /// Sizes on both sides of the limits of an event and of a batch.
    fn sizes() -> impl Strategy<Value = usize> {
        prop_oneof![
            8 => 1usize..200,
            2 => 200_000usize..400_000,
            1 => MAX_EVENT_BYTES - 40..MAX_EVENT_BYTES + 40,
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_event_is_placed_once_and_every_limit_kept(
            shapes in prop::collection::vec((0..4 * MAX_BATCH_SPAN_MS, sizes()), 0..40),
        ) {
            let events: Vec<_> = shapes.iter().map(|(at, bytes)| event(*at, *bytes)).collect();
            let split = split(&events);
            assert_within_limits(&events, &split.batches);
            let large = |place: &usize| size(&events[*place]) > MAX_EVENT_BYTES;
            prop_assert!(split.too_large.iter().all(large));
            let time = |place: &usize| events[*place].timestamp_ms;
            prop_assert!(split.batches.concat().is_sorted_by_key(time));
            let mut places = [split.batches.concat(), split.too_large].concat();
            places.sort_unstable();
            prop_assert_eq!(places, (0..shapes.len()).collect::<Vec<_>>());
        }

        #[test]
        fn any_clock_is_survived(times in prop::collection::vec(any::<i64>(), 0..20)) {
            let events: Vec<_> = times.iter().map(|at| event(*at, 1)).collect();
            prop_assert_eq!(split(&events).batches.concat().len(), times.len());
        }
    }

    #[test]
    fn the_count_is_bounded() {
        let events: Vec<_> = (0..=MAX_BATCH_EVENTS).map(|_| event(0, 1)).collect();
        let lengths: Vec<_> = split(&events).batches.iter().map(Vec::len).collect();
        assert_eq!(lengths, [MAX_BATCH_EVENTS, 1]);
    }

    #[test]
    fn an_event_at_the_limit_goes_alone_and_one_byte_more_goes_nowhere() {
        let limit = MAX_EVENT_BYTES - EVENT_OVERHEAD_BYTES;
        let split = split(&[event(0, limit), event(0, limit + 1), event(0, 1)]);
        assert_eq!(split.batches, [[0], [2]]);
        assert_eq!(split.too_large, [1]);
    }

    #[test]
    fn a_batch_ends_before_a_day_is_over() {
        let split = split(&[
            event(0, 1),
            event(MAX_BATCH_SPAN_MS - 1, 1),
            event(MAX_BATCH_SPAN_MS, 1),
        ]);
        assert_eq!(split.batches, [vec![0, 1], vec![2]]);
    }

    #[test]
    fn events_of_one_moment_keep_their_order() {
        let split = split(&[event(5, 1), event(5, 1), event(4, 1)]);
        assert_eq!(split.batches, [[2, 0, 1]]);
    }
}

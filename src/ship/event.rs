//! What is sent: one JSON object an event, made of the same records as the
//! reports.
//!
//! A body is `schema`, `type` and the fields of the record, and beside them
//!
//! * `event`: `opened`, `changed` or `resolved` for a finding, `posture`,
//!   `coverage`, or `heartbeat` for the summary;
//! * `event_id`: 32 hex digits, made once. A resend after a lost answer keeps
//!   it, so that a reader can tell a duplicate from a second event;
//! * `instance`: who speaks;
//! * for `opened`, where the finding was there before, `reopened`: how often
//!   it was resolved;
//! * for `changed`, `changed`: the fields that differ, and `opened_at`;
//! * for `resolved`, `opened_at`, `resolved_at`, `open_seconds`, and
//!   `resolution`: `clean` where the place was looked at again, `gone` where
//!   it is no more;
//! * `original_timestamp`, where the event was sent again for its time (see
//!   [`super::restamp()`]);
//! * for a heartbeat, the embedded metrics (see [`super::metrics`]);
//! * `truncated`, only where the record had to be cut: how many values were.

use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::hash::BuildHasher;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::metrics::{Emf, Metrics};
use super::restamp::MAX_ADDED_BYTES;
use crate::finding::{
    Coverage, Finding, Instance, PostureCheck, Record, SCHEMA_VERSION, Summary, Versioned,
};
use crate::sanitize;

/// What CloudWatch extracts fields and metrics from; the overhead of an event
/// and a new stamp are kept free, so that the bound holds however it is counted.
pub const MAX_BODY_BYTES: usize = 256 * 1024 - 26 - MAX_ADDED_BYTES;

/// Lengths that strings of an oversized record are cut to, until it fits.
const CUTS: [usize; 4] = [8192, 1024, 128, 16];

/// One log event. The fields are what an outbox has to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: String,
    pub timestamp_ms: i64,
    pub body: String,
}

/// The part of [`Instance`] that every event carries.
#[derive(Serialize)]
struct Speaker<'a> {
    instance_id: Option<&'a str>,
    account_id: Option<&'a str>,
    region: Option<&'a str>,
    image_id: Option<&'a str>,
    auto_scaling_group: Option<&'a str>,
}

impl<'a> From<&'a Instance> for Speaker<'a> {
    fn from(instance: &'a Instance) -> Self {
        Self {
            instance_id: instance.instance_id.as_deref(),
            account_id: instance.account_id.as_deref(),
            region: instance.region.as_deref(),
            image_id: instance.image_id.as_deref(),
            auto_scaling_group: instance.auto_scaling_group.as_deref(),
        }
    }
}

/// The record, which can be long, comes last: of an event CloudWatch Logs
/// Insights finds the first 200 fields only.
#[derive(Serialize)]
struct Body<'a, R> {
    event: &'static str,
    event_id: &'a str,
    instance: Speaker<'a>,
    #[serde(flatten)]
    history: History<'a>,
    #[serde(flatten)]
    record: R,
    #[serde(flatten)]
    metrics: Option<Emf<'a>>,
}

/// What is known of a finding's past.
#[derive(Default, Serialize)]
struct History<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reopened: Option<u64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    changed: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    opened_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<&'a str>,
}

/// How a finding came to its end.
#[derive(Debug, Clone, Copy)]
pub struct Resolution<'a> {
    pub opened_at: Timestamp,
    pub resolved_at: Timestamp,
    pub open_for: Duration,
    /// `clean` or `gone`.
    pub standing: &'a str,
}

/// A finding of which only the JSON is left.
#[derive(Serialize)]
struct Kept {
    schema: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    finding: Map<String, Value>,
}

impl Event {
    /// A finding was made, or is told for the first time.
    pub fn opened(finding: &Finding, instance: &Instance, timestamp_ms: i64) -> Self {
        Self::reopened(finding, 0, instance, timestamp_ms)
    }

    /// A finding was made that was resolved `times` before.
    pub fn reopened(finding: &Finding, times: u64, instance: &Instance, timestamp_ms: i64) -> Self {
        let history = History {
            reopened: (times > 0).then_some(times),
            ..History::default()
        };
        let record = Versioned::from(Record::Finding(finding));
        Self::new(record, "opened", history, None, instance, timestamp_ms)
    }

    /// A finding that is open says something else in `fields`.
    pub fn changed(
        finding: &Finding,
        fields: &[&str],
        opened_at: Timestamp,
        instance: &Instance,
        timestamp_ms: i64,
    ) -> Self {
        let history = History {
            changed: fields,
            opened_at: Some(rfc3339(opened_at)),
            ..History::default()
        };
        let record = Versioned::from(Record::Finding(finding));
        Self::new(record, "changed", history, None, instance, timestamp_ms)
    }

    /// A finding is no more. `finding` is its JSON as it was last seen,
    /// without `schema` and `type`.
    pub fn resolved(
        finding: &str,
        resolution: &Resolution<'_>,
        instance: &Instance,
        timestamp_ms: i64,
    ) -> Self {
        let history = History {
            opened_at: Some(rfc3339(resolution.opened_at)),
            resolved_at: Some(rfc3339(resolution.resolved_at)),
            open_seconds: Some(resolution.open_for.as_secs_f64()),
            resolution: Some(resolution.standing),
            ..History::default()
        };
        let record = Kept {
            schema: SCHEMA_VERSION,
            kind: "finding",
            // That it is resolved is told even if no more is known of it.
            finding: serde_json::from_str(finding).unwrap_or_default(),
        };
        Self::new(record, "resolved", history, None, instance, timestamp_ms)
    }

    /// The result of a posture check.
    pub fn posture(check: &PostureCheck, instance: &Instance, timestamp_ms: i64) -> Self {
        let record = Versioned::from(Record::Posture(check));
        let history = History::default();
        Self::new(record, "posture", history, None, instance, timestamp_ms)
    }

    /// What one source looked at.
    pub fn coverage(coverage: &Coverage, instance: &Instance, timestamp_ms: i64) -> Self {
        let record = Versioned::from(Record::Coverage(coverage));
        let history = History::default();
        Self::new(record, "coverage", history, None, instance, timestamp_ms)
    }

    /// The sign of life after a sweep, with its metrics.
    pub fn heartbeat(
        summary: &Summary,
        metrics: &Metrics,
        instance: &Instance,
        timestamp_ms: i64,
    ) -> Self {
        let emf = Emf::new(summary, metrics, instance, timestamp_ms);
        let record = Versioned::from(Record::Summary(summary));
        let history = History::default();
        Self::new(
            record,
            "heartbeat",
            history,
            Some(emf),
            instance,
            timestamp_ms,
        )
    }

    fn new(
        record: impl Serialize,
        event: &'static str,
        history: History<'_>,
        metrics: Option<Emf<'_>>,
        instance: &Instance,
        timestamp_ms: i64,
    ) -> Self {
        let id = new_event_id(instance, timestamp_ms);
        let body = Body {
            event,
            event_id: &id,
            instance: instance.into(),
            history,
            record,
            metrics,
        };
        // Nothing in a record can fail to serialise: no maps with keys that
        // are not strings, no fallible implementations.
        let text = serde_json::to_string(&body).unwrap_or_default();
        let mut body = sanitize::json(&text).into_owned();
        if body.len() > MAX_BODY_BYTES {
            body = truncated(&text);
        }
        Self {
            id,
            timestamp_ms,
            body,
        }
    }
}

fn rfc3339(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// Random by the operating system's randomness, which `RandomState` draws
/// from, and mixed with who and when: a fleet that boots from one image in
/// one second must not agree on an ID.
fn new_event_id(instance: &Instance, timestamp_ms: i64) -> String {
    let mut hash = Sha256::new();
    hash.update(b"rolecall.event.1\0");
    for salt in 0u8..2 {
        hash.update(RandomState::new().hash_one(salt).to_be_bytes());
    }
    hash.update(instance.instance_id.as_deref().unwrap_or("").as_bytes());
    hash.update(timestamp_ms.to_be_bytes());
    hash.finalize()[..16]
        .iter()
        .fold(String::with_capacity(32), |mut id, byte| {
            let _ = write!(id, "{byte:02x}");
            id
        })
}

/// The record with its examples left out and its longest strings cut, so far
/// as is needed: a cut event tells more than none.
fn truncated(json: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(json) else {
        return String::new();
    };
    let mut cut = drop_examples(&mut value);
    let mut text = with_count(&mut value, cut);
    for limit in CUTS {
        if text.len() <= MAX_BODY_BYTES {
            break;
        }
        cut += cut_strings(&mut value, limit);
        text = with_count(&mut value, cut);
    }
    text
}

fn with_count(value: &mut Value, cut: u64) -> String {
    value["truncated"] = cut.into();
    sanitize::json(&value.to_string()).into_owned()
}

fn drop_examples(value: &mut Value) -> u64 {
    let skips = value.get_mut("skipped").and_then(Value::as_array_mut);
    skips.map_or(0, |skips| {
        skips
            .iter_mut()
            .filter_map(|skip| skip.get_mut("examples").and_then(Value::as_array_mut))
            .map(|examples| examples.drain(..).len() as u64)
            .sum()
    })
}

fn cut_strings(value: &mut Value, limit: usize) -> u64 {
    match value {
        Value::String(text) if text.len() > limit => {
            text.truncate(text.floor_char_boundary(limit));
            text.push('…');
            1
        }
        Value::Array(values) => values.iter_mut().map(|v| cut_strings(v, limit)).sum(),
        Value::Object(map) => map
            .iter_mut()
            // Names of the contract are short; only what was found is cut.
            .filter(|(name, _)| *name != "_aws" && *name != "event_id")
            .map(|(_, v)| cut_strings(v, limit))
            .sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Holder, Rule, SkipReason, SourceKind, Usage, User, Verdict};

    fn instance() -> Instance {
        Instance {
            instance_id: Some("i-0123".into()),
            image_id: Some("ami-1".into()),
            role: Some("not-told".into()),
            ..Instance::default()
        }
    }

    fn parsed(event: &Event) -> Value {
        serde_json::from_str(&event.body).expect("JSON")
    }

    #[test]
    fn a_body_is_the_record_and_who_speaks() {
        let check = PostureCheck::new(Rule::RoleMissing, Verdict::Fail, "no role");
        let event = Event::posture(&check, &instance(), 5);
        let body = parsed(&event);
        assert_eq!(body["schema"], 1);
        assert_eq!(body["type"], "posture");
        assert_eq!(body["check"], "role.missing");
        assert_eq!(body["event"], "posture");
        assert_eq!(body["event_id"], event.id.as_str());
        assert_eq!(body["instance"]["instance_id"], "i-0123");
        assert_eq!(body["instance"]["account_id"], Value::Null);
        assert_eq!(
            body["instance"].as_object().map(serde_json::Map::len),
            Some(5)
        );
        assert_eq!(body.get("truncated"), None);
    }

    #[test]
    fn a_resolved_finding_is_told_as_it_was_and_how_long_it_stood_open() {
        let opened_at = Timestamp::UNIX_EPOCH;
        let open_for = Duration::from_millis(90_500);
        let resolution = Resolution {
            opened_at,
            resolved_at: opened_at + open_for,
            open_for,
            standing: "gone",
        };
        let kept = r#"{"id":"1","location":{"path":"/a"}}"#;
        let body = parsed(&Event::resolved(kept, &resolution, &instance(), 5));
        assert_eq!(body["schema"], SCHEMA_VERSION);
        assert_eq!(
            (&body["type"], &body["event"]),
            (&"finding".into(), &"resolved".into())
        );
        assert_eq!(body["location"]["path"], "/a");
        assert_eq!(body["opened_at"], "1970-01-01T00:00:00.000Z");
        assert_eq!(body["resolved_at"], "1970-01-01T00:01:30.500Z");
        assert_eq!(body["open_seconds"], 90.5);
        assert_eq!(body["resolution"], "gone");
        let unreadable = parsed(&Event::resolved("{", &resolution, &instance(), 5));
        assert_eq!(unreadable["event"], "resolved");
    }

    #[test]
    fn every_event_has_its_own_id() {
        let ids: std::collections::HashSet<_> =
            (0..1000).map(|_| new_event_id(&instance(), 7)).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 32));
    }

    #[test]
    fn nothing_that_a_terminal_acts_on_stands_bare_and_the_value_is_kept() {
        let reason = "a\u{1b}[31m\u{202e}b\u{9b}\u{7f}\u{e0041}";
        let check = PostureCheck::new(Rule::RoleMissing, Verdict::Unknown, reason);
        let event = Event::posture(&check, &instance(), 5);
        assert!(!event.body.contains(sanitize::is_unsafe));
        assert_eq!(parsed(&event)["reason"], reason);
    }

    #[test]
    fn an_oversized_record_is_cut_and_says_so() {
        let huge = "\u{202e}x".repeat(200_000);
        let check = PostureCheck::new(Rule::RoleMissing, Verdict::Fail, huge);
        let event = Event::posture(&check, &instance(), 5);
        assert!(event.body.len() <= MAX_BODY_BYTES);
        let body = parsed(&event);
        assert_eq!(body["truncated"], 1);
        assert_eq!(body["check"], "role.missing");
        assert_eq!(body["event_id"], event.id.as_str());
    }

    #[test]
    fn what_readers_ask_for_stands_before_the_lists_that_can_be_long() {
        let check = PostureCheck::new(Rule::RoleMissing, Verdict::Fail, "no role");
        let mut finding = Finding::of_check(&check, &instance()).expect("it failed");
        let user = User::Container {
            container: "0123456789ab".into(),
            name: None,
            image: None,
        };
        let holder = Holder {
            pid: 1,
            exe: None,
            uid: None,
            unit: None,
            container: None,
        };
        finding.usage = Some(Usage::new(None, &vec![user; 30], &[&holder; 30]).into());
        let body = Event::opened(&finding, &instance(), 5).body;
        let at = |name: &str| body.find(&format!("\"{name}\":")).expect("a member");
        let lists = ["used_by", "used_by_total", "held_by", "held_by_total"];
        for name in parsed_names(&body) {
            assert_eq!(
                at(&name) >= at("used_by"),
                lists.contains(&name.as_str()),
                "{name}"
            );
        }
    }

    fn parsed_names(body: &str) -> Vec<String> {
        let members: Map<String, Value> = serde_json::from_str(body).expect("JSON");
        members.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn examples_go_before_anything_else_is_cut() {
        let mut coverage = Coverage::new(SourceKind::File);
        for n in 0..5 {
            coverage.skip(SkipReason::IoError, format!("/{n}{}", "y".repeat(100_000)));
        }
        let event = Event::coverage(&coverage, &instance(), 5);
        let body = parsed(&event);
        assert_eq!(body["truncated"], 5);
        assert_eq!(body["skipped"][0]["count"], 5);
        assert_eq!(
            body["skipped"][0]["examples"].as_array().map(Vec::len),
            Some(0)
        );
    }
}

//! CloudWatch Logs as the API reference describes it, with every limit of
//! `PutLogEvents`, and with the faults that one only meets in production.
//!
//! It does not verify signatures (moto does), but it records who signed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::http::{Reply, Request, Response, Server};
use super::quota::Quota;

pub(crate) const FOREVER: usize = usize::MAX;

const MAX_BYTES: usize = 1_048_576;
const OVERHEAD: usize = 26;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const HOUR_MS: i64 = 60 * 60 * 1000;
/// How far the time of a signature may be off.
const MAX_SKEW_MS: i64 = 5 * 60 * 1000;

/// What goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// An error of the API: status, code, message.
    Error(u16, &'static str, String),
    /// A body that is none of the API's, as a proxy would send it.
    Page(u16),
    /// The connection is reset before anything was done.
    Reset,
    /// It is done, and then the connection is reset.
    LostAnswer,
    /// It is done, and half of the answer arrives.
    CutAnswer,
    Hang,
    Slow(Duration),
}

impl Trouble {
    pub(crate) fn throttle() -> Self {
        Self::Error(400, "ThrottlingException", "Rate exceeded".into())
    }

    pub(crate) fn unavailable() -> Self {
        Self::Error(503, "ServiceUnavailableException", "try later".into())
    }

    /// As AWS words it.
    pub(crate) fn denied(action: &str) -> Self {
        Self::Error(
            400,
            "AccessDeniedException",
            format!(
                "User: arn:aws:sts::123456789012:assumed-role/web/i-0 is not authorized to \
                 perform: logs:{action} because no identity-based policy allows the action"
            ),
        )
    }
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    /// Such as `PutLogEvents`.
    pub(crate) action: String,
    pub(crate) access_key_id: String,
    pub(crate) with_session_token: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) timestamp_ms: i64,
    pub(crate) message: String,
}

#[derive(Debug, Default)]
struct State {
    groups: HashMap<String, HashMap<String, Vec<Stored>>>,
    retention_days: Option<i64>,
    clock_ahead_ms: i64,
    troubles: Vec<(String, Trouble, usize)>,
    expired: HashSet<String>,
    known: Option<HashSet<String>>,
    streams_per_second: Option<Quota>,
    invisible: usize,
    requests: Vec<Recorded>,
    batches: Vec<usize>,
    /// All that was ever stored.
    received: Vec<Stored>,
}

/// Sets the service up; [`Builder::start`] starts it.
#[derive(Debug, Default)]
pub(crate) struct Builder(State);

impl Builder {
    #[must_use]
    pub(crate) fn group(mut self, group: &str) -> Self {
        self.0.groups.entry(group.into()).or_default();
        self
    }

    #[must_use]
    pub(crate) fn stream(mut self, group: &str, stream: &str) -> Self {
        let streams = self.0.groups.entry(group.into()).or_default();
        streams.entry(stream.into()).or_default();
        self
    }

    #[must_use]
    pub(crate) fn retention_days(mut self, days: i64) -> Self {
        self.0.retention_days = Some(days);
        self
    }

    /// The service's clock, against this machine's.
    #[must_use]
    pub(crate) fn clock_ahead_ms(mut self, ms: i64) -> Self {
        self.0.clock_ahead_ms = ms;
        self
    }

    /// The next `times` calls of `action` go wrong; troubles of one action
    /// come in the order in which they were given.
    #[must_use]
    pub(crate) fn trouble(mut self, action: &str, trouble: Trouble, times: usize) -> Self {
        self.0.troubles.push((action.into(), trouble, times));
        self
    }

    /// Requests signed with this key are told that its token has expired.
    #[must_use]
    pub(crate) fn expired(mut self, access_key_id: &str) -> Self {
        self.0.expired.insert(access_key_id.into());
        self
    }

    /// Requests signed with any other key are told that it is not known.
    #[must_use]
    pub(crate) fn knows(mut self, access_key_id: &str) -> Self {
        let known = self.0.known.get_or_insert_default();
        known.insert(access_key_id.into());
        self
    }

    /// `CreateLogStream` throttles above this rate.
    #[must_use]
    pub(crate) fn streams_per_second(mut self, rate: usize) -> Self {
        self.0.streams_per_second = Some(Quota::new(rate));
        self
    }

    /// What was created is not found by the next `puts` calls yet.
    #[must_use]
    pub(crate) fn slow_to_see(mut self, puts: usize) -> Self {
        self.0.invisible = puts;
        self
    }

    pub(crate) fn start(self) -> LogsDouble {
        self.listen("127.0.0.1:0")
    }

    /// See [`Server::listen`].
    pub(crate) fn listen(self, address: &str) -> LogsDouble {
        let state = Arc::new(Mutex::new(self.0));
        let server = Server::listen(address, {
            let state = Arc::clone(&state);
            move |request| answer(&state, request)
        });
        LogsDouble { server, state }
    }
}

/// A running service.
pub(crate) struct LogsDouble {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl LogsDouble {
    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panicked")
    }

    /// The next `times` calls of `action` go wrong, before anything else does.
    pub(crate) fn trouble(&self, action: &str, trouble: Trouble, times: usize) {
        let troubles = &mut self.state().troubles;
        troubles.insert(0, (action.into(), trouble, times));
    }

    /// Nothing goes wrong any more.
    pub(crate) fn recover(&self) {
        self.state().troubles.clear();
    }

    /// Somebody deletes the group, with all that is in it.
    pub(crate) fn delete_group(&self, group: &str) {
        self.state().groups.remove(group);
    }

    /// Somebody deletes the group, and makes it anew without a stream.
    pub(crate) fn empty_group(&self, group: &str) {
        self.state().groups.insert(group.into(), HashMap::new());
    }

    /// From now on its clock is so far ahead of this machine's.
    pub(crate) fn set_clock_ahead_ms(&self, ms: i64) {
        self.state().clock_ahead_ms = ms;
    }

    /// Every event that was ever accepted, also into what was deleted since.
    pub(crate) fn received(&self) -> Vec<Value> {
        let state = self.state();
        let received = state.received.iter();
        received
            .map(|event| serde_json::from_str(&event.message).expect("JSON"))
            .collect()
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.state().requests.clone()
    }

    /// How often `action` was called.
    pub(crate) fn calls(&self, action: &str) -> usize {
        let requests = self.requests();
        requests.iter().filter(|r| r.action == action).count()
    }

    /// What is stored in a stream, in the order of arrival.
    pub(crate) fn events(&self, group: &str, stream: &str) -> Vec<Stored> {
        let state = self.state();
        let streams = state.groups.get(group);
        streams
            .and_then(|streams| streams.get(stream))
            .cloned()
            .unwrap_or_default()
    }

    /// The names of the streams of a group.
    pub(crate) fn streams(&self, group: &str) -> Vec<String> {
        let state = self.state();
        let streams = state.groups.get(group);
        let mut names: Vec<_> = streams
            .map(|streams| streams.keys().cloned().collect())
            .unwrap_or_default();
        names.sort();
        names
    }

    /// How many events each accepted batch held.
    pub(crate) fn batches(&self) -> Vec<usize> {
        self.state().batches.clone()
    }
}

/// An error of the API.
struct ApiError(u16, &'static str, String);

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError(400, "InvalidParameterException", message.into())
}

fn not_found(what: &str) -> ApiError {
    let message = format!("The specified log {what} does not exist.");
    ApiError(400, "ResourceNotFoundException", message)
}

fn answer(state: &Mutex<State>, request: &Request) -> Reply {
    let mut state = state.lock().expect("no thread panicked");
    let target = request.header("x-amz-target").unwrap_or("");
    let action = target.strip_prefix("Logs_20140328.").unwrap_or("");
    let authorization = request.header("authorization").unwrap_or("");
    let access_key_id = authorization
        .split_once("Credential=")
        .and_then(|(_, rest)| rest.split('/').next())
        .unwrap_or("");
    state.requests.push(Recorded {
        action: action.to_owned(),
        access_key_id: access_key_id.to_owned(),
        with_session_token: request.header("x-amz-security-token").is_some(),
    });
    let now = now_ms() + state.clock_ahead_ms;
    let trouble = state.next_trouble(action);
    let outcome = match &trouble {
        Some(Trouble::Error(status, code, message)) => {
            Err(ApiError(*status, code, message.clone()))
        }
        Some(Trouble::Page(status)) => {
            return Reply::Answer(Response::new(*status, "<html>no</html>"));
        }
        Some(Trouble::Reset) => return Reply::Reset,
        Some(Trouble::Hang) => return Reply::Hang,
        None | Some(Trouble::LostAnswer | Trouble::CutAnswer | Trouble::Slow(_)) => state
            .check_signer(request, access_key_id, now)
            .and_then(|()| state.carry_out(action, &request.body, now)),
    };
    let response = match outcome {
        Ok(body) => Response::new(200, body.to_string()),
        Err(ApiError(status, code, message)) => Response::new(
            status,
            json!({"__type": code, "message": message}).to_string(),
        ),
    }
    .header("content-type", "application/x-amz-json-1.1")
    .header("date", http_date(now));
    match trouble {
        Some(Trouble::LostAnswer) => Reply::Reset,
        Some(Trouble::CutAnswer) => Reply::Cut(response),
        Some(Trouble::Slow(pause)) => Reply::Slow(pause, response),
        _ => Reply::Answer(response),
    }
}

impl State {
    fn next_trouble(&mut self, action: &str) -> Option<Trouble> {
        let (_, trouble, times) = self
            .troubles
            .iter_mut()
            .find(|(of, _, times)| of == action && *times > 0)?;
        if *times != FOREVER {
            *times -= 1;
        }
        Some(trouble.clone())
    }

    fn check_signer(&self, request: &Request, id: &str, now: i64) -> Result<(), ApiError> {
        let error = |code, message: &str| Err(ApiError(400, code, message.into()));
        if id.is_empty() {
            return error("MissingAuthenticationTokenException", "not signed");
        }
        if self.expired.contains(id) {
            return error("ExpiredTokenException", "The security token has expired");
        }
        if self.known.as_ref().is_some_and(|known| !known.contains(id)) {
            return error("UnrecognizedClientException", "The token is invalid.");
        }
        let signed_at = request.header("x-amz-date").map_or(0, signed_ms);
        if (signed_at - now).abs() > MAX_SKEW_MS {
            return error("InvalidSignatureException", "Signature expired");
        }
        Ok(())
    }

    fn carry_out(&mut self, action: &str, body: &[u8], now: i64) -> Result<Value, ApiError> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|_| ApiError(400, "SerializationException", "not JSON".into()))?;
        let group = body["logGroupName"].as_str().unwrap_or("");
        let stream = body["logStreamName"].as_str().unwrap_or("");
        check_group_name(group)?;
        match action {
            "CreateLogGroup" => self.create_group(group),
            "CreateLogStream" => self.create_stream(group, stream),
            "PutLogEvents" => self.put(group, stream, &body["logEvents"], now),
            _ => Err(ApiError(400, "UnknownOperationException", action.into())),
        }
    }

    fn create_group(&mut self, group: &str) -> Result<Value, ApiError> {
        if self.groups.contains_key(group) {
            return Err(already_exists("group"));
        }
        self.groups.insert(group.into(), HashMap::new());
        Ok(json!({}))
    }

    fn create_stream(&mut self, group: &str, stream: &str) -> Result<Value, ApiError> {
        check_stream_name(stream)?;
        if let Some(quota) = &mut self.streams_per_second
            && !quota.take(Duration::from_millis(now_ms().unsigned_abs()))
        {
            return Err(ApiError(400, "ThrottlingException", "Rate exceeded".into()));
        }
        let streams = self
            .groups
            .get_mut(group)
            .ok_or_else(|| not_found("group"))?;
        if streams.contains_key(stream) {
            return Err(already_exists("stream"));
        }
        streams.insert(stream.into(), Vec::new());
        Ok(json!({}))
    }

    fn put(
        &mut self,
        group: &str,
        stream: &str,
        events: &Value,
        now: i64,
    ) -> Result<Value, ApiError> {
        check_stream_name(stream)?;
        let events = check_batch(events)?;
        let retention_days = self.retention_days;
        let streams = self
            .groups
            .get_mut(group)
            .ok_or_else(|| not_found("group"))?;
        let stored = streams.get_mut(stream).ok_or_else(|| not_found("stream"))?;
        if self.invisible > 0 {
            self.invisible -= 1;
            return Err(not_found("stream"));
        }
        let older_than = |age: i64| events.partition_point(|e| e.timestamp_ms < now - age);
        let too_old = older_than(14 * DAY_MS);
        let expired = retention_days.map_or(0, |days| older_than(days * DAY_MS));
        let too_new = events.partition_point(|e| e.timestamp_ms <= now + 2 * HOUR_MS);
        let first = too_old.max(expired);
        let accepted = &events[first..too_new.max(first)];
        stored.extend_from_slice(accepted);
        self.received.extend_from_slice(accepted);
        self.batches.push(events.len());

        let mut info = json!({});
        if too_old > 0 {
            info["tooOldLogEventEndIndex"] = too_old.into();
        }
        if expired > 0 {
            info["expiredLogEventEndIndex"] = expired.into();
        }
        if too_new < events.len() {
            info["tooNewLogEventStartIndex"] = too_new.into();
        }
        let mut output = json!({"nextSequenceToken": "ignored"});
        if info != json!({}) {
            output["rejectedLogEventsInfo"] = info;
        }
        Ok(output)
    }
}

fn already_exists(what: &str) -> ApiError {
    let message = format!("The specified log {what} already exists");
    ApiError(400, "ResourceAlreadyExistsException", message)
}

fn check_group_name(name: &str) -> Result<(), ApiError> {
    let valid = (1..=512).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._/#-".contains(&b));
    valid.then_some(()).ok_or_else(|| invalid("logGroupName"))
}

fn check_stream_name(name: &str) -> Result<(), ApiError> {
    let valid = (1..=512).contains(&name.len()) && !name.contains([':', '*']);
    valid.then_some(()).ok_or_else(|| invalid("logStreamName"))
}

/// The limits of a batch; breaking one fails the whole call.
fn check_batch(events: &Value) -> Result<Vec<Stored>, ApiError> {
    let events: Vec<Stored> = events
        .as_array()
        .ok_or_else(|| invalid("logEvents"))?
        .iter()
        .map(|event| {
            Some(Stored {
                timestamp_ms: event["timestamp"].as_i64()?,
                message: event["message"].as_str()?.to_owned(),
            })
        })
        .collect::<Option<_>>()
        .ok_or_else(|| invalid("logEvents"))?;
    let size = |event: &Stored| event.message.len() + OVERHEAD;
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return Err(invalid("no log events"));
    };
    if events.len() > 10_000 {
        return Err(invalid("more than 10,000 log events"));
    }
    if events
        .iter()
        .any(|e| e.message.is_empty() || e.timestamp_ms < 0)
    {
        return Err(invalid("an empty message or a negative timestamp"));
    }
    if events.iter().any(|event| size(event) > MAX_BYTES) {
        return Err(invalid("Log event too large"));
    }
    if events.iter().map(size).sum::<usize>() > MAX_BYTES {
        return Err(invalid("Upload too large"));
    }
    if !events.is_sorted_by_key(|event| event.timestamp_ms) {
        return Err(invalid("Log events must be in chronological order"));
    }
    if last.timestamp_ms - first.timestamp_ms >= DAY_MS {
        return Err(invalid("The batch cannot span more than 24 hours"));
    }
    Ok(events)
}

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    i64::try_from(since.as_millis()).expect("before the year 292278994")
}

fn http_date(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .and_then(|at| jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at))
        .expect("a time that can be written")
}

/// `20260131T235959Z` in milliseconds.
fn signed_ms(text: &str) -> i64 {
    jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text)
        .ok()
        .and_then(|at| at.to_zoned(jiff::tz::TimeZone::UTC).ok())
        .map_or(0, |at| at.timestamp().as_millisecond())
}

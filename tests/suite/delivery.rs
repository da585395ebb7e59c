//! Delivery to CloudWatch Logs, against a double with every limit and fault.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use rolecall::aws::Network;
use rolecall::finding::{Instance, PostureCheck, Rule, Verdict};
use rolecall::secret::Secret;
use rolecall::ship::{
    self, Call, Delivery, Event, Fate, Fault, Obstacle, Reason, Settings, Shipper, decide,
};
use serde_json::Value;

use crate::support::docs;
use crate::support::http::{Reply, Response, Server};
use crate::support::logs_double::{FOREVER, LogsDouble, Trouble, now_ms};
use crate::support::role::{Key, RoleService};

const GROUP: &str = "/rolecall";
const STREAM: &str = "i-0123456789abcdef0";
const PUT: &str = "PutLogEvents";
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Ample for anything that is to succeed.
const AMPLE: Duration = Duration::from_mins(1);
/// Enough for a few attempts at what is to fail.
const BRIEF: Duration = Duration::from_millis(1500);

fn settings(logs: &str, metadata: &str) -> Settings {
    Settings {
        log_group: GROUP.into(),
        log_stream: STREAM.into(),
        region: Some("eu-central-1".into()),
        endpoint: Some(logs.into()),
        imds_endpoint: metadata.into(),
        network: Network::default(),
    }
}

fn deliver(settings: &Settings, events: &[Event], deadline: Duration) -> Delivery {
    let given = events.len() as u64;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let delivery = runtime.block_on(ship::deliver(settings, events, deadline));
    runtime.shutdown_background();
    assert_eq!(delivery.fates.len(), events.len());
    let told = delivery.accepted() + delivery.rejected().total() + delivery.undelivered();
    assert_eq!(told, given, "every event is accounted for");
    assert_eq!(
        delivery.problems.is_empty(),
        delivery.is_complete() && delivery.restamped == 0,
        "what is lost is told, and nothing else: {delivery:?}"
    );
    delivery
}

/// Delivers to `logs` as the role of [`Key::temporary`] number 0.
fn deliver_to(logs: &LogsDouble, events: &[Event], deadline: Duration) -> Delivery {
    let role = RoleService::start(vec![Key::temporary(0)]);
    deliver(&settings(&logs.url(), &role.url()), events, deadline)
}

fn events(count: usize) -> Vec<Event> {
    (0..count).map(|_| checked_event(now_ms())).collect()
}

fn checked_event(timestamp_ms: i64) -> Event {
    let check = PostureCheck::new(Rule::RoleMissing, Verdict::Pass, "the role is there");
    Event::posture(&check, &Instance::default(), timestamp_ms)
}

fn plain_event(id: usize, timestamp_ms: i64, bytes: usize) -> Event {
    Event {
        id: id.to_string(),
        timestamp_ms,
        body: "x".repeat(bytes),
    }
}

fn ready() -> crate::support::logs_double::Builder {
    LogsDouble::builder().stream(GROUP, STREAM)
}

fn stored_ids(logs: &LogsDouble) -> Vec<String> {
    logs.events(GROUP, STREAM)
        .iter()
        .map(|event| {
            let body: Value = serde_json::from_str(&event.message).expect("JSON");
            body["event_id"].as_str().expect("an ID").to_owned()
        })
        .collect()
}

fn error(status: u16, code: &'static str) -> Trouble {
    Trouble::Error(status, code, "told by the double".into())
}

#[test]
fn events_are_put_into_the_stream_as_the_role() {
    let logs = ready().start();
    let events = events(3);
    let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
    let delivery = deliver_to(&logs, &events, AMPLE);
    assert_eq!(delivery.accepted(), 3);
    assert_eq!(stored_ids(&logs), ids);
    let requests = logs.requests();
    assert_eq!(requests.len(), 1, "put first, ask for nothing else");
    assert_eq!(requests[0].access_key_id, Key::temporary(0).access_key_id);
    assert!(requests[0].with_session_token);
}

#[test]
fn a_missing_stream_is_created() {
    let logs = LogsDouble::builder().group(GROUP).start();
    assert_eq!(deliver_to(&logs, &events(1), AMPLE).accepted(), 1);
    let actions: Vec<_> = logs.requests().into_iter().map(|r| r.action).collect();
    assert_eq!(actions, [PUT, "CreateLogStream", PUT]);
}

#[test]
fn a_missing_group_is_created_where_that_is_allowed() {
    let logs = LogsDouble::builder().start();
    assert_eq!(deliver_to(&logs, &events(1), AMPLE).accepted(), 1);
    assert_eq!(logs.streams(GROUP), [STREAM]);
}

#[test]
fn who_loses_the_race_to_create_goes_on() {
    let exists = || error(400, "ResourceAlreadyExistsException");
    let logs = LogsDouble::builder()
        .trouble(PUT, error(400, "ResourceNotFoundException"), 1)
        .trouble("CreateLogStream", exists(), 1)
        .stream(GROUP, STREAM)
        .start();
    assert_eq!(deliver_to(&logs, &events(1), AMPLE).accepted(), 1);
}

#[test]
fn a_stream_that_is_slow_to_be_seen_is_waited_for() {
    let logs = LogsDouble::builder().group(GROUP).slow_to_see(3).start();
    assert_eq!(deliver_to(&logs, &events(2), AMPLE).accepted(), 2);
}

#[test]
fn a_stream_that_never_appears_ends_with_the_deadline() {
    let logs = LogsDouble::builder()
        .group(GROUP)
        .slow_to_see(FOREVER)
        .start();
    assert_eq!(deliver_to(&logs, &events(2), BRIEF).undelivered(), 2);
    assert!(logs.requests().len() < 200, "it pauses between attempts");
}

/// What passes: once it costs nothing, for ever it costs the run.
#[test]
fn passing_faults_are_retried_until_the_deadline() {
    let rows = [
        Trouble::throttle(),
        Trouble::unavailable(),
        Trouble::Reset,
        Trouble::LostAnswer,
        Trouble::CutAnswer,
        Trouble::Page(502),
        Trouble::Page(429),
        error(500, "InternalFailure"),
        error(400, "OperationAbortedException"),
    ];
    std::thread::scope(|scope| {
        for trouble in rows {
            scope.spawn(move || {
                let logs = ready().trouble(PUT, trouble.clone(), 2).start();
                let delivery = deliver_to(&logs, &events(2), AMPLE);
                assert_eq!(delivery.accepted(), 2, "{trouble:?} twice");
                assert_eq!(logs.calls(PUT), 3, "{trouble:?} twice");

                let logs = ready().trouble(PUT, trouble.clone(), FOREVER).start();
                let delivery = deliver_to(&logs, &events(2), BRIEF);
                assert_eq!(delivery.undelivered(), 2, "{trouble:?} for ever");
                assert!(logs.calls(PUT) > 1, "{trouble:?} for ever");
                assert_eq!(delivery.problems.len(), 1, "{:?}", delivery.problems);
                assert!(
                    delivery.problems[0].contains("logs:PutLogEvents"),
                    "{:?}",
                    delivery.problems
                );
            });
        }
    });
}

/// What only somebody else can change: no second attempt, and a sentence.
#[test]
fn lasting_faults_end_the_run_and_say_what_is_missing() {
    let kms = Trouble::Error(
        400,
        "AccessDeniedException",
        "not authorized to perform: kms:GenerateDataKey".into(),
    );
    for (trouble, sentence) in [
        (Trouble::denied(PUT), r#""Action":"logs:PutLogEvents""#),
        (kms, "KMS key"),
        (error(400, "KMSDisabledException"), "KMS key"),
        (error(400, "LimitExceededException"), "quota"),
        (error(400, "SomethingNewException"), "SomethingNewException"),
        (Trouble::Page(407), "ship.proxy"),
        (Trouble::Page(403), "HTTP 403"),
    ] {
        let logs = ready().trouble(PUT, trouble.clone(), 1).start();
        let delivery = deliver_to(&logs, &events(2), AMPLE);
        assert_eq!(delivery.undelivered(), 2, "{trouble:?}");
        assert_eq!(logs.calls(PUT), 1, "{trouble:?}");
        assert_eq!(delivery.problems.len(), 1);
        assert!(
            delivery.problems[0].contains(sentence),
            "{:?}",
            delivery.problems
        );
    }
}

#[test]
fn refused_credentials_are_fetched_again_and_not_for_ever() {
    for code in [
        "ExpiredTokenException",
        "UnrecognizedClientException",
        "InvalidSignatureException",
    ] {
        let logs = ready().trouble(PUT, error(400, code), 1).start();
        let role = RoleService::start(vec![Key::temporary(0), Key::temporary(1)]);
        let delivery = deliver(&settings(&logs.url(), &role.url()), &events(1), AMPLE);
        assert_eq!(delivery.accepted(), 1, "{code} once");
        let signers: Vec<_> = logs
            .requests()
            .into_iter()
            .map(|r| r.access_key_id)
            .collect();
        let keys = [0, 1].map(|n| Key::temporary(n).access_key_id);
        assert_eq!(signers, keys, "{code} once");

        let logs = ready().trouble(PUT, error(400, code), FOREVER).start();
        let delivery = deliver_to(&logs, &events(1), AMPLE);
        assert_eq!(delivery.undelivered(), 1, "{code} for ever");
        assert!(
            delivery.problems[0].contains("role web"),
            "{:?}",
            delivery.problems
        );
        assert!(logs.calls(PUT) <= 5, "{code} for ever");
    }
}

#[test]
fn expired_credentials_are_replaced_by_the_next_ones() {
    let old = Key::temporary(0);
    let logs = ready().expired(&old.access_key_id).start();
    let role = RoleService::start(vec![old, Key::temporary(1)]);
    let delivery = deliver(&settings(&logs.url(), &role.url()), &events(1), AMPLE);
    assert_eq!(delivery.accepted(), 1);
    assert_eq!(role.fetched(), 2);
}

#[test]
fn credentials_that_are_not_known_yet_are_replaced_by_known_ones() {
    let new = Key::temporary(1);
    let logs = ready().knows(&new.access_key_id).start();
    let role = RoleService::start(vec![Key::temporary(0), new]);
    let delivery = deliver(&settings(&logs.url(), &role.url()), &events(1), AMPLE);
    assert_eq!(delivery.accepted(), 1);
}

#[test]
fn a_wrong_clock_is_corrected_from_the_services_answer() {
    for ahead_ms in [-40 * 60 * 1000, 40 * 60 * 1000] {
        let logs = ready().clock_ahead_ms(ahead_ms).start();
        assert_eq!(
            deliver_to(&logs, &events(1), AMPLE).accepted(),
            1,
            "{ahead_ms}"
        );
        assert_eq!(logs.calls(PUT), 2, "{ahead_ms}");
    }
}

#[test]
fn a_denied_stream_or_group_names_its_statement() {
    let logs = LogsDouble::builder()
        .group(GROUP)
        .trouble(
            "CreateLogStream",
            Trouble::denied("CreateLogStream"),
            FOREVER,
        )
        .start();
    let delivery = deliver_to(&logs, &events(1), AMPLE);
    assert!(
        delivery.problems[0].contains(
            r#"{"Effect":"Allow","Action":"logs:CreateLogStream","Resource":"arn:aws:logs:eu-central-1:*:log-group:/rolecall:*"}"#
        ),
        "{:?}",
        delivery.problems
    );

    let logs = LogsDouble::builder()
        .trouble("CreateLogGroup", Trouble::denied("CreateLogGroup"), FOREVER)
        .start();
    let delivery = deliver_to(&logs, &events(1), AMPLE);
    assert_eq!(delivery.undelivered(), 1);
    assert!(
        delivery.problems[0].contains(r#""Action":"logs:CreateLogGroup""#)
            && delivery.problems[0].contains("does not exist"),
        "{:?}",
        delivery.problems
    );
}

#[test]
fn a_throttled_creation_is_retried() {
    let logs = LogsDouble::builder()
        .group(GROUP)
        .trouble("CreateLogStream", Trouble::throttle(), 3)
        .start();
    assert_eq!(deliver_to(&logs, &events(1), AMPLE).accepted(), 1);
    assert_eq!(logs.calls("CreateLogStream"), 4);
}

#[test]
fn instances_that_start_together_all_get_their_stream() {
    let logs = LogsDouble::builder()
        .group(GROUP)
        .streams_per_second(5)
        .start();
    let role = RoleService::start(vec![Key::temporary(0)]);
    std::thread::scope(|scope| {
        for n in 0..15 {
            let settings = Settings {
                log_stream: format!("i-{n:02}"),
                ..settings(&logs.url(), &role.url())
            };
            scope.spawn(move || assert_eq!(deliver(&settings, &events(1), AMPLE).accepted(), 1));
        }
    });
    assert_eq!(logs.streams(GROUP).len(), 15);
}

#[test]
fn a_lost_answer_leaves_duplicates_that_can_be_told_apart() {
    let logs = ready().trouble(PUT, Trouble::LostAnswer, 1).start();
    let events = events(2);
    let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
    assert_eq!(deliver_to(&logs, &events, AMPLE).accepted(), 2);
    assert_eq!(stored_ids(&logs), [ids.clone(), ids].concat());
}

#[test]
fn any_number_of_events_keeps_every_limit() {
    let start = now_ms() - 3 * DAY_MS;
    let mut events: Vec<_> = (0..25_000u32)
        .map(|n| {
            let at = start + i64::from(n) * 7919 % (3 * DAY_MS);
            plain_event(0, at, 1 + n as usize % 300)
        })
        .collect();
    for n in 0..9 {
        events.push(plain_event(0, start + n, 300_000));
    }
    events.push(plain_event(0, now_ms(), ship::MAX_EVENT_BYTES - 26));
    events.push(plain_event(0, now_ms(), ship::MAX_EVENT_BYTES - 25));
    let given = events.len() as u64;
    let logs = ready().start();
    let delivery = deliver_to(&logs, &events, AMPLE);
    assert_eq!(delivery.accepted(), given - 1);
    assert_eq!(delivery.rejected().too_large, 1);
    assert!(delivery.problems[0].contains("larger"));
    let stored = logs.events(GROUP, STREAM);
    assert_eq!(stored.len() as u64, given - 1);
    assert!(stored.is_sorted_by_key(|event| event.timestamp_ms));
    // 6.4 MB over three days: not one call more than a few.
    assert!(logs.batches().len() <= 12, "{:?}", logs.batches());
}

#[test]
fn what_outlived_the_window_is_sent_with_the_present_time_and_its_own_in_the_body() {
    let now = now_ms();
    let ages = [-20, -15, -8, -1, 0, 0, 1];
    let events: Vec<_> = ages
        .iter()
        .map(|age| checked_event(now + age * DAY_MS))
        .collect();
    let ids: BTreeSet<_> = events.iter().map(|event| event.id.clone()).collect();
    let logs = ready().retention_days(7).start();
    let delivery = deliver_to(&logs, &events, AMPLE);
    assert_eq!((delivery.accepted(), delivery.restamped), (7, 4));
    assert_eq!(delivery.problems.len(), 1, "{:?}", delivery.problems);
    let stored = logs.events(GROUP, STREAM);
    assert_eq!(stored_ids(&logs).into_iter().collect::<BTreeSet<_>>(), ids);
    let originals: Vec<_> = stored
        .iter()
        .map(|event| serde_json::from_str::<Value>(&event.message).unwrap())
        .filter_map(|body| body["original_timestamp"].as_str()?.parse().ok())
        .map(|time: jiff::Timestamp| time.as_millisecond())
        .collect();
    assert_eq!(originals, [-20, -15, -8, 1].map(|age| now + age * DAY_MS));
}

#[test]
fn a_clock_that_is_days_off_does_not_lose_an_event() {
    for ahead in [20 * DAY_MS, -20 * DAY_MS] {
        let logs = ready().clock_ahead_ms(ahead).start();
        let delivery = deliver_to(&logs, &events(2), AMPLE);
        assert_eq!((delivery.accepted(), delivery.restamped), (2, 2), "{ahead}");
        for stored in logs.events(GROUP, STREAM) {
            let off = stored.timestamp_ms - (now_ms() + ahead);
            assert!(off.abs() < 60_000, "stamped by the clock of the service");
        }
    }
}

#[test]
fn what_is_rejected_twice_for_its_time_is_rejected_for_good() {
    // A service that takes nothing from more than 0 days ago: the second
    // stamp is rejected like the first.
    let logs = ready().retention_days(-1).start();
    let delivery = deliver_to(&logs, &[checked_event(now_ms())], AMPLE);
    assert_eq!(delivery.fates, [Fate::Rejected(Reason::Expired)]);
    assert_eq!(logs.calls(PUT), 2);
}

#[test]
fn a_new_stamp_that_could_not_be_put_leaves_the_event_to_be_sent_again() {
    let logs = ready().trouble(PUT, Trouble::Slow(Duration::ZERO), 1);
    let logs = logs.trouble(PUT, Trouble::denied(PUT), FOREVER).start();
    let delivery = deliver_to(&logs, &[checked_event(now_ms() - 15 * DAY_MS)], AMPLE);
    assert_eq!(delivery.fates, [Fate::Undelivered]);
    assert_eq!(
        delivery.obstacle,
        Some(Obstacle::Refused(Call::PutLogEvents, Fault::AccessDenied))
    );
}

#[test]
fn one_batch_that_is_refused_once_does_not_stop_the_others_and_is_tried_again() {
    let logs = ready()
        .trouble(PUT, error(400, "InvalidParameterException"), 1)
        .start();
    let events = vec![
        plain_event(0, now_ms() - 2 * DAY_MS, 5),
        plain_event(1, now_ms(), 5),
    ];
    let delivery = deliver_to(&logs, &events, AMPLE);
    assert_eq!((delivery.accepted(), delivery.undelivered()), (2, 0));
}

#[test]
fn an_invalid_event_among_thousands_is_found_and_holds_up_no_other() {
    let mut events: Vec<_> = (0..5000).map(|id| plain_event(id, now_ms(), 5)).collect();
    events[1234].body.clear();
    events[4321].body.clear();
    let logs = ready().start();
    let delivery = deliver_to(&logs, &events, AMPLE);
    assert_eq!(delivery.rejected().invalid, 2);
    assert_eq!(delivery.accepted(), 4998);
    assert_eq!(delivery.fates[1234], Fate::Rejected(Reason::Invalid));
    assert_eq!(delivery.obstacle, None);
    assert!(logs.calls(PUT) < 60, "{}", logs.calls(PUT));
}

#[test]
fn where_every_event_is_called_invalid_the_settings_are_to_blame() {
    let logs = ready()
        .trouble(PUT, error(400, "InvalidParameterException"), FOREVER)
        .start();
    let delivery = deliver_to(&logs, &events(1000), AMPLE);
    assert_eq!(delivery.undelivered(), 1000);
    assert!(logs.calls(PUT) < 200, "{}", logs.calls(PUT));
    assert!(delivery.problems[0].contains("check the names"));
}

#[test]
fn a_shipper_keeps_its_connection_and_follows_the_role() {
    let role = RoleService::start(vec![Key::temporary(0), Key::temporary(1)]);
    let logs = ready().start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut shipper = Shipper::new(settings(&logs.url(), &role.url()));
    for _ in 0..2 {
        let delivery = runtime.block_on(shipper.deliver(&events(1), AMPLE));
        assert!(delivery.is_complete(), "{delivery:?}");
    }
    let nothing = runtime.block_on(shipper.deliver(&[], AMPLE));
    assert!(nothing.is_complete());
    let signers: Vec<_> = logs
        .requests()
        .into_iter()
        .map(|request| request.access_key_id)
        .collect();
    assert_eq!(
        signers,
        [0, 1].map(|n| Key::temporary(n).access_key_id),
        "one call a delivery, and none for nothing"
    );
    runtime.shutdown_background();
}

#[test]
fn what_was_accepted_before_a_failure_is_not_taken_back() {
    let logs = ready().trouble(PUT, Trouble::Slow(Duration::ZERO), 1);
    let logs = logs.trouble(PUT, Trouble::denied(PUT), FOREVER).start();
    let events = vec![
        plain_event(0, now_ms() - 2 * DAY_MS, 5),
        plain_event(1, now_ms(), 5),
    ];
    let delivery = deliver_to(&logs, &events, AMPLE);
    assert_eq!((delivery.accepted(), delivery.undelivered()), (1, 1));
}

#[test]
fn a_hung_call_is_given_up_and_made_again() {
    let logs = ready().trouble(PUT, Trouble::Hang, 1).start();
    let delivery = deliver_to(&logs, &events(1), Duration::from_secs(8));
    assert_eq!(delivery.accepted(), 1);
}

#[test]
fn nothing_outlasts_the_deadline() {
    let logs = ready().trouble(PUT, Trouble::Hang, FOREVER).start();
    let role = RoleService::start(vec![Key::temporary(0)]);
    // It takes connections and says nothing: no TLS, no HTTP.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap();
    // Port 1 of a machine that is not there, as a firewall that drops.
    let black_hole = "http://192.0.2.1:1".to_owned();
    for (endpoint, metadata) in [
        (logs.url(), role.url()),
        (format!("https://{address}"), role.url()),
        (format!("http://{address}"), role.url()),
        (black_hole, role.url()),
        (logs.url(), format!("http://{address}")),
    ] {
        let started = Instant::now();
        let delivery = deliver(&settings(&endpoint, &metadata), &events(1), BRIEF);
        assert_eq!(delivery.undelivered(), 1);
        assert!(
            started.elapsed() < BRIEF + Duration::from_secs(20),
            "{endpoint} {metadata}"
        );
    }
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_said_to_be_so() {
    let role = RoleService::start(vec![Key::temporary(0)]);
    for endpoint in ["http://127.0.0.1:1", "http://logs.invalid"] {
        let delivery = deliver(&settings(endpoint, &role.url()), &events(2), BRIEF);
        assert_eq!(delivery.undelivered(), 2);
        assert!(
            delivery.problems[0].contains("cannot be reached"),
            "{:?}",
            delivery.problems
        );
    }
}

#[test]
fn an_endpoint_that_does_not_speak_tls_is_not_trusted() {
    let logs = ready().start();
    let role = RoleService::start(vec![Key::temporary(0)]);
    let endpoint = logs.url().replace("http:", "https:");
    let delivery = deliver(&settings(&endpoint, &role.url()), &events(1), AMPLE);
    assert_eq!(delivery.undelivered(), 1);
    assert!(
        delivery.problems[0].contains("ca_bundle"),
        "{:?}",
        delivery.problems
    );
}

#[test]
fn an_endpoint_that_is_no_address_ends_the_run() {
    let role = RoleService::start(vec![Key::temporary(0)]);
    for endpoint in [
        "not an address",
        "logs.example",
        "http://",
        "https://[",
        "http://:80",
        "http://a:b:c",
        "ftp://logs.example",
    ] {
        let delivery = deliver(&settings(endpoint, &role.url()), &events(1), BRIEF);
        assert_eq!(delivery.undelivered(), 1, "{endpoint}");
    }
}

#[test]
fn without_a_role_no_connection_is_made() {
    let logs = ready().start();
    let role = RoleService::without_role();
    let delivery = deliver(&settings(&logs.url(), &role.url()), &events(2), AMPLE);
    assert_eq!(delivery.undelivered(), 2);
    assert!(
        delivery.problems[0].contains("no IAM role"),
        "{:?}",
        delivery.problems
    );
    for metadata in ["http://127.0.0.1:1", "not a url"] {
        let delivery = deliver(&settings(&logs.url(), metadata), &events(2), AMPLE);
        assert_eq!(delivery.undelivered(), 2);
    }
    assert_eq!(logs.requests().len(), 0);
}

/// What a metadata service answers besides credentials, and how it is told.
#[test]
fn a_role_that_gives_no_credentials_is_told_by_cause() {
    const LISTING: &str = "/latest/meta-data/iam/security-credentials/";
    let session = || Response::new(200, "x").header("x-aws-ec2-metadata-token-ttl-seconds", "60");
    let logs = ready().start();
    for (put, listing, document, sentence) in [
        (Response::new(403, ""), "web", "", "disabled"),
        (session(), "", "", "no IAM role"),
        (session(), "../../user-data", "", "makes no sense"),
        (
            session(),
            "web",
            "{\"Code\":\"Failed\"}",
            "unusable: Failed",
        ),
        (session(), "web", "{\"Code\":\"Success\"}", "makes no sense"),
        (session(), "web", "\"a secret\"", "makes no sense"),
        (session(), "web", "<html>", "makes no sense"),
    ] {
        let metadata = Server::start(move |request| {
            Reply::Answer(match (request.method.as_str(), request.path.as_str()) {
                ("PUT", _) => put.clone(),
                (_, LISTING) => Response::new(200, listing),
                _ => Response::new(200, document),
            })
        });
        let delivery = deliver(&settings(&logs.url(), &metadata.url()), &events(1), AMPLE);
        assert_eq!(delivery.undelivered(), 1);
        assert!(delivery.problems[0].contains(sentence), "{delivery:?}");
        assert!(!delivery.problems[0].contains("a secret"), "{delivery:?}");
    }
    assert_eq!(logs.requests().len(), 0);
}

#[test]
fn without_events_nobody_is_asked() {
    let role = RoleService::start(vec![Key::temporary(0)]);
    let delivery = deliver(&settings("http://127.0.0.1:1", &role.url()), &[], AMPLE);
    assert_eq!(delivery, Delivery::default());
    assert_eq!(role.fetched(), 0);
}

#[test]
fn the_region_comes_from_the_metadata_service_where_none_is_set() {
    let logs = ready().trouble(PUT, Trouble::denied(PUT), 1).start();
    let role = RoleService::start(vec![Key::temporary(0)]);
    let settings = Settings {
        region: None,
        ..settings(&logs.url(), &role.url())
    };
    let delivery = deliver(&settings, &events(1), AMPLE);
    assert!(delivery.problems[0].contains("arn:aws:logs:eu-central-1:*"));
}

#[test]
fn a_proxy_is_for_logs_and_never_for_the_metadata_service() {
    // The double stands in for the proxy: the endpoint's name does not exist.
    let proxy = ready().start();
    let role = RoleService::start(vec![Key::temporary(0)]);
    let settings = Settings {
        network: Network {
            proxy: Some(Secret::new(proxy.url())),
            ..Network::default()
        },
        ..settings("http://logs.invalid", &role.url())
    };
    assert_eq!(deliver(&settings, &events(1), AMPLE).accepted(), 1);
    assert_eq!(role.fetched(), 1);
    assert_eq!(proxy.requests().len(), 1);
}

#[test]
fn no_problem_quotes_a_secret() {
    let key = Key::temporary(0);
    for code in ["InvalidSignatureException", "AccessDeniedException", "Odd"] {
        let quoting = format!(
            "canonical: x-amz-security-token:{} {}",
            key.session_token, key.secret_access_key
        );
        let trouble = Trouble::Error(400, code, quoting);
        let logs = ready().trouble(PUT, trouble, FOREVER).start();
        let told = format!("{:?}", deliver_to(&logs, &events(1), AMPLE));
        assert!(!told.contains(&key.session_token), "{told}");
        assert!(!told.contains(&key.secret_access_key), "{told}");
    }
}

#[test]
fn a_problem_is_safe_for_a_terminal() {
    let trouble = Trouble::Error(400, "Odd", "\u{1b}[2J\u{202e}told\n".into());
    let logs = ready().trouble(PUT, trouble, FOREVER).start();
    let delivery = deliver_to(&logs, &events(1), AMPLE);
    assert!(!delivery.problems[0].contains(rolecall::sanitize::is_unsafe));
}

/// Static keys, profiles, endpoints and proxies in the environment of the
/// process: none of them is looked at.
#[test]
fn nothing_in_the_environment_signs_or_diverts() {
    let logs = ready().start();
    let role = RoleService::start(vec![Key::temporary(0)]);
    let home = tempfile::tempdir().unwrap();
    let planted = format!("AKIA{}", "B".repeat(16));
    let secret = "b".repeat(40);
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    std::fs::write(
        home.path().join(".aws/credentials"),
        format!(
            "[default]\naws_access_key_id={planted}\naws_secret_access_key={secret}\n\
             [other]\naws_access_key_id={planted}\naws_secret_access_key={secret}\n"
        ),
    )
    .unwrap();
    let nowhere = "http://127.0.0.1:1";
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "delivery::delivers_for_its_parent",
            "--nocapture",
        ])
        .env("ROLECALL_TEST_LOGS", logs.url())
        .env("ROLECALL_TEST_IMDS", role.url())
        .env("HOME", home.path())
        .env("AWS_PROFILE", "other")
        .env("AWS_ACCESS_KEY_ID", &planted)
        .env("AWS_SECRET_ACCESS_KEY", &secret)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", nowhere)
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", nowhere)
        .env("AWS_ENDPOINT_URL", nowhere)
        .env("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", nowhere)
        .env("AWS_REGION", "us-west-2")
        .envs(["http_proxy", "https_proxy", "all_proxy"].map(|name| (name, nowhere)))
        .envs(["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].map(|name| (name, nowhere)))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let signers: Vec<_> = logs
        .requests()
        .into_iter()
        .map(|r| r.access_key_id)
        .collect();
    assert_eq!(signers, [Key::temporary(0).access_key_id]);
}

/// The other half of the test above; alone it does nothing.
#[test]
fn delivers_for_its_parent() {
    let variable = |name| std::env::var(name).ok();
    let (Some(logs), Some(metadata)) = (
        variable("ROLECALL_TEST_LOGS"),
        variable("ROLECALL_TEST_IMDS"),
    ) else {
        return;
    };
    assert_eq!(
        deliver(&settings(&logs, &metadata), &events(1), AMPLE).accepted(),
        1
    );
}

#[test]
fn what_is_done_about_each_fault_stands_in_the_docs() {
    let mut table =
        "| fault | PutLogEvents | CreateLogStream | CreateLogGroup |\n|---|---|---|---|\n"
            .to_owned();
    for fault in Fault::ALL {
        let decided = Call::ALL.map(|call| format!("{:?}", decide(call, fault)));
        let _ = writeln!(table, "| `{fault:?}` | {} |", decided.join(" | "));
    }
    docs::says("docs/delivery.md", "decisions", &table);
}

#[test]
fn events_that_the_service_has_already_are_accepted() {
    let logs = ready()
        .trouble(PUT, error(400, "DataAlreadyAcceptedException"), 1)
        .start();
    assert_eq!(deliver_to(&logs, &events(2), AMPLE).accepted(), 2);
}

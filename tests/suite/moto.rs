//! Delivery to moto: an independent service that verifies signatures and
//! policies, and from which what was put is read back.

use std::time::Duration;

use rolecall::aws::Network;
use rolecall::finding::{Instance, PostureCheck, Rule, Summary, Verdict};
use rolecall::ship::{self, Delivery, Event, Metrics, Settings};
use serde_json::Value;

use crate::support::logs_double::now_ms;
use crate::support::moto::{Moto, REGION};
use crate::support::role::{Key, RoleService};

const GROUP: &str = "/rolecall";
const STREAM: &str = "i-0123456789abcdef0";
const SHIP: [&str; 2] = ["logs:CreateLogStream", "logs:PutLogEvents"];

fn deliver(moto: &Moto, key: Key, events: &[Event]) -> Delivery {
    let role = RoleService::start(vec![key]);
    let settings = Settings {
        log_group: GROUP.into(),
        log_stream: STREAM.into(),
        region: Some(REGION.into()),
        endpoint: Some(moto.url()),
        imds_endpoint: role.url(),
        network: Network::default(),
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(ship::deliver(&settings, events, Duration::from_mins(1)))
}

fn events() -> Vec<Event> {
    let instance = Instance {
        instance_id: Some(STREAM.into()),
        ..Instance::default()
    };
    // Text that signing and JSON have to carry unharmed.
    let reason = "\u{202e}näh \u{1f511} \"quoted\" \\ \u{7f}";
    let check = PostureCheck::new(Rule::RoleMissing, Verdict::Pass, reason);
    vec![
        Event::posture(&check, &instance, now_ms()),
        Event::heartbeat(
            &Summary::default(),
            &Metrics::default(),
            &instance,
            now_ms(),
        ),
    ]
}

#[test]
fn what_is_delivered_can_be_read_back() {
    let moto = Moto::start();
    moto.create_log_group(GROUP);
    let events = events();
    let bodies: Vec<_> = events.iter().map(|event| event.body.clone()).collect();
    let delivery = deliver(&moto, Key::temporary(0), &events);
    assert_eq!(delivery.accepted(), 2, "{delivery:?}");
    assert_eq!(moto.messages(GROUP, STREAM), bodies);
    let heartbeat: Value = serde_json::from_str(&bodies[1]).expect("JSON");
    assert_eq!(heartbeat["event"], "heartbeat");
}

#[test]
fn the_two_actions_of_the_documented_policy_are_enough() {
    let moto = Moto::start();
    moto.create_log_group(GROUP);
    let key = moto.role("web", &SHIP);
    moto.enforce_iam(true);
    let delivery = deliver(&moto, key, &events());
    assert_eq!(delivery.accepted(), 2, "{delivery:?}");
    moto.enforce_iam(false);
    assert_eq!(moto.messages(GROUP, STREAM).len(), 2);
}

#[test]
fn one_action_is_enough_where_the_stream_is_there() {
    let moto = Moto::start();
    moto.create_log_group(GROUP);
    moto.create_log_stream(GROUP, STREAM);
    let key = moto.role("web", &["logs:PutLogEvents"]);
    moto.enforce_iam(true);
    assert_eq!(deliver(&moto, key, &events()).accepted(), 2);
}

#[test]
fn without_the_policy_the_missing_statement_is_named() {
    for (allowed, missing) in [
        (&[][..], "logs:PutLogEvents"),
        (&["logs:CreateLogStream"][..], "logs:PutLogEvents"),
        (&["logs:PutLogEvents"][..], "logs:CreateLogStream"),
    ] {
        let moto = Moto::start();
        moto.create_log_group(GROUP);
        let key = moto.role("web", allowed);
        moto.enforce_iam(true);
        let delivery = deliver(&moto, key, &events());
        assert_eq!(delivery.undelivered(), 2, "{delivery:?}");
        let statement = format!(
            r#"{{"Effect":"Allow","Action":"{missing}","Resource":"arn:aws:logs:{REGION}:*:log-group:{GROUP}:*"}}"#
        );
        assert!(delivery.problems[0].contains(&statement), "{delivery:?}");
    }
}

#[test]
fn a_key_that_the_service_does_not_know_is_said_to_be_refused() {
    let moto = Moto::start();
    moto.create_log_group(GROUP);
    moto.enforce_iam(true);
    let delivery = deliver(&moto, Key::temporary(0), &events());
    assert_eq!(delivery.undelivered(), 2);
    assert!(
        delivery.problems[0].contains("does not accept the credentials of the role web"),
        "{delivery:?}"
    );
}

#[test]
fn a_wrong_secret_is_said_to_be_a_wrong_signature() {
    let moto = Moto::start();
    moto.create_log_group(GROUP);
    let mut key = moto.role("web", &SHIP);
    key.secret_access_key = key.secret_access_key.chars().rev().collect();
    moto.enforce_iam(true);
    let delivery = deliver(&moto, key, &events());
    assert_eq!(delivery.undelivered(), 2);
    assert!(delivery.problems[0].contains("signature"), "{delivery:?}");
}

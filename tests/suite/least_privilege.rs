//! What the role has to be allowed: two actions on one log group, and one of
//! them where the operator makes the stream.

use std::path::Path;

use serde_json::Value;

use crate::daemon::{SELDOM, healthy};
use crate::support::daemon::Home;
use crate::support::host::Host;
use crate::support::imds_double::ImdsDouble;
use crate::support::logs_double::{FOREVER, LogsDouble, Trouble};
use crate::support::moto::{Moto, REGION};
use crate::support::rolecall::{Ran, Rolecall};

const GROUP: &str = "/rolecall";
const INSTANCE: &str = "i-0123456789abcdef0";

fn check(home: &Home, root: &Path) -> Ran {
    Rolecall::new(["check", "--format", "json", "--ship", "always", "--config"])
        .arg(home.path("etc/config.toml"))
        .arg("--root")
        .arg(root)
        .run()
}

fn kinds(messages: &[String]) -> Vec<String> {
    let mut kinds: Vec<String> = messages
        .iter()
        .map(|message| serde_json::from_str::<Value>(message).unwrap())
        .map(|message| message["event"].as_str().unwrap().to_owned())
        .collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

/// moto refuses whatever the policy does not allow, and verifies signatures.
#[test]
fn two_actions_are_enough_for_everything_that_is_on_by_default() {
    let moto = Moto::start();
    moto.create_log_group(GROUP);
    let key = moto.role("web", &["logs:CreateLogStream", "logs:PutLogEvents"]);
    moto.enforce_iam(true);
    let imds = ImdsDouble::builder().role("web").credentials(key).start();
    let host = Host::new();
    host.write("srv/app.env", host.key_pair().env());
    let home = Home::new();
    home.configure(&format!(
        "[imds]\nendpoint = \"{}\"\n[ship]\nregion = \"{REGION}\"\nspread = \"0s\"\n\
         endpoint = \"{url}\"\nsts_endpoint = \"{url}\"\n",
        imds.endpoint(),
        url = moto.url(),
    ));
    let ran = check(&home, &host.root());
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert_eq!(ran.summary()["undelivered"], 0, "{}", ran.stderr);
    let usable = ran.of_type("posture");
    let usable = usable
        .iter()
        .find(|check| check["check"] == "role.credentials-unusable");
    assert_eq!(usable.unwrap()["verdict"], "pass");

    let mut daemon = home.start(&host.root());
    let status = daemon.status_when("a sweep that was told", |status| {
        status["sweeps"] == 1 && status["outbox"]["events"] == 0
    });
    assert_eq!(status["last_delivery"]["problems"], serde_json::json!([]));
    assert_eq!(status["problems"], serde_json::json!([]));
    daemon.stop();
    moto.enforce_iam(false);
    assert_eq!(
        kinds(&moto.messages(GROUP, INSTANCE)),
        ["coverage", "heartbeat", "opened", "posture"]
    );
}

#[test]
fn nothing_else_is_asked_of_cloudwatch_logs() {
    let logs = LogsDouble::builder()
        .group(GROUP)
        .trouble("CreateLogGroup", Trouble::denied("CreateLogGroup"), FOREVER)
        .start();
    let (imds, host, home) = (healthy(), Host::new(), Home::new());
    home.configure(&settings(&imds, &logs, ""));
    assert_ne!(check(&home, &host.root()).status, 3);
    run_service(&home, &host);
    let mut actions: Vec<_> = logs.requests().into_iter().map(|r| r.action).collect();
    actions.sort();
    actions.dedup();
    assert_eq!(actions, ["CreateLogStream", "PutLogEvents"]);
}

#[test]
fn a_stream_that_the_operator_made_takes_one_action_and_no_other_is_tried() {
    let logs = LogsDouble::builder()
        .stream(GROUP, "made-before")
        .trouble(
            "CreateLogStream",
            Trouble::denied("CreateLogStream"),
            FOREVER,
        )
        .start();
    let (imds, host, home) = (healthy(), Host::new(), Home::new());
    home.configure(&settings(&imds, &logs, "log_stream = \"made-before\"\n"));
    assert_ne!(check(&home, &host.root()).status, 3);
    run_service(&home, &host);
    assert_eq!(logs.calls("CreateLogStream"), 0);
    assert!(logs.events(GROUP, "made-before").len() > 10);
}

fn settings(imds: &ImdsDouble, logs: &LogsDouble, ship: &str) -> String {
    format!(
        "{SELDOM}[imds]\nendpoint = \"{}\"\n[ship]\nspread = \"0s\"\nendpoint = \"{}\"\n{ship}",
        imds.endpoint(),
        logs.url()
    )
}

fn run_service(home: &Home, host: &Host) {
    let mut daemon = home.start(&host.root());
    daemon.status_when("a sweep that was told", |status| {
        status["sweeps"] == 1 && status["outbox"]["events"] == 0
    });
    assert_eq!(daemon.stop(), Some(0));
}

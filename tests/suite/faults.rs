//! Every way in which CloudWatch Logs can fail, met once, twice and for ever,
//! by the binary as a check and as the service.

use std::collections::BTreeMap;
use std::time::Duration;

use rolecall::ship::{Call, Decision, Fault, decide};
use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{OFTEN, SELDOM, healthy, logs};
use crate::support::daemon::{Daemon, Home, wait};
use crate::support::host::{Host, KeyPair};
use crate::support::imds_double::ImdsDouble;
use crate::support::logs_double::{FOREVER, LogsDouble, Trouble};
use crate::support::rolecall::Rolecall;
use crate::support::side_by_side::{a_few_at_a_time, side_by_side};

const GROUP: &str = "/rolecall";

/// Time for a check whose events arrive, and for one whose never do.
const AMPLE: &str = "1m";
const BRIEF: &str = "10s";

/// Runs of the binary at a time; most of their time they wait.
const FEW: usize = 8;

/// One way to fail.
struct Row {
    fault: Fault,
    call: Call,
    trouble: Trouble,
    /// What is told where it does not pass.
    says: &'static str,
}

fn row(fault: Fault, call: Call, trouble: Trouble, says: &'static str) -> Row {
    Row {
        fault,
        call,
        trouble,
        says,
    }
}

fn error(status: u16, code: &'static str) -> Trouble {
    Trouble::Error(status, code, "told by the double".into())
}

fn rows() -> Vec<Row> {
    use Call::{CreateLogStream, PutLogEvents};
    let kms = Trouble::Error(
        400,
        "AccessDeniedException",
        "not authorized to perform: kms:GenerateDataKey".into(),
    );
    let statement = r#"{"Effect":"Allow","Action":"logs:PutLogEvents","Resource":"arn:aws:logs:eu-central-1:*:log-group:/rolecall:*"}"#;
    let create = r#"{"Effect":"Allow","Action":"logs:CreateLogStream","Resource":"arn:aws:logs:eu-central-1:*:log-group:/rolecall:*"}"#;
    let put = |fault, trouble, says| row(fault, PutLogEvents, trouble, says);
    vec![
        put(Fault::TimedOut, Trouble::Hang, "did not answer in time"),
        put(
            Fault::TimedOut,
            Trouble::Page(408),
            "did not answer in time",
        ),
        put(Fault::Unreachable, Trouble::Reset, "cannot be reached"),
        put(Fault::Unreachable, Trouble::LostAnswer, "cannot be reached"),
        put(Fault::LostAnswer, Trouble::CutAnswer, "broke off"),
        put(Fault::ServerError, Trouble::unavailable(), "failed"),
        put(Fault::ServerError, error(500, "InternalFailure"), "failed"),
        put(Fault::ServerError, Trouble::Page(502), "failed"),
        put(Fault::Throttled, Trouble::throttle(), "throttled"),
        put(Fault::Throttled, Trouble::Page(429), "throttled"),
        put(
            Fault::Conflict,
            error(400, "OperationAbortedException"),
            "kept refusing",
        ),
        put(
            Fault::ExpiredCredentials,
            error(400, "ExpiredTokenException"),
            "the role web",
        ),
        put(
            Fault::UnknownCredentials,
            error(400, "UnrecognizedClientException"),
            "the role web",
        ),
        put(
            Fault::BadSignature,
            error(400, "InvalidSignatureException"),
            "clock",
        ),
        put(
            Fault::BadSignature,
            error(403, "SignatureDoesNotMatch"),
            "clock",
        ),
        put(
            Fault::BadSignature,
            error(403, "RequestTimeTooSkewed"),
            "clock",
        ),
        put(
            Fault::AccessDenied,
            Trouble::denied("PutLogEvents"),
            statement,
        ),
        put(Fault::ProxyDenied, Trouble::Page(407), "ship.proxy"),
        put(
            Fault::QuotaExceeded,
            error(400, "LimitExceededException"),
            "quota",
        ),
        put(
            Fault::QuotaExceeded,
            error(400, "ServiceQuotaExceededException"),
            "quota",
        ),
        put(Fault::KmsKey, kms, "KMS key"),
        put(Fault::KmsKey, error(400, "KMSDisabledException"), "KMS key"),
        put(
            Fault::InvalidRequest,
            error(400, "InvalidParameterException"),
            "check the names",
        ),
        put(
            Fault::Unknown,
            error(400, "SomethingNewException"),
            "SomethingNew",
        ),
        put(Fault::Unknown, Trouble::Page(403), "HTTP 403"),
        row(
            Fault::Throttled,
            CreateLogStream,
            Trouble::throttle(),
            "throttled",
        ),
        row(
            Fault::AccessDenied,
            CreateLogStream,
            Trouble::denied("CreateLogStream"),
            create,
        ),
        row(
            Fault::QuotaExceeded,
            CreateLogStream,
            error(400, "LimitExceededException"),
            "quota",
        ),
        row(
            Fault::NotFound,
            CreateLogStream,
            error(400, "ResourceNotFoundException"),
            "does not exist",
        ),
    ]
}

impl Row {
    /// Whether it passes by itself once it has happened so often.
    fn passes(&self, times: usize) -> bool {
        let retried = matches!(
            decide(self.call, self.fault),
            Decision::Retry | Decision::RenewCredentials | Decision::SkipBatch
        );
        retried && times != FOREVER
    }

    fn begin(&self, logs: &LogsDouble, times: usize) {
        if self.call == Call::CreateLogStream {
            logs.empty_group(GROUP);
        }
        if self.fault == Fault::NotFound {
            // The group is said not to be there, and may not be made.
            logs.trouble("CreateLogGroup", Trouble::denied("CreateLogGroup"), FOREVER);
        }
        logs.trouble(self.action(), self.trouble.clone(), times);
    }

    fn action(&self) -> &'static str {
        self.call.action().trim_start_matches("logs:")
    }
}

#[test]
fn every_fault_has_its_row_or_its_own_test() {
    for fault in Fault::ALL {
        let elsewhere = matches!(
            fault,
            // Settings that lead nowhere, below.
            Fault::Untrusted | Fault::Misconfigured
            // A real proxy's, see the tests of private networks.
            | Fault::ProxyRefused
            // What was asked for is there; see the tests of delivery.
            | Fault::AlreadyExists | Fault::AlreadyAccepted
        );
        assert!(
            elsewhere || rows().iter().any(|row| row.fault == fault),
            "{fault:?}"
        );
    }
}

#[test]
fn a_check_tells_all_after_a_passing_fault_and_the_cause_of_a_lasting_one() {
    let cases = rows().into_iter().flat_map(|row| {
        let again = [1, 2, FOREVER];
        again.map(|times| {
            (
                self::row(row.fault, row.call, row.trouble.clone(), row.says),
                times,
            )
        })
    });
    a_few_at_a_time(FEW, cases, |(row, times)| {
        let host = Host::new();
        let (imds, logs) = (healthy(), logs());
        if row.call == Call::PutLogEvents {
            // Its stream is there, so that the fault is met at once.
            assert_ne!(check(&host, &imds, &logs, AMPLE).0, 3);
        }
        row.begin(&logs, times);
        let timeout = if row.passes(times) { AMPLE } else { BRIEF };
        let (status, summary, told) = check(&host, &imds, &logs, timeout);
        let what = format!("{:?} of {} × {times}: {told}", row.trouble, row.action());
        if row.passes(times) {
            assert_eq!(summary["undelivered"], 0, "{what}");
            assert_ne!(status, 3, "{what}");
        } else {
            assert_eq!((status, &summary["shipped"]), (3, &0.into()), "{what}");
            assert!(told.contains(row.says), "{what}");
        }
        each_once(&logs);
    });
}

fn check(host: &Host, imds: &ImdsDouble, logs: &LogsDouble, timeout: &str) -> (i32, Value, String) {
    let ran = Rolecall::new(["check", "--format", "json", "--ship", "always"])
        .args(&["--timeout", timeout, "--imds-endpoint", &imds.endpoint()])
        .args(&["--logs-endpoint", &logs.url(), "--root"])
        .arg(host.root())
        .run();
    (ran.status, ran.summary(), ran.stderr)
}

/// Of each event one, or as many copies with one `event_id`: as often as an
/// operator can tell.
fn each_once(logs: &LogsDouble) -> Vec<Value> {
    let mut events: BTreeMap<String, Value> = BTreeMap::new();
    for event in logs.received() {
        let id = event["event_id"].as_str().unwrap().to_owned();
        if let Some(same) = events.insert(id, event.clone()) {
            assert_eq!(same, event, "one ID, one event");
        }
    }
    events.into_values().collect()
}

fn opened(logs: &LogsDouble, key: &KeyPair) -> usize {
    let events = each_once(logs);
    events
        .iter()
        .filter(|event| event["event"] == "opened" && event["access_key_id"] == key.id.as_str())
        .count()
}

/// The service on a host of its own, swept once and delivered.
struct Scene {
    host: Host,
    imds: ImdsDouble,
    logs: LogsDouble,
    home: Home,
    daemon: Daemon,
}

impl Scene {
    fn new() -> Self {
        let host = Host::new();
        host.write("srv/README", "nothing");
        let (imds, logs) = (healthy(), logs());
        let home = Home::new();
        home.configure(&Self::settings(
            &imds,
            &format!("endpoint = \"{}\"\n", logs.url()),
        ));
        let mut daemon = home.start(&host.root());
        daemon.status_when("a sweep that was told", |status| {
            status["sweeps"] == 1 && status["outbox"]["events"] == 0
        });
        Self {
            host,
            imds,
            logs,
            home,
            daemon,
        }
    }

    fn settings(imds: &ImdsDouble, ship: &str) -> String {
        format!(
            "{SELDOM}[watch]\npaths = [\"/srv\"]\n[imds]\nendpoint = \"{}\"\n\
             [ship]\nspread = \"0s\"\n{ship}",
            imds.endpoint()
        )
    }

    fn configure(&self, ship: &str) {
        self.home.configure(&Self::settings(&self.imds, ship));
        self.daemon.forget();
        self.daemon.signal(Signal::HUP);
        self.daemon.hears("RELOADING=1");
    }

    fn plant(&self, name: &str) -> KeyPair {
        let key = self.host.key_pair();
        self.host.write(&format!("srv/{name}.env"), key.env());
        key
    }

    /// Waits until the key is told. Where delivery waits after a failure the
    /// operator, who has seen to its cause, says so.
    fn hears_of(&mut self, key: &KeyPair) {
        while opened(&self.logs, key) == 0 {
            let (logs, key) = (&self.logs, key);
            let status = self.daemon.status_when("the key, or a failure", |status| {
                opened(logs, key) > 0 || status["last_delivery"]["undelivered"] != 0
            });
            if status["last_delivery"]["undelivered"] != 0 {
                self.daemon.signal(Signal::HUP);
                std::thread::sleep(Duration::from_millis(500));
            }
        }
    }

    /// Waits until the status tells why the events wait.
    fn is_stuck(&mut self, says: &str) -> Value {
        self.daemon.status_when(says, |status| {
            let problems = &status["last_delivery"]["problems"];
            status["outbox"]["events"] != 0
                && problems
                    .as_array()
                    .is_some_and(|all| all.iter().any(|p| p.as_str().unwrap().contains(says)))
        })
    }

    fn times_told(&self, says: &str) -> usize {
        self.home.log().matches(says).count()
    }

    /// Nothing is left, nothing was lost, and each key was told once.
    fn ends(mut self, keys: &[KeyPair]) {
        let status = self
            .daemon
            .status_when("an empty outbox", |status| status["outbox"]["events"] == 0);
        assert_eq!(status["outbox"]["lost"], 0);
        assert_eq!(status["outbox"]["rejected"], 0);
        for key in keys {
            assert_eq!(opened(&self.logs, key), 1);
        }
        assert_eq!(self.daemon.stop(), Some(0));
        for key in keys {
            assert!(!self.home.log().contains(&key.secret));
        }
    }
}

#[test]
fn the_service_loses_nothing_to_a_fault_that_comes_once_twice_or_stays_until_it_is_cured() {
    a_few_at_a_time(FEW, rows(), |row| {
        let mut scene = Scene::new();
        let mut keys = Vec::new();
        for times in [1, 2] {
            row.begin(&scene.logs, times);
            keys.push(scene.plant(&times.to_string()));
            scene.hears_of(&keys[keys.len() - 1]);
        }
        let told = scene.times_told(row.says);
        row.begin(&scene.logs, FOREVER);
        keys.push(scene.plant("forever"));
        let status = scene.is_stuck(row.says);
        assert!(status["outbox"]["oldest"].is_string(), "{status}");
        assert!(status["outbox"]["bytes"].as_u64() > Some(500), "{status}");
        assert_eq!(scene.times_told(row.says), told + 1, "told once");
        if decide(row.call, row.fault) == Decision::GiveUp {
            // It fails again, and that is no news.
            let calls = scene.logs.calls(row.action());
            scene.daemon.signal(Signal::HUP);
            wait("another call", || {
                (scene.logs.calls(row.action()) > calls).then_some(())
            });
            scene.is_stuck(row.says);
            assert_eq!(scene.times_told(row.says), told + 1, "told once");
        }
        scene.logs.recover();
        scene.hears_of(&keys[2]);
        scene.ends(&keys);
    });
}

#[test]
fn settings_that_lead_nowhere_hold_events_back_until_they_are_right() {
    let rows = [
        ("endpoint = \"http://127.0.0.1:1\"\n", "cannot be reached"),
        ("endpoint = \"http://logs.invalid\"\n", "cannot be reached"),
        ("endpoint = \"https://DOUBLE\"\n", "cannot be trusted"),
    ];
    side_by_side(rows, |(wrong, says)| {
        let mut scene = Scene::new();
        let right = format!("endpoint = \"{}\"\n", scene.logs.url());
        let address = scene.logs.url().replace("http://", "");
        scene.configure(&wrong.replace("DOUBLE", &address));
        let key = scene.plant("app");
        scene.is_stuck(says);
        assert_eq!(scene.times_told(says), 1);
        scene.configure(&right);
        scene.hears_of(&key);
        scene.ends(&[key]);
    });
}

#[test]
fn a_stream_or_group_that_is_deleted_is_made_anew() {
    let mut scene = Scene::new();
    scene.logs.empty_group(GROUP);
    let first = scene.plant("stream");
    scene.hears_of(&first);
    scene.logs.delete_group(GROUP);
    let second = scene.plant("group");
    scene.hears_of(&second);
    scene.ends(&[first, second]);
}

#[test]
fn a_clock_that_is_wrong_by_minutes_or_events_that_waited_for_weeks_lose_nothing() {
    const MINUTE_MS: i64 = 60 * 1000;
    let ahead = [-20 * MINUTE_MS, 20 * MINUTE_MS, 15 * 24 * 60 * MINUTE_MS];
    side_by_side(ahead, |ahead_ms| {
        let mut scene = Scene::new();
        scene
            .logs
            .trouble("PutLogEvents", Trouble::denied("PutLogEvents"), FOREVER);
        let key = scene.plant("app");
        scene.is_stuck("logs:PutLogEvents");
        // So much later by the service's clock.
        scene.logs.set_clock_ahead_ms(ahead_ms);
        scene.logs.recover();
        scene.daemon.signal(Signal::HUP);
        scene.hears_of(&key);
        let events = each_once(&scene.logs);
        let told = events
            .iter()
            .find(|event| event["access_key_id"] == key.id.as_str())
            .unwrap();
        let is_old = ahead_ms > 14 * 24 * 60 * MINUTE_MS;
        assert_eq!(told["original_timestamp"].is_string(), is_old, "{told}");
        if is_old {
            assert!(scene.home.log().contains("sent with the present time"));
        }
        scene.ends(&[key]);
    });
}

#[test]
fn a_full_outbox_gives_up_what_weighs_least_and_says_so_everywhere() {
    let host = Host::new();
    let (imds, logs) = (healthy(), logs());
    logs.trouble("PutLogEvents", Trouble::denied("PutLogEvents"), FOREVER);
    let keys: Vec<KeyPair> = (0..25).map(|_| host.key_pair()).collect();
    for (n, key) in keys.iter().enumerate() {
        host.write(&format!("srv/{n}.env"), key.env());
    }
    let home = Home::new();
    // Every second a sweep, whose events nobody takes.
    home.configure(&format!(
        "{OFTEN}[imds]\nendpoint = \"{}\"\n[ship]\nspread = \"0s\"\nendpoint = \"{}\"\n\
         outbox_max = \"64KiB\"\n",
        imds.endpoint(),
        logs.url()
    ));
    let mut daemon = home.start(&host.root());
    let lost = |status: &Value| status["outbox"]["lost"].as_u64().unwrap();
    daemon.status_when("a loss", |status| lost(status) > 5);
    let full = "the outbox is full (ship.outbox_max)";
    assert_eq!(home.log().matches(full).count(), 1);
    assert!(home.status(&["--format", "text"]).stdout.contains("LOST"));

    logs.recover();
    daemon.signal(Signal::HUP);
    let status = daemon.status_when("an empty outbox", |status| {
        status["outbox"]["events"] == 0 && lost(status) > 5
    });
    wait("the end of it", || {
        home.log().contains("events were given up").then_some(())
    });
    for key in &keys {
        assert_eq!(
            opened(&logs, key),
            1,
            "a key is the last thing to be given up"
        );
    }
    wait("a heartbeat that counts the loss", || {
        let beats = logs.received();
        beats
            .iter()
            .any(|beat| beat["event"] == "heartbeat" && beat["lost"] == lost(&status))
            .then_some(())
    });
    daemon.stop();
}

//! `rolecall check` from end to end: the binary against the doubles, and
//! against moto, from which its findings are read back.

use std::path::Path;

use serde_json::Value;

use crate::support::corpus::Kind;
use crate::support::host::Host;
use crate::support::imds_double::{Fault, ImdsDouble, TOKEN};
use crate::support::logs_double::{FOREVER, LogsDouble, Trouble};
use crate::support::moto::{Moto, REGION};
use crate::support::role::Key;
use crate::support::rolecall::{Ran, Rolecall};

const GROUP: &str = "/rolecall";
const INSTANCE: &str = "i-0123456789abcdef0";

fn healthy() -> ImdsDouble {
    ImdsDouble::builder()
        .role("web")
        .auto_scaling_group("web-asg")
        .start()
}

fn logs() -> LogsDouble {
    LogsDouble::builder().group(GROUP).start()
}

/// A check of a host, its processes left out: those of this machine are none
/// of a test's business.
fn check(root: &Path, imds: &ImdsDouble, logs: &str) -> Rolecall {
    check_as("json", root, imds, logs)
}

fn check_as(format: &str, root: &Path, imds: &ImdsDouble, logs: &str) -> Rolecall {
    let root = root.to_str().unwrap();
    let imds = imds.endpoint();
    Rolecall::new(["check", "--format", format, "--root", root])
        .arg("--imds-endpoint")
        .arg(imds)
        .arg("--logs-endpoint")
        .arg(logs)
}

fn messages(logs: &LogsDouble) -> Vec<Value> {
    logs.events(GROUP, INSTANCE)
        .iter()
        .map(|event| serde_json::from_str(&event.message).unwrap())
        .collect()
}

#[test]
fn what_a_host_hides_arrives_in_the_log_group() {
    let host = Host::new();
    let pair = host.key_pair();
    host.write("srv/app.env", pair.env());
    let (imds, logs) = (healthy(), logs());
    let ran = check(&host.root(), &imds, &logs.url()).run();
    assert_eq!(ran.status, 1, "{}", ran.stderr);

    let told = messages(&logs);
    let opened: Vec<&Value> = told
        .iter()
        .filter(|event| event["event"] == "opened")
        .collect();
    assert_eq!(opened.len(), 1);
    assert_eq!(opened[0]["access_key_id"], pair.id.as_str());
    assert_eq!(opened[0]["location"]["path"], "/srv/app.env");
    assert_eq!(opened[0]["instance"]["auto_scaling_group"], "web-asg");
    assert_eq!(told.last().unwrap()["event"], "heartbeat");
    assert_eq!(told.last().unwrap()["StaticCredentials"], 1);

    let summary = ran.summary();
    assert_eq!(summary["shipped"], told.len());
    assert_eq!(summary["undelivered"], 0);
    assert_eq!(summary["instance_id"], INSTANCE);
}

#[test]
fn a_healthy_clean_host_exits_0_with_one_reassuring_line() {
    let host = Host::new();
    let (imds, logs) = (healthy(), logs());
    let ran = check(&host.root(), &imds, &logs.url()).run();
    let verdicts: Vec<_> = ran
        .of_type("posture")
        .iter()
        .map(|check| (check["check"].to_string(), check["verdict"].to_string()))
        .collect();
    assert_eq!(ran.status, 0, "{verdicts:?} {}", ran.stdout);
    assert!(
        verdicts.iter().all(|(_, verdict)| verdict == "\"pass\""),
        "{verdicts:?}"
    );

    let ran = Rolecall::new(["posture", "--imds-endpoint"])
        .arg(imds.endpoint())
        .arg("--root")
        .arg(host.root())
        .run();
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
    assert!(
        ran.stdout.contains(INSTANCE) && ran.stdout.contains("web"),
        "{}",
        ran.stdout
    );
}

#[test]
fn every_request_is_signed_with_the_roles_key_whatever_the_environment_holds() {
    let host = Host::new();
    let (imds, logs) = (healthy(), logs());
    let decoys = [host.key_pair(), host.key_pair(), host.key_pair()];
    let credentials = format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n[decoy]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        decoys[1].id, decoys[1].secret, decoys[2].id, decoys[2].secret
    );
    let home = Host::new();
    home.write(".aws/credentials", &credentials);
    home.write(".aws/config", "[profile decoy]\nregion = eu-west-1\n");
    let file = home.write("elsewhere", &credentials);
    let ran = check(&host.root(), &imds, &logs.url())
        .env("HOME", home.root())
        .env("AWS_ACCESS_KEY_ID", &decoys[0].id)
        .env("AWS_SECRET_ACCESS_KEY", &decoys[0].secret)
        .env("AWS_SESSION_TOKEN", "decoy")
        .env("AWS_PROFILE", "decoy")
        .env("AWS_SHARED_CREDENTIALS_FILE", file)
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent")
        .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/decoy")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .env("AWS_REGION", "eu-south-2")
        .env("HTTPS_PROXY", "http://127.0.0.1:1")
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("ALL_PROXY", "http://127.0.0.1:1")
        .run();
    assert_eq!(ran.summary()["undelivered"], 0, "{}", ran.stderr);
    let requests = logs.requests();
    assert!(requests.len() >= 2);
    for request in requests {
        assert_eq!(request.access_key_id, imds.credentials().access_key_id);
        assert!(request.with_session_token);
    }
}

#[test]
fn findings_are_read_back_from_moto() {
    let moto = Moto::start();
    moto.create_log_group(GROUP);
    let key = moto.role("rolecall", &["logs:CreateLogStream", "logs:PutLogEvents"]);
    moto.enforce_iam(true);
    let imds = ImdsDouble::builder()
        .credentials(key)
        .role("rolecall")
        .start();
    let host = Host::new();
    let pairs = [host.key_pair(), host.key_pair()];
    host.write("etc/a.env", pairs[0].env());
    host.write("etc/b.env", pairs[1].env());
    let ran = check(&host.root(), &imds, &moto.url())
        .arg("--region")
        .arg(REGION)
        .arg("--ship")
        .arg("always")
        .run();
    moto.enforce_iam(false);
    assert_eq!(
        (ran.status, &ran.summary()["undelivered"]),
        (1, &0.into()),
        "{}",
        ran.stderr
    );
    let put: Vec<Value> = moto
        .messages(GROUP, INSTANCE)
        .iter()
        .map(|message| serde_json::from_str(message).unwrap())
        .collect();
    for pair in &pairs {
        let count = put
            .iter()
            .filter(|event| event["access_key_id"] == pair.id.as_str())
            .count();
        assert_eq!(count, 1, "{}", pair.id);
    }
}

#[test]
fn without_a_role_auto_ships_nothing_and_always_fails() {
    let host = Host::new();
    let (imds, logs) = (ImdsDouble::builder().start(), logs());
    let ran = check(&host.root(), &imds, &logs.url())
        .arg("--fail-on")
        .arg("critical")
        .run();
    assert_eq!(ran.status, 0, "{}", ran.stdout);
    assert!(logs.requests().is_empty());
    let always = |fail_on: &str| {
        check(&host.root(), &imds, &logs.url())
            .arg("--ship")
            .arg("always")
            .arg("--fail-on")
            .arg(fail_on)
            .run()
    };
    let ran = always("never");
    assert_eq!(ran.status, 3);
    assert!(ran.summary()["undelivered"].as_u64() > Some(0));
    // A missing role is a finding of high severity, and a finding comes first.
    assert_eq!(always("high").status, 1);
    assert!(logs.requests().is_empty());
}

#[test]
fn never_opens_no_connection_to_the_logs() {
    let host = Host::new();
    host.write("a.env", host.key_pair().env());
    let (imds, logs) = (healthy(), logs());
    let ran = check(&host.root(), &imds, &logs.url())
        .arg("--ship")
        .arg("never")
        .run();
    assert_eq!(ran.status, 1);
    assert!(logs.requests().is_empty());
}

#[test]
fn what_is_not_accepted_is_said_and_only_always_fails_for_it() {
    let host = Host::new();
    let imds = healthy();
    let logs = LogsDouble::builder()
        .group(GROUP)
        .trouble("PutLogEvents", Trouble::denied("PutLogEvents"), FOREVER)
        .start();
    let ran = check(&host.root(), &imds, &logs.url()).run();
    assert_eq!(ran.status, 0, "{}", ran.stdout);
    assert!(ran.summary()["undelivered"].as_u64() > Some(0));
    assert!(ran.stderr.contains("logs:PutLogEvents"), "{}", ran.stderr);
    let ran = check(&host.root(), &imds, &logs.url())
        .arg("--ship")
        .arg("always")
        .run();
    assert_eq!(ran.status, 3);
}

#[test]
fn a_person_reads_what_was_not_delivered_whatever_else_there_is_to_say() {
    let host = Host::new();
    let config = host.write(
        "rolecall.toml",
        ["/a", "/b", "/c"]
            .map(|path| format!("[[allow]]\npath = \"{path}\"\nreason = \"was {path}\"\n"))
            .concat(),
    );
    let imds = healthy();
    let logs = LogsDouble::builder()
        .group(GROUP)
        .trouble("PutLogEvents", Trouble::denied("PutLogEvents"), FOREVER)
        .start();
    let ran = check_as("text", &host.root(), &imds, &logs.url())
        .arg("--config")
        .arg(&config)
        .run();
    let told = &ran.stdout;
    let undelivered = told.find("NOT DELIVERED: ").expect(told);
    let denied = told.find("may not call logs:PutLogEvents").expect(told);
    let stale = told.find("was /a").expect(told);
    assert!(undelivered < denied && denied < stale, "{told}");
    assert!(told.contains("… and 2 notes below"), "{told}");
    // The remedy to its end, and each entry.
    let statement = "\"Resource\":\"arn:aws:logs:";
    assert!(told.contains(statement) && told.contains("log-group:/rolecall:*\"}"));
    for path in ["/a", "/b", "/c"] {
        assert!(told.contains(&format!("was {path}")), "{told}");
    }
    let ran = check_as("text", &host.root(), &imds, &self::logs().url()).run();
    assert!(ran.stdout.contains("\ndelivered: "), "{}", ran.stdout);
}

#[test]
fn what_keeps_a_limited_run_waiting_leaves_time_for_the_scan() {
    let host = Host::new();
    host.write("srv/app.env", host.key_pair().env());
    let roleless = ImdsDouble::builder().start();
    let hung = ImdsDouble::builder().fault(TOKEN, Fault::Hang).start();
    let logs = logs();
    let limited = |imds: &ImdsDouble| {
        let run = check(&host.root(), imds, &logs.url());
        run.arg("--boot").arg("--timeout").arg("6s").run()
    };
    let verdict = |ran: &Ran, name: &str| {
        let checks = ran.of_type("posture");
        let check = checks.iter().find(|check| check["check"] == name);
        check.unwrap()["verdict"].as_str().unwrap().to_owned()
    };
    let ran = limited(&roleless);
    assert_eq!(ran.status, 1, "{}", ran.stdout);
    assert_eq!(verdict(&ran, "imds.unreachable"), "pass");
    assert_eq!(verdict(&ran, "role.missing"), "fail");
    let ran = limited(&hung);
    let keys = ran.of_type("finding");
    let is_key = |finding: &&Value| finding["rule"] == "aws.access-key-pair";
    assert_eq!(keys.iter().filter(is_key).count(), 1, "{}", ran.stdout);
    assert_eq!(verdict(&ran, "imds.unreachable"), "fail");
}

#[test]
fn off_ec2_the_posture_does_not_apply_and_the_scan_decides() {
    let host = Host::new();
    let check = |host: &Host| {
        Rolecall::new(["check", "--format", "json", "--root"])
            .arg(host.root())
            .run()
    };
    let ran = check(&host);
    assert_eq!(ran.status, 0, "{}", ran.stdout);
    for posture in ran.of_type("posture") {
        assert_eq!(posture["verdict"], "not-applicable");
        assert!(
            posture["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains("EC2"))
        );
    }
    host.write("key.env", host.key_pair().env());
    assert_eq!(check(&host).status, 1);
}

#[test]
fn no_secret_is_written_anywhere() {
    let host = Host::new();
    let imds = healthy();
    let mut secrets = vec![
        imds.credentials().secret_access_key.clone(),
        imds.credentials().session_token.clone(),
    ];
    for number in 0..20 {
        let pair = host.key_pair();
        host.write(&format!("srv/{number}.env"), pair.env());
        let encoded = crate::support::corpus::expand(
            "encoded",
            &format!("<<b64>>AWS_SECRET_ACCESS_KEY=<<secret:{number}>><</b64>>"),
            number,
        );
        host.write(&format!("srv/{number}.b64"), &encoded.bytes);
        secrets.extend(encoded.planted.iter().map(|planted| planted.text.clone()));
        secrets.push(pair.secret);
    }
    let logs = logs();
    let out = Host::new();
    let mut written = String::new();
    for format in ["json", "text"] {
        let ran = check(&host.root(), &imds, &logs.url())
            .arg("-vvv")
            .arg("--fail-on")
            .arg("never")
            .current_dir(&out.root())
            .run();
        written += &ran.stdout;
        written += &ran.stderr;
        let file = out.path(format);
        let _ = Rolecall::new(["scan", "--format", format, "--output"])
            .arg(&file)
            .arg(host.root())
            .run();
        written += &std::fs::read_to_string(file).unwrap();
    }
    for event in logs.events(GROUP, INSTANCE) {
        written += &event.message;
    }
    assert!(written.contains("aws.access-key-pair"));
    for secret in &secrets {
        assert!(!written.contains(secret.as_str()), "a secret was written");
    }
}

#[test]
fn masked_ids_stay_masked_everywhere() {
    let host = Host::new();
    let pair = host.key_pair();
    host.write("srv/app.env", pair.env());
    let config = host.write("rolecall.toml", "redact_access_key_ids = true\n");
    let (imds, logs) = (healthy(), logs());
    let run = |format: &str| -> Ran {
        check(&host.root(), &imds, &logs.url())
            .arg("--config")
            .arg(&config)
            .arg("--fail-on")
            .arg(if format == "json" { "high" } else { "never" })
            .run()
    };
    let ran = run("json");
    assert_eq!(ran.status, 1);
    let masked = format!("{}********{}", &pair.id[..8], &pair.id[16..]);
    assert_eq!(ran.of_type("finding")[0]["access_key_id"], masked.as_str());
    assert!(!ran.stdout.contains(&pair.id));
    assert!(
        logs.events(GROUP, INSTANCE)
            .iter()
            .all(|event| !event.message.contains(&pair.id))
    );
}

#[test]
fn the_roles_own_credentials_are_told_as_such() {
    let mut rng = fastrand::Rng::with_seed(3);
    let key = Key {
        access_key_id: Kind::Asia.generate(&mut rng, None, None),
        secret_access_key: Kind::Secret.generate(&mut rng, None, None),
        session_token: Kind::Token.generate(&mut rng, None, None),
    };
    let host = Host::new();
    host.write(
        "tmp/cached.env",
        format!(
            "AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\nAWS_SESSION_TOKEN={}\n",
            key.access_key_id, key.secret_access_key, key.session_token
        ),
    );
    let imds = ImdsDouble::builder().credentials(key).role("web").start();
    let logs = logs();
    let ran = check(&host.root(), &imds, &logs.url()).run();
    let findings = ran.of_type("finding");
    assert_eq!(findings.len(), 1, "{}", ran.stdout);
    assert_eq!(findings[0]["rule"], "aws.temporary-credentials");
    assert_eq!(findings[0]["severity"], "high");
    assert!(
        findings[0]["title"]
            .as_str()
            .is_some_and(|title| title.contains("own role"))
    );
}

#[test]
fn at_boot_a_late_metadata_service_is_waited_for() {
    let late = || {
        ImdsDouble::builder()
            .role("web")
            .fault_times(TOKEN, Fault::Status(503), 2)
            .start()
    };
    let host = Host::new();
    let posture = |imds: &ImdsDouble| {
        Rolecall::new(["posture", "--format", "json", "--imds-endpoint"])
            .arg(imds.endpoint())
            .arg("--root")
            .arg(host.root())
    };
    let ran = posture(&late()).run();
    assert_eq!(ran.status, 1, "{}", ran.stdout);
    let ran = posture(&late()).arg("--boot").run();
    assert_eq!(ran.status, 0, "{}", ran.stdout);
}

#[test]
fn each_cause_has_its_own_verdict_and_remedy() {
    let hung = ImdsDouble::builder().fault(TOKEN, Fault::Hang).start();
    let disabled = ImdsDouble::builder().disabled().start();
    let without_role = ImdsDouble::builder().start();
    let role_is_gone = ImdsDouble::builder().profile_without_role("web").start();
    // Nobody listens where a listener was.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let cases = [
        (hung.endpoint(), "imds.unreachable"),
        (refused, "imds.unreachable"),
        (disabled.endpoint(), "imds.disabled"),
        (without_role.endpoint(), "role.missing"),
        (role_is_gone.endpoint(), "role.credentials-unusable"),
    ];
    let host = Host::new();
    let mut remedies = std::collections::BTreeSet::new();
    for (endpoint, rule) in &cases {
        let ran = Rolecall::new(["posture", "--format", "json", "--imds-endpoint"])
            .arg(endpoint)
            .arg("--root")
            .arg(host.root())
            .run();
        assert_eq!(ran.status, 1, "{rule}: {}", ran.stdout);
        let findings = ran.of_type("finding");
        let rules: Vec<_> = findings.iter().map(|finding| &finding["rule"]).collect();
        assert_eq!(rules, [*rule]);
        remedies.insert(findings[0]["remediation"].to_string());
        let failed: Vec<Value> = ran
            .of_type("posture")
            .into_iter()
            .filter(|check| check["verdict"] == "fail")
            .collect();
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0]["check"], *rule);
    }
    assert_eq!(remedies.len(), cases.len(), "{remedies:#?}");
}

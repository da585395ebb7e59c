//! A key of which the ID stands in one file and the secret in another, where a
//! unit takes both.

use serde_json::{Value, json};

use crate::daemon::{SELDOM, healthy, home, logs, told};
use crate::support::daemon::wait;
use crate::support::host::{Host, KeyPair};
use crate::support::rolecall::{Ran, Rolecall};
use crate::support::sts_double::{Say, StsDouble};

const UNIT: &str = "etc/systemd/system/app.service";
const DROP_IN: &str = "etc/systemd/system/app.service.d/key.conf";
const FILE: &str = "etc/app/secret.env";

const TAKES_FILE: &str = "EnvironmentFile=/etc/app/secret.env\n";

/// A host whose unit has the ID and takes the secret from a file.
fn host_with(pair: &KeyPair) -> Host {
    let host = Host::new();
    host.write(UNIT, unit(&pair.id, TAKES_FILE));
    host.write(FILE, secret(pair));
    host
}

fn unit(id: &str, more: &str) -> String {
    format!("[Service]\nEnvironment=AWS_ACCESS_KEY_ID={id}\n{more}")
}

fn secret(pair: &KeyPair) -> String {
    format!("AWS_SECRET_ACCESS_KEY={}\n", pair.secret)
}

fn scan_with(host: &Host, config: &str, args: &[&str]) -> Ran {
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), config).unwrap();
    Rolecall::new(["scan", "--root"])
        .arg(host.root())
        .arg("--config")
        .arg(file.path())
        .args(args)
        .run()
}

fn scan(host: &Host) -> Ran {
    scan_with(host, "", &["--format", "json"])
}

/// The finding in a file, without what the file system says of it.
fn at(ran: &Ran, path: &str) -> Value {
    let mut findings = ran.of_type("finding");
    findings.retain(|finding| finding["location"]["path"] == format!("/{path}"));
    let found: [Value; 1] = findings.try_into().expect("one finding");
    let [mut finding] = found;
    finding["file"] = Value::Null;
    finding
}

fn rule_at(ran: &Ran, path: &str) -> String {
    at(ran, path)["rule"].as_str().unwrap().to_owned()
}

/// Some of the fields of the summary.
fn summary(ran: &Ran, fields: &[&str]) -> Vec<u64> {
    let [summary] = &ran.of_type("summary")[..] else {
        panic!("one summary");
    };
    let fields = fields.iter();
    fields
        .map(|field| summary[field].as_u64().unwrap())
        .collect()
}

#[test]
fn each_of_the_two_files_is_a_place_of_the_whole_key() {
    let pair = Host::new().key_pair();
    for (path, text) in [
        (FILE, secret(&pair)),
        (DROP_IN, format!("[Service]\nEnvironment={}", secret(&pair))),
    ] {
        // What the detector makes of it where one file has both.
        let host = host_with(&pair);
        let more = format!("Environment={}", secret(&pair));
        host.write(UNIT, unit(&pair.id, &more));
        host.write(FILE, "");
        host.write(path, "");
        let whole = at(&scan(&host), UNIT);
        assert_eq!(whole["rule"], "aws.access-key-pair");

        host.write(UNIT, unit(&pair.id, TAKES_FILE));
        host.write(path, &text);
        let ran = scan(&host);
        assert_eq!(at(&ran, UNIT), whole, "{path}");
        let other = at(&ran, path);
        for field in [
            "rule",
            "severity",
            "confidence",
            "title",
            "access_key_id",
            "account_id",
            "secret_fingerprint",
            "controls",
            "remediation",
            "used_by",
        ] {
            assert_eq!(other[field], whole[field], "{path}: {field}");
        }
        assert_ne!(other["id"], whole["id"]);
        assert_eq!(other["location"]["unit"], "app.service");
        assert_eq!(
            summary(&ran, &["credentials", "findings", "critical"]),
            [1, 2, 2]
        );
        let text = scan_with(&host, "", &[]);
        assert!(text.stdout.contains("2 places"), "{}", text.stdout);
        for ran in [ran, text] {
            assert!(!(ran.stdout + &ran.stderr).contains(&pair.secret));
        }
    }
}

#[test]
fn a_scan_of_one_of_the_files_tells_the_same_as_a_scan_of_both() {
    let host = host_with(&Host::new().key_pair());
    let ran = scan(&host);
    for path in [UNIT, FILE] {
        let alone = scan_with(&host, "", &["--format", "json", &format!("/{path}")]);
        assert_eq!(at(&alone, path), at(&ran, path));
    }
}

#[test]
fn what_no_process_of_the_unit_is_given_stays_alone() {
    let names = Host::new();
    let [pair, other] = [(); 2].map(|()| names.key_pair());
    let host = host_with(&pair);
    // Overridden by what is read later.
    host.write(DROP_IN, unit(&other.id, ""));
    let ran = scan(&host);
    assert_eq!(rule_at(&ran, UNIT), "aws.access-key-id");
    assert_eq!(rule_at(&ran, DROP_IN), "aws.access-key-pair");
    assert_eq!(at(&ran, FILE)["access_key_id"], other.id.as_str());

    for drop_in in [
        "[Service]\nUnsetEnvironment=AWS_SECRET_ACCESS_KEY\n",
        "[Service]\nEnvironmentFile=\n",
    ] {
        host.write(DROP_IN, drop_in);
        let ran = scan(&host);
        assert_eq!(rule_at(&ran, UNIT), "aws.access-key-id", "{drop_in}");
        assert_eq!(rule_at(&ran, FILE), "aws.secret-access-key", "{drop_in}");
    }
}

#[test]
fn a_secret_that_overrides_the_one_beside_the_id_is_the_keys() {
    let host = Host::new();
    let (stale, pair) = (host.key_pair(), host.key_pair());
    let files = "EnvironmentFile=/etc/app/key.env\n";
    host.write(UNIT, format!("[Service]\n{files}{TAKES_FILE}"));
    let id = format!("AWS_ACCESS_KEY_ID={}\n", pair.id);
    host.write("etc/app/key.env", id + &secret(&stale));
    host.write(FILE, secret(&pair));
    let ran = scan(&host);
    let (beside, whole) = (at(&ran, "etc/app/key.env"), at(&ran, FILE));
    for told in [&beside, &whole] {
        assert_eq!(told["rule"], "aws.access-key-pair", "{told}");
        assert_eq!(told["access_key_id"], pair.id.as_str());
    }
    let fingerprint = |pair: &KeyPair| {
        let secret = rolecall::secret::Secret::new(pair.secret.as_str());
        Value::from(rolecall::finding::secret_fingerprint(&secret))
    };
    assert_eq!(beside["secret_fingerprint"], fingerprint(&stale));
    assert_eq!(whole["secret_fingerprint"], fingerprint(&pair));

    // In the other order what counts stands together.
    host.write(UNIT, format!("[Service]\n{TAKES_FILE}{files}"));
    assert_eq!(rule_at(&scan(&host), FILE), "aws.secret-access-key");
}

#[test]
fn a_placeholder_makes_no_key_whole() {
    let mut pair = Host::new().key_pair();
    pair.secret.replace_range(30.., "EXAMPLEKEY");
    let ran = scan(&host_with(&pair));
    assert_eq!(rule_at(&ran, UNIT), "aws.access-key-id");
    assert_eq!(summary(&ran, &["findings", "critical"]), [1, 0]);
}

#[test]
fn a_secret_that_two_units_give_to_different_ids_stays_alone() {
    let names = Host::new();
    let [pair, other] = [(); 2].map(|()| names.key_pair());
    let host = host_with(&pair);
    host.write("etc/systemd/system/b.service", unit(&other.id, TAKES_FILE));
    let ran = scan(&host);
    assert_eq!(summary(&ran, &["findings", "critical"]), [3, 0]);

    // Of one ID it is, whoever takes it.
    host.write("etc/systemd/system/b.service", unit(&pair.id, TAKES_FILE));
    let ran = scan(&host);
    assert_eq!(
        summary(&ran, &["credentials", "findings", "critical"]),
        [1, 3, 3]
    );
    let users = json!([{"unit": "app.service"}, {"unit": "b.service"}]);
    assert_eq!(at(&ran, FILE)["used_by"], users);
}

#[test]
fn instances_take_their_keys_from_two_files_as_well_and_users_units_count_for_nothing() {
    let names = Host::new();
    let [pair, of_root, of_user] = [(); 3].map(|()| names.key_pair());
    let host = Host::new();
    let system = "etc/systemd/system/worker@.service";
    host.write(system, unit(&pair.id, "EnvironmentFile=/etc/%i.env\n"));
    host.write("etc/systemd/system/worker@one.service.d/x.conf", "[Unit]\n");
    host.write("etc/one.env", secret(&pair));
    host.write("etc/passwd", "bob:x:1001:1001::/home/bob:/bin/sh\n");
    let user = "home/bob/.config/systemd/user/mine.service";
    host.write(user, unit(&of_user.id, "EnvironmentFile=/root/its.env\n"));
    host.write("root/its.env", secret(&of_root));
    let ran = scan(&host);
    for path in [system, "etc/one.env"] {
        assert_eq!(rule_at(&ran, path), "aws.access-key-pair", "{path}");
    }
    assert_eq!(rule_at(&ran, user), "aws.access-key-id");
    assert_eq!(rule_at(&ran, "root/its.env"), "aws.secret-access-key");
}

#[test]
fn what_is_accepted_or_left_out_stays_so() {
    let pair = Host::new().key_pair();
    let host = host_with(&pair);
    let allow = |what: &str| format!("[[allow]]\n{what}\nreason = \"known\"\n");
    let fingerprint = at(&scan(&host), UNIT)["secret_fingerprint"].clone();
    for what in [
        format!("access_key_id = \"{}\"", pair.id),
        format!("secret_fingerprint = {fingerprint}"),
        "rule = \"aws.access-key-pair\"".into(),
    ] {
        let ran = scan_with(&host, &allow(&what), &["--format", "json"]);
        assert_eq!(summary(&ran, &["findings", "allowed"]), [0, 2], "{what}");
        assert!(!ran.stderr.contains("matches nothing"), "{}", ran.stderr);
    }
    // Whoever accepts one of the places, or does not look, is told of the other
    // as before.
    for config in [
        allow(&format!("path = \"/{FILE}\"")),
        format!("[scan]\nexclude = [\"/{FILE}\"]\n"),
    ] {
        let ran = scan_with(&host, &config, &["--format", "json"]);
        assert_eq!(rule_at(&ran, UNIT), "aws.access-key-id", "{config}");
        assert_eq!(summary(&ran, &["findings"]), [1]);
    }
    let config = allow(&format!("path = \"/{UNIT}\""));
    let ran = scan_with(&host, &config, &["--format", "json"]);
    assert_eq!(rule_at(&ran, FILE), "aws.secret-access-key");
}

#[test]
fn a_key_from_two_files_is_verified_and_masked_as_any_other() {
    let pair = Host::new().key_pair();
    let (host, sts) = (host_with(&pair), StsDouble::start(Say::Known));
    let plain = scan(&host);
    let config = format!(
        "redact_access_key_ids = true\n[ship]\nsts_endpoint = \"{}\"\n",
        sts.url()
    );
    let ran = scan_with(&host, &config, &["--verify", "--format", "json"]);
    assert_eq!(sts.calls(), [pair.id.as_str()]);
    for path in [UNIT, FILE] {
        let finding = at(&ran, path);
        assert_eq!(finding["verified"], "active");
        assert_eq!(finding["id"], at(&plain, path)["id"]);
    }
    assert!(!ran.stdout.contains(&pair.id), "{}", ran.stdout);
}

#[test]
fn the_service_tells_a_key_once_whichever_of_its_files_changes() {
    let names = Host::new();
    let [pair, noted, next] = [(); 3].map(|()| names.key_pair());
    let host = host_with(&pair);
    let (imds, logs) = (healthy(), logs());
    let config = format!("{SELDOM}[watch]\npaths = [\"/etc\"]\n");
    let home = home(&config, &imds, &logs);
    let mut daemon = home.start(&host.root());
    daemon.status_when("a sweep", |status| status["sweeps"] == 1);
    let of = |event: &str, count: usize| {
        wait("what is told", || {
            let mut all = told(&logs, event);
            // A loaded machine may fail a posture check.
            all.retain(|one| one["rule"].as_str().unwrap().starts_with("aws."));
            (all.len() >= count).then_some(all)
        })
    };
    let first = of("opened", 2);
    assert!(first.iter().all(|one| one["rule"] == "aws.access-key-pair"));

    // Each is looked at again, the other one is not; the new key says that it
    // was.
    let text = format!("# the same\n{}", secret(&pair));
    host.write(FILE, text);
    host.write("etc/app/new.env", noted.env());
    let opened = of("opened", 3);
    assert_eq!(opened[2]["access_key_id"], noted.id.as_str());

    let rotated = KeyPair {
        secret: next.secret,
        ..pair.clone()
    };
    host.write(FILE, secret(&rotated));
    let opened = of("opened", 4);
    assert_eq!(opened[3]["rule"], "aws.access-key-pair");
    assert_eq!(opened[3]["location"]["path"], format!("/{FILE}"));
    let resolved = of("resolved", 1);
    assert_eq!(
        resolved[0]["secret_fingerprint"],
        first[0]["secret_fingerprint"]
    );
    assert_eq!(resolved[0]["location"]["path"], format!("/{FILE}"));
    daemon.stop();
    assert_eq!((of("opened", 4).len(), of("resolved", 1).len()), (4, 1));
    for key in [&pair, &rotated] {
        assert!(!home.log().contains(&key.secret));
        let ledger = std::fs::read(home.state_dir().join("ledger.sqlite")).unwrap();
        let secret = key.secret.as_bytes();
        assert!(!ledger.windows(secret.len()).any(|part| part == secret));
    }
}

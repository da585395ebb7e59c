//! `--verify`: found keys, asked of STS.

use jiff::SignedDuration;
use serde_json::Value;

use crate::support::corpus::Kind;
use crate::support::host::{Host, KeyPair};
use crate::support::moto::{Moto, element};
use crate::support::rolecall::{Ran, Rolecall};
use crate::support::sts_double::{Say, StsDouble};

/// A scan of the host that verifies by `sts`, or does not verify.
fn scan(host: &Host, sts: &str, flags: &[&str]) -> Ran {
    let config = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(config.path(), format!("[ship]\nsts_endpoint = \"{sts}\"\n")).unwrap();
    let root = host.root();
    flags
        .iter()
        .fold(Rolecall::new(["scan", "--root"]).arg(root), Rolecall::arg)
        .arg("--config")
        .arg(config.path())
        .run()
}

fn json(host: &Host, sts: &str) -> Ran {
    scan(host, sts, &["--verify", "--format", "json"])
}

/// What is told of the finding in the file.
fn told(ran: &Ran, file: &str) -> (Value, Value) {
    let mut findings = ran.of_type("finding");
    findings.retain(|finding| finding["location"]["path"] == format!("/{file}"));
    assert_eq!(findings.len(), 1, "{file}: {}", ran.stdout);
    (
        findings[0]["verified"].clone(),
        findings[0]["severity"].clone(),
    )
}

fn pair_of(moto: &Moto, user: &str) -> KeyPair {
    moto.iam("CreateUser", &[("UserName", user)]);
    let answer = moto.iam("CreateAccessKey", &[("UserName", user)]);
    KeyPair {
        id: element(&answer, "AccessKeyId"),
        secret: element(&answer, "SecretAccessKey"),
    }
}

#[test]
fn moto_tells_active_keys_from_dead_ones_and_from_wrong_secrets() {
    let (moto, host) = (Moto::start(), Host::new());
    let active = pair_of(&moto, "deploy");
    let dead = host.key_pair();
    let wrong = KeyPair {
        secret: host.key_pair().secret,
        ..pair_of(&moto, "rotated")
    };
    let temporary = moto.role("web", &[]);
    host.write("active.env", active.env());
    host.write("dead.env", dead.env());
    host.write("wrong.env", wrong.env());
    let session = format!(
        "AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\nAWS_SESSION_TOKEN={}\n",
        temporary.access_key_id, temporary.secret_access_key, temporary.session_token
    );
    host.write("session.env", session);
    moto.enforce_iam(true);
    let ran = json(&host, &moto.url());
    for (file, verified, severity) in [
        ("active.env", "active", "critical"),
        ("dead.env", "inactive", "medium"),
        ("wrong.env", "wrong-secret", "high"),
        ("session.env", "active", "high"),
    ] {
        let expected = (Value::from(verified), Value::from(severity));
        assert_eq!(told(&ran, file), expected, "{file}");
    }
    assert_eq!(ran.status, 1);
    for secret in [&active.secret, &dead.secret, &wrong.secret] {
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret));
    }

    let text = scan(&host, &moto.url(), &["--verify"]).stdout;
    assert!(text.contains(&format!("{} (active)", active.id)), "{text}");
    assert!(text.contains(&format!("{} (inactive)", dead.id)), "{text}");
}

#[test]
fn a_host_of_dead_keys_alone_does_not_fail_at_high() {
    let (sts, host) = (
        StsDouble::start(Say::Refused("InvalidClientTokenId", "")),
        Host::new(),
    );
    host.write("dead.env", host.key_pair().env());
    assert_eq!(json(&host, &sts.url()).status, 0);
    assert_eq!(scan(&host, &sts.url(), &[]).status, 1);
}

#[test]
fn a_key_is_tried_once_wherever_it_stands_and_masked_or_not() {
    let (sts, host) = (StsDouble::start(Say::Known), Host::new());
    let pair = host.key_pair();
    for file in ["a.env", "b.env", "c/d.env"] {
        host.write(file, pair.env());
    }
    let ran = json(&host, &sts.url());
    assert_eq!(sts.calls(), [pair.id.as_str()]);
    for file in ["a.env", "b.env", "c/d.env"] {
        assert_eq!(told(&ran, file).0, "active");
    }
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    let text = format!(
        "redact_access_key_ids = true\n[ship]\nsts_endpoint = \"{}\"\n",
        sts.url()
    );
    std::fs::write(file.path(), text).unwrap();
    let ran = Rolecall::new(["scan", "--verify", "--format", "json", "--root"])
        .arg(host.root())
        .arg("--config")
        .arg(file.path())
        .run();
    assert_eq!(told(&ran, "a.env").0, "active");
    assert!(!ran.stdout.contains(&pair.id));
    assert_eq!(sts.calls().len(), 2);
}

#[test]
fn nobody_is_asked_unless_that_was_wanted_and_never_about_a_canary() {
    let (sts, host) = (StsDouble::start(Say::Known), Host::new());
    let canary = KeyPair {
        id: Kind::Canary.generate(&mut fastrand::Rng::with_seed(7), None, None),
        secret: host.key_pair().secret,
    };
    host.write("canary.env", canary.env());
    let ran = json(&host, &sts.url());
    assert_eq!(
        told(&ran, "canary.env"),
        ("unknown".into(), "critical".into())
    );

    host.write("key.env", host.key_pair().env());
    let ran = scan(&host, &sts.url(), &["--format", "json"]);
    assert_eq!(told(&ran, "key.env"), (Value::Null, "critical".into()));
    assert!(sts.calls().is_empty(), "{:?}", sts.calls());
}

#[test]
fn what_says_nothing_of_a_key_leaves_it_as_grave_as_it_was() {
    let late = "Signature expired: 20260301T100000Z is now earlier than 20260301T101500Z";
    let now = SignedDuration::ZERO;
    let hour = SignedDuration::from_hours(1);
    for (ahead, say, verified) in [
        (now, Say::Page(503), "unknown"),
        (now, Say::Reset, "unknown"),
        (now, Say::Refused("SignatureDoesNotMatch", late), "unknown"),
        (hour, Say::Refused("SignatureDoesNotMatch", ""), "unknown"),
        // Denied by a policy, which knows who it is.
        (now, Say::Refused("AccessDenied", ""), "active"),
    ] {
        let host = Host::new();
        host.write("key.env", host.key_pair().env());
        let told_by = say.clone();
        let sts = StsDouble::answering(ahead, move |_| told_by.clone());
        let ran = json(&host, &sts.url());
        let expected = (Value::from(verified), Value::from("critical"));
        assert_eq!(told(&ran, "key.env"), expected, "{say:?}");
        assert_eq!(sts.calls().len(), 1);
    }
}

#[test]
fn a_service_that_hangs_is_given_up_with_the_time_of_the_run() {
    let (sts, host) = (StsDouble::start(Say::Hang), Host::new());
    for number in 0..9 {
        host.write(&format!("{number}.env"), host.key_pair().env());
    }
    let flags = ["--verify", "--format", "json", "--timeout", "2s"];
    let ran = scan(&host, &sts.url(), &flags);
    assert_eq!(told(&ran, "0.env"), ("unknown".into(), "critical".into()));
    // No more at one time than is polite.
    assert!(sts.calls().len() <= 4);
}

#[test]
fn check_verifies_as_well() {
    let (sts, host) = (StsDouble::start(Say::Known), Host::new());
    host.write("key.env", host.key_pair().env());
    let config = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    let text = format!(
        "[ship]\nsts_endpoint = \"{}\"\n[scan]\nprocesses = false\n",
        sts.url()
    );
    std::fs::write(config.path(), text).unwrap();
    let ran = Rolecall::new(["check", "--verify", "--format", "json", "--root"])
        .arg(host.root())
        .arg("--config")
        .arg(config.path())
        .run();
    assert_eq!(told(&ran, "key.env").0, "active");
    assert_eq!(sts.calls().len(), 1);
}

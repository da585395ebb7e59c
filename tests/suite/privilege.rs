//! `role.overprivileged` and `role.trust-too-wide`, against moto's IAM.

use rolecall::finding::{Rule, Verdict};
use rolecall::posture::{Posture, Services, Settings};
use serde_json::{Value, json};

use crate::posture::{assert_verdict, check, posture};
use crate::support::http::{Reply, Response, Server};
use crate::support::imds_double::{Builder, Fault, ImdsDouble, ROLES};
use crate::support::moto::Moto;
use crate::support::role::Key;
use crate::support::rolecall::Rolecall;

const WIDE: Rule = Rule::RoleOverprivileged;
const TRUST: Rule = Rule::RoleTrustTooWide;

/// What a role needs to be judged by itself.
const READ: [&str; 6] = [
    "iam:GetRole",
    "iam:ListAttachedRolePolicies",
    "iam:ListRolePolicies",
    "iam:GetRolePolicy",
    "iam:GetPolicy",
    "iam:GetPolicyVersion",
];

fn judged(builder: Builder, iam: Option<String>) -> Posture {
    let double = builder.start();
    posture(&Settings {
        endpoint: double.endpoint(),
        endpoint_is_explicit: true,
        role_policies: true,
        services: Services {
            iam_endpoint: iam,
            ..Services::default()
        },
        ..Settings::default()
    })
}

fn web(key: Key) -> Builder {
    ImdsDouble::builder().role("web").credentials(key)
}

fn allow(action: &Value, resource: &str) -> String {
    let statement = json!({"Effect": "Allow", "Action": action, "Resource": resource});
    json!({"Version": "2012-10-17", "Statement": statement}).to_string()
}

fn put(moto: &Moto, name: &str, document: &str) {
    let parameters = [
        ("RoleName", "web"),
        ("PolicyName", name),
        ("PolicyDocument", document),
    ];
    moto.iam("PutRolePolicy", &parameters);
}

fn attach(moto: &Moto, name: &str, document: &str) {
    moto.iam(
        "CreatePolicy",
        &[("PolicyName", name), ("PolicyDocument", document)],
    );
    let arn = format!("arn:aws:iam::123456789012:policy/{name}");
    moto.iam(
        "AttachRolePolicy",
        &[("RoleName", "web"), ("PolicyArn", &arn)],
    );
}

#[test]
fn a_role_of_few_rights_for_ec2_alone_passes() {
    let moto = Moto::start();
    let key = moto.role("web", &READ);
    let few = allow(&json!(["s3:*", "logs:PutLogEvents"]), "*");
    // More than a page of them, and characters that are percent-encoded.
    for number in 0..120 {
        put(&moto, &format!("få+w {number}"), &few);
    }
    attach(&moto, "few", &few);
    moto.enforce_iam(true);
    let posture = judged(web(key), Some(moto.url()));
    assert_verdict(&posture, TRUST, Verdict::Pass, Some("ec2 only"));
    // That many are no role's of AWS's.
    assert_verdict(&posture, WIDE, Verdict::Unknown, Some("unread"));
    moto.enforce_iam(false);
    for number in 10..120 {
        let name = format!("få+w {number}");
        moto.iam(
            "DeleteRolePolicy",
            &[("RoleName", "web"), ("PolicyName", &name)],
        );
    }
    let posture = judged(web(Key::temporary(0)), Some(moto.url()));
    assert_verdict(&posture, WIDE, Verdict::Pass, Some("limited"));
}

#[test]
fn wide_policies_and_a_wide_trust_fail_and_are_named() {
    let moto = Moto::start();
    let key = moto.role("web", &READ);
    attach(&moto, "deploy", &allow(&json!("iam:PassRole"), "*"));
    put(&moto, "legacy", &allow(&json!(["s3:Get*", "*"]), "*"));
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": "ec2.amazonaws.com", "AWS": "arn:aws:iam::999999999999:root"},
    }]});
    moto.iam(
        "UpdateAssumeRolePolicy",
        &[("RoleName", "web"), ("PolicyDocument", &trust.to_string())],
    );
    moto.enforce_iam(true);
    let posture = judged(web(key), Some(moto.url()));
    assert_verdict(&posture, WIDE, Verdict::Fail, Some("too-wide"));
    let reason = &check(&posture, WIDE).reason;
    assert!(
        reason.contains("deploy allows iam:PassRole on *"),
        "{reason}"
    );
    assert!(reason.contains("legacy allows *:* on *"), "{reason}");
    assert_verdict(&posture, TRUST, Verdict::Fail, Some("too-wide"));
    let reason = &check(&posture, TRUST).reason;
    assert!(
        reason.contains("AWS arn:aws:iam::999999999999:root"),
        "{reason}"
    );
    // The other checks, and delivery, are none the worse for it.
    assert!(posture.role_usable);
}

#[test]
fn a_role_that_may_not_read_itself_is_not_assessable_and_good() {
    let moto = Moto::start();
    let key = moto.role("web", &["s3:GetObject"]);
    moto.enforce_iam(true);
    let posture = judged(web(key), Some(moto.url()));
    for rule in [WIDE, TRUST] {
        assert_verdict(&posture, rule, Verdict::NotApplicable, Some("denied"));
        let reason = &check(&posture, rule).reason;
        assert!(reason.contains("not assessable, and good"), "{reason}");
    }
}

#[test]
fn what_may_be_read_is_judged_although_the_rest_may_not() {
    let moto = Moto::start();
    let key = moto.role("web", &["iam:ListRolePolicies", "iam:GetRolePolicy"]);
    put(&moto, "legacy", &allow(&json!("iam:*"), "*"));
    moto.enforce_iam(true);
    let posture = judged(web(key), Some(moto.url()));
    // moto grants the rest as well, since `iam:*` is in force.
    assert_verdict(&posture, WIDE, Verdict::Fail, Some("too-wide"));
}

#[test]
fn an_iam_that_does_not_answer_sensibly_is_unknown_within_five_seconds() {
    for reply in ["hang", "page"] {
        let server = Server::start(move |_| match reply {
            "hang" => Reply::Hang,
            _ => Reply::Answer(Response::new(403, "<html>sign in</html>")),
        });
        let started = std::time::Instant::now();
        let posture = judged(web(Key::temporary(0)), Some(server.url()));
        assert!(started.elapsed() < std::time::Duration::from_secs(5));
        for rule in [WIDE, TRUST] {
            assert_eq!(check(&posture, rule).verdict, Verdict::Unknown, "{reply}");
        }
        assert!(posture.role_usable);
    }
}

#[test]
fn credentials_are_not_shown_to_the_public_iam_for_a_role_that_is_not_awss() {
    let posture = judged(web(Key::temporary(0)), None);
    for rule in [WIDE, TRUST] {
        assert_eq!(check(&posture, rule).verdict, Verdict::Unknown);
        assert!(check(&posture, rule).reason.contains("IAM was not asked"));
    }
}

#[test]
fn without_a_role_its_policies_do_not_apply() {
    let posture = judged(ImdsDouble::builder(), None);
    assert_verdict(&posture, WIDE, Verdict::NotApplicable, None);
    let untold = ImdsDouble::builder().fault(ROLES, Fault::Status(403));
    assert_verdict(&judged(untold, None), TRUST, Verdict::Unknown, None);
}

#[test]
fn the_checks_are_there_when_they_are_switched_on() {
    let moto = Moto::start();
    let imds = web(Key::temporary(0)).start();
    moto.role("web", &["iam:*"]);
    let config = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    let iam = moto.url();
    for (switch, rules) in [(false, 0), (true, 2)] {
        let text = format!("[posture]\nrole_policies = {switch}\niam_endpoint = \"{iam}\"\n");
        std::fs::write(config.path(), text).unwrap();
        let ran = Rolecall::new(["posture", "--format", "json", "--imds-endpoint"])
            .arg(imds.endpoint())
            .arg("--config")
            .arg(config.path())
            .run();
        let mut checks = ran.of_type("posture");
        checks.retain(|check| check["check"] == WIDE.name() || check["check"] == TRUST.name());
        assert_eq!(checks.len(), rules);
        assert_eq!(ran.status, i32::from(switch), "{}", ran.stdout);
    }
}

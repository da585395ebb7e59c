//! The posture of a whole instance: each cause, its verdict and its time.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use rolecall::finding::{PostureCheck, Rule, Verdict, posture_remediation};
use rolecall::posture::{Posture, Settings, assess};

use crate::imds::run;
use crate::support::imds_double::{
    Builder, Fault, GROUP, IAM_INFO, IDENTITY, ImdsDouble, LIFECYCLE, LISTING, PARTITION, ROLES,
    TOKEN,
};
use crate::support::side_by_side::side_by_side;

const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/web";

fn settings(double: &ImdsDouble) -> Settings {
    Settings {
        endpoint: double.endpoint(),
        endpoint_is_explicit: true,
        ..Settings::default()
    }
}

pub(crate) fn posture(settings: &Settings) -> Posture {
    run(assess(settings, Path::new("/nowhere")))
}

/// By hand, against a double made of `builder`.
fn by_hand(builder: Builder) -> Posture {
    posture(&settings(&builder.start()))
}

pub(crate) fn check(posture: &Posture, rule: Rule) -> &PostureCheck {
    let mut found = posture.checks.iter().filter(|check| check.check == rule);
    let check = found.next().expect("every check is told");
    assert!(found.next().is_none(), "{rule} is told once");
    check
}

#[track_caller]
pub(crate) fn assert_verdict(
    posture: &Posture,
    rule: Rule,
    verdict: Verdict,
    observed: Option<&str>,
) {
    let check = check(posture, rule);
    assert_eq!(
        (check.verdict, check.observed.as_deref()),
        (verdict, observed),
        "{check:?}"
    );
    assert!(!check.reason.is_empty());
}

#[test]
fn a_healthy_instance_passes_every_check_without_waiting() {
    let double = ImdsDouble::builder()
        .role("web")
        .auto_scaling_group("web-group")
        .start();
    let started = Instant::now();
    let posture = posture(&settings(&double));
    assert!(started.elapsed() < Duration::from_secs(5));
    for check in &posture.checks {
        assert_eq!(check.verdict, Verdict::Pass, "{check:?}");
    }
    assert_eq!(posture.checks.len(), 8);
    assert!(posture.role_usable);
    let instance = &posture.instance;
    assert_eq!(instance.instance_id.as_deref(), Some("i-0123456789abcdef0"));
    assert_eq!(instance.account_id.as_deref(), Some("609629065308"));
    assert_eq!(instance.region.as_deref(), Some("eu-central-1"));
    assert_eq!(instance.image_id.as_deref(), Some("ami-0123456789abcdef0"));
    assert_eq!(instance.auto_scaling_group.as_deref(), Some("web-group"));
    assert_eq!(instance.role.as_deref(), Some("web"));
    assert_eq!(posture.partition.as_deref(), Some("aws"));
    assert_eq!(
        posture.role_key.map(|key| key.access_key_id),
        Some(double.credentials().access_key_id.clone())
    );
}

#[test]
fn the_environment_has_no_say() {
    // The healthy case again, in a process whose environment points elsewhere.
    let nowhere = "http://127.0.0.1:9";
    let elsewhere = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "posture::a_healthy_instance_passes_every_check_without_waiting",
        ])
        .envs(
            [
                "http_proxy",
                "HTTP_PROXY",
                "all_proxy",
                "ALL_PROXY",
                "https_proxy",
            ]
            .map(|name| (name, nowhere)),
        )
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", nowhere)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&elsewhere.stdout);
    assert!(
        elsewhere.status.success() && told.contains("1 passed"),
        "{told}"
    );
}

#[test]
fn off_ec2_nothing_is_asked() {
    let double = ImdsDouble::builder().role("web").start();
    let settings = Settings {
        endpoint_is_explicit: false,
        ..settings(&double)
    };
    let posture = posture(&settings);
    for check in &posture.checks {
        assert_eq!(check.verdict, Verdict::NotApplicable);
        assert!(check.reason.contains("not an EC2 instance"));
    }
    assert!(!posture.role_usable);
    assert_eq!(double.connections(), 0);
}

#[test]
fn on_ec2_the_default_endpoint_is_asked() {
    let root = tempfile::tempdir().unwrap();
    let dmi = root.path().join("sys/class/dmi/id");
    std::fs::create_dir_all(&dmi).unwrap();
    std::fs::write(dmi.join("sys_vendor"), "Amazon EC2\n").unwrap();
    let double = ImdsDouble::builder().role("web").start();
    let settings = Settings {
        endpoint_is_explicit: false,
        ..settings(&double)
    };
    let posture = run(assess(&settings, root.path()));
    assert!(posture.role_usable);
}

#[test]
fn a_disabled_service_is_final() {
    let double = ImdsDouble::builder().disabled().start();
    let settings = Settings {
        wait: Duration::from_mins(10),
        ..settings(&double)
    };
    let posture = posture(&settings);
    assert_verdict(
        &posture,
        Rule::ImdsUnreachable,
        Verdict::Pass,
        Some("reachable"),
    );
    assert_verdict(
        &posture,
        Rule::ImdsDisabled,
        Verdict::Fail,
        Some("disabled"),
    );
    assert_verdict(&posture, Rule::ImdsV1Enabled, Verdict::NotApplicable, None);
    assert_verdict(&posture, Rule::ImdsHopLimit, Verdict::NotApplicable, None);
    assert_verdict(&posture, Rule::RoleMissing, Verdict::Unknown, None);
    assert_verdict(
        &posture,
        Rule::RoleCredentialsUnusable,
        Verdict::Unknown,
        None,
    );
    assert_eq!(double.requests().len(), 1);
}

#[test]
fn each_way_of_not_answering_has_its_cause() {
    side_by_side(
        [
            (Fault::Status(404), "not-found"),
            (Fault::Status(429), "throttled"),
            (Fault::Status(503), "throttled"),
            (Fault::Status(500), "unexpected-status"),
            (Fault::Status(407), "proxy"),
            (Fault::Header("Via", "1.1 squid"), "proxy"),
            (Fault::Reset, "interrupted"),
            (Fault::CutBody, "interrupted"),
            (Fault::EndlessBody, "too-large"),
            (Fault::Garbage, "malformed"),
            (Fault::HugeHeaders, "malformed"),
            (Fault::Body(Vec::new()), "empty"),
        ],
        |(fault, cause)| {
            let posture = by_hand(ImdsDouble::builder().role("web").fault(TOKEN, fault));
            assert_verdict(&posture, Rule::ImdsUnreachable, Verdict::Fail, Some(cause));
            for rule in [
                Rule::ImdsDisabled,
                Rule::ImdsV1Enabled,
                Rule::ImdsHopLimit,
                Rule::RoleMissing,
                Rule::RoleCredentialsUnusable,
            ] {
                assert_eq!(check(&posture, rule).verdict, Verdict::Unknown, "{rule}");
            }
            assert!(!posture.role_usable);
        },
    );
}

#[test]
fn what_fails_in_passing_is_asked_again() {
    let passing = [Fault::Status(429), Fault::Status(503), Fault::Reset];
    let paths = [TOKEN, LISTING, ROLES, CREDENTIALS, IDENTITY];
    let cases: Vec<_> = passing
        .iter()
        .flat_map(|fault| paths.map(|path| (path, fault.clone())))
        .collect();
    side_by_side(cases, |(path, fault)| {
        let web = ImdsDouble::builder().role("web");
        let posture = by_hand(web.fault_times(path, fault.clone(), 1));
        for check in &posture.checks {
            assert_eq!(check.verdict, Verdict::Pass, "{path}, {fault:?}: {check:?}");
        }
        assert!(posture.instance.instance_id.is_some());
    });
}

#[test]
fn nobody_listening_is_refused() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = Settings {
        endpoint: format!("http://{}", closed.local_addr().unwrap()),
        endpoint_is_explicit: true,
        ..Settings::default()
    };
    drop(closed);
    let posture = posture(&settings);
    assert_verdict(
        &posture,
        Rule::ImdsUnreachable,
        Verdict::Fail,
        Some("refused"),
    );
}

#[test]
fn each_cause_has_its_own_remediation() {
    let remediation = |builder: Builder, rule| {
        let posture = by_hand(builder);
        posture_remediation(check(&posture, rule), &posture.instance)
    };
    let token = |fault| {
        remediation(
            ImdsDouble::builder().role("web").fault(TOKEN, fault),
            Rule::ImdsUnreachable,
        )
    };
    let trust = remediation(
        ImdsDouble::builder().role_with("web", "AssumeRoleUnauthorizedAccess", None),
        Rule::RoleCredentialsUnusable,
    );
    assert!(trust.contains("--role-name web"), "{trust}");
    let missing = remediation(
        ImdsDouble::builder().auto_scaling_group("web-group"),
        Rule::RoleMissing,
    );
    assert!(
        missing.contains("launch template of web-group"),
        "{missing}"
    );
    assert!(
        missing.contains("--instance-id i-0123456789abcdef0"),
        "{missing}"
    );
    assert!(token(Fault::Status(407)).contains("NO_PROXY"));
    assert!(token(Fault::Status(429)).contains("ss -tnp"));
    assert!(token(Fault::Hang).contains("--http-put-response-hop-limit 2"));
}

#[test]
fn a_hanging_service_is_told_within_five_seconds() {
    let all = [
        TOKEN,
        LISTING,
        ROLES,
        IAM_INFO,
        CREDENTIALS,
        IDENTITY,
        GROUP,
        PARTITION,
        LIFECYCLE,
    ];
    let builder = all
        .iter()
        .fold(ImdsDouble::builder().role("web"), |builder, path| {
            builder.fault(path, Fault::Hang)
        });
    let started = Instant::now();
    let posture = by_hand(builder);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_verdict(
        &posture,
        Rule::ImdsUnreachable,
        Verdict::Fail,
        Some("timed-out"),
    );
    assert_verdict(&posture, Rule::ImdsV1Enabled, Verdict::Unknown, None);
}

#[test]
fn one_hanging_path_costs_its_own_check_only_and_no_more_than_five_seconds() {
    side_by_side(
        [
            (LISTING, Some(Rule::ImdsV1Enabled)),
            (ROLES, Some(Rule::RoleMissing)),
            (CREDENTIALS, Some(Rule::RoleCredentialsUnusable)),
            (IDENTITY, None),
        ],
        |(path, rule)| {
            let started = Instant::now();
            let posture = by_hand(ImdsDouble::builder().role("web").fault(path, Fault::Hang));
            assert!(started.elapsed() < Duration::from_secs(5));
            for check in &posture.checks {
                let expected = match (rule, check.check) {
                    (Some(rule), check) if check == rule => Verdict::Unknown,
                    (
                        Some(Rule::RoleMissing),
                        Rule::RoleCredentialsUnusable | Rule::RoleShadowed,
                    ) => Verdict::Unknown,
                    _ => Verdict::Pass,
                };
                assert_eq!(check.verdict, expected, "{path}: {check:?}");
            }
        },
    );
}

#[test]
fn a_lost_token_reply_while_others_are_answered_names_the_hop_limit() {
    let posture = by_hand(ImdsDouble::builder().role("web").fault(TOKEN, Fault::Hang));
    assert_verdict(
        &posture,
        Rule::ImdsUnreachable,
        Verdict::Fail,
        Some("token-timed-out"),
    );
    assert!(
        check(&posture, Rule::ImdsUnreachable)
            .reason
            .contains("hop limit")
    );
    assert_verdict(
        &posture,
        Rule::ImdsV1Enabled,
        Verdict::Pass,
        Some("required"),
    );
}

#[test]
fn version_1_fails_where_it_is_on_and_is_not_asked_where_switched_off() {
    let double = ImdsDouble::builder().role("web").tokens_optional().start();
    let mut settings = settings(&double);
    let asked = posture(&settings);
    assert_verdict(&asked, Rule::ImdsV1Enabled, Verdict::Fail, Some("optional"));
    assert!(asked.role_usable);
    let tokenless = |double: &ImdsDouble| {
        let requests = double.requests();
        let tokenless = requests
            .into_iter()
            .filter(|r| r.method == "GET" && !r.with_token);
        tokenless.map(|r| r.path).collect::<Vec<_>>()
    };
    assert_eq!(tokenless(&double), [LISTING]);

    settings.probe_v1 = false;
    let not_asked = posture(&settings);
    assert_verdict(
        &not_asked,
        Rule::ImdsV1Enabled,
        Verdict::NotApplicable,
        None,
    );
    assert_eq!(tokenless(&double).len(), 1);
}

#[test]
fn version_1_is_unknown_when_the_answer_is_neither_yes_nor_no() {
    side_by_side(
        [
            Fault::Status(403),
            Fault::Status(404),
            Fault::Status(500),
            Fault::Body(b"<html>portal</html>".to_vec()),
            Fault::Header("Via", "1.1 squid"),
        ],
        |fault| {
            let builder = ImdsDouble::builder().role("web").tokens_optional();
            let posture = by_hand(builder.fault(LISTING, fault));
            assert_verdict(&posture, Rule::ImdsV1Enabled, Verdict::Unknown, None);
        },
    );
}

#[test]
fn the_hop_limit_is_held_to_the_expectation() {
    side_by_side(
        [
            (1, 1, Verdict::Pass, "1"),
            (2, 1, Verdict::Fail, "2"),
            (2, 2, Verdict::Pass, "2"),
            (3, 2, Verdict::Fail, "3 or more"),
            (64, 1, Verdict::Fail, "3 or more"),
        ],
        |(hops, expected, verdict, observed)| {
            let double = ImdsDouble::builder().role("web").hop_limit(hops).start();
            let settings = Settings {
                hop_limit: expected,
                ..settings(&double)
            };
            let posture = posture(&settings);
            assert_verdict(&posture, Rule::ImdsHopLimit, verdict, Some(observed));
            let expected = expected.to_string();
            let told = check(&posture, Rule::ImdsHopLimit).expected.as_deref();
            assert_eq!(told, Some(expected.as_str()));
        },
    );
}

#[test]
fn without_an_instance_profile_the_role_is_missing() {
    side_by_side(
        [
            ImdsDouble::builder(),
            ImdsDouble::builder().fault(ROLES, Fault::Body(b"\n".to_vec())),
        ],
        |builder| {
            let posture = by_hand(builder);
            assert_verdict(&posture, Rule::RoleMissing, Verdict::Fail, Some("none"));
            assert_verdict(
                &posture,
                Rule::RoleCredentialsUnusable,
                Verdict::NotApplicable,
                None,
            );
            assert!(!posture.role_usable);
        },
    );
}

#[test]
fn each_way_of_giving_no_usable_credentials_has_its_cause() {
    let hours = |n| Some(SignedDuration::from_hours(n));
    let web = || ImdsDouble::builder().role("web");
    let with = |code, expires| ImdsDouble::builder().role_with("web", code, expires);
    let refused = "AssumeRoleUnauthorizedAccess";
    side_by_side(
        [
            (with(refused, None), Verdict::Fail, refused),
            (with("Failed", hours(6)), Verdict::Fail, "Failed"),
            (with("Success", hours(-1)), Verdict::Fail, "expired"),
            (with("Success", None), Verdict::Fail, "no-expiration"),
            (
                ImdsDouble::builder().role_without_credentials("web"),
                Verdict::Fail,
                "not-found",
            ),
            (
                ImdsDouble::builder().profile_without_role("web"),
                Verdict::Fail,
                "InstanceProfileNotFound",
            ),
            (
                web().fault(CREDENTIALS, Fault::Body(b"{}".to_vec())),
                Verdict::Fail,
                "malformed",
            ),
            (
                web().fault(CREDENTIALS, Fault::Status(429)),
                Verdict::Unknown,
                "throttled",
            ),
            (
                web().fault(CREDENTIALS, Fault::CutBody),
                Verdict::Unknown,
                "interrupted",
            ),
        ],
        |(builder, verdict, observed)| {
            let posture = by_hand(builder);
            assert_verdict(
                &posture,
                Rule::RoleCredentialsUnusable,
                verdict,
                Some(observed),
            );
            assert_eq!(check(&posture, Rule::RoleMissing).verdict, Verdict::Pass);
            assert!(!posture.role_usable);
        },
    );
}

#[test]
fn at_boot_a_service_and_a_role_that_are_late_are_waited_for() {
    let double = ImdsDouble::builder()
        .role("web")
        .fault_times(TOKEN, Fault::Reset, 2)
        .fault_times(ROLES, Fault::Status(404), 2)
        .fault_times(CREDENTIALS, Fault::Status(404), 1)
        .start();
    let settings = Settings {
        wait: Duration::from_mins(1),
        ..settings(&double)
    };
    let posture = posture(&settings);
    assert!(posture.role_usable);
    assert_eq!(double.count("GET", ROLES), 4);
}

#[test]
fn at_boot_a_role_that_never_comes_is_missing_when_the_wait_is_over() {
    let double = ImdsDouble::builder().start();
    let settings = Settings {
        wait: Duration::from_secs(1),
        ..settings(&double)
    };
    let started = Instant::now();
    let posture = posture(&settings);
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_verdict(&posture, Rule::RoleMissing, Verdict::Fail, Some("none"));
    assert!(double.count("GET", ROLES) > 1);
}

#[test]
fn a_bad_endpoint_leaves_every_check_unknown() {
    let settings = Settings {
        endpoint: "https://169.254.169.254".into(),
        endpoint_is_explicit: true,
        ..Settings::default()
    };
    for check in posture(&settings).checks {
        assert_eq!(check.verdict, Verdict::Unknown);
    }
}

#[test]
fn no_secret_is_in_what_comes_out() {
    let double = ImdsDouble::builder().role("web").start();
    let posture = format!("{:?}", posture(&settings(&double)));
    let credentials = double.credentials();
    for secret in [&credentials.secret_access_key, &credentials.session_token] {
        assert!(!posture.contains(secret.as_str()));
    }
}

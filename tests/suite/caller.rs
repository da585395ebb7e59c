//! `role.credentials-unusable`, with the word of STS.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use rolecall::finding::{Rule, Verdict, posture_remediation};
use rolecall::posture::{Posture, Services, Settings};

use crate::posture::{assert_verdict, check, posture};
use crate::support::imds_double::{Builder, IDENTITY, ImdsDouble};
use crate::support::moto::Moto;
use crate::support::role::Key;
use crate::support::side_by_side::side_by_side;
use crate::support::sts_double::{Say, StsDouble};

const RULE: Rule = Rule::RoleCredentialsUnusable;

/// The posture of a healthy instance by `sts`.
fn confirmed(builder: Builder, sts: Option<String>) -> Posture {
    let double = builder.start();
    posture(&Settings {
        endpoint: double.endpoint(),
        endpoint_is_explicit: true,
        services: Services {
            sts_endpoint: sts,
            ..Services::default()
        },
        ..Settings::default()
    })
}

fn healthy() -> Builder {
    ImdsDouble::builder().role("web")
}

#[test]
fn what_sts_knows_passes_and_is_named() {
    let sts = StsDouble::start(Say::Known);
    let posture = confirmed(healthy(), Some(sts.url()));
    assert_verdict(&posture, RULE, Verdict::Pass, Some("Success"));
    let reason = &check(&posture, RULE).reason;
    assert!(
        reason.contains("assumed-role/web/i-0123456789abcdef0"),
        "{reason}"
    );
    assert!(posture.role_usable);
    assert_eq!(sts.calls(), [posture.role_key.unwrap().access_key_id]);
}

#[test]
fn each_refusal_fails_with_its_cause_and_its_remedy() {
    let causes = [
        ("InvalidClientTokenId", "", "deleted", "get-role", false),
        ("ExpiredToken", "", "has not renewed", "timedatectl", false),
        (
            "SignatureDoesNotMatch",
            "The request signature we calculated",
            "signature",
            "proxy",
            false,
        ),
        (
            "AccessDenied",
            "",
            "service control policy",
            "VPC endpoint",
            true,
        ),
        ("OptInRequired", "", "OptInRequired", "associations", false),
    ];
    side_by_side(causes, |(code, message, cause, remedy, usable)| {
        let sts = StsDouble::start(Say::Refused(code, message));
        let posture = confirmed(healthy(), Some(sts.url()));
        assert_verdict(&posture, RULE, Verdict::Fail, Some(code));
        let check = check(&posture, RULE);
        assert!(check.reason.contains(cause), "{check:?}");
        let told = posture_remediation(check, &posture.instance);
        assert!(told.contains(remedy), "{told}");
        assert_eq!(posture.role_usable, usable, "{code}");
    });
}

#[test]
fn silence_is_unknown_where_the_endpoint_was_named_and_never_stops_delivery() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let doubles = [Say::Page(403), Say::Page(503), Say::Reset, Say::Hang].map(StsDouble::start);
    let urls: Vec<_> = doubles.iter().map(StsDouble::url).chain([nobody]).collect();
    side_by_side(urls, |url| {
        let started = Instant::now();
        let posture = confirmed(healthy(), Some(url));
        assert!(started.elapsed() < Duration::from_secs(5));
        assert_verdict(&posture, RULE, Verdict::Unknown, Some("Success"));
        assert!(posture.role_usable);
    });
}

#[test]
fn a_metadata_service_that_is_not_awss_own_is_taken_at_its_word() {
    let posture = confirmed(healthy(), None);
    assert_verdict(&posture, RULE, Verdict::Pass, Some("Success"));
    let reason = &check(&posture, RULE).reason;
    assert!(reason.contains("STS was not asked"), "{reason}");
}

#[test]
fn a_clock_that_is_off_is_told_with_its_size_whatever_else_sts_says() {
    let late = "Signature expired: 20260301T100000Z is now earlier than 20260301T101500Z";
    let cases = [
        (
            SignedDuration::from_mins(90),
            Say::Refused("SignatureDoesNotMatch", late),
            "1h 30m",
        ),
        (SignedDuration::from_mins(-7), Say::Known, "7m"),
    ];
    side_by_side(cases, |(ahead, say, size)| {
        let sts = StsDouble::answering(ahead, move |_| say.clone());
        let posture = confirmed(healthy(), Some(sts.url()));
        assert_verdict(&posture, RULE, Verdict::Fail, Some("clock-skew"));
        let check = check(&posture, RULE);
        let side = if ahead.is_positive() {
            "behind"
        } else {
            "ahead of"
        };
        // A second may pass between the two clocks.
        let told = check.reason.contains(side)
            && (check.reason.contains(size) || check.reason.contains("59s"));
        assert!(told, "{check:?}");
        assert!(posture_remediation(check, &posture.instance).contains("chrony"));
        assert!(posture.role_usable);
    });
}

#[test]
fn credentials_without_a_known_region_are_not_shown_to_anybody() {
    let sts = StsDouble::start(Say::Known);
    let builder = healthy().item(IDENTITY, "{}");
    let posture = confirmed(builder.clone(), Some(sts.url()));
    assert!(
        check(&posture, RULE)
            .reason
            .contains("the region is not known")
    );
    assert_eq!(sts.calls().len(), 0);
    let builder = builder.item("/latest/meta-data/placement/region", "eu-west-1");
    let posture = confirmed(builder, Some(sts.url()));
    assert_eq!(posture.instance.region.as_deref(), Some("eu-west-1"));
    assert_eq!(sts.calls().len(), 1);
}

#[test]
fn moto_knows_its_own_role_and_refuses_others() {
    let moto = Moto::start();
    let key = moto.role("web", &[]);
    moto.enforce_iam(true);
    let posture = confirmed(healthy().credentials(key.clone()), Some(moto.url()));
    assert_verdict(&posture, RULE, Verdict::Pass, Some("Success"));
    assert!(check(&posture, RULE).reason.contains("assumed-role/web/"));

    let wrong = Key {
        secret_access_key: key.secret_access_key.chars().rev().collect(),
        ..key
    };
    for (key, code) in [
        (wrong, "SignatureDoesNotMatch"),
        (Key::temporary(0), "InvalidClientTokenId"),
    ] {
        let posture = confirmed(healthy().credentials(key), Some(moto.url()));
        assert_verdict(&posture, RULE, Verdict::Fail, Some(code));
    }
}

//! The IMDS client against a service that keeps the rules, and against one
//! that breaks every one of them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rolecall::imds::{Client, Error, HopLimit, Timeouts};
use rolecall::secret::Secret;

use crate::support::imds_double::{
    Builder, Fault, GROUP, IDENTITY, ImdsDouble, LISTING, PARTITION, ROLES, TOKEN, USER_DATA,
};
use crate::support::side_by_side::side_by_side;

pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}

fn client(double: &ImdsDouble) -> Client {
    Client::new(&double.endpoint(), Timeouts::default()).expect("an http endpoint")
}

#[test]
fn everything_is_fetched_with_one_token() {
    let double = ImdsDouble::builder()
        .role("web")
        .auto_scaling_group("web group")
        .user_data(b"\x1f\x8b\x00\xff".as_slice())
        .start();
    let client = client(&double);
    run(async {
        assert_eq!(client.fetch_token().await, Ok(true));
        assert_eq!(client.fetch_role_name().await, Ok(Some("web".into())));
        let info = client.fetch_iam_info().await.unwrap().unwrap();
        assert_eq!(info.code, "Success");
        let status = client.fetch_credentials_status("web").await.unwrap();
        assert_eq!(status.code, "Success");
        assert!(status.expiration.is_some());
        let credentials = status.credentials.unwrap();
        assert_eq!(
            credentials.access_key_id,
            double.credentials().access_key_id
        );
        let identity = client.fetch_identity().await.unwrap();
        assert_eq!(identity.instance_id.as_deref(), Some("i-0123456789abcdef0"));
        assert_eq!(
            client.fetch_auto_scaling_group().await,
            Ok(Some("web group".into()))
        );
        assert_eq!(client.fetch_partition().await, Ok(Some("aws".into())));
        assert_eq!(
            client.fetch_target_lifecycle_state().await,
            Ok(Some("InService".into()))
        );
        assert_eq!(
            client.fetch_user_data().await,
            Ok(Some(Secret::new(b"\x1f\x8b\x00\xff")))
        );
    });
    assert_eq!(double.count("PUT", TOKEN), 1);
    assert!(
        double
            .requests()
            .iter()
            .all(|request| request.with_token == (request.method == "GET"))
    );
}

#[test]
fn what_is_not_there_is_none_and_not_an_error() {
    let double = ImdsDouble::builder().start();
    let client = client(&double);
    run(async {
        assert_eq!(client.fetch_role_name().await, Ok(None));
        assert_eq!(client.fetch_iam_info().await, Ok(None));
        assert_eq!(client.fetch_auto_scaling_group().await, Ok(None));
        assert_eq!(client.fetch_user_data().await, Ok(None));
        assert!(matches!(
            client.fetch_credentials_status("web").await,
            Err(Error::NotFound { .. })
        ));
    });
}

#[test]
fn a_refused_token_is_fetched_anew_once() {
    let double = ImdsDouble::builder().role("web").start();
    let client = client(&double);
    run(async {
        client.fetch_token().await.unwrap();
        double.expire_tokens();
        assert_eq!(client.fetch_role_name().await, Ok(Some("web".into())));
        assert_eq!(double.count("PUT", TOKEN), 2);
    });
    let stubborn = ImdsDouble::builder()
        .fault(ROLES, Fault::Status(401))
        .start();
    run(async {
        assert!(matches!(
            self::client(&stubborn).fetch_role_name().await,
            Err(Error::Unauthorized { .. })
        ));
        assert_eq!(stubborn.count("GET", ROLES), 2);
    });
}

#[test]
fn the_double_keeps_the_rules_of_imds() {
    let double = ImdsDouble::builder().start();
    let status = |request: &str| {
        let mut stream = TcpStream::connect(double.address()).unwrap();
        let request = format!("{request}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer[9..12].to_owned()
    };
    let put = |headers: &str| status(&format!("PUT {TOKEN} HTTP/1.1\r\nHost: x{headers}"));
    let ttl = "\r\nX-aws-ec2-metadata-token-ttl-seconds:";
    assert_eq!(put(""), "400");
    for (seconds, told) in [
        ("0", "400"),
        ("1", "200"),
        ("21600", "200"),
        ("21601", "400"),
    ] {
        assert_eq!(put(&format!("{ttl} {seconds}")), told, "{seconds}");
    }
    assert_eq!(
        put(&format!("{ttl} 60\r\nX-Forwarded-For: 10.0.0.1")),
        "403"
    );
    let get = |path| status(&format!("GET {path} HTTP/1.1\r\nHost: x"));
    assert_eq!(get(LISTING), "401");
    double.change(Builder::tokens_optional);
    assert_eq!(get(LISTING), "200");
    assert_eq!(get("/latest/meta-data/none"), "404");
    double.change(Builder::disabled);
    assert_eq!(get(LISTING), "403");
    assert_eq!(put(&format!("{ttl} 60")), "403");
}

#[test]
fn an_instance_that_changes_is_seen_as_it_is_now() {
    let double = ImdsDouble::builder().start();
    let client = client(&double);
    run(async {
        assert_eq!(client.fetch_role_name().await, Ok(None));
        double.change(|says| says.role("web"));
        assert_eq!(client.fetch_role_name().await, Ok(Some("web".into())));
    });
}

#[test]
fn the_double_serves_the_credentials_provider_of_the_sdk() {
    use aws_config::imds;
    use aws_credential_types::provider::ProvideCredentials;

    let double = ImdsDouble::builder().role("web").start();
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_config::provider_config::ProviderConfig::empty().with_http_client(http);
    let client = imds::Client::builder()
        .configure(&config)
        .endpoint(double.endpoint())
        .expect("a URL")
        .build();
    let provider = imds::credentials::ImdsCredentialsProvider::builder()
        .imds_client(client)
        .build();
    let given = run(provider.provide_credentials()).expect("credentials");
    let made = double.credentials();
    assert_eq!(given.access_key_id(), made.access_key_id);
    assert_eq!(given.secret_access_key(), made.secret_access_key);
    assert_eq!(given.session_token(), Some(made.session_token.as_str()));
}

#[test]
fn a_token_without_its_lifetime_is_taken_and_told() {
    let double = ImdsDouble::builder()
        .fault(TOKEN, Fault::NoTtlHeader)
        .start();
    let client = client(&double);
    run(async {
        assert_eq!(client.fetch_token().await, Ok(false));
        assert!(client.fetch_identity().await.is_ok());
    });
}

#[test]
fn tokens_required_and_optional_are_told_apart() {
    let required = ImdsDouble::builder().start();
    let optional = ImdsDouble::builder().tokens_optional().start();
    run(async {
        assert_eq!(client(&required).fetch_without_token().await, Ok(false));
        assert_eq!(client(&optional).fetch_without_token().await, Ok(true));
    });
    for double in [required, optional] {
        let paths: Vec<_> = double.requests().into_iter().map(|r| r.path).collect();
        assert_eq!(paths, [LISTING]);
    }
}

#[test]
fn every_fault_of_an_item_is_an_error_with_its_cause() {
    let faults = [
        (Fault::Status(401), "unauthorized"),
        (Fault::Status(403), "disabled"),
        (Fault::Status(404), "not-found"),
        (Fault::Status(429), "throttled"),
        (Fault::Status(503), "throttled"),
        (Fault::Status(500), "unexpected-status"),
        (Fault::Status(204), "unexpected-status"),
        (Fault::Status(302), "proxy"),
        (Fault::Status(407), "proxy"),
        (Fault::Status(502), "proxy"),
        (Fault::Status(504), "proxy"),
        (Fault::Header("Via", "1.1 squid"), "proxy"),
        (Fault::Header("Proxy-Connection", "close"), "proxy"),
        (Fault::Body(b"<html>sign in</html>".to_vec()), "proxy"),
        (Fault::Body(Vec::new()), "empty"),
        (Fault::Body(b"{\"accountId\":".to_vec()), "malformed"),
        (Fault::Body(vec![0xff; 100]), "malformed"),
        (Fault::Body(vec![b'x'; 100_000]), "too-large"),
        (Fault::Reset, "interrupted"),
        (Fault::CutBody, "interrupted"),
        (Fault::ContentLength(2), "malformed"),
        (Fault::ContentLength(1 << 40), "too-large"),
        (Fault::EndlessBody, "too-large"),
        (Fault::Drip, "timed-out"),
        (Fault::Hang, "timed-out"),
        (Fault::Garbage, "malformed"),
        (Fault::HugeHeaders, "malformed"),
        (Fault::EndlessHeaders, "malformed"),
    ];
    side_by_side(faults, |(fault, cause)| {
        let double = ImdsDouble::builder().fault(IDENTITY, fault.clone()).start();
        let error = run(client(&double).fetch_identity()).expect_err("a fault");
        assert_eq!(error.cause(), cause, "{fault:?}: {error}");
    });
}

#[test]
fn every_fault_of_the_token_is_an_error_with_its_cause() {
    side_by_side(
        [
            (Fault::Status(400), "unexpected-status"),
            (Fault::Status(403), "disabled"),
            (Fault::Status(404), "not-found"),
            (Fault::Status(503), "throttled"),
            (Fault::Body(Vec::new()), "empty"),
            (Fault::Body(b"a b".to_vec()), "malformed"),
            (Fault::Body(b"a\r\nX-Injected: b".to_vec()), "malformed"),
            (Fault::Body(vec![b'x'; 4096]), "too-large"),
            (Fault::Body(b"<!DOCTYPE html>".to_vec()), "proxy"),
            (Fault::Reset, "interrupted"),
            (Fault::CutBody, "interrupted"),
            (Fault::Hang, "timed-out"),
        ],
        |(fault, cause)| {
            let double = ImdsDouble::builder().fault(TOKEN, fault.clone()).start();
            let error = run(client(&double).fetch_token()).expect_err("a fault");
            assert_eq!(error.cause(), cause, "{fault:?}: {error}");
        },
    );
}

#[test]
fn a_wordy_answer_is_held_to_one_safe_line() {
    let double = ImdsDouble::builder()
        .item(GROUP, "web\x1b[31m")
        .item(PARTITION, "aws\naws-cn")
        .start();
    let client = client(&double);
    run(async {
        assert_eq!(
            client.fetch_auto_scaling_group().await,
            Ok(Some("web\\x1b[31m".into()))
        );
        assert!(matches!(
            client.fetch_partition().await,
            Err(Error::Malformed { .. })
        ));
    });
}

#[test]
fn errors_quote_neither_the_answer_nor_the_token() {
    for path in [TOKEN, IDENTITY, ROLES] {
        let double = ImdsDouble::builder()
            .fault(
                path,
                Fault::Body(b"{\"accountId\":[\"hidden value\"]}".to_vec()),
            )
            .start();
        let client = client(&double);
        let told = run(async {
            format!(
                "{:?} {:?} {:?}",
                client.fetch_token().await,
                client.fetch_identity().await,
                client.fetch_role_name().await
            )
        });
        assert!(
            !told.contains("hidden") && !told.contains("AQAEA"),
            "{told}"
        );
    }
}

#[test]
fn nobody_listening_is_refused() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let client = Client::new(&endpoint, Timeouts::default()).unwrap();
    assert!(matches!(
        run(client.fetch_token()),
        Err(Error::Refused { .. })
    ));
}

#[test]
fn only_plain_http_endpoints_are_taken() {
    for bad in [
        "",
        "169.254.169.254",
        "https://169.254.169.254",
        "ftp://169.254.169.254",
        "http://user:word@169.254.169.254",
        "http://169.254.169.254/?a=b",
        "http://",
    ] {
        let made = Client::new(bad, Timeouts::default());
        assert!(matches!(made, Err(Error::Endpoint)), "{bad}");
    }
    for (good, shown) in [
        ("http://169.254.169.254/", "http://169.254.169.254"),
        ("http://[fd00:ec2::254]", "http://[fd00:ec2::254]"),
        ("http://127.0.0.1:8080/imds/", "http://127.0.0.1:8080/imds"),
    ] {
        let client = Client::new(good, Timeouts::default()).unwrap();
        assert_eq!(client.endpoint(), shown);
    }
}

#[test]
fn a_hanging_service_is_given_up_in_time() {
    let double = ImdsDouble::builder().fault(TOKEN, Fault::Hang).start();
    let started = Instant::now();
    assert!(run(client(&double).fetch_token()).is_err());
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn hop_limits_are_measured() {
    side_by_side(
        [
            (Some(1), HopLimit::One),
            (Some(2), HopLimit::Two),
            (Some(3), HopLimit::ThreeOrMore),
            (Some(64), HopLimit::ThreeOrMore),
            (None, HopLimit::ThreeOrMore),
        ],
        |(hops, measured)| {
            for address in ["127.0.0.1:0", "[::1]:0"] {
                let double = ImdsDouble::builder()
                    .listen(address.parse().unwrap())
                    .hop_limit(hops)
                    .start();
                assert_eq!(
                    run(client(&double).measure_hop_limit()),
                    measured,
                    "{hops:?} at {address}"
                );
            }
        },
    );
}

#[test]
fn a_slow_service_does_not_make_the_hop_limit_look_small() {
    side_by_side(
        [(1, HopLimit::One), (64, HopLimit::ThreeOrMore)],
        |(hops, measured)| {
            let double = ImdsDouble::builder()
                .hop_limit(hops)
                .fault(TOKEN, Fault::Delay(Duration::from_millis(400)))
                .start();
            assert_eq!(run(client(&double).measure_hop_limit()), measured);
        },
    );
}

#[test]
fn any_doubt_about_the_hop_limit_is_unknown() {
    let far = || ImdsDouble::builder().hop_limit(64);
    let right = Fault::Delay(Duration::ZERO);
    side_by_side(
        [
            far().fault(TOKEN, Fault::Hang),
            far().fault(TOKEN, Fault::Reset),
            far().fault(TOKEN, Fault::Garbage),
            far().fault(TOKEN, Fault::Status(403)),
            far().fault(TOKEN, Fault::Status(429)),
            // So slow that silence says nothing.
            ImdsDouble::builder().fault(TOKEN, Fault::Delay(Duration::from_secs(1))),
            // One answer, then silence.
            far()
                .fault_times(TOKEN, right.clone(), 1)
                .fault(TOKEN, Fault::Hang),
            // Every other answer.
            (0..20).fold(far(), |double, _| {
                double
                    .fault_times(TOKEN, right.clone(), 1)
                    .fault_times(TOKEN, Fault::Hang, 1)
            }),
        ],
        |builder| {
            let told = format!("{builder:?}");
            let measured = run(client(&builder.start()).measure_hop_limit());
            assert!(
                matches!(measured, HopLimit::Unknown(_)),
                "{measured:?}: {told}"
            );
        },
    );
}

#[test]
fn user_data_at_its_largest_is_whole() {
    let data: Vec<u8> = (0..=u8::MAX).cycle().take(64 << 10).collect();
    let double = ImdsDouble::builder().user_data(data.as_slice()).start();
    assert_eq!(
        run(client(&double).fetch_user_data()),
        Ok(Some(Secret::new(data)))
    );
    let double = ImdsDouble::builder()
        .fault(USER_DATA, Fault::EndlessBody)
        .start();
    assert!(matches!(
        run(client(&double).fetch_user_data()),
        Err(Error::TooLarge { .. })
    ));
}

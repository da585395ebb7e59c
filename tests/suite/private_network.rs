//! Delivery where CloudWatch Logs is behind a proxy and a private authority.

use std::time::Duration;

use rolecall::aws::Network;
use rolecall::finding::{Instance, PostureCheck, Rule, Verdict};
use rolecall::ship::{self, Delivery, Event, Settings};

use crate::support::authority::Authority;
use crate::support::logs_double::now_ms;
use crate::support::moto::{Moto, REGION};
use crate::support::proxy::ConnectProxy;
use crate::support::role::{Key, RoleService};

/// A name that only the proxy knows.
const HOST: &str = "logs.private.invalid";

fn deliver(settings: &Settings) -> Delivery {
    let check = PostureCheck::new(Rule::RoleMissing, Verdict::Pass, "it is there");
    let event = Event::posture(&check, &Instance::default(), now_ms());
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(ship::deliver(settings, &[event], Duration::from_secs(20)))
}

#[test]
fn a_proxy_and_a_private_authority_are_taken_from_the_settings() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::create(directory.path(), HOST);
    let moto = Moto::start_with_tls(&authority.certificate, &authority.private_key);
    let proxy = ConnectProxy::start(moto.address(), "user", "pass-word");
    let role = RoleService::start(vec![Key::temporary(0)]);
    let network = Network {
        proxy: Some(format!("http://user:pass-word@{}", proxy.address())),
        ca_bundle: Some(authority.bundle),
    };
    let settings = Settings {
        log_group: "/rolecall".into(),
        log_stream: "i-0".into(),
        region: Some(REGION.into()),
        endpoint: Some(format!("https://{HOST}")),
        imds_endpoint: role.url(),
        network: network.clone(),
    };

    let delivery = deliver(&settings);
    assert_eq!(delivery.accepted(), 1, "{delivery:?}");
    let tunnels = proxy.tunnels();
    let through = format!("{HOST}:443");
    assert!(tunnels.iter().all(|host| *host == through), "{tunnels:?}");
    assert!(!tunnels.is_empty());

    let untrusting = Settings {
        network: Network {
            ca_bundle: None,
            ..network.clone()
        },
        ..settings.clone()
    };
    let problems = deliver(&untrusting).problems;
    assert!(problems[0].contains("ship.ca_bundle"), "{problems:?}");

    let unknown = Settings {
        network: Network {
            proxy: Some(format!("http://user:other-word@{}", proxy.address())),
            ..network
        },
        ..settings.clone()
    };
    let problems = deliver(&unknown).problems;
    assert!(problems[0].contains("ship.proxy"), "{problems:?}");
    assert!(!problems[0].contains("other-word"), "{problems:?}");

    // The certificate is for another name.
    let elsewhere = Settings {
        endpoint: Some("https://other.private.invalid".into()),
        ..settings
    };
    let problems = deliver(&elsewhere).problems;
    assert!(problems[0].contains("cannot be trusted"), "{problems:?}");
}

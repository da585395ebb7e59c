//! The posture where IMDS has its real address: in network namespaces, as root.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rolecall::finding::{Rule, Verdict};
use rolecall::posture::{Posture, Settings};

use crate::posture::{assert_verdict, check, posture};
use crate::support::imds_double::{Builder, ImdsDouble};
use crate::support::netns::Network;

const IPV4: &str = "169.254.169.254:80";
const IPV6: &str = "[fd00:ec2::254]:80";

/// A double at the address of the real service, inside `network`.
fn in_place(network: &Network, address: &str, builder: Builder) -> ImdsDouble {
    let address: SocketAddr = address.parse().expect("an address");
    network.at_metadata(|| builder.listen(address).start())
}

fn on_host(network: &Network, address: &str) -> Posture {
    let settings = Settings {
        endpoint: format!("http://{address}"),
        endpoint_is_explicit: true,
        ..Settings::default()
    };
    network.on_host(|| posture(&settings))
}

#[test]
fn hop_limits_are_measured_at_the_real_addresses() {
    let Some(network) = Network::new() else {
        return;
    };
    for address in [IPV4, IPV6] {
        for (hops, observed) in [(1, "1"), (2, "2"), (3, "3 or more"), (64, "3 or more")] {
            let builder = ImdsDouble::builder().role("web").hop_limit(hops);
            let double = in_place(&network, address, builder);
            let posture = on_host(&network, address);
            let check = check(&posture, Rule::ImdsHopLimit);
            assert_eq!(check.observed.as_deref(), Some(observed), "{check:?}");
            assert!(posture.role_usable);
            drop(double);
            // The acceptor lets go of the address within a moment.
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn a_locked_host_is_told_from_a_refusal() {
    let Some(network) = Network::new() else {
        return;
    };
    assert_verdict(
        &on_host(&network, IPV4),
        Rule::ImdsUnreachable,
        Verdict::Fail,
        Some("refused"),
    );
    for (kind, errno) in [
        ("prohibit", "EACCES"),
        ("unreachable", "EHOSTUNREACH"),
        ("blackhole", "EINVAL"),
        ("throw", "ENETUNREACH"),
    ] {
        network.replace_route(&format!("{kind} 169.254.169.254/32"));
        let posture = on_host(&network, IPV4);
        assert_verdict(
            &posture,
            Rule::ImdsUnreachable,
            Verdict::Fail,
            Some("locked-by-host"),
        );
        let reason = &check(&posture, Rule::ImdsUnreachable).reason;
        assert!(reason.contains(errno), "{kind}: {reason}");
    }
    network.replace_route("prohibit fd00:ec2::254/128");
    assert_verdict(
        &on_host(&network, IPV6),
        Rule::ImdsUnreachable,
        Verdict::Fail,
        Some("locked-by-host"),
    );
}

#[test]
fn dropped_packets_time_out_within_five_seconds() {
    let Some(network) = Network::new() else {
        return;
    };
    // A neighbour that does not exist, but is said to.
    network.replace_route("169.254.169.254/32 via 10.77.0.9");
    network.add_neighbour("10.77.0.9");
    let started = Instant::now();
    let posture = on_host(&network, IPV4);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_verdict(
        &posture,
        Rule::ImdsUnreachable,
        Verdict::Fail,
        Some("timed-out"),
    );
}

//! The posture where IMDS has its real address: in network namespaces, as root.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rolecall::finding::{Rule, Verdict, posture_remediation};
use rolecall::posture::{Posture, Settings};

use crate::posture::{assert_verdict, check, posture};
use crate::support::host::Host;
use crate::support::imds_double::{Builder, Fault, ImdsDouble, TOKEN};
use crate::support::netns::Network;
use crate::support::rolecall::Rolecall;

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
    for (kind, errno) in [
        ("prohibit", "EACCES"),
        ("unreachable", "EHOSTUNREACH"),
        ("blackhole", "EINVAL"),
        ("throw", "ENETUNREACH"),
    ] {
        network.replace_route(&format!("{kind} fd00:ec2::254/128"));
        let posture = on_host(&network, IPV6);
        let check = check(&posture, Rule::ImdsUnreachable);
        assert_eq!(check.observed.as_deref(), Some("locked-by-host"), "{kind}");
        assert!(check.reason.contains(errno), "{kind}: {check:?}");
        let remedy = posture_remediation(check, &posture.instance);
        assert!(remedy.contains("ip -6 route get fd00:ec2::254"), "{remedy}");
    }
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

/// A subnet without a way out: whatever leaves it is never heard of again.
fn private_subnet() -> Option<Network> {
    let network = Network::new()?;
    network.replace_route("default via 10.77.0.9");
    network.add_neighbour("10.77.0.9");
    Some(network)
}

#[test]
fn in_a_private_subnet_a_healthy_role_is_reassuring_within_a_second() {
    let (hanging_dns, hanging_sts) = (
        ("resolv.conf", "nameserver 10.99.0.53\n"),
        ("hosts", "10.99.0.1 sts.eu-central-1.amazonaws.com\n"),
    );
    for (name, text) in [hanging_dns, hanging_sts] {
        let Some(network) = private_subnet() else {
            return;
        };
        network.write_etc(name, text);
        let _double = in_place(&network, IPV4, ImdsDouble::builder().role("web"));
        let host = Host::new();
        let posture = |format| {
            let args = ["posture", "--imds-endpoint", "http://169.254.169.254"];
            Rolecall::new(args)
                .arg("--root")
                .arg(host.root())
                .arg("--format")
                .arg(format)
                .in_namespace(&network.host())
                .run()
        };
        let started = Instant::now();
        let text = posture("text");
        assert!(started.elapsed() < Duration::from_secs(1));
        assert_eq!((text.status, text.stderr.as_str()), (0, ""));
        assert_eq!(text.stdout.lines().count(), 1, "{}", text.stdout);
        assert!(text.stdout.contains("the role web is there and usable"));
        let checks = posture("json").of_type("posture");
        let reason = checks
            .iter()
            .find(|check| check["check"] == "role.credentials-unusable")
            .map(|check| check["reason"].to_string())
            .unwrap();
        assert!(reason.contains("STS could not be reached"), "{reason}");
    }
}

#[test]
fn the_time_of_the_metadata_service_gives_a_wrong_clock_away() {
    let Some(network) = Network::new() else {
        return;
    };
    let date = Fault::Header("Date", "Sun, 01 Mar 2026 10:00:00 GMT");
    let builder = ImdsDouble::builder().role("web").fault(TOKEN, date);
    let _double = in_place(&network, IPV4, builder);
    let posture = on_host(&network, IPV4);
    assert_verdict(
        &posture,
        Rule::RoleCredentialsUnusable,
        Verdict::Fail,
        Some("clock-skew"),
    );
    assert!(posture.role_usable);
}

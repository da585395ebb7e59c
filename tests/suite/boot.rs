//! A real boot: the package in a root of its own with systemd as its first
//! process, the metadata service at its real address one hop away, CloudWatch
//! Logs behind it. `cargo test --test suite boot` is all it takes, as root.

mod gate;
mod image;
mod instance;
mod machine;
mod rpm;
mod virtual_machine;

use serde_json::Value;

use crate::daemon::{GROUP, INSTANCE, told};
use crate::support::daemon::wait;
use crate::support::host::{Host, KeyPair};
use crate::support::imds_double::{Builder, ImdsDouble};
use crate::support::logs_double::LogsDouble;
use crate::support::netns::Network;
use crate::support::side_by_side::give_way;
use image::Image;
use machine::Machine;

const METADATA: &str = "169.254.169.254:80";
const LOGS: &str = "10.77.0.2:4580";

/// Often enough for a test.
const CONFIG: &str = r#"
[scan]
interval = "5s"
[posture]
interval = "2s"
boot_wait = "5s"
[imds]
endpoint = "http://169.254.169.254"
[ship]
endpoint = "http://10.77.0.2:4580"
spread = "0s"
"#;

/// Where the host keeps what it is given, as others may not read it.
const PLACES: [&str; 6] = [
    "home/deploy/.aws/credentials",
    "root/.env",
    "var/lib/docker/containers/4f5a/config.v2.json",
    "var/tmp/leftover.env",
    "srv/app/.env",
    "usr/share/app/settings.env",
];

fn healthy() -> Builder {
    ImdsDouble::builder().role("web").hop_limit(1)
}

/// The metadata service at its address, and CloudWatch Logs.
fn doubles(network: &Network, instance: Builder) -> (ImdsDouble, LogsDouble) {
    network.at_metadata(|| {
        let imds = instance.listen(METADATA.parse().unwrap()).start();
        (imds, LogsDouble::builder().group(GROUP).listen(LOGS))
    })
}

fn finding(logs: &LogsDouble, event: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    wait(event, || told(logs, event).into_iter().find(&is_it))
}

fn at(path: &str) -> impl Fn(&Value) -> bool {
    move |event| event["location"]["path"] == path
}

/// Waits until the last word on a posture check that has failed is `verdict`.
fn verdict(logs: &LogsDouble, check: &str, verdict: &str) {
    wait(check, || {
        let mut told = of_type(logs, "posture");
        told.retain(|event| event["check"] == check);
        let has_failed = told.iter().any(|event| event["verdict"] == "fail");
        (has_failed && told.last()?["verdict"] == verdict).then_some(())
    });
}

fn of_type(logs: &LogsDouble, event: &str) -> Vec<Value> {
    let events = logs.events(GROUP, INSTANCE);
    let mut events: Vec<Value> = events
        .iter()
        .map(|event| serde_json::from_str(&event.message).unwrap())
        .collect();
    events.retain(|message| message["event"] == event);
    events
}

#[test]
fn an_instance_with_the_package_boots_reports_and_is_followed_through_its_life() {
    give_way();
    let (Some(image), Some(network), Some(host)) = (
        Image::of_container(),
        Network::new(),
        Host::with_processes(),
    ) else {
        return;
    };
    let (imds, logs) = doubles(&network, healthy());
    let mut keys: Vec<KeyPair> = Vec::new();

    // Baked: installed where no systemd runs, with what a bake leaves behind.
    let root = image.install();
    root.write("etc/rolecall/config.d/test.toml", CONFIG);
    for place in PLACES {
        let key = host.key_pair();
        root.write_private(place, &key.env());
        keys.push(key);
    }

    // Booted: the service is up without anybody's doing.
    let machine = Machine::boot(&root, &network.host());
    machine.is_active("rolecall.service");
    for (place, key) in PLACES.iter().zip(&keys) {
        let opened = finding(&logs, "opened", at(&format!("/{place}")));
        assert_eq!(opened["access_key_id"], key.id.as_str());
    }
    let beat = wait("a heartbeat", || of_type(&logs, "heartbeat").pop());
    assert_eq!(beat["RolePresent"], 1, "{beat}");
    assert_eq!(beat["ImdsV1Enabled"], 0, "{beat}");
    let role = imds.credentials().access_key_id.clone();
    let requests = logs.requests();
    assert!(requests.iter().all(|request| request.access_key_id == role));

    // What is only there while it runs, and belongs to somebody else.
    let in_memory = host.key_pair();
    let workload = machine.run_as_user(&in_memory);
    let opened = finding(&logs, "opened", |event| {
        event["location"]["source"] == "process"
    });
    assert_eq!(opened["access_key_id"], in_memory.id.as_str());
    drop(workload);
    let in_tmp = host.key_pair();
    for directory in ["tmp", "run/user/1000", "dev/shm"] {
        machine.write_private(&format!("/{directory}/left.env"), &in_tmp.env());
        finding(&logs, "opened", at(&format!("/{directory}/left.env")));
    }

    // The sandbox hides nothing, and lets nothing be written.
    wait("a sweep without a gap", || {
        let status = machine.status();
        (status["last_sweep"]["complete"] == true).then_some(())
    });
    assert_eq!(
        machine.writable_by_the_service(),
        ["/run/rolecall", "/var/lib/rolecall"]
    );
    // Nor does what the service itself wrote down become a finding.
    let own = |event: &Value| {
        let path = event["location"]["path"].as_str().unwrap_or_default();
        path.starts_with("/var/lib/rolecall")
    };
    assert!(!told(&logs, "opened").iter().any(own));

    // A key comes and goes.
    let key = host.key_pair();
    machine.write_private("/home/deploy/new.env", &key.env());
    let opened = finding(&logs, "opened", at("/home/deploy/new.env"));
    assert_eq!(opened["access_key_id"], key.id.as_str());
    machine.succeeds(&["rm", "/home/deploy/new.env"]);
    finding(&logs, "resolved", at("/home/deploy/new.env"));

    // IMDSv1 is switched on, and off again.
    imds.change(Builder::tokens_optional);
    verdict(&logs, "imds.v1-enabled", "fail");
    imds.change(|_| healthy());
    verdict(&logs, "imds.v1-enabled", "pass");

    // The role vanishes, which is told when there is one again.
    imds.change(|_| ImdsDouble::builder().hop_limit(1));
    wait("the cause in the journal", || {
        let said = machine.journal();
        said.contains("role.missing").then_some(())
    });
    imds.change(|_| healthy());
    verdict(&logs, "role.missing", "pass");

    // After a reboot what was told is not told again.
    let opened = |path: &str| {
        let mut opened = told(&logs, "opened");
        opened.retain(at(path));
        opened.len()
    };
    machine.shut_down();
    let beats = of_type(&logs, "heartbeat").len();
    let machine = Machine::boot(&root, &network.host());
    machine.is_active("rolecall.service");
    wait("a heartbeat after the reboot", || {
        (of_type(&logs, "heartbeat").len() > beats + 1).then_some(())
    });
    for place in PLACES {
        assert_eq!(opened(&format!("/{place}")), 1, "{place}");
    }
    finding(&logs, "resolved", at("/tmp/left.env"));

    // No secret left the machine.
    let sent = logs.events(GROUP, INSTANCE);
    for secret in keys
        .iter()
        .chain([&in_memory, &in_tmp, &key])
        .map(|key| &key.secret)
    {
        assert!(
            !sent
                .iter()
                .any(|event| event.message.contains(secret.as_str()))
        );
    }
    the_package_is_upgraded_removed_and_purged(image, &machine);
    machine.shut_down();
}

/// As an upgrade is done where nobody answers questions.
const DPKG: [&str; 4] = ["dpkg", "--force-confdef", "--force-confold", "--install"];

/// What is configured survives all but the purge.
fn the_package_is_upgraded_removed_and_purged(image: &Image, machine: &Machine) {
    let enabled = |unit: &str| machine.output(&["systemctl", "is-enabled", unit]);
    let active = || machine.output(&["systemctl", "is-active", "rolecall.service"]);
    let process = || machine.output(&["systemctl", "show", "-P", "MainPID", "rolecall.service"]);
    let config = "/etc/rolecall/config.toml";
    assert_eq!(enabled("rolecall.service"), "enabled");
    assert_eq!(enabled("rolecall-check.service"), "static");

    machine.succeeds(&["sh", "-c", &format!("echo '# ours' >> {config}")]);
    let before = process();
    machine.install(&image.upgrade("0.1.0-2"), &DPKG);
    assert_eq!(active(), "active");
    assert_ne!(process(), before, "an upgrade restarts the service");
    assert!(machine.output(&["tail", "-n1", config]).contains("# ours"));

    machine.succeeds(&["systemctl", "disable", "--now", "rolecall.service"]);
    machine.install(&image.upgrade("0.1.0-3"), &DPKG);
    assert_eq!(
        (enabled("rolecall.service"), active()),
        ("disabled".into(), "inactive".into())
    );
    machine.succeeds(&["systemctl", "enable", "--now", "rolecall.service"]);

    machine.succeeds(&["dpkg", "--remove", "rolecall"]);
    assert_eq!(active(), "inactive");
    for kept in [
        config,
        "/etc/rolecall/config.d/test.toml",
        "/var/lib/rolecall/ledger.sqlite",
    ] {
        machine.succeeds(&["test", "-e", kept]);
    }
    machine.succeeds(&["dpkg", "--purge", "rolecall"]);
    let left = machine.output(&[
        "sh",
        "-c",
        "find / -xdev -name '*rolecall*' -not -path '/proc/*'",
    ]);
    assert_eq!(left, "", "what a purge leaves behind");
}

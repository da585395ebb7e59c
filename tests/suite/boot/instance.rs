//! The release check: the package as it is released, in an image with a kernel
//! and cloud-init, booted as an instance of EC2.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::image::Image;
use super::virtual_machine::{Disk, MAC, PATIENCE, VirtualMachine};
use super::{doubles, healthy, of_type};
use crate::daemon::{GROUP, INSTANCE, told};
use crate::support::daemon::wait_for;
use crate::support::host::{Host, KeyPair};
use crate::support::imds_double::{Builder, IDENTITY};
use crate::support::logs_double::LogsDouble;
use crate::support::netns::Network;

const CONFIG: &str = r#"
[scan]
interval = "30s"
[posture]
interval = "30s"
[ship]
endpoint = "http://10.77.0.2:4580"
spread = "0s"
"#;

/// In the image.
const BAKED: &str = "/srv/app/.env";
/// Written by cloud-init, which user-data tells to.
const WRITTEN: &str = "/opt/app/.env";

/// What cloud-init asks for, beside what rolecall does.
fn instance(pending: Timestamp, user_data: &str) -> Builder {
    let card = format!("network/interfaces/macs/{MAC}");
    let mut instance = healthy().auto_scaling_group("shop").user_data(user_data);
    for (name, value) in [
        (
            "local-hostname",
            "ip-10-77-1-10.eu-central-1.compute.internal",
        ),
        ("local-ipv4", "10.77.1.10"),
        ("mac", MAC),
        ("placement/availability-zone", "eu-central-1a"),
        ("placement/region", "eu-central-1"),
        (&format!("{card}/device-number"), "0"),
        (&format!("{card}/local-ipv4s"), "10.77.1.10"),
        (&format!("{card}/mac"), MAC),
        (&format!("{card}/vpc-id"), "vpc-0123456789abcdef0"),
    ] {
        instance = instance.item(&format!("/latest/meta-data/{name}"), value);
    }
    let pending = pending.strftime("%Y-%m-%dT%H:%M:%SZ");
    let document = serde_json::json!({
        "accountId": "609629065308",
        "architecture": "x86_64",
        "imageId": "ami-0123456789abcdef0",
        "instanceId": INSTANCE,
        "pendingTime": pending.to_string(),
        "region": "eu-central-1",
    });
    instance.item(IDENTITY, document.to_string())
}

/// The one-shot check of the snippet, beside the service, and a key.
fn cloud_config(key: &KeyPair) -> String {
    let snippet = include_str!("../../../packaging/user-data/cloud-config.yml");
    let content = key.env().replace('\n', "\n      ");
    let file = format!("write_files:\n  - path: {WRITTEN}\n    content: |\n      {content}\n");
    snippet.replace("write_files:\n", &file)
}

/// What was opened, without the logs of the check, which name IDs and are told
/// at info.
fn critical(logs: &LogsDouble) -> Vec<Value> {
    let mut opened = told(logs, "opened");
    opened.retain(|told| told["severity"] == "critical");
    opened
}

#[test]
#[ignore = "a release check: minutes where the processor has to be emulated (docs/release.md)"]
fn an_instance_of_ec2_boots_from_the_image_and_tells_what_was_baked_and_what_came_later() {
    let (Some(image), Some(network)) = (Image::of_instance(), Network::new()) else {
        return;
    };
    network.add_tap();
    let host = Host::new();
    let (baked, given) = (host.key_pair(), host.key_pair());

    let root = image.install();
    root.write("etc/rolecall/config.d/test.toml", CONFIG);
    root.write_private(&BAKED[1..], &baked.env());
    root.write("etc/cloud/cloud.cfg.d/90_test.cfg", "locale: C.UTF-8\n");
    for unit in ["systemd-networkd-wait-online", "serial-getty@ttyS0"] {
        root.succeeds(&format!("systemctl mask {unit}.service"));
    }
    root.succeeds("systemctl enable systemd-networkd.service");
    let disk = Disk::of(&root);
    drop(root);

    let launch = Timestamp::now() + SignedDuration::from_secs(1);
    let user_data = cloud_config(&given);
    let (imds, logs) = doubles(&network, instance(launch, &user_data));
    let machine = VirtualMachine::boot(&disk, &network);

    // cloud-init knows where it is, and has run what it was given: the check
    // fails on what it finds.
    let result = wait_for(PATIENCE, "the end of cloud-init", || {
        let result = machine.output(&["cat", "/run/cloud-init/result.json"]);
        serde_json::from_str::<Value>(&result).ok()
    });
    assert_eq!(result["v1"]["datasource"], "DataSourceEc2Local");
    let errors = result["v1"]["errors"].to_string();
    let output = machine.output(&["cat", "/var/log/cloud-init-output.log"]);
    assert!(errors.contains("runcmd"), "{errors} {output}");
    let report = machine.output(&["cat", "/var/log/rolecall-launch.txt"]);
    assert!(
        report.contains(&baked.id) && report.contains(&given.id),
        "{report}"
    );

    // The service runs without anybody's doing, and tells what was baked from
    // what came later. The copies that cloud-init keeps are one place with what
    // the metadata service says.
    let active = machine.output(&["systemctl", "is-active", "rolecall.service"]);
    assert_eq!(active, "active");
    let beat = wait_for(PATIENCE, "a heartbeat of all", || {
        let mut beats = of_type(&logs, "heartbeat");
        beats.retain(|beat| beat["StaticCredentials"] == 2);
        beats.pop()
    });
    wait_for(PATIENCE, "a whole sweep of the service", || {
        let status = machine.output(&["rolecall", "status", "--format", "json"]);
        let status: Value = serde_json::from_str(&status).ok()?;
        let is_told = status["outbox"]["events"] == 0;
        (is_told && status["last_sweep"]["complete"].is_boolean()).then_some(())
    });
    let opened = critical(&logs);
    let at = |path: &str| {
        let told = opened.iter().find(|told| told["location"]["path"] == path);
        told.unwrap_or_else(|| panic!("{path} in {opened:?}"))
    };
    for (path, key, is_baked) in [
        (BAKED, &baked, Some(true)),
        (WRITTEN, &given, Some(false)),
        ("user-data", &given, None),
    ] {
        let told = at(path);
        assert_eq!(told["access_key_id"], key.id.as_str());
        let told_baked = told["file"]["baked_into_image"].as_bool();
        assert_eq!(told_baked, is_baked, "{told}");
    }
    let places: BTreeSet<String> = opened.iter().map(|told| told["id"].to_string()).collect();
    assert_eq!(places.len(), 3, "{opened:?}");
    let kept = format!("/var/lib/cloud/instances/{INSTANCE}/user-data.txt");
    let copies = opened.iter().map(|told| told["also_in"].to_string());
    let copies: Vec<_> = copies.collect();
    assert!(
        copies.iter().any(|copies| copies.contains(&kept)),
        "{copies:?}"
    );

    // Its role is the instance's, and signs; its metadata service is as it should be.
    assert_eq!(
        (&beat["RolePresent"], &beat["ImdsV1Enabled"]),
        (&1.into(), &0.into())
    );
    assert_eq!(beat["AutoScalingGroup"], "shop", "{beat}");
    let role = &imds.credentials().access_key_id;
    assert!(
        logs.requests()
            .iter()
            .all(|request| request.access_key_id == *role)
    );
    let posture = machine.output(&["rolecall", "posture", "--format", "json"]);
    for check in ["imds.v1-enabled", "imds.hop-limit", "role.missing"] {
        let checks = posture
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let found = checks.into_iter().find(|found| found["check"] == check);
        assert_eq!(found.unwrap()["verdict"], "pass", "{check}: {posture}");
    }

    // After a reboot what was told is not told again.
    machine.shut_down();
    let (beats, before) = (of_type(&logs, "heartbeat").len(), critical(&logs).len());
    let machine = VirtualMachine::boot(&disk, &network);
    wait_for(PATIENCE, "two heartbeats after the reboot", || {
        (of_type(&logs, "heartbeat").len() > beats + 1).then_some(())
    });
    assert_eq!(critical(&logs).len(), before, "{:?}", told(&logs, "opened"));
    let sent = logs.events(GROUP, INSTANCE);
    for secret in [&baked.secret, &given.secret] {
        assert!(
            !sent
                .iter()
                .any(|event| event.message.contains(secret.as_str()))
        );
    }
    machine.shut_down();
}

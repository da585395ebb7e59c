//! OCSF: what it says, judged by its own schema.

use serde_json::Value;

use super::sample::{objects, sample};
use crate::support::validators;

fn of_class(class: u64) -> Vec<Value> {
    let mut events = objects(&sample().ocsf);
    events.retain(|event| event["class_uid"] == class);
    events
}

#[test]
fn every_event_is_valid_with_the_profiles_that_it_names() {
    assert_eq!(validators::ocsf(&sample().ocsf), "");
    let profiles: Vec<_> = objects(&sample().ocsf)
        .iter()
        .map(|event| event["metadata"]["profiles"].to_string())
        .collect();
    for wanted in [r#"["cloud","host"]"#, "[]"] {
        assert!(profiles.iter().any(|named| named == wanted), "{wanted}");
    }
}

#[test]
fn an_event_that_is_not_valid_is_noticed() {
    let mut event = objects(&sample().ocsf).remove(0);
    event["surprise"] = 1.into();
    event["compliance"]["status_id"] = 7.into();
    event["finding_info"].as_object_mut().unwrap().remove("uid");
    let wrong = validators::ocsf(&format!("{event}\n"));
    assert_eq!(wrong.lines().count(), 3, "{wrong}");
}

#[test]
fn keys_are_detections_and_checks_are_compliance_each_told_once() {
    let findings = objects(&sample().reports);
    let ids = |is_told: fn(&Value) -> bool| -> Vec<String> {
        let told = findings.iter().filter(|record| is_told(record));
        let mut ids: Vec<_> = told.map(|finding| finding["id"].to_string()).collect();
        ids.sort_unstable();
        ids
    };
    let uids = |events: &[Value]| -> Vec<String> {
        let uid = |event: &Value| event["finding_info"]["uid"].to_string();
        let mut uids: Vec<_> = events.iter().map(uid).collect();
        uids.sort_unstable();
        uids
    };
    let keys = of_class(2004);
    let of_keys =
        ids(|record| record["type"] == "finding" && record["location"]["source"] != "posture");
    assert_eq!(uids(&keys), of_keys);
    let failed: Vec<Value> = of_class(2003)
        .into_iter()
        .filter(|check| {
            // Its holders are told one by one.
            check["compliance"]["status"] == "Fail"
                && check["compliance"]["control"] != "role.shadowed"
        })
        .collect();
    let of_checks =
        ids(|record| record["type"] == "finding" && record["location"]["source"] == "posture");
    assert_eq!(uids(&failed), of_checks);
    assert!(
        failed
            .iter()
            .all(|check| check["remediation"]["desc"].is_string())
    );
    let count = findings
        .iter()
        .filter(|record| record["type"] == "posture")
        .count();
    assert_eq!(of_class(2003).len(), count);
}

#[test]
fn a_run_with_a_gap_is_a_scan_that_failed_and_says_why() {
    let scans = of_class(6007);
    assert_eq!(scans.len(), 4);
    for scan in scans {
        assert_eq!(scan["status"], "Failure", "{scan}");
        let why = scan["status_detail"].as_str().unwrap();
        assert!(
            why.contains("archive-corrupt") || why.contains("is unknown"),
            "{why}"
        );
    }
}

#[test]
fn a_key_is_a_resource_of_its_account_and_can_be_looked_up() {
    for key in of_class(2004) {
        let id = &key["unmapped"]["finding"]["access_key_id"];
        if id.is_null() {
            continue;
        }
        let resources = key["resources"].as_array().unwrap();
        let last = resources.last().unwrap();
        assert_eq!(&last["uid"], id);
        assert_eq!(
            last["owner"]["account"]["uid"],
            key["unmapped"]["finding"]["account_id"]
        );
        let observable = &key["observables"][0];
        let name = format!("resources[{}].uid", resources.len() - 1);
        assert_eq!(
            (&observable["value"], observable["name"].as_str()),
            (id, Some(name.as_str()))
        );
    }
}

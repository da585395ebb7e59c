//! SARIF: what it says, judged by its schema, its makers and GitHub's rules.

use serde_json::Value;

use super::sample::sample;
use crate::support::host::Host;
use crate::support::rolecall::Rolecall;
use crate::support::validators;

fn runs() -> Vec<Value> {
    let parse = |log: &String| serde_json::from_str::<Value>(log).unwrap()["runs"][0].clone();
    sample().sarif.iter().map(parse).collect()
}

fn results() -> Vec<Value> {
    let of_run = |run: Value| run["results"].as_array().unwrap().clone();
    runs().into_iter().flat_map(of_run).collect()
}

/// The findings of a scan of `host`, as results.
fn scan(host: &Host) -> Vec<Value> {
    let ran = Rolecall::new(["scan", "--format", "sarif", "--root"])
        .arg(host.root())
        .run();
    let log: Value = serde_json::from_str(&ran.stdout).unwrap();
    log["runs"][0]["results"].as_array().unwrap().clone()
}

#[test]
fn a_file_is_valid_by_the_schema_its_makers_and_github() {
    // The check, the posture alone, the scan.
    for log in [&sample().sarif[0], &sample().sarif[2], &sample().sarif[3]] {
        assert_eq!(validators::sarif(log), "");
    }
}

#[test]
fn a_file_that_is_not_valid_is_noticed() {
    let log: Value = serde_json::from_str(&sample().sarif[2]).unwrap();
    let mut odd = log.clone();
    odd["runs"][0]["columnKind"] = "bytes".into();
    let wrong = validators::sarif(&odd.to_string());
    assert!(wrong.contains("columnKind"), "{wrong}");

    let mut poor = log;
    let without = |object: &mut Value, member: &str| {
        assert!(object.as_object_mut().unwrap().remove(member).is_some());
    };
    let run = &mut poor["runs"][0];
    without(&mut run["tool"]["driver"]["rules"][0], "help");
    without(
        &mut run["results"][0]["locations"][0]["physicalLocation"],
        "region",
    );
    let wrong = validators::sarif(&poor.to_string());
    for rule in ["GH2012", "SARIF2017"] {
        assert!(wrong.contains(rule), "{rule}: {wrong}");
    }
}

#[test]
fn every_finding_of_the_report_is_a_result_with_its_rule_and_its_place() {
    for (run, log) in runs().iter().zip(&sample().sarif) {
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        let results = run["results"].as_array().unwrap();
        assert_eq!(
            run["properties"]["summary"]["findings"],
            results.len(),
            "{log}"
        );
        for result in results {
            let finding = &result["properties"]["finding"];
            assert_eq!(result["ruleId"], finding["rule"]);
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], finding["rule"]);
            assert_eq!(
                result["partialFingerprints"]["rolecallFindingId/v1"],
                finding["id"]
            );
            let level = match finding["severity"].as_str().unwrap() {
                "critical" | "high" => "error",
                "medium" => "warning",
                _ => "note",
            };
            assert_eq!(result["level"], level);
            let place = &result["locations"][0]["physicalLocation"];
            assert!(place["region"]["startLine"].as_u64() >= Some(1));
            let uri = place["artifactLocation"]["uri"].as_str().unwrap();
            let is_relative = !uri.is_empty()
                && !uri.starts_with('/')
                && uri
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._~/%".contains(&b));
            assert!(is_relative, "{uri}");
        }
    }
}

#[test]
fn what_is_no_file_has_a_place_and_a_fingerprint_of_its_own() {
    let results = results();
    let of = |source: &str| {
        let is_it =
            |result: &&Value| result["properties"]["finding"]["location"]["source"] == source;
        let found = results.iter().find(is_it);
        found.unwrap_or_else(|| panic!("no finding of {source}"))
    };
    for (source, start, kind) in [
        ("posture", "instance/", "instance"),
        ("process", "proc/", "process"),
        ("archive", "srv/app.tar", "archiveMember"),
        ("git", "srv/shop/lib/key.env", "commit"),
    ] {
        let result = of(source);
        let location = &result["locations"][0];
        let uri = location["physicalLocation"]["artifactLocation"]["uri"]
            .as_str()
            .unwrap();
        assert!(uri.starts_with(start), "{uri}");
        assert_eq!(location["logicalLocations"][0]["kind"], kind, "{location}");
    }
    for source in ["posture", "process", "user-data"] {
        let prints = &of(source)["partialFingerprints"];
        assert!(prints["primaryLocationLineHash"].is_string(), "{source}");
    }
    assert_eq!(of("user-data")["relatedLocations"][0]["id"], 1);
}

#[test]
fn an_incomplete_run_has_not_succeeded_and_says_what_is_missing() {
    for run in runs() {
        let invocation = &run["invocations"][0];
        assert_eq!(invocation["executionSuccessful"], false);
        assert!([1, 2].map(Value::from).contains(&invocation["exitCode"]));
        let told = invocation["toolExecutionNotifications"].as_array().unwrap();
        let gap = told.iter().find(|told| told["level"] == "error").unwrap();
        let descriptors = &run["tool"]["driver"]["notifications"];
        let index = usize::try_from(gap["descriptor"]["index"].as_u64().unwrap()).unwrap();
        assert_eq!(descriptors[index]["id"], gap["descriptor"]["id"]);
    }
    let clean = Host::new();
    clean.write("a.txt", "nothing\n");
    let ran = Rolecall::new(["scan", "--format", "sarif", "--root"])
        .arg(clean.root())
        .run();
    let log: Value = serde_json::from_str(&ran.stdout).unwrap();
    let invocation = &log["runs"][0]["invocations"][0];
    assert_eq!((ran.status, &invocation["exitCode"]), (0, &0.into()));
    assert_eq!(invocation["executionSuccessful"], true);
}

#[test]
fn what_an_upload_replaces_is_the_same_command_on_the_same_instance() {
    let ids: Vec<_> = runs()
        .iter()
        .map(|run| run["automationDetails"]["id"].as_str().unwrap().to_owned())
        .collect();
    let check = "rolecall/check/i-0123456789abcdef0/";
    assert_eq!(ids, [check, check, "rolecall/posture/", "rolecall/scan/"]);
}

#[test]
fn columns_are_counted_in_characters_or_left_out() {
    let host = Host::new();
    let id = host.key_pair().id;
    host.write("plain.txt", format!("key = {id}\n"));
    host.write("wide.txt", format!("\u{e4}\u{1f511} = {id}\n"));
    // The line begins before what is held of the file.
    host.write("long.txt", format!("{} {id}\n", "\u{e4} ".repeat(3 << 20)));
    let column = |name: &str| {
        let uri = |result: &&Value| {
            result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == name
        };
        let results = scan(&host);
        let result = results.iter().find(uri).unwrap();
        result["locations"][0]["physicalLocation"]["region"]["startColumn"].clone()
    };
    assert_eq!(column("plain.txt"), 7);
    assert_eq!(column("wide.txt"), 6);
    assert_eq!(column("long.txt"), Value::Null);
}

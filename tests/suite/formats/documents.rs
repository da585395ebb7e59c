//! The schemas of packaging/schema and the page that explains them: neither
//! says less than what is written, nor more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use regex::Regex;
use rolecall::finding::{Rule, Severity};
use serde_json::Value;

use super::sample::{objects, sample};
use crate::support::host::Host;
use crate::support::rolecall::Rolecall;
use crate::support::validators::{self, repository};

/// Fields that take more than a test to come about: an event of 256 KiB.
const NOT_MADE: [&str; 1] = ["truncated"];

fn schema(name: &str) -> Value {
    let path = repository(&format!("packaging/schema/{name}.schema.json"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The kinds of records and events, and the status.
fn definitions() -> BTreeMap<String, Value> {
    let mut schema = schema("definitions");
    let defs = schema["$defs"].take();
    let mut all: BTreeMap<String, Value> = serde_json::from_value(defs).unwrap();
    all.insert("status".into(), self::schema("status"));
    all
}

/// The fields that a schema names, with their types, as the page writes them.
fn fields(schema: &Value, prefix: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let mut path = format!("{prefix}{name}");
        all.insert(path.clone(), type_name(field));
        let mut inner = field;
        while inner["items"].is_object() {
            inner = &inner["items"];
            path += "[]";
        }
        all.extend(fields(inner, &format!("{path}.")));
    }
    all
}

fn type_name(field: &Value) -> String {
    let (kind, or_null) = match &field["type"] {
        Value::Array(kinds) => (kinds[0].as_str(), " or null"),
        kind => (kind.as_str(), ""),
    };
    match kind {
        Some("array") => format!("array of {}{or_null}", type_name(&field["items"])),
        _ if field["format"] == "date-time" => format!("time{or_null}"),
        kind => format!("{}{or_null}", kind.unwrap_or("object")),
    }
}

/// The fields that a real object has.
fn present(object: &Value, prefix: &str, seen: &mut BTreeSet<String>) {
    match object {
        Value::Object(members) => {
            for (name, value) in members {
                let path = format!("{prefix}.{name}");
                present(value, &path, seen);
                seen.insert(path.trim_start_matches('.').to_owned());
            }
        }
        Value::Array(items) => {
            for item in items {
                present(item, &format!("{prefix}[]"), seen);
            }
        }
        _ => {}
    }
}

#[test]
fn what_is_written_and_sent_is_what_the_schemas_say() {
    let sample = sample();
    assert_eq!(validators::schema("report", &sample.reports), "");
    assert_eq!(validators::schema("event", &sample.events), "");
    assert_eq!(validators::schema("status", &sample.statuses), "");
    let kinds = |lines: &str, field: &str| -> BTreeSet<String> {
        let kind = |object: &Value| object[field].as_str().unwrap().to_owned();
        objects(lines).iter().map(kind).collect()
    };
    assert_eq!(kinds(&sample.reports, "type").len(), 4);
    assert_eq!(kinds(&sample.events, "event").len(), 6);
    assert_eq!(objects(&sample.statuses).len(), 2);
}

#[test]
fn every_field_that_the_schemas_allow_is_one_that_is_written_or_sent() {
    let sample = sample();
    let reports = objects(&sample.reports);
    let events = objects(&sample.events);
    let statuses = objects(&sample.statuses);
    let mut missing = Vec::new();
    for (kind, definition) in definitions() {
        let mut seen = BTreeSet::new();
        for object in reports.iter().chain(&events).chain(&statuses) {
            if kind == "event"
                || object["type"] == kind.as_str()
                || object["event"] == kind.as_str()
            {
                present(object, "", &mut seen);
            }
        }
        let allowed = fields(&definition, "").into_keys();
        let unseen =
            allowed.filter(|field| !seen.contains(field) && !NOT_MADE.contains(&field.as_str()));
        missing.extend(unseen.map(|field| format!("{kind}: {field}")));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn a_wrong_document_is_refused() {
    type Change = fn(&mut Value);
    let finding = |event: &Value| event["event"] == "opened" && event["access_key_id"].is_string();
    let event = objects(&sample().events).into_iter().find(finding).unwrap();
    assert_eq!(validators::schema("event", &event.to_string()), "");
    let changes: [Change; 9] = [
        |event| event["surprise"] = 1.into(),
        |event| event["location"]["surprise"] = 1.into(),
        |event| event["rule"] = "aws.unheard-of".into(),
        |event| event["event"] = "vanished".into(),
        |event| event["open_seconds"] = 1.into(),
        |event| event["access_key_id"] = "secret".into(),
        |event| event["instance"]["region"] = 1.into(),
        |event| _ = event.as_object_mut().unwrap().remove("severity"),
        |event| event["schema"] = 2.into(),
    ];
    let wrong = changes.iter().map(|change| {
        let mut wrong = event.clone();
        change(&mut wrong);
        format!("{wrong}\n")
    });
    let told = validators::schema("event", &wrong.collect::<String>());
    for number in 1..=changes.len() {
        assert!(told.contains(&format!("line {number}: ")), "{number}");
    }
}

/// The variants of an enum, as serde writes them.
fn variants(file: &str, name: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(repository("src").join(file)).unwrap();
    let (_, rest) = text.split_once(&format!("pub enum {name} {{\n")).unwrap();
    let (body, _) = rest.split_once("\n}").unwrap();
    let word = Regex::new("(.)([A-Z])").unwrap();
    body.lines()
        .filter_map(|line| line.trim().strip_suffix(','))
        .filter(|line| line.chars().all(char::is_alphanumeric))
        .map(|variant| word.replace_all(variant, "$1-$2").to_lowercase())
        .collect()
}

#[test]
fn named_values_are_those_of_the_code() {
    let definitions = definitions();
    let values = |kind: &str, path: &str| -> BTreeSet<String> {
        let list = definitions[kind]
            .pointer(path)
            .unwrap_or_else(|| panic!("{path}"));
        let names = list.as_array().unwrap().iter();
        names
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    };
    let rules: BTreeSet<_> = Rule::ALL
        .iter()
        .map(|rule| rule.name().to_owned())
        .collect();
    assert_eq!(values("finding", "/properties/rule/enum"), rules);
    let checks: BTreeSet<_> = rules
        .into_iter()
        .filter(|rule| !rule.starts_with("aws."))
        .collect();
    assert_eq!(values("posture", "/properties/check/enum"), checks);
    let severities = Severity::ALL.map(|severity| severity.name().to_owned());
    assert_eq!(
        values("finding", "/properties/severity/enum"),
        severities.into()
    );
    let mut sources = variants("finding/provenance.rs", "SourceKind");
    let place = "/properties/location/properties";
    assert_eq!(values("finding", &format!("{place}/source/enum")), sources);
    // The posture has checks, and no places.
    sources.remove("posture");
    assert_eq!(values("coverage", "/properties/source/enum"), sources);
    for (kind, path, file, name) in [
        (
            "coverage",
            "/properties/skipped/items/properties/reason/enum",
            "finding/coverage.rs",
            "SkipReason",
        ),
        (
            "finding",
            "/properties/confidence/enum",
            "finding/severity.rs",
            "Confidence",
        ),
        (
            "finding",
            "/properties/place_kind/enum",
            "finding/usage.rs",
            "PlaceKind",
        ),
        (
            "finding",
            "/properties/verified/enum",
            "finding/verified.rs",
            "Verified",
        ),
        (
            "finding",
            &format!("{place}/git_state/enum"),
            "finding/provenance.rs",
            "GitState",
        ),
        (
            "posture",
            "/properties/verdict/enum",
            "finding/posture.rs",
            "Verdict",
        ),
    ] {
        assert_eq!(values(kind, path), variants(file, name), "{name}");
    }
    let encodings = fs::read_to_string(repository("src/detect/encoding.rs")).unwrap();
    let arm = Regex::new(r#"Self::\w+ => "([a-z0-9-]+)""#).unwrap();
    let encodings: BTreeSet<String> = arm
        .captures_iter(&encodings)
        .map(|found| found[1].to_owned())
        .collect();
    assert_eq!(
        values("finding", &format!("{place}/encoding/items/enum")),
        encodings
    );
}

/// The rows of the tables below a heading of the page, cell by cell.
fn tables(page: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, rest) = page
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("no {heading}"));
    let section = rest.split("\n#").next().unwrap();
    section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

#[test]
fn the_page_explains_every_field_and_no_other() {
    let page = fs::read_to_string(repository("docs/events.md")).unwrap();
    for (kind, definition) in definitions() {
        let told: BTreeMap<String, String> = tables(&page, &format!("## `{kind}`"))
            .into_iter()
            .map(|cells| (cells[1].trim_matches('`').to_owned(), cells[2].clone()))
            .collect();
        assert_eq!(told, fields(&definition, ""), "{kind}");
    }
    let gaps: BTreeMap<String, String> = tables(&page, "### Reasons for a skip")
        .into_iter()
        .map(|cells| (cells[1].trim_matches('`').to_owned(), cells[2].clone()))
        .collect();
    let coverage = fs::read_to_string(repository("src/finding/coverage.rs")).unwrap();
    let (_, rest) = coverage.split_once("fn leaves_a_gap").unwrap();
    let (list, _) = rest.split_once(")\n").unwrap();
    let word = Regex::new("(.)([A-Z])").unwrap();
    let leaving: BTreeSet<String> = Regex::new(r"Self::(\w+)")
        .unwrap()
        .captures_iter(list)
        .map(|found| word.replace_all(&found[1], "$1-$2").to_lowercase())
        .collect();
    let wanted = variants("finding/coverage.rs", "SkipReason")
        .into_iter()
        .map(|reason| {
            let gap = if leaving.contains(&reason) {
                "yes"
            } else {
                "no"
            };
            (reason, gap.to_owned())
        });
    assert_eq!(gaps, wanted.collect());
}

#[test]
fn what_cloudwatch_received_as_a_heartbeat_it_can_make_metrics_of() {
    let mut heartbeats = objects(&sample().events);
    heartbeats.retain(|event| event["event"] == "heartbeat");
    assert!(heartbeats.len() > 3);
    for beat in &heartbeats {
        assert!(beat["_aws"]["Timestamp"].is_u64());
        for directive in beat["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            for name in directive["Dimensions"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|set| set.as_array().unwrap())
            {
                let value = beat[name.as_str().unwrap()].as_str().unwrap();
                assert!((1..=1024).contains(&value.trim().len()), "{name}");
            }
            let metrics = directive["Metrics"].as_array().unwrap();
            assert!((1..=100).contains(&metrics.len()));
            for metric in metrics {
                let value = &beat[metric["Name"].as_str().unwrap()];
                let is_number = |value: &Value| value.as_f64().is_some_and(f64::is_finite);
                let is_metric = match value {
                    Value::Array(values) => {
                        (1..=100).contains(&values.len()) && values.iter().all(is_number)
                    }
                    value => is_number(value),
                };
                assert!(is_metric, "{metric}: {value}");
            }
        }
    }
}

#[test]
fn no_format_tells_a_secret() {
    let sample = sample();
    let sarif = sample.sarif.concat();
    let told = [
        &sample.reports,
        &sample.events,
        &sample.statuses,
        &sarif,
        &sample.ocsf,
    ];
    for secret in &sample.secrets {
        assert!(told.iter().all(|text| !text.contains(secret.as_str())));
    }
    assert!(sample.secrets.len() > 10);
}

#[test]
fn a_format_that_a_command_does_not_have_is_bad_usage() {
    for (command, format) in [
        ("status", "sarif"),
        ("status", "ocsf"),
        ("config", "sarif"),
        ("daemon", "ocsf"),
    ] {
        let ran = Rolecall::new([command, "--format", format]).run();
        assert_eq!((ran.status, ran.stdout.as_str()), (64, ""), "{command}");
        assert!(ran.stderr.contains("--format"), "{}", ran.stderr);
    }
}

#[test]
fn a_report_of_many_findings_takes_no_more_memory_to_write_in_any_format() {
    let host = Host::new();
    for part in 0..20 {
        let lines: String = (0..500)
            .map(|_| format!("key {}\n", host.key_pair().id))
            .collect();
        host.write(&format!("{part}.txt"), lines);
    }
    let peak = |format: &str| {
        let out = Host::new();
        let ran = Rolecall::new(["scan", "--fail-on", "never", "--format", format, "--output"])
            .arg(out.path("report"))
            .arg("--root")
            .arg(host.root())
            .wrapped("/usr/bin/env", &["python3", "-c", PEAK])
            .run();
        let written = fs::metadata(out.path("report")).unwrap().len();
        assert!(written > 9_000_000, "{format}: {written} bytes");
        ran.stdout.trim().parse::<u64>().unwrap()
    };
    let plain = peak("json");
    for format in ["sarif", "ocsf"] {
        let peak = peak(format);
        assert!(
            peak < plain + plain / 4,
            "{format}: {peak} KiB, JSON: {plain} KiB"
        );
    }
}

/// Runs its arguments and prints how many KiB they had in memory at most.
const PEAK: &str = "
import resource, subprocess, sys
subprocess.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
";

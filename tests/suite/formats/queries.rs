//! The queries of packaging/insights: every word of them is a command, a
//! function, a field that real events have, or a value that they can have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use regex::Regex;
use serde_json::Value;

use super::sample::{objects, sample};
use crate::support::validators::repository;

/// Of the query language, those in use here:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html>.
const COMMANDS: [&str; 6] = ["fields", "filter", "limit", "parse", "sort", "stats"];
const FUNCTIONS: [&str; 12] = [
    "avg",
    "coalesce",
    "count",
    "count_distinct",
    "fromMillis",
    "ispresent",
    "latest",
    "max",
    "now",
    "pct",
    "sum",
    "toMillis",
];
const WORDS: [&str; 9] = ["and", "as", "asc", "by", "desc", "in", "like", "not", "or"];
/// Made by CloudWatch Logs.
const SYSTEM_FIELDS: [&str; 2] = ["@message", "@timestamp"];
/// Fields of an event that CloudWatch Logs Insights finds.
const MAX_FIELDS: usize = 200;

fn queries() -> BTreeMap<String, String> {
    let folder = fs::read_dir(repository("packaging/insights")).unwrap();
    let queries: BTreeMap<_, _> = folder
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            assert_eq!(path.extension().unwrap(), "query");
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    assert!(queries.len() >= 7);
    queries
}

/// Names of fields as Insights makes them, in order.
fn flatten(value: &Value, prefix: &str, fields: &mut Vec<String>) {
    let below = |name: &str| match prefix {
        "" => name.to_owned(),
        prefix => format!("{prefix}.{name}"),
    };
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                flatten(value, &below(name), fields);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                flatten(value, &below(&index.to_string()), fields);
            }
        }
        _ => fields.push(prefix.to_owned()),
    }
}

/// What the query reads, without comments.
fn text(query: &str) -> String {
    let lines = query.lines().filter(|line| !line.starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

/// The events that a query can see, by what it filters for.
fn kinds(query: &str) -> BTreeSet<String> {
    let named = Regex::new(r#"event (?:= |in \[)("[^\]\n|]*")"#).unwrap();
    let quoted = Regex::new(r#""([a-z]+)""#).unwrap();
    let lists = named.captures_iter(query).map(|found| found[1].to_owned());
    let lists: Vec<_> = lists.collect();
    let first = lists.first().expect("every query names its events");
    // The list ends where another field begins.
    let own = first.split(" and ").next().unwrap();
    quoted
        .captures_iter(own)
        .map(|found| found[1].to_owned())
        .collect()
}

/// Names that the query makes itself.
fn aliases(query: &str) -> BTreeSet<String> {
    let made = Regex::new(r"\bas ([a-z_0-9]+)|\(\?<([a-z_]+)>").unwrap();
    made.captures_iter(query)
        .map(|found| found.get(1).or(found.get(2)).unwrap().as_str().to_owned())
        .collect()
}

/// The words that are no text, pattern or number.
fn words(query: &str) -> Vec<String> {
    let literal = Regex::new(r#""[^"]*"|/(?:\\.|[^/\n\\])+/"#).unwrap();
    let word = Regex::new(r"@?[A-Za-z_][A-Za-z0-9_.]*").unwrap();
    // A division has blanks around it, and a pattern has not.
    let plain = query.replace(" / ", " ");
    let plain = literal.replace_all(&plain, " ");
    word.find_iter(&plain)
        .map(|found| found.as_str().to_owned())
        .collect()
}

#[test]
fn every_name_in_a_query_is_a_field_of_the_events_that_it_asks_for() {
    let events = objects(&sample().events);
    for (name, query) in queries() {
        let query = text(&query);
        let kinds = kinds(&query);
        let mut known = Vec::new();
        for event in &events {
            if kinds.contains(event["event"].as_str().unwrap()) {
                flatten(event, "", &mut known);
            }
        }
        let known: BTreeSet<_> = known.into_iter().collect();
        let aliases = aliases(&query);
        for word in words(&query) {
            let is_known = COMMANDS.contains(&word.as_str())
                || FUNCTIONS.contains(&word.as_str())
                || WORDS.contains(&word.as_str())
                || SYSTEM_FIELDS.contains(&word.as_str())
                || aliases.contains(&word)
                || known.contains(&word);
            assert!(is_known, "{name}: no event of {kinds:?} has {word}");
        }
        for alias in aliases {
            // In a stats command that would hide the field of that name.
            assert!(!known.contains(&alias), "{name}: {alias} is a field");
        }
    }
}

#[test]
fn every_value_in_a_query_is_one_that_events_can_have() {
    let path = repository("packaging/schema/definitions.schema.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for definition in schema["$defs"].as_object().unwrap().values() {
        for (name, field) in definition["properties"].as_object().unwrap() {
            let known = field["enum"].as_array().into_iter().flatten();
            let known = known.filter_map(Value::as_str).map(str::to_owned);
            values.entry(name.clone()).or_default().extend(known);
        }
    }
    let compared = Regex::new(r#"([a-z_.]+) (?:=|!=|in) \[?((?:"[^"]*"(?:, )?)+)"#).unwrap();
    let renamed = Regex::new(r"latest\(([a-z_.]+)\) as ([a-z_]+)").unwrap();
    let quoted = Regex::new(r#""([^"]*)""#).unwrap();
    let mut checked = 0;
    for (name, query) in queries() {
        let query = text(&query);
        let origin: BTreeMap<String, String> = renamed
            .captures_iter(&query)
            .map(|found| (found[2].to_owned(), found[1].to_owned()))
            .collect();
        for found in compared.captures_iter(&query) {
            let field = origin.get(&found[1]).map_or(&found[1], String::as_str);
            for value in quoted.captures_iter(&found[2]) {
                let known = values
                    .get(field)
                    .is_some_and(|known| known.contains(&value[1]));
                assert!(known, "{name}: {field} is never {}", &value[1]);
                checked += 1;
            }
        }
    }
    assert!(checked > 10);
}

#[test]
fn the_gaps_that_a_query_looks_for_are_those_that_make_a_run_incomplete() {
    let page = fs::read_to_string(repository("docs/events.md")).unwrap();
    let row = Regex::new(r"\| `([a-z-]+)` \| yes \|").unwrap();
    let gaps: BTreeSet<_> = row
        .captures_iter(&page)
        .map(|found| found[1].to_owned())
        .collect();
    let query = &queries()["coverage-gaps"];
    let list = Regex::new(r"\(\?<gap>([a-z|-]+)\)").unwrap();
    let told = list.captures(query).unwrap()[1]
        .split('|')
        .map(str::to_owned)
        .collect();
    assert_eq!(gaps, told);
    // Its pattern is one of the raw event.
    let pattern = Regex::new(r"/(.*)/\n").unwrap().captures(query).unwrap()[1].to_owned();
    let pattern = Regex::new(&pattern.replace("(?<", "(?P<")).unwrap();
    let found = sample()
        .events
        .lines()
        .find_map(|event| pattern.captures(event));
    let found = found.expect("an event with a gap");
    assert_eq!(
        (&found["gap"], &found["left_out"]),
        ("archive-corrupt", "1")
    );
}

#[test]
fn a_query_keeps_to_what_the_language_allows() {
    for (name, query) in queries() {
        assert!(query.starts_with("# ") && query.len() <= 10_000, "{name}");
        let query = text(&query);
        let commands: Vec<&str> = query
            .split("\n| ")
            .map(|command| command.split(' ').next().unwrap())
            .collect();
        let aggregates = commands.iter().filter(|command| **command == "stats");
        assert!(aggregates.count() <= 2, "{name}");
        let last = commands
            .iter()
            .rposition(|command| *command == "stats")
            .unwrap_or(0);
        let early = commands[..last]
            .iter()
            .filter(|command| ["sort", "limit"].contains(command));
        assert_eq!(
            early.count(),
            0,
            "{name}: sort and limit come after the last stats"
        );
    }
}

#[test]
fn each_query_is_explained() {
    let page = fs::read_to_string(repository("docs/queries.md")).unwrap();
    for name in queries().keys() {
        let link = format!("](../packaging/insights/{name}.query)");
        assert!(page.contains(&link), "{name}");
    }
}

#[test]
fn events_stay_within_the_fields_that_are_found() {
    for event in objects(&sample().events) {
        let mut fields = Vec::new();
        flatten(&event, "", &mut fields);
        assert!(
            fields.len() <= MAX_FIELDS,
            "{}: {}",
            fields.len(),
            event["event"]
        );
    }
}

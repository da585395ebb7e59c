//! The SSM Command document, carried out as an agent would: parameters are
//! held against their patterns and handed over as environment variables; an
//! old agent knows no such variables and puts parameters into the text.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};

use regex::Regex;
use serde_json::{Value, json};

use super::path::{Programs, assert_shell_is_clean, stderr, stdout};
use crate::support::host::Host;
use crate::support::moto::Moto;
use crate::support::python::{assert_follows, python, yaml};
use crate::support::validators::repository;

const DOCUMENT: &str = "packaging/ssm/command.yml";
/// Statuses that the agent takes for something else.
const RESERVED: [i32; 3] = [168, 169, 194];

#[derive(Clone, Copy, PartialEq)]
enum Agent {
    Current,
    /// Before `ENV_VAR`, 3.3.2746.0.
    Old,
}

/// What the service and the agent make of a command.
fn send(
    document: &Value,
    agent: Agent,
    given: &[(&str, &str)],
    programs: &Programs,
    shell: &str,
) -> Result<Output, String> {
    let declared = document["parameters"].as_object().unwrap();
    let mut values: BTreeMap<&str, String> = declared
        .iter()
        .map(|(name, parameter)| {
            (
                name.as_str(),
                parameter["default"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    for (name, value) in given {
        let parameter = declared
            .get(*name)
            .ok_or_else(|| format!("no parameter {name}"))?;
        let allowed = parameter["allowedValues"].as_array();
        if allowed.is_some_and(|allowed| !allowed.contains(&json!(value))) {
            return Err(format!("{name}: not one of the values"));
        }
        let pattern = Regex::new(parameter["allowedPattern"].as_str().unwrap()).unwrap();
        if !pattern.is_match(value) {
            return Err(format!("{name}: not allowed"));
        }
        values.insert(name, (*value).to_owned());
    }
    Ok(execute(document, agent, &values, programs, shell))
}

/// The step itself, whatever the parameters hold.
fn execute(
    document: &Value,
    agent: Agent,
    values: &BTreeMap<&str, String>,
    programs: &Programs,
    shell: &str,
) -> Output {
    let steps = document["mainSteps"].as_array().unwrap();
    assert_eq!(steps.len(), 1, "one step, one status");
    let mut text = script(&steps[0]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("_script.sh");
    let mut command = Command::new("env");
    for (name, value) in values {
        if agent == Agent::Current {
            command.arg(format!("SSM_{name}={value}"));
        } else {
            text = text.replace(&format!("{{{{ {name} }}}}"), value);
            text = text.replace(&format!("{{{{{name}}}}}"), value);
        }
    }
    fs::write(&file, text).unwrap();
    programs.run(command.arg(shell).arg(file).current_dir(directory.path()))
}

fn script(step: &Value) -> String {
    let lines = step["inputs"]["runCommand"].as_array().unwrap();
    let lines: Vec<_> = lines.iter().map(|line| line.as_str().unwrap()).collect();
    lines.join("\n")
}

#[test]
fn the_document_follows_the_schema_and_names_what_it_declares() {
    let document = yaml(DOCUMENT);
    assert_follows(&document, "command.schema.json");
    let steps = document["mainSteps"].as_array().unwrap();
    let text = document.to_string();
    assert!(!text.contains("{{"), "a parameter stands in the text");
    let parameters = document["parameters"].as_object().unwrap();
    for name in parameters.keys() {
        assert!(text.contains(&format!("$SSM_{name}")) || text.contains(&format!("${{SSM_{name}")));
    }
    for found in Regex::new(r"SSM_([A-Za-z]+)").unwrap().captures_iter(&text) {
        assert!(parameters.contains_key(&found[1]), "{}", &found[1]);
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("script.sh");
    fs::write(&file, script(&steps[0])).unwrap();
    assert_shell_is_clean("sh", &[&file]);
}

#[test]
fn a_default_is_a_value_that_the_pattern_allows() {
    let document = yaml(DOCUMENT);
    for (name, parameter) in document["parameters"].as_object().unwrap() {
        let pattern = Regex::new(parameter["allowedPattern"].as_str().unwrap()).unwrap();
        let values = parameter["allowedValues"].as_array().cloned();
        for value in values
            .unwrap_or_default()
            .iter()
            .chain([&parameter["default"]])
        {
            assert!(pattern.is_match(value.as_str().unwrap()), "{name}: {value}");
        }
    }
}

#[test]
fn each_mode_becomes_the_command_that_was_meant() {
    let document = yaml(DOCUMENT);
    for (given, arguments) in [
        (
            &[][..],
            "check --quiet --fail-on=high --ship=auto --timeout=30m",
        ),
        (
            &[
                ("Mode", "scan"),
                ("Path", "/srv/a+b@c"),
                ("TimeoutMinutes", "110"),
            ],
            "scan --quiet --fail-on=high --timeout=110m -- /srv/a+b@c",
        ),
        (
            &[("Mode", "posture"), ("FailOn", "never"), ("Ship", "always")],
            "posture --quiet --fail-on=never --timeout=30m",
        ),
        (&[("Mode", "status")], "status --quiet --fail-on=high"),
    ] {
        for shell in ["dash", "bash"] {
            let programs = Programs::new().recording("rolecall", 0);
            let output = send(&document, Agent::Current, given, &programs, shell).unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            assert_eq!(programs.recorded("rolecall").join(" "), arguments);
        }
    }
}

#[test]
fn hostile_parameters_are_refused_and_would_be_data_if_they_were_not() {
    let document = yaml(DOCUMENT);
    let names: Vec<_> = document["parameters"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("executed");
    let touch = format!("touch {}", mark.display());
    let hostile = [
        format!("$({touch})"),
        format!("`{touch}`"),
        format!("'; {touch}; '"),
        format!("\"; {touch}; \""),
        format!("check\n{touch}"),
        format!("x; {touch}"),
        format!("/srv | {touch}"),
        format!("/srv && {touch}"),
        format!("/a\nE\n{touch}"),
        format!("${{IFS}}$({touch})"),
        "--config=/tmp/x".into(),
        "/srv *".into(),
        "/srv\u{0}x".into(),
        format!("/{}", "a".repeat(2000)),
    ];
    for name in &names {
        for value in &hostile {
            for agent in [Agent::Current, Agent::Old] {
                let programs = Programs::new().recording("rolecall", 0);
                let given = [(name.as_str(), value.as_str())];
                let refused = send(&document, agent, &given, &programs, "dash");
                assert!(refused.is_err(), "{name}={value:?} is let in");
                // A service that forgets its patterns.
                if value.contains('\0') {
                    continue;
                }
                let mut values: BTreeMap<&str, String> = names
                    .iter()
                    .map(|name| {
                        let default = &document["parameters"][name]["default"];
                        (name.as_str(), default.as_str().unwrap().to_owned())
                    })
                    .collect();
                // Where a path is looked at.
                values.insert("Mode", "scan".into());
                values.insert(name, value.clone());
                for shell in ["dash", "bash"] {
                    let output = execute(&document, agent, &values, &programs, shell);
                    assert!(!mark.exists(), "{name}={value:?} was executed");
                    let status = output.status.code().unwrap();
                    assert!(!RESERVED.contains(&status));
                    let expected = if agent == Agent::Old || name == "Mode" {
                        64
                    } else {
                        0
                    };
                    assert_eq!(status, expected, "{name}={value:?}: {}", stderr(&output));
                }
                let told = programs.recorded("rolecall").join("\n");
                let whole = told.contains(value.as_str());
                let used = agent == Agent::Current && !matches!(name.as_str(), "Mode" | "Ship");
                assert_eq!(whole, used, "{name}={value:?}: {told}");
            }
        }
    }
}

#[test]
fn an_agent_that_sets_no_variables_is_named_and_nothing_runs() {
    let programs = Programs::new().recording("rolecall", 0);
    let output = send(&yaml(DOCUMENT), Agent::Old, &[], &programs, "dash").unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("3.3.2746.0"));
    assert!(programs.recorded("rolecall").is_empty());
}

#[test]
fn statuses_are_passed_on_and_those_that_the_agent_reserves_never_are() {
    let document = yaml(DOCUMENT);
    for (status, expected) in [
        (0, 0),
        (1, 1),
        (2, 2),
        (3, 3),
        (64, 64),
        (101, 2),
        (137, 2),
        (168, 2),
        (169, 2),
        (194, 2),
    ] {
        let programs = Programs::new().recording("rolecall", status);
        let output = send(&document, Agent::Current, &[], &programs, "dash").unwrap();
        assert_eq!(output.status.code(), Some(expected), "{status}");
    }
    let output = send(&document, Agent::Current, &[], &Programs::new(), "dash").unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(
        stderr(&output).contains("not installed"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn what_run_command_shows_begins_with_a_head_that_stands_alone() {
    let host = Host::new();
    let worst = host.key_pair();
    host.write("srv/app.env", worst.env());
    for number in 0..60 {
        host.write(&format!("srv/{number}/app.env"), host.key_pair().env());
    }
    let document = yaml(DOCUMENT);
    let arguments = format!("--root '{}'", host.root().display());
    let programs = Programs::new().with_rolecall(&arguments);
    let given = [("Mode", "scan")];
    let output = send(&document, Agent::Current, &given, &programs, "dash").unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let shown: String = stdout(&output).chars().take(2000).collect();
    assert!(stdout(&output).len() > 2500, "the console cuts it");
    assert!(shown.starts_with("rolecall"), "{shown}");
    assert!(shown.contains("61 critical"), "{shown}");
}

#[test]
fn the_service_takes_the_document_and_the_associations() {
    const PROGRAM: &str = "
import json, sys, boto3
url, document, *associations = sys.argv[1:]
ssm = boto3.client('ssm', 'us-east-1', endpoint_url=url,
                   aws_access_key_id='testing', aws_secret_access_key='testing')
made = ssm.create_document(Name='rolecall', DocumentType='Command', DocumentFormat='YAML',
                           Content=open(document).read(), TargetType='/AWS::EC2::Instance')
print(json.dumps(made['DocumentDescription'], default=str))
from botocore.validate import ParamValidator
shape = ssm.meta.service_model.operation_model('CreateAssociation').input_shape
for path in associations:
    association = json.load(open(path))
    report = ParamValidator().validate(association, shape)
    sys.exit(report.generate_report()) if report.has_errors() else None
    print(json.dumps(association))
";
    let moto = Moto::start();
    let files = [
        DOCUMENT,
        "packaging/ssm/association.json",
        "packaging/ssm/install-association.json",
    ];
    let mut arguments = vec![moto.url()];
    arguments.extend(files.map(|file| repository(file).display().to_string()));
    let said = python(PROGRAM, &arguments);
    let said: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let document = yaml(DOCUMENT);
    let names: Vec<_> = said[0]["Parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameter| parameter["Name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        names.len(),
        document["parameters"].as_object().unwrap().len()
    );

    // The association names the document and parameters that it takes.
    assert_eq!(said[1]["Name"], "rolecall");
    let given: Vec<(&str, &str)> = said[1]["Parameters"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, values)| (name.as_str(), values[0].as_str().unwrap()))
        .collect();
    let programs = Programs::new().recording("rolecall", 0);
    send(&document, Agent::Current, &given, &programs, "dash").unwrap();
    assert_eq!(said[2]["Name"], "AWS-ConfigureAWSPackage");
    assert_eq!(said[2]["Parameters"]["name"][0], "rolecall-package");
}

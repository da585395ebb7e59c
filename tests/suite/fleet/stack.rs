//! The stack: every name in it held against what the binary emits, and the
//! whole deployed into moto.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::time::Duration;

use regex::Regex;
use rolecall::finding::{Instance, Summary};
use rolecall::ship::{Event, Metrics};
use serde_json::{Value, json};

use super::pattern::Pattern;
use crate::support::host::Host;
use crate::support::imds_double::ImdsDouble;
use crate::support::logs_double::LogsDouble;
use crate::support::moto::{self, Moto};
use crate::support::python::python;
use crate::support::rolecall::{Ran, Rolecall};
use crate::support::validators::repository;

const TEMPLATE: &str = "packaging/cloudformation/rolecall.yml";
const REGIONS: [&str; 6] = [
    "us-east-1",
    "eu-central-1",
    "ap-southeast-2",
    "us-gov-west-1",
    "cn-north-1",
    "cn-northwest-1",
];
const GROUP: &str = "/rolecall";
const INSTANCE: &str = "i-0123456789abcdef0";

/// The template, with its short forms written out.
fn template() -> Value {
    const PROGRAM: &str = "
import json, sys
from cfnlint.decode import decode
template, problems = decode(sys.argv[1])
sys.exit(str(problems)) if problems else json.dump(template, sys.stdout, default=str)
";
    let json = python(PROGRAM, &[repository(TEMPLATE)]);
    serde_json::from_str(&json).unwrap()
}

fn resources(template: &Value, kind: &str) -> BTreeMap<String, Value> {
    let resources = template["Resources"].as_object().unwrap();
    resources
        .iter()
        .filter(|(_, resource)| resource["Type"] == kind)
        .map(|(name, resource)| (name.clone(), resource["Properties"].clone()))
        .collect()
}

fn dashboard(template: &Value) -> Value {
    let dashboards = resources(template, "AWS::CloudWatch::Dashboard");
    let body = dashboards["Dashboard"]["DashboardBody"]["Fn::Sub"]
        .as_str()
        .unwrap();
    serde_json::from_str(body).expect("the body is JSON")
}

fn check(host: &Host, imds: &ImdsDouble, logs: &LogsDouble) -> Ran {
    Rolecall::new(["check", "--ship", "always", "--root"])
        .arg(host.root())
        .args(&[
            "--imds-endpoint",
            &imds.endpoint(),
            "--logs-endpoint",
            &logs.url(),
        ])
        .run()
}

/// What one instance tells in the course of its bad days: the events that the
/// binary puts into the log group.
fn told() -> Vec<Value> {
    let logs = LogsDouble::builder().group(GROUP).start();
    let host = Host::new();
    let imds = ImdsDouble::builder()
        .role("web")
        .auto_scaling_group("web")
        .start();
    let check = || {
        let ran = check(&host, &imds, &logs);
        assert!([0, 1].contains(&ran.status), "{}", ran.stderr);
    };
    check();
    let pair = host.key_pair();
    host.write("srv/app.env", pair.env());
    host.write(
        "srv/id",
        format!("access_key_id = {}\n", host.key_pair().id),
    );
    check();
    logs.events(GROUP, INSTANCE)
        .iter()
        .map(|event| serde_json::from_str(&event.message).unwrap())
        .collect()
}

/// A heartbeat in which everything is known.
fn heartbeat() -> Value {
    let metrics = Metrics {
        static_credentials: 1,
        role_present: Some(true),
        imds_v1_enabled: Some(false),
        imds_hop_limit_exceeded: Some(true),
        time_to_resolve: vec![Duration::from_mins(1)],
    };
    let instance = Instance {
        auto_scaling_group: Some("web".into()),
        image_id: Some("ami-1".into()),
        ..Instance::default()
    };
    let summary = Summary {
        complete: true,
        ..Summary::default()
    };
    let event = Event::heartbeat(&summary, &metrics, &instance, 0);
    serde_json::from_str(&event.body).unwrap()
}

/// Namespace, name and dimensions of every metric that a heartbeat embeds.
fn embedded(heartbeat: &Value) -> BTreeSet<(String, String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut found = BTreeSet::new();
    for directive in heartbeat["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
        for set in directive["Dimensions"].as_array().unwrap() {
            for metric in directive["Metrics"].as_array().unwrap() {
                let set = set.as_array().unwrap().iter().map(text).collect();
                found.insert((text(&directive["Namespace"]), text(&metric["Name"]), set));
            }
        }
    }
    found
}

/// What the metric filters of the stack make.
fn filtered(template: &Value) -> BTreeSet<(String, String, Vec<String>)> {
    resources(template, "AWS::Logs::MetricFilter")
        .values()
        .map(|filter| {
            let made = &filter["MetricTransformations"][0];
            let text = |name: &str| made[name].as_str().unwrap().to_owned();
            (text("MetricNamespace"), text("MetricName"), Vec::new())
        })
        .collect()
}

#[test]
fn cfn_lint_has_nothing_to_say_in_any_region() {
    let program = "from cfnlint.runner import main; main()";
    let output = Command::new(moto::installed())
        .args(["-c", program, "-t"])
        .arg(repository(TEMPLATE))
        .arg("--regions")
        .args(REGIONS)
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn alarms_and_graphs_name_metrics_that_there_are() {
    let template = template();
    let mut known = embedded(&heartbeat());
    for event in told().iter().filter(|event| event["event"] == "heartbeat") {
        // The binary's own heartbeats have no other ones.
        assert!(embedded(event).is_subset(&known), "{event}");
    }
    let filtered = filtered(&template);
    for (namespace, name, _) in &filtered {
        let embedded = known
            .iter()
            .any(|(other, metric, _)| other == namespace && metric == name);
        assert!(!embedded, "{name} is counted twice");
    }
    known.extend(filtered);
    // Of the service that runs the instances.
    known.insert((
        "AWS/EC2".into(),
        "CPUUtilization".into(),
        vec!["AutoScalingGroupName".into()],
    ));
    let metric = |metric: &Value| {
        let text = |name: &str| metric[name].as_str().unwrap().to_owned();
        let dimensions = metric["Dimensions"].as_array().cloned().unwrap_or_default();
        let dimensions = dimensions
            .iter()
            .map(|found| found["Name"].as_str().unwrap().to_owned());
        (
            text("Namespace"),
            text("MetricName"),
            dimensions.collect::<Vec<_>>(),
        )
    };
    let mut named = BTreeSet::new();
    for alarm in resources(&template, "AWS::CloudWatch::Alarm").values() {
        match alarm["Metrics"].as_array() {
            Some(metrics) => named.extend(
                metrics
                    .iter()
                    .filter_map(|part| part["MetricStat"].get("Metric"))
                    .map(metric),
            ),
            None => {
                named.insert(metric(alarm));
            }
        }
    }
    let search =
        Regex::new(r#"SEARCH\('\{(\w+),(\w+)\} MetricName="(\w+)"', '(\w+)', 21600\)"#).unwrap();
    for widget in dashboard(&template)["widgets"].as_array().unwrap() {
        let mut identifiers = BTreeSet::new();
        for row in widget["properties"]["metrics"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let expression = row[0]["expression"].as_str().unwrap();
            let found = search.captures(expression).expect(expression);
            named.insert((found[1].into(), found[3].into(), vec![found[2].into()]));
            assert!(["Average", "Maximum", "SampleCount"].contains(&&found[4]));
            let id = row[0]["id"].as_str().unwrap();
            assert!(id.starts_with(|c: char| c.is_ascii_lowercase()));
            assert!(identifiers.insert(id.to_owned()));
        }
    }
    assert!(named.is_subset(&known), "{:?}", named.difference(&known));
    for kpi in [
        "Compliant",
        "StaticCredentials",
        "TimeToResolve",
        "ImdsV1Enabled",
        "ImdsHopLimitExceeded",
        "RolePresent",
        "Undelivered",
    ] {
        assert!(
            named.iter().any(|(_, name, _)| name == kpi),
            "no graph of {kpi}"
        );
    }
}

#[test]
fn filter_patterns_count_the_events_that_they_are_for_and_no_others() {
    let template = template();
    let filters = resources(&template, "AWS::Logs::MetricFilter");
    let pattern = |name: &str| Pattern::parse(filters[name]["FilterPattern"].as_str().unwrap());
    let told = told();
    for name in filters.keys() {
        for field in pattern(name).fields() {
            assert!(
                told.iter().any(|event| event.get(&field).is_some()),
                "no event has {field}"
            );
        }
    }

    let credential = pattern("StaticCredentialFilter");
    let counted: Vec<_> = told
        .iter()
        .filter(|event| credential.matches(event))
        .collect();
    assert_eq!(counted.len(), 1, "{counted:?}");
    assert_eq!(counted[0]["rule"], "aws.access-key-pair");
    let opened =
        |rule: &str, severity: &str| json!({"event": "opened", "rule": rule, "severity": severity});
    for (event, counts) in [
        (opened("aws.bedrock-api-key", "critical"), true),
        (opened("aws.secret-access-key", "high"), true),
        (opened("aws.access-key-id", "medium"), false),
        (opened("aws.temporary-credentials", "high"), false),
        (opened("imds.v1-enabled", "high"), false),
    ] {
        assert_eq!(credential.matches(&event), counts, "{event}");
    }
    let mut resolved = counted[0].clone();
    resolved["event"] = "resolved".into();
    assert!(!credential.matches(&resolved));

    // The checks of a healthy instance are there, and are not counted; the
    // same ones are if they fail.
    let role = pattern("RoleFailureFilter");
    assert!(!told.iter().any(|event| role.matches(event)));
    let failing = |check: &str| {
        let posture = told.iter().find(|event| event["check"] == check);
        let mut event = posture.unwrap_or_else(|| panic!("no {check}")).clone();
        event["verdict"] = "fail".into();
        role.matches(&event)
    };
    assert!(failing("role.missing") && failing("role.credentials-unusable"));
    assert!(!failing("imds.hop-limit"));
}

#[test]
fn no_alarm_pages_for_nothing() {
    let template = template();
    let alarms = resources(&template, "AWS::CloudWatch::Alarm");
    assert_eq!(alarms.len(), 3);
    for (name, alarm) in &alarms {
        // Silence is judged by an expression that knows whether anybody runs.
        assert_eq!(alarm["TreatMissingData"], "notBreaching", "{name}");
        assert_eq!(alarm["AlarmActions"]["Fn::If"][0], "HasTopic", "{name}");
    }
    let heartbeat = &alarms["HeartbeatAlarm"];
    let data: Vec<_> = heartbeat["Metrics"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|metric| metric["ReturnData"] != false)
        .collect();
    assert_eq!(data.len(), 1);
    assert_eq!(
        data[0]["Expression"],
        "IF(running > 0, FILL(heartbeats, 0), 1)"
    );
    assert_eq!(
        heartbeat["EvaluationPeriods"],
        heartbeat["DatapointsToAlarm"]
    );
    // Longer than the longest rest between two heartbeats, and no longer than
    // an alarm may look back.
    let hours = &template["Parameters"]["HeartbeatHours"];
    let interval = rolecall::config::Config::default().scan.interval;
    let rest = interval + Duration::from_hours(1);
    assert!(Duration::from_hours(hours["Default"].as_u64().unwrap()) > rest);
    assert_eq!(hours["MaxValue"], 24);
}

#[test]
fn saved_queries_are_those_of_the_repository() {
    let template = template();
    let mut saved = BTreeMap::new();
    for query in resources(&template, "AWS::Logs::QueryDefinition").values() {
        let name = query["Name"]
            .as_str()
            .unwrap()
            .strip_prefix("rolecall/")
            .unwrap();
        saved.insert(
            name.to_owned(),
            query["QueryString"].as_str().unwrap().to_owned(),
        );
    }
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(repository("packaging/insights")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        files.insert(name, text.trim_end().to_owned());
    }
    assert_eq!(saved, files);

    // The tables of the dashboard are some of them.
    let in_one_line = |query: &str| {
        let lines = query.lines().filter(|line| !line.starts_with('#'));
        lines.collect::<Vec<_>>().join(" ")
    };
    let known: Vec<String> = files.values().map(|query| in_one_line(query)).collect();
    let dashboard = dashboard(&template);
    let widgets = dashboard["widgets"].as_array().unwrap();
    let tables: Vec<_> = widgets
        .iter()
        .filter(|widget| widget["type"] == "log")
        .collect();
    assert!(!tables.is_empty());
    for table in tables {
        let query = table["properties"]["query"].as_str().unwrap();
        let query = query.strip_prefix("SOURCE '${LogGroupName}' | ").unwrap();
        assert!(known.contains(&query.to_owned()), "{query}");
    }
}

#[test]
fn widgets_are_on_the_grid_and_do_not_overlap() {
    let dashboard = dashboard(&template());
    let mut taken = BTreeSet::new();
    for widget in dashboard["widgets"].as_array().unwrap() {
        let number = |name: &str| widget[name].as_u64().unwrap();
        assert!(number("x") + number("width") <= 24);
        for x in number("x")..number("x") + number("width") {
            for y in number("y")..number("y") + number("height") {
                assert!(taken.insert((x, y)), "{widget}");
            }
        }
        assert!(
            widget["properties"]["markdown"].is_string()
                || widget["properties"]["region"] == "${AWS::Region}"
        );
    }
}

#[test]
fn the_policy_has_the_two_actions_that_the_binary_calls_on_its_log_group() {
    let template = template();
    let policies = resources(&template, "AWS::IAM::ManagedPolicy");
    let statements = policies["ShipPolicy"]["PolicyDocument"]["Statement"]
        .as_array()
        .unwrap();
    assert_eq!(statements.len(), 1);
    let allowed: BTreeSet<String> = statements[0]["Action"]
        .as_array()
        .unwrap()
        .iter()
        .map(|action| action.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        statements[0]["Resource"]["Fn::Sub"],
        "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${LogGroupName}:*"
    );
    let logs = LogsDouble::builder().group(GROUP).start();
    let imds = ImdsDouble::builder().role("web").start();
    let host = Host::new();
    let ran = check(&host, &imds, &logs);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let called: BTreeSet<String> = logs
        .requests()
        .iter()
        .map(|request| format!("logs:{}", request.action))
        .collect();
    assert_eq!(called, allowed);
}

#[test]
fn the_stack_is_made_and_taken_down() {
    const PROGRAM: &str = "
import json, sys, boto3
url, template = sys.argv[1], open(sys.argv[2]).read()
client = lambda service: boto3.client(service, 'us-east-1', endpoint_url=url,
    aws_access_key_id='testing', aws_secret_access_key='testing')
stacks, logs, iam, watch = map(client, ('cloudformation', 'logs', 'iam', 'cloudwatch'))
def make(name, **values):
    stacks.create_stack(StackName=name, TemplateBody=template, Capabilities=['CAPABILITY_IAM'],
        Parameters=[dict(ParameterKey=k, ParameterValue=v) for k, v in values.items()])
    made = stacks.describe_stacks(StackName=name)['Stacks'][0]
    return dict(status=made['StackStatus'], outputs={o['OutputKey']: o['OutputValue'] for o in made.get('Outputs', [])})
first = make('rolecall', RetentionInDays='30', AutoScalingGroup='web')
second = make('rolecall-api', SharedResources='exist', AutoScalingGroup='api')
group = logs.describe_log_groups(logGroupNamePrefix='/rolecall')['logGroups']
arn = first['outputs']['PolicyArn']
policy = iam.get_policy_version(PolicyArn=arn,
    VersionId=iam.get_policy(PolicyArn=arn)['Policy']['DefaultVersionId'])['PolicyVersion']['Document']
policies = iam.list_policies(Scope='Local')['Policies']
boards = [watch.get_dashboard(DashboardName=b['DashboardName'])['DashboardBody']
          for b in watch.list_dashboards()['DashboardEntries']]
stacks.delete_stack(StackName='rolecall')
kept = logs.describe_log_groups(logGroupNamePrefix='/rolecall')['logGroups']
print(json.dumps(dict(first=first, second=second, group=group, policy=policy, policies=len(policies),
                      boards=boards, kept=len(kept)), default=str))
";
    let moto = Moto::start();
    let arguments = [moto.url(), repository(TEMPLATE).display().to_string()];
    let said: Value = serde_json::from_str(&python(PROGRAM, &arguments)).unwrap();
    for stack in ["first", "second"] {
        assert_eq!(said[stack]["status"], "CREATE_COMPLETE", "{said}");
    }
    assert_eq!(said["group"][0]["logGroupName"], GROUP);
    assert_eq!(said["group"][0]["retentionInDays"], 30);
    assert_eq!(
        said["policy"]["Statement"][0]["Resource"],
        format!("arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}:*")
    );
    let board: Value = serde_json::from_str(said["boards"][0].as_str().unwrap()).unwrap();
    assert_eq!(board["widgets"][1]["properties"]["region"], "us-east-1");
    // A further stack of a region makes no second log group, policy or dashboard.
    assert_eq!(said["group"].as_array().unwrap().len(), 1);
    assert_eq!(said["policies"], 1);
    assert_eq!(said["boards"].as_array().unwrap().len(), 1);
    assert_eq!(said["second"]["outputs"], json!({}));
    // The history of findings outlives the stack, where the service heeds it.
    assert_eq!(said["kept"], 1);
}

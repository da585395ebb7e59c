//! User data: the check at launch, and the answer to a launch hook.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::path::{Programs, assert_shell_is_clean, has, stderr, stdout};
use crate::support::host::Host;
use crate::support::imds_double::ImdsDouble;
use crate::support::logs_double::LogsDouble;
use crate::support::netns::Network;
use crate::support::python::yaml;
use crate::support::validators::repository;

const SCRIPT: &str = "packaging/user-data/check.sh";
const CLOUD_CONFIG: &str = "packaging/user-data/cloud-config.yml";
const INSTANCE: &str = "i-0123456789abcdef0";

/// The script that the cloud-config writes.
fn written() -> String {
    let config = yaml(CLOUD_CONFIG);
    let file = &config["write_files"][0];
    assert_eq!(config["runcmd"][0][0], file["path"]);
    assert_eq!(file["permissions"], "0755");
    file["content"].as_str().unwrap().to_owned()
}

/// The script with a hook to answer, and a report of its own.
fn with_hook(directory: &Path, on_finding: &str) -> PathBuf {
    let report = directory.join("report");
    let text = written()
        .replace("HOOK=''", "HOOK='ready'")
        .replace("GROUP=''", "GROUP='web'")
        .replace("ON_FINDING=CONTINUE", &format!("ON_FINDING={on_finding}"))
        .replace("/var/log/rolecall-launch.txt", report.to_str().unwrap());
    assert!(text.contains("HOOK='ready'") && text.contains(report.to_str().unwrap()));
    let script = directory.join("launch.sh");
    fs::write(&script, text).unwrap();
    script
}

fn metadata(network: &Network) -> ImdsDouble {
    let builder = ImdsDouble::builder()
        .listen("169.254.169.254:80".parse().unwrap())
        .role("web")
        .item("/latest/meta-data/instance-id", INSTANCE)
        .item("/latest/meta-data/placement/region", "eu-central-1");
    network.at_metadata(|| builder.start())
}

fn run(network: &Network, programs: &Programs, script: &Path) -> Output {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &network.host(), "sh"]);
    programs.run(command.arg(script))
}

fn answer(result: &str) -> Vec<String> {
    let words = format!(
        "autoscaling complete-lifecycle-action --region eu-central-1 \
         --auto-scaling-group-name web --lifecycle-hook-name ready \
         --instance-id {INSTANCE} --lifecycle-action-result {result}"
    );
    words.split_whitespace().map(Into::into).collect()
}

#[test]
fn the_cloud_config_writes_the_script_and_is_valid() {
    let script = fs::read_to_string(repository(SCRIPT)).unwrap();
    assert_eq!(written(), script);
    assert_shell_is_clean("sh", &[&repository(SCRIPT)]);
    if has("cloud-init") {
        let output = Command::new("cloud-init")
            .args(["schema", "--config-file"])
            .arg(repository(CLOUD_CONFIG))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

#[test]
fn the_policy_of_the_hook_allows_what_the_script_calls_and_nothing_else() {
    let text = fs::read_to_string(repository("packaging/user-data/policy.json")).unwrap();
    let policy: Value = serde_json::from_str(&text).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    assert_eq!(statements.len(), 1);
    assert_eq!(
        statements[0]["Action"],
        "autoscaling:CompleteLifecycleAction"
    );
    let resource = statements[0]["Resource"].as_str().unwrap();
    assert!(resource.ends_with("autoScalingGroupName/GROUP"));
    assert_eq!(written().matches("aws autoscaling").count(), 1);
}

#[test]
fn each_exit_status_is_honoured_and_answers_the_hook_once() {
    let Some(network) = Network::new() else {
        return;
    };
    let _metadata = metadata(&network);
    for (status, on_finding, result) in [
        (0, "ABANDON", "CONTINUE"),
        (1, "CONTINUE", "CONTINUE"),
        (1, "ABANDON", "ABANDON"),
        (2, "ABANDON", "CONTINUE"),
        (3, "ABANDON", "CONTINUE"),
        (64, "ABANDON", "CONTINUE"),
        (137, "ABANDON", "CONTINUE"),
    ] {
        let programs = Programs::new()
            .recording("aws", 0)
            .recording("rolecall", status);
        let directory = tempfile::tempdir().unwrap();
        let output = run(
            &network,
            &programs,
            &with_hook(directory.path(), on_finding),
        );
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
        assert_eq!(programs.recorded("aws"), answer(result), "{status}");
        let asked = programs.recorded("rolecall");
        assert_eq!(asked[..2], ["check", "--boot"], "{asked:?}");
    }
}

#[test]
fn an_instance_without_rolecall_still_serves_and_says_so() {
    let Some(network) = Network::new() else {
        return;
    };
    let _metadata = metadata(&network);
    let programs = Programs::new().recording("aws", 0);
    let directory = tempfile::tempdir().unwrap();
    let output = run(&network, &programs, &with_hook(directory.path(), "ABANDON"));
    assert_eq!(output.status.code(), Some(127));
    assert_eq!(programs.recorded("aws"), answer("CONTINUE"));
}

#[test]
fn an_answer_that_fails_is_tried_again_and_then_left_to_the_hook() {
    let Some(network) = Network::new() else {
        return;
    };
    let _metadata = metadata(&network);
    let programs = Programs::new()
        .recording("aws", 254)
        .recording("sleep", 0)
        .recording("rolecall", 0);
    let directory = tempfile::tempdir().unwrap();
    let output = run(
        &network,
        &programs,
        &with_hook(directory.path(), "CONTINUE"),
    );
    assert_eq!(
        programs.recorded("aws"),
        [(); 4].map(|()| answer("CONTINUE")).concat()
    );
    assert!(stderr(&output).contains("its own default decides"));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn without_a_hook_nothing_is_asked_of_auto_scaling() {
    let programs = Programs::new().recording("aws", 0).recording("rolecall", 0);
    let output = programs.run(Command::new("sh").arg(repository(SCRIPT)));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(programs.recorded("aws").is_empty());
}

#[test]
fn a_launched_instance_with_a_key_tells_the_logs_the_console_and_the_hook() {
    let Some(network) = Network::new() else {
        return;
    };
    let metadata = metadata(&network);
    // All of it inside, where the double of the logs listens and ends.
    network.on_host(|| launch_without_and_with_a_key(&metadata));
}

fn launch_without_and_with_a_key(metadata: &ImdsDouble) {
    let logs = LogsDouble::builder().group("/rolecall").start();
    let host = Host::new();
    let directory = tempfile::tempdir().unwrap();
    let script = with_hook(directory.path(), "ABANDON");
    let launch = |status: i32, result: &str| {
        let arguments = format!(
            "--root '{}' --imds-endpoint http://169.254.169.254 --logs-endpoint {} \
             --console /dev/null",
            host.root().display(),
            logs.url()
        );
        let programs = Programs::new()
            .recording("aws", 0)
            .with_rolecall(&arguments);
        let output = programs.run(Command::new("sh").arg(&script));
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
        assert_eq!(programs.recorded("aws"), answer(result));
        (stdout(&output), stderr(&output))
    };
    launch(0, "CONTINUE");
    let pair = host.key_pair();
    host.write("opt/app/.env", pair.env());
    let (said, noted) = launch(1, "ABANDON");
    assert!(said.contains(&pair.id), "{said}");
    let told = logs.events("/rolecall", INSTANCE);
    let opened = told.iter().any(|event| event.message.contains(&pair.id));
    assert!(opened, "{noted}");
    let asked = metadata.requests();
    let by_script = asked
        .iter()
        .filter(|request| request.path.ends_with("/instance-id") && request.method == "GET");
    assert!(by_script.clone().count() > 0);
    assert!(by_script.clone().all(|request| request.with_token));
}

//! The whole line without an AWS account: a host with planted keys, doubles of
//! the metadata service and of CloudWatch Logs, one check, and what arrived.
//!
//! `cargo run --example demo`

#![allow(dead_code, reason = "the demo needs only some of what the tests share")]
#![allow(clippy::unwrap_used, reason = "nor has it anyone to report to")]

/// Of the tests' support only what the line needs.
mod support {
    pub(crate) mod corpus;
    pub(crate) mod host;
    pub(crate) mod http;
    pub(crate) mod imds_double;
    pub(crate) mod logs_double;
    pub(crate) mod quota;
    pub(crate) mod role;
}

use std::path::Path;
use std::sync::Arc;

use rolecall::check::{Request, run};
use rolecall::cli::parse;
use rolecall::config::Config;
use rolecall::finding::Severity;
use rolecall::report::{Exporter as _, Text};
use rolecall::scan::Progress;
use serde_json::Value;
use support::host::Host;
use support::imds_double::ImdsDouble;
use support::logs_double::LogsDouble;

const GROUP: &str = "/rolecall";
const INSTANCE: &str = "i-0123456789abcdef0";

fn main() -> anyhow::Result<()> {
    let host = plant();
    let imds = ImdsDouble::builder()
        .role("web-role")
        .auto_scaling_group("web")
        .tokens_optional()
        .start();
    let logs = LogsDouble::builder().group(GROUP).start();

    let root = host.root();
    say(&format!(
        "$ rolecall check --root {} --imds-endpoint {} --logs-endpoint {}",
        root.display(),
        imds.endpoint(),
        logs.url()
    ));
    let args = [
        "rolecall",
        "check",
        "--config",
        "packaging/config.toml",
        "--imds-endpoint",
        &imds.endpoint(),
        "--logs-endpoint",
        &logs.url(),
    ];
    std::env::set_current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let invocation = parse(args.map(Into::into)).map_err(|exit| anyhow::anyhow!(exit.message()))?;
    let loaded = Config::load(&invocation.sources)?;
    let request = Request {
        root: &root,
        timeout: None,
        fail_on: Some(Severity::High),
        scan: true,
        posture: true,
        ship: true,
        verify: false,
        boot: None,
    };
    let (report, outcome) = run(&request, &loaded, &[], &Arc::<Progress>::default())?;
    let mut text = Vec::new();
    Text.write(&report, &mut text)?;
    say(&String::from_utf8_lossy(&text));
    say(&format!("exit status {}", outcome.code()));

    say(&format!(
        "\nCloudWatch Logs, group {GROUP}, stream {INSTANCE}, received:"
    ));
    for event in logs.events(GROUP, INSTANCE) {
        let body: Value = serde_json::from_str(&event.message)?;
        let what = ["rule", "check", "source", "instance_id"]
            .iter()
            .find_map(|name| body[*name].as_str())
            .unwrap_or("");
        let rest = match body["event"].as_str() {
            Some("opened") => format!(
                "{} {} {}",
                body["severity"].as_str().unwrap_or(""),
                body["access_key_id"].as_str().unwrap_or("-"),
                body["location"]["path"].as_str().unwrap_or("")
            ),
            Some("posture") => body["verdict"].as_str().unwrap_or("").to_owned(),
            Some("heartbeat") => format!(
                "StaticCredentials={} RolePresent={} ImdsV1Enabled={}",
                body["StaticCredentials"], body["RolePresent"], body["ImdsV1Enabled"]
            ),
            _ => format!("{} scanned", body["scanned"]),
        };
        say(&format!(
            "  {:<10} {what:<26} {rest}",
            body["event"].as_str().unwrap_or("")
        ));
    }
    let signer = &imds.credentials().access_key_id;
    let by_role = logs
        .requests()
        .iter()
        .filter(|request| request.access_key_id == *signer)
        .count();
    say(&format!(
        "{by_role} of {} requests were signed with the role's key",
        logs.requests().len()
    ));
    Ok(())
}

/// A host as one meets it: one key in four places, another in a pod's secret.
fn plant() -> Host {
    let host = Host::new();
    let (deploy, backup) = (host.key_pair(), host.key_pair());
    host.write(
        "home/deploy/.aws/credentials",
        format!(
            "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            deploy.id, deploy.secret
        ),
    );
    host.write("srv/shop/.env", deploy.env());
    host.write(
        "etc/systemd/system/shop.service",
        format!(
            "[Service]\nEnvironment=AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}\n",
            deploy.id, deploy.secret
        ),
    );
    host.write(
        "root/.bash_history",
        format!("aws configure set aws_access_key_id {}\n", deploy.id),
    );
    let encoded = |text: &str| {
        use base64::Engine as _;
        base64::prelude::BASE64_STANDARD.encode(text)
    };
    host.write(
        "etc/kubernetes/backup.yaml",
        format!(
            "kind: Secret\ndata:\n  id: {}\n  key: {}\n",
            encoded(&backup.id),
            encoded(&backup.secret)
        ),
    );
    host
}

#[allow(clippy::print_stdout, reason = "it is what a demo is for")]
fn say(line: &str) {
    println!("{line}");
}

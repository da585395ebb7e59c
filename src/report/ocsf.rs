//! OCSF 1.8 (<https://schema.ocsf.io/1.8.0>): one event a line. A posture
//! check is a Compliance Finding, a key a Detection Finding, and the run a
//! Scan Activity, the last line, which fails where something was not checked.
//!
//! What OCSF has no attribute for is in `unmapped`, under the names of the
//! JSON format.

mod compliance;
mod detection;
mod scan_activity;

use std::io;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Exporter, Report, json};
use crate::finding::{Finding, Instance, Rule, Severity, SourceKind};

const VERSION: &str = "1.8.0";

/// For Security Lake and other stores of security events.
#[derive(Debug)]
pub struct Ocsf {
    /// When the run ended.
    pub ended: Timestamp,
}

/// A class of events.
struct Class {
    uid: u64,
    name: &'static str,
    category_uid: u64,
    category: &'static str,
}

impl Exporter for Ocsf {
    fn write(&self, report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
        let time = self.ended.as_millisecond();
        for check in &report.posture {
            json::write_line(&compliance::event(check, report, time), out)?;
        }
        let keys = report.findings.iter().filter(|finding| !of_check(finding));
        for finding in keys {
            json::write_line(&detection::event(finding, &report.instance, time), out)?;
        }
        json::write_line(&scan_activity::event(report, time), out)
    }
}

/// Whether a finding is a failed check, and told with it.
fn of_check(finding: &Finding) -> bool {
    finding.location.source == SourceKind::Posture && finding.rule != Rule::RoleShadowed
}

impl Class {
    /// What every event has; `uid` says what it is about on its host.
    fn event(&self, activity: (u64, &str), uid: &str, instance: &Instance, time: i64) -> Value {
        let (activity_id, activity_name) = activity;
        let host = instance.instance_id.as_deref().unwrap_or("");
        let cloud = cloud(instance);
        let device = device(instance);
        let profiles = [("cloud", &cloud), ("host", &device)];
        let profiles: Vec<_> = profiles
            .iter()
            .filter(|(_, object)| object.is_some())
            .map(|(name, _)| *name)
            .collect();
        let mut event = json!({
            "activity_id": activity_id,
            "activity_name": activity_name,
            "category_uid": self.category_uid,
            "category_name": self.category,
            "class_uid": self.uid,
            "class_name": self.name,
            "type_uid": self.uid * 100 + activity_id,
            "type_name": format!("{}: {activity_name}", self.name),
            "time": time,
            "metadata": {
                "version": VERSION,
                "uid": format!("{uid}-{host}-{time}"),
                "logged_time": time,
                "profiles": profiles,
                "product": {
                    "name": "rolecall",
                    "uid": "rolecall",
                    "vendor_name": "rolecall",
                    "version": env!("CARGO_PKG_VERSION"),
                },
            },
        });
        for (name, object) in [("cloud", cloud), ("device", device)] {
            if let Some(object) = object {
                event[name] = object;
            }
        }
        event
    }
}

/// `None` off EC2.
fn cloud(instance: &Instance) -> Option<Value> {
    instance.instance_id.as_ref()?;
    Some(without_nulls(json!({
        "provider": "AWS",
        "region": instance.region,
        "account": instance.account_id.as_deref().map(account),
    })))
}

/// `None` where nothing is known of it.
fn device(instance: &Instance) -> Option<Value> {
    let id = instance.instance_id.as_ref()?;
    Some(without_nulls(json!({
        "type_id": 1,
        "type": "Server",
        "uid": id,
        "instance_uid": id,
        "region": instance.region,
        "image": instance.image_id.as_ref().map(|image| json!({"uid": image})),
        "autoscale_uid": instance.auto_scaling_group,
    })))
}

/// The instance as a resource.
fn resource(instance: &Instance) -> Option<Value> {
    let id = instance.instance_id.as_ref()?;
    Some(without_nulls(json!({
        "uid": id,
        "type": "AWS::EC2::Instance",
        "role_id": 3,
        "role": "Affected",
        "region": instance.region,
    })))
}

fn account(id: &str) -> Value {
    json!({"uid": id, "type_id": 10, "type": "AWS Account"})
}

const fn severity(severity: Severity) -> (u64, &'static str) {
    match severity {
        Severity::Info => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    }
}

/// What is not known is left out.
fn without_nulls(mut object: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    object
}

/// Adds `members` to `event`.
fn extend(event: &mut Value, members: Value) {
    if let (Some(event), Value::Object(members)) = (event.as_object_mut(), without_nulls(members)) {
        event.extend(members);
    }
}

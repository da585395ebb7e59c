//! A key, or a holder of one, as a Detection Finding.

use serde_json::{Value, json};

use super::{Class, account, extend, resource, severity, without_nulls};
use crate::finding::{Confidence, Finding, Instance, Location};

const CLASS: Class = Class {
    uid: 2004,
    name: "Detection Finding",
    category_uid: 2,
    category: "Findings",
};

pub(super) fn event(finding: &Finding, instance: &Instance, time: i64) -> Value {
    let mut event = CLASS.event((1, "Create"), &finding.id, instance, time);
    let (severity_id, severity) = severity(finding.severity);
    let (confidence_id, confidence) = match finding.confidence {
        Confidence::Low => (1, "Low"),
        Confidence::Medium => (2, "Medium"),
        Confidence::High => (3, "High"),
    };
    let resources: Vec<Value> = resource(instance).into_iter().chain(key(finding)).collect();
    let evidence = evidence(finding);
    extend(
        &mut event,
        json!({
            "severity_id": severity_id,
            "severity": severity,
            "confidence_id": confidence_id,
            "confidence": confidence,
            "status_id": 1,
            "status": "New",
            "message": finding.title,
            "count": finding.occurrences.max(1),
            "finding_info": {
                "uid": finding.id,
                "title": finding.rule.title(),
                "desc": finding.title,
                "types": [finding.rule.name()],
                "created_time": time,
                "data_sources": [finding.location.source.name()],
                "analytic": {
                    "type_id": 1,
                    "type": "Rule",
                    "uid": finding.rule.name(),
                    "name": finding.rule.title(),
                },
            },
            "observables": observables(finding, &evidence, &resources),
            "evidences": [evidence],
            "remediation": {"desc": finding.remediation},
            "unmapped": {"finding": finding},
        }),
    );
    if !resources.is_empty() {
        event["resources"] = resources.into();
    }
    event
}

/// The key itself, by what one deactivates it by.
fn key(finding: &Finding) -> Option<Value> {
    let id = finding.access_key_id.as_ref()?;
    Some(without_nulls(json!({
        "uid": id,
        "type": "AWS::IAM::AccessKey",
        "role_id": 3,
        "role": "Affected",
        "owner": finding.account_id.as_deref().map(|id| json!({"account": account(id)})),
    })))
}

fn evidence(finding: &Finding) -> Value {
    let place = &finding.location;
    without_nulls(json!({
        "data": place,
        "file": file(finding),
        "process": process(place),
        "container": place.container.as_ref().map(|id| json!({"uid": id})),
    }))
}

fn file(finding: &Finding) -> Option<Value> {
    let path = finding.location.path.as_deref()?;
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    path.starts_with('/').then(|| {
        let owner = finding.file.as_ref().map(|file| file.uid.to_string());
        without_nulls(json!({
            "type_id": 1,
            "type": "Regular File",
            "name": name,
            "path": path,
            "owner": owner.map(|uid| json!({"uid": uid})),
        }))
    })
}

fn process(place: &Location) -> Option<Value> {
    let pid = place.pid?;
    let name = place.exe.as_deref().and_then(|exe| exe.rsplit('/').next());
    Some(without_nulls(json!({
        "pid": pid,
        "name": name,
        "path": place.exe,
        "user": place.uid.map(|uid| json!({"uid": uid.to_string()})),
    })))
}

/// What events of other products can be joined by.
fn observables(finding: &Finding, evidence: &Value, resources: &[Value]) -> Vec<Value> {
    let mut all = Vec::new();
    if let Some(id) = &finding.access_key_id {
        all.push(json!({
            "name": format!("resources[{}].uid", resources.len() - 1),
            "type_id": 19,
            "type": "User Credential ID",
            "value": id,
        }));
    }
    if let Some(fingerprint) = &finding.secret_fingerprint {
        all.push(json!({
            "name": "unmapped.finding.secret_fingerprint",
            "type_id": 99,
            "type": "Secret Fingerprint",
            "value": fingerprint,
        }));
    }
    if let Some(path) = evidence.pointer("/file/path") {
        all.push(json!({
            "name": "evidences[0].file.path",
            "type_id": 45,
            "type": "File Path",
            "value": path,
        }));
    }
    all
}

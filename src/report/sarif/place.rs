//! Where a finding is, as SARIF says it: a file and a region of it, and what
//! is no file as a logical location.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::finding::{Finding, Instance, Location, SourceKind};

/// The base of all paths: the root of the host that was looked at.
const ROOT: &str = "ROOT";

/// What stays as it is in a relative reference (RFC 3986, section 2.3, and
/// the separator).
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

pub(super) fn base_ids() -> Value {
    json!({ROOT: {
        "uri": "file:///",
        "description": {"text": "The root directory of the host, as the host sees it."},
    }})
}

pub(super) fn location(finding: &Finding, instance: &Instance) -> Value {
    let place = &finding.location;
    // A consumer that shows files wants a line even where there is none.
    let mut region = json!({"startLine": place.line.unwrap_or(1).max(1)});
    // Of UTF-16 it counts bytes.
    let is_wide = place
        .encoding
        .first()
        .is_some_and(|name| name.starts_with("utf-16"));
    if let (Some(_), Some(column), false) = (place.line, place.character, is_wide) {
        region["startColumn"] = column.into();
    }
    let mut location = json!({"physicalLocation": {
        "artifactLocation": artifact(place, instance),
        "region": region,
    }});
    let logical = logical(place, instance);
    if !logical.is_empty() {
        location["logicalLocations"] = logical.into();
    }
    location
}

/// The other places of the same text.
pub(super) fn copies(finding: &Finding) -> Value {
    let copies = finding.also_in.iter().enumerate().map(|(index, place)| {
        json!({
            "id": index + 1,
            "message": {"text": "The same text stands here."},
            "physicalLocation": {"artifactLocation": of_path(place)},
        })
    });
    copies.collect()
}

fn artifact(place: &Location, instance: &Instance) -> Value {
    let path = place.path.as_deref().unwrap_or_default();
    match (place.source, &place.member, place.pid) {
        (SourceKind::Posture, ..) => {
            let id = instance.instance_id.as_deref().unwrap_or("this-host");
            of_path(&format!("instance/{id}"))
        }
        // A repository's file stands where it would be checked out.
        (SourceKind::Git, Some(member), _) => {
            let file = member.split('!').next().unwrap_or_default();
            of_path(&format!("{path}/{file}"))
        }
        (SourceKind::Process, _, Some(pid)) if !path.starts_with('/') => {
            of_path(&format!("/proc/{pid}/{path}"))
        }
        _ => of_path(path),
    }
}

/// Relative to the root where the path is absolute.
fn of_path(path: &str) -> Value {
    let encoded = |path| utf8_percent_encode(path, KEPT).to_string();
    match path.strip_prefix('/') {
        Some(below) => json!({"uri": encoded(below), "uriBaseId": ROOT}),
        None => json!({"uri": encoded(path)}),
    }
}

fn logical(place: &Location, instance: &Instance) -> Vec<Value> {
    let mut all = Vec::new();
    let path = place.path.as_deref().unwrap_or_default();
    if let (Some(member), true) = (&place.member, place.source != SourceKind::Git) {
        all.push(json!({
            "name": member.rsplit(['!', '/']).next(),
            "fullyQualifiedName": format!("{path}!{member}"),
            "kind": "archiveMember",
        }));
    }
    if let Some(pid) = place.pid {
        let exe = place.exe.as_deref().unwrap_or_default();
        all.push(json!({
            "name": exe.rsplit('/').next(),
            "fullyQualifiedName": format!("{exe} ({pid})"),
            "kind": "process",
        }));
    }
    let named = [
        (&place.commit, "commit"),
        (&place.unit, "unit"),
        (&place.container, "container"),
    ];
    for (name, kind) in named {
        if let Some(name) = name {
            all.push(json!({"fullyQualifiedName": name, "kind": kind}));
        }
    }
    if let (SourceKind::Posture, Some(id)) = (place.source, &instance.instance_id) {
        all.push(json!({"fullyQualifiedName": id, "kind": "instance"}));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(location: &Location) -> Value {
        artifact(location, &Instance::default())["uri"].clone()
    }

    #[test]
    fn any_name_is_a_relative_reference() {
        let file = |path: &str| Location {
            path: Some(path.into()),
            ..Location::new(SourceKind::File)
        };
        for (path, encoded) in [
            ("/srv/a b#?.env", "srv/a%20b%23%3F.env"),
            ("/c:/%41", "c%3A/%2541"),
            ("/ä\u{202e}\n", "%C3%A4%E2%80%AE%0A"),
            (r"/a\xff", "a%5Cxff"),
        ] {
            assert_eq!(uri(&file(path)), encoded);
        }
    }

    #[test]
    fn what_is_no_file_has_a_place_too() {
        let process = Location {
            path: Some("environ".into()),
            pid: Some(7),
            ..Location::new(SourceKind::Process)
        };
        assert_eq!(uri(&process), "proc/7/environ");
        assert_eq!(
            uri(&Location::new(SourceKind::Posture)),
            "instance/this-host"
        );
        let committed = Location {
            path: Some("/srv/app".into()),
            member: Some("lib/a.zip!b.env".into()),
            ..Location::new(SourceKind::Git)
        };
        assert_eq!(uri(&committed), "srv/app/lib/a.zip");
    }
}

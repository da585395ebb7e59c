//! One text in many places: what the metadata service gives as user-data,
//! cloud-init keeps in its original and in every form that it brings it into.
//! A key in it is one finding, and the copies are named.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use crate::finding::{Finding, Instance, SourceKind, user_data_remediation};
use crate::source::user_data::is_copy;

/// Parts of a path in the order in which the copies describe a place well.
const BEST: [&str; 4] = [
    "/user-data.txt",
    "/user-data",
    "/vendor-data",
    "/cloud-config",
];

/// Makes one finding of those of one credential in the user-data and its
/// copies, and says of them what to do about user-data. A credential that is
/// in copies only, such as those that another instance left in the image,
/// keeps a finding in the best of them.
pub(super) fn collapse(findings: Vec<Finding>, instance: &Instance) -> Vec<Finding> {
    let (mut copies, mut told): (Vec<_>, Vec<_>) = findings.into_iter().partition(is_in_user_data);
    copies.sort_by_cached_key(rank);
    let mut by_part: HashMap<String, Vec<usize>> = HashMap::new();
    for finding in copies {
        let known = parts(&finding)
            .filter_map(|part| by_part.get(part))
            .flatten()
            .copied()
            .find(|known| covers(&told[*known], &finding));
        if let Some(known) = known {
            let place = place(&finding);
            let known = &mut told[known];
            if !is_within(known, &place) && !known.also_in.contains(&place) {
                known.also_in.push(place);
            }
            continue;
        }
        for part in parts(&finding) {
            let known = by_part.entry(part.to_owned()).or_default();
            known.push(told.len());
        }
        told.push(Finding {
            remediation: format!(
                "{}; then {}",
                user_data_remediation(instance),
                finding.remediation
            )
            .into(),
            ..finding
        });
    }
    told
}

fn is_in_user_data(finding: &Finding) -> bool {
    let in_copy = || finding.location.path.as_deref().is_some_and(is_copy);
    match finding.location.source {
        SourceKind::UserData => true,
        SourceKind::File | SourceKind::Archive => in_copy(),
        _ => false,
    }
}

/// The finding to be kept comes first: that of the metadata service, then the
/// gravest, then the one that is described best.
fn rank(finding: &Finding) -> impl Ord + use<> {
    let place = &finding.location;
    let path = place.path.clone().unwrap_or_else(|| "".into());
    let form = BEST.iter().position(|form| path.contains(form));
    (
        place.source != SourceKind::UserData,
        Reverse(finding.severity),
        form.unwrap_or(BEST.len()),
        path,
        Reverse(
            place
                .member
                .as_deref()
                .map(|member| member.matches('!').count()),
        ),
        place.member.clone(),
    )
}

/// What makes the credential known again: its ID, its secret.
fn parts(finding: &Finding) -> impl Iterator<Item = &str> {
    let (id, secret) = finding.credential();
    [id, secret].into_iter().filter(|part| !part.is_empty())
}

/// Whether `other` tells no more than `finding`, in another place.
fn covers(finding: &Finding, other: &Finding) -> bool {
    let same = |ours: &str, theirs: &str| theirs.is_empty() || ours == theirs;
    let ((id, secret), (other_id, other_secret)) = (finding.credential(), other.credential());
    same(id, other_id) && same(secret, other_secret) && finding.severity >= other.severity
}

/// Whether a finding is in what `place` names.
fn is_within(finding: &Finding, place: &str) -> bool {
    let own = self::place(finding);
    let rest = own.strip_prefix(place);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('!'))
}

/// A copy is named by its path, a part of the user-data by its name.
fn place(finding: &Finding) -> Arc<str> {
    let place = &finding.location;
    let path = place.path.clone().unwrap_or_else(|| "".into());
    match &place.member {
        Some(member) if place.source == SourceKind::UserData => format!("{path}!{member}").into(),
        _ => path,
    }
}

//! What was found in a place, as it is told.

use std::sync::Arc;

use super::{Settings, names};
use crate::detect::Match;
use crate::finding::{
    AccessKeyId, Evidence, FileFacts, Finding, Location, Mention, Pool, Remediation, Rule,
    SourceKind, Verified, controls, finding_id, judge, secret_fingerprint,
};
use crate::secret::{Credentials, Secret};

/// What signs, where all of it was found and using it raises no alarm.
pub(super) fn pair(found: &Match) -> Option<Credentials> {
    let id = found.access_key_id.as_ref()?;
    let is_whole = match found.rule {
        Rule::AccessKeyPair => true,
        Rule::TemporaryCredentials => found.session_token.is_some(),
        _ => false,
    };
    (is_whole && !id.is_canary()).then_some(Credentials {
        access_key_id: id.as_str().to_owned(),
        secret_access_key: found.secret.clone()?,
        session_token: found.session_token.clone(),
    })
}

pub(super) fn finding(
    found: Match,
    location: &Location,
    facts: Option<&Arc<FileFacts>>,
    settings: &Settings,
    titles: &mut Pool<str>,
) -> Finding {
    let instance = &settings.instance;
    let id = found.access_key_id.as_ref().map(AccessKeyId::as_str);
    let of_own_role = settings.role_key.as_ref().is_some_and(|role| match id {
        Some(id) => id == role.access_key_id,
        None => found.secret.as_ref().is_some_and(|one| role.has_token(one)),
    });
    let secret_fingerprint = found.secret.as_ref().map(secret_fingerprint);
    let in_process = location.source == SourceKind::Process;
    let same_account = found
        .account_id
        .as_ref()
        .zip(instance.account_id.as_ref())
        .map(|(theirs, ours)| theirs == ours);
    let is_pair = found.access_key_id.is_some()
        && found.secret.is_some()
        && matches!(found.rule, Rule::AccessKeyPair | Rule::TemporaryCredentials);
    let severity = judge(&Evidence {
        rule: found.rule,
        confidence: found.confidence,
        long_term: found.long_term,
        mention: found.mention,
        of_own_role,
        in_process,
    });
    let canary = found
        .access_key_id
        .as_ref()
        .is_some_and(AccessKeyId::is_canary);
    let credential = [
        id.unwrap_or(""),
        secret_fingerprint.as_deref().unwrap_or(""),
    ];
    let title = title(
        &found,
        location,
        of_own_role,
        canary,
        facts.map(|facts| &**facts),
    );
    let told = |name: &Arc<str>| told(name, found.secret.as_ref());
    let path = location.path.as_ref().map(told);
    let member = location.member.as_ref().map(told);
    Finding {
        id: finding_id(credential, location),
        rule: found.rule,
        severity,
        confidence: found.confidence,
        title: titles.share(title),
        account_id: found.account_id,
        same_account,
        canary,
        secret_fingerprint,
        verified: (settings.keep_pairs && is_pair).then_some(Verified::Unknown),
        location: Location {
            path,
            member,
            line: found.line,
            column: found.column,
            character: found.character,
            encoding: found
                .encoding
                .iter()
                .map(|encoding| encoding.name())
                .collect(),
            ..location.clone()
        },
        also_in: Vec::new(),
        occurrences: found.occurrences,
        file: facts.cloned(),
        usage: None,
        controls: controls(found.rule),
        remediation: Remediation::OfKey(found.rule, found.access_key_id, location.git_state),
        access_key_id: found.access_key_id,
    }
}

/// The name of a place without the secret that was found there.
fn told(name: &Arc<str>, secret: Option<&Secret>) -> Arc<str> {
    let without = secret.and_then(|secret| names::without(name, secret));
    without.map_or_else(|| Arc::clone(name), Arc::from)
}

/// The rule's sentence, and what makes this finding worse or better.
fn title(
    found: &Match,
    location: &Location,
    of_own_role: bool,
    canary: bool,
    facts: Option<&FileFacts>,
) -> String {
    let mut title = match (found.rule, found.long_term) {
        _ if of_own_role => "temporary credentials of the instance's own role",
        (Rule::AccessKeyIdAlone, false) => "temporary AWS access key ID without its secret",
        (Rule::AccessKeyPair, _) => "long-term AWS access key with its secret",
        (rule, _) => rule.title(),
    }
    .to_owned();
    if location.source == SourceKind::Process {
        title += ", in a process environment or command line";
    }
    if location.source == SourceKind::UserData {
        title += ", in user-data";
    }
    if let Some(state) = location.git_state {
        title += ", ";
        title += state.phrase();
    }
    // All that git stores is, whatever directory it is in.
    if location.source != SourceKind::Git && facts.is_some_and(FileFacts::world_readable) {
        title += ", world-readable";
    }
    title += match found.mention {
        Some(Mention::Signature) => ", as the signer of a request",
        Some(Mention::Report) => ", in a report of it",
        None => "",
    };
    if canary {
        title += ", a canary: whoever uses it is reported";
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_named_for_its_secret_is_told_without_it() {
        let secret = Secret::new("s".repeat(40));
        let named = |name: &str| told(&name.into(), Some(&secret));
        assert_eq!(&*named("/srv/app"), "/srv/app");
        let spelled = named(&format!("/srv/{}/x", "s".repeat(40)));
        assert_eq!(&*spelled, "/srv/<secret>/x");
        assert_eq!(&*told(&"/x".into(), None), "/x");
    }
}

//! The rules as SARIF describes them to whoever meets a result.

use serde_json::{Value, json};

use super::{level, score, sentence};
use crate::finding::{Confidence, Evidence, Instance, Rule, controls, judge, remediation};

/// In the order of [`Rule::ALL`]: a result names its rule by the index too.
pub(super) fn descriptors() -> Value {
    Rule::ALL.iter().map(|rule| descriptor(*rule)).collect()
}

fn descriptor(rule: Rule) -> Value {
    let severity = judge(&Evidence {
        rule,
        confidence: Confidence::High,
        long_term: true,
        mention: None,
        of_own_role: false,
        in_process: false,
    });
    let (why, page) = background(rule);
    let fix = sentence(&remediation(rule, None, &Instance::default()));
    let mut markdown = format!("{why}\n\n**What to do**: {fix}");
    let mut tags = vec!["security"];
    if !controls(rule).is_empty() {
        markdown = format!("{markdown}\n\n**Controls**: {}", controls(rule).join(", "));
        tags.extend(controls(rule));
    }
    json!({
        "id": rule.name(),
        "name": pascal_case(rule.name()),
        "shortDescription": {"text": sentence(rule.title())},
        "fullDescription": {"text": why},
        "help": {"text": format!("{why} {fix}"), "markdown": markdown},
        "helpUri": page,
        "defaultConfiguration": {"level": level(severity)},
        "properties": {
            "security-severity": score(severity),
            "precision": precision(rule),
            "tags": tags,
        },
    })
}

/// `aws.access-key-pair` as `AwsAccessKeyPair`.
fn pascal_case(name: &str) -> String {
    let words = name.split(['.', '-']).filter_map(|word| {
        let mut letters = word.chars();
        let first = letters.next()?.to_uppercase();
        Some(format!("{first}{}", letters.as_str()))
    });
    words.collect()
}

/// How often a result is true: a check sees what it tells, and an ID or a
/// secret alone lacks the other half, which would confirm it.
const fn precision(rule: Rule) -> &'static str {
    match rule {
        Rule::AccessKeyIdAlone | Rule::SecretAccessKey => "high",
        _ => "very-high",
    }
}

/// Why it matters, and AWS's own page about it.
const fn background(rule: Rule) -> (&'static str, &'static str) {
    const KEYS: &str =
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html";
    const TEMPORARY: &str =
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp.html";
    const IMDS: &str = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html";
    const ROLES: &str =
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-roles-for-amazon-ec2.html";
    const LEAST_PRIVILEGE: &str =
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html";
    match rule {
        Rule::AccessKeyPair => (
            "Whoever reads this place can act as the key's owner, from anywhere, until the key is made inactive.",
            KEYS,
        ),
        Rule::AccessKeyIdAlone => (
            "An access key ID names a key whose secret may not be far, and shows that something here uses a static key.",
            KEYS,
        ),
        Rule::SecretAccessKey => (
            "A secret access key opens its account as soon as its ID is known, which is no secret.",
            KEYS,
        ),
        Rule::TemporaryCredentials => (
            "Temporary credentials that are written down can be used by whoever reads them until they expire.",
            TEMPORARY,
        ),
        Rule::BedrockApiKey => (
            "Whoever reads a Bedrock API key can call models at the expense of its account.",
            "https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html",
        ),
        Rule::SesSmtpCredentials => (
            "Whoever reads SES SMTP credentials can send mail in the name of their account, and they never expire.",
            "https://docs.aws.amazon.com/ses/latest/dg/smtp-credentials.html",
        ),
        Rule::ImdsUnreachable => (
            "Without the instance metadata service no SDK gets the credentials of the instance's role.",
            IMDS,
        ),
        Rule::ImdsDisabled => (
            "With the metadata endpoint switched off no SDK gets the credentials of the instance's role, and static keys take their place.",
            IMDS,
        ),
        Rule::ImdsV1Enabled => (
            "Without a token, one forged request through a program on this host gives the role's credentials away.",
            IMDS,
        ),
        Rule::ImdsHopLimit => (
            "A token that travels further than the host can be asked for by what runs in its containers, or behind it.",
            IMDS,
        ),
        Rule::ImdsEndpointOverride => (
            "What asks for metadata elsewhere, or not at all, does not get the credentials of the instance's role.",
            IMDS,
        ),
        Rule::RoleMissing => (
            "An instance without a role leaves its programs with nothing but static keys.",
            ROLES,
        ),
        Rule::RoleCredentialsUnusable => (
            "A role whose credentials cannot be used leaves the instance's programs with nothing but static keys.",
            ROLES,
        ),
        Rule::RoleOverprivileged => (
            "Whoever gets hold of this instance can do all that its role may do.",
            LEAST_PRIVILEGE,
        ),
        Rule::RoleTrustTooWide => (
            "Who may assume the role without the instance has all of its rights.",
            LEAST_PRIVILEGE,
        ),
        Rule::RoleShadowed => (
            "SDKs look for credentials in an order, and here they come to a static key before they come to the instance's role.",
            "https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_no_more_tags_than_github_takes() {
        for rule in Rule::ALL {
            let tags = descriptor(*rule)["properties"]["tags"]
                .as_array()
                .map(Vec::len);
            assert!(
                tags.is_some_and(|count| (1..=20).contains(&count)),
                "{rule}"
            );
        }
    }

    #[test]
    fn names_are_pascal_case() {
        assert_eq!(pascal_case("imds.v1-enabled"), "ImdsV1Enabled");
    }
}

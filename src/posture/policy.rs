//! What a role's policies allow that no instance needs, and whom its trust
//! policy lets in beside EC2. Pure: documents in, judgement out.
//!
//! The judgement is meant to err on the side of telling. A `Deny` clears what
//! it denies everywhere and without a condition, and no less; a `Condition` on
//! an `Allow` is not evaluated, and neither is a permissions boundary. All of
//! that is said with the finding.

mod statement;
mod trust;

use std::collections::BTreeSet;

pub(super) use trust::outsiders;

use crate::sanitize;
use statement::{ANY_ACTION, Except, Statement, parse};

/// Policies of AWS's own that are known by their names.
const ADMIN_POLICIES: [&str; 3] = ["AdministratorAccess", "PowerUserAccess", "IAMFullAccess"];

/// Actions that give whoever may take them on any resource the rights of
/// others, and the kind of resource that they are about. Source: "Example
/// policies" of IAM, and Rhino Security Labs, "AWS IAM Privilege Escalation".
const ESCALATIONS: [(&str, &str); 21] = [
    ("iam:PassRole", "role"),
    ("iam:AttachRolePolicy", "role"),
    ("iam:PutRolePolicy", "role"),
    ("iam:UpdateAssumeRolePolicy", "role"),
    ("iam:DeleteRolePermissionsBoundary", "role"),
    ("iam:PutRolePermissionsBoundary", "role"),
    ("sts:AssumeRole", "role"),
    ("iam:CreateAccessKey", "user"),
    ("iam:CreateLoginProfile", "user"),
    ("iam:UpdateLoginProfile", "user"),
    ("iam:CreateServiceSpecificCredential", "user"),
    ("iam:ResetServiceSpecificCredential", "user"),
    ("iam:AttachUserPolicy", "user"),
    ("iam:PutUserPolicy", "user"),
    ("iam:DeleteUserPermissionsBoundary", "user"),
    ("iam:PutUserPermissionsBoundary", "user"),
    ("iam:AttachGroupPolicy", "group"),
    ("iam:PutGroupPolicy", "group"),
    ("iam:AddUserToGroup", "group"),
    ("iam:CreatePolicyVersion", "policy"),
    ("iam:SetDefaultPolicyVersion", "policy"),
];

/// Patterns told of one statement.
const MAX_PATTERNS: usize = 5;

/// A policy of the role's.
#[derive(Debug)]
pub(super) struct Policy {
    /// As it is told.
    pub(super) name: String,
    statements: Vec<Statement>,
}

impl Policy {
    /// `None` where `document` is no policy.
    pub(super) fn parse(name: &str, document: &str) -> Option<Self> {
        Some(Self {
            name: name.to_owned(),
            statements: parse(document)?,
        })
    }
}

/// Too wide a grant, in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Excess {
    pub(super) policy: String,
    /// Such as `iam:PassRole on *`.
    pub(super) grant: String,
}

/// Whether AWS's own policy of this ARN is one that no instance needs.
pub(super) fn is_admin_policy(arn: &str) -> bool {
    arn.split_once(":iam::aws:policy/")
        .is_some_and(|(_, name)| ADMIN_POLICIES.contains(&name))
}

/// What the policies allow together that no instance needs.
pub(super) fn excesses(policies: &[Policy]) -> Vec<Excess> {
    let denials: Vec<&Statement> = policies
        .iter()
        .flat_map(|policy| &policy.statements)
        .filter(|statement| !statement.allows)
        .collect();
    let mut excesses = Vec::new();
    for policy in policies {
        let grants: BTreeSet<String> = policy
            .statements
            .iter()
            .filter_map(|statement| grant(statement, &denials))
            .collect();
        excesses.extend(grants.into_iter().map(|grant| Excess {
            policy: policy.name.clone(),
            grant,
        }));
    }
    excesses
}

/// What a statement allows too much of.
fn grant(statement: &Statement, denials: &[&Statement]) -> Option<String> {
    if !statement.allows {
        return None;
    }
    let everything = statement.action.covers(ANY_ACTION) && statement.resource.is_everything();
    let escalations: Vec<&str> = ESCALATIONS
        .iter()
        .filter(|(action, kind)| {
            statement.action.covers(action) && statement.resource.covers_all(kind)
        })
        .filter(|(action, kind)| {
            !denies(denials, |deny| {
                deny.action.covers(action) && deny.resource.covers_all(kind)
            })
        })
        .map(|(action, _)| *action)
        .collect();
    let all_denied = || {
        denies(denials, |deny| {
            deny.action.covers(ANY_ACTION) && deny.resource.is_everything()
        })
    };
    let what = match &statement.action {
        Except::AllBut(patterns) if everything && !all_denied() => {
            let patterns = patterns.iter().map(|pattern| pattern.0.as_str());
            format!("everything but {}", listed(patterns))
        }
        Except::Only(_) if everything && !all_denied() => "*:*".to_owned(),
        _ if escalations.is_empty() => return None,
        Except::AllBut(_) => listed(escalations.into_iter()),
        Except::Only(patterns) => {
            // As it was written: that is what somebody has to look for.
            let guilty = patterns
                .iter()
                .filter(|pattern| escalations.iter().any(|action| pattern.matches(action)));
            listed(guilty.map(|pattern| pattern.0.as_str()))
        }
    };
    let only_if = if statement.is_conditional {
        ", under a condition that is not evaluated"
    } else {
        ""
    };
    Some(format!("{what} on *{only_if}"))
}

fn denies(denials: &[&Statement], covers: impl Fn(&Statement) -> bool) -> bool {
    denials.iter().any(|deny| {
        // What spares some resources may spare the one that matters.
        !deny.is_conditional && matches!(deny.resource, Except::Only(_)) && covers(deny)
    })
}

fn listed<'a>(patterns: impl Iterator<Item = &'a str>) -> String {
    let all: BTreeSet<&str> = patterns.collect();
    let mut shown: Vec<_> = all
        .iter()
        .take(MAX_PATTERNS)
        .map(|name| brief(name))
        .collect();
    if all.len() > MAX_PATTERNS {
        shown.push(format!("{} more", all.len() - MAX_PATTERNS));
    }
    shown.join(", ")
}

/// A name from a policy, short and safe to show.
fn brief(name: &str) -> String {
    let short: String = name.chars().take(128).collect();
    sanitize::line(&short).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one policy of these statements is told to allow.
    fn told(statements: &str) -> Vec<String> {
        let document = format!(r#"{{"Version":"2012-10-17","Statement":{statements}}}"#);
        let policy = Policy::parse("web", &document).expect("a policy");
        excesses(&[policy])
            .into_iter()
            .map(|excess| excess.grant)
            .collect()
    }

    fn allow(action: &str, resource: &str) -> String {
        format!(r#"{{"Effect":"Allow","Action":{action},"Resource":{resource}}}"#)
    }

    #[test]
    fn what_no_instance_needs_is_told_as_it_is_written() {
        for (action, resource, grant) in [
            (r#""*""#, r#""*""#, "*:* on *"),
            (r#""*:*""#, r#"["arn:aws:*"]"#, "*:* on *"),
            (r#""iam:*""#, r#""*""#, "iam:* on *"),
            (
                r#"["s3:Get*","IAM:passrole"]"#,
                r#""*""#,
                "IAM:passrole on *",
            ),
            (
                r#""iam:P?ssRole""#,
                r#""arn:aws:iam::*:role/*""#,
                "iam:P?ssRole on *",
            ),
            (r#""sts:*""#, r#""*""#, "sts:* on *"),
            (
                r#""iam:CreateAccessKey""#,
                r#""arn:aws:iam::123456789012:user/*""#,
                "iam:CreateAccessKey on *",
            ),
            (
                r#"["iam:PutUserPolicy","iam:AttachRolePolicy"]"#,
                r#""*""#,
                "iam:AttachRolePolicy, iam:PutUserPolicy on *",
            ),
        ] {
            assert_eq!(
                told(&allow(action, resource)),
                [grant],
                "{action} {resource}"
            );
        }
    }

    #[test]
    fn what_an_instance_may_well_need_is_not() {
        for (action, resource) in [
            (r#""*""#, r#""arn:aws:s3:::bucket/*""#),
            (
                r#"["s3:*","logs:*","ec2:Describe*","iam:Get*","iam:List*"]"#,
                r#""*""#,
            ),
            (
                r#""iam:PassRole""#,
                r#""arn:aws:iam::123456789012:role/task-*""#,
            ),
            (
                r#""sts:AssumeRole""#,
                r#"["arn:aws:iam::123456789012:role/reader"]"#,
            ),
            (
                r#""iam:CreateAccessKey""#,
                r#""arn:aws:iam::*:user/${aws:username}""#,
            ),
            (r#""iam:PassRole""#, r#""arn:aws:iam::123456789012:user/*""#),
        ] {
            assert!(
                told(&allow(action, resource)).is_empty(),
                "{action} {resource}"
            );
        }
    }

    #[test]
    fn everything_but_a_little_is_everything() {
        let power_user =
            r#"{"Effect":"Allow","NotAction":["iam:*","organizations:*"],"Resource":"*"}"#;
        assert_eq!(
            told(power_user),
            ["everything but iam:*, organizations:* on *"]
        );
        let not_resource = r#"{"Effect":"Allow","Action":"iam:PassRole","NotResource":"arn:aws:iam::*:role/admin"}"#;
        assert_eq!(told(not_resource), ["iam:PassRole on *"]);
        let on_a_bucket =
            r#"{"Effect":"Allow","NotAction":"s3:Delete*","Resource":"arn:aws:s3:::b/*"}"#;
        assert!(told(on_a_bucket).is_empty());
    }

    #[test]
    fn a_denial_clears_what_it_denies_everywhere_and_unconditionally() {
        let with = |allow: &str, deny: &str| told(&format!("[{allow},{deny}]"));
        let pass_role = allow(r#""iam:PassRole""#, r#""*""#);
        let deny = |rest: &str| format!(r#"{{"Effect":"Deny",{rest}}}"#);
        let cleared = deny(r#""Action":"iam:*","Resource":"*""#);
        assert!(with(&pass_role, &cleared).is_empty());
        for left in [
            r#""Action":"iam:*","Resource":"arn:aws:iam::*:role/admin""#,
            r#""Action":"iam:*","NotResource":"arn:aws:iam::*:role/web""#,
            r#""Action":"iam:*","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"false"}}"#,
            r#""Action":"s3:*","Resource":"*""#,
        ] {
            assert_eq!(
                with(&pass_role, &deny(left)),
                ["iam:PassRole on *"],
                "{left}"
            );
        }
        let admin = allow(r#""*""#, r#""*""#);
        assert_eq!(with(&admin, &cleared), ["*:* on *"]);
        assert!(with(&admin, &deny(r#""Action":"*","Resource":"*""#)).is_empty());
    }

    #[test]
    fn a_denial_of_one_policy_holds_for_all() {
        let statement = |effect: &str| {
            let text = format!(
                r#"{{"Statement":[{{"Effect":"{effect}","Action":"iam:PassRole","Resource":"*"}}]}}"#
            );
            Policy::parse(effect, &text).unwrap()
        };
        assert!(excesses(&[statement("Allow"), statement("Deny")]).is_empty());
        assert_eq!(excesses(&[statement("Allow")])[0].policy, "Allow");
    }

    #[test]
    fn a_condition_is_said_and_does_not_excuse() {
        let conditional = r#"{"Effect":"Allow","Action":"iam:PassRole","Resource":"*",
            "Condition":{"StringEquals":{"iam:PassedToService":"ecs-tasks.amazonaws.com"}}}"#;
        let told = told(conditional);
        assert!(told[0].contains("under a condition"), "{told:?}");
    }

    #[test]
    fn awss_own_policies_are_known_by_their_arn_and_not_by_a_name_alone() {
        for (arn, admin) in [
            ("arn:aws:iam::aws:policy/AdministratorAccess", true),
            ("arn:aws-cn:iam::aws:policy/IAMFullAccess", true),
            (
                "arn:aws:iam::123456789012:policy/AdministratorAccess",
                false,
            ),
            ("arn:aws:iam::aws:policy/ReadOnlyAccess", false),
        ] {
            assert_eq!(is_admin_policy(arn), admin, "{arn}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_document_panics(text: String) {
            if let Some(policy) = Policy::parse("any", &text) {
                excesses(&[policy]);
            }
        }
    }
}

//! Whom a trust policy lets in.

use std::collections::BTreeSet;

use serde_json::Value;

use super::brief;
use super::statement::{Statement, parse};

/// EC2, in the partitions that have a name of their own for it.
const EC2: [&str; 4] = [
    "ec2.amazonaws.com",
    "ec2.amazonaws.com.cn",
    "ec2.c2s.ic.gov",
    "ec2.sc2s.sgov.gov",
];

/// The ways of becoming a role.
const ASSUME: [&str; 3] = [
    "sts:AssumeRole",
    "sts:AssumeRoleWithSAML",
    "sts:AssumeRoleWithWebIdentity",
];

/// Those who may be the role and are not EC2.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Outsiders {
    /// Such as `AWS 123456789012`; in one safe line each.
    pub(in super::super) names: BTreeSet<String>,
    /// Some of them come in under a condition, which is not evaluated.
    pub(in super::super) is_conditional: bool,
}

/// `None` where `document` is no policy. A `Deny` is not counted: those that
/// narrow a trust policy do it under conditions.
pub(in super::super) fn outsiders(document: &str) -> Option<Outsiders> {
    let mut found = Outsiders::default();
    for statement in parse(document)? {
        if !statement.allows || !ASSUME.iter().any(|action| statement.action.covers(action)) {
            continue;
        }
        let names = principals(&statement);
        found.is_conditional |= statement.is_conditional && !names.is_empty();
        found.names.extend(names);
    }
    Some(found)
}

/// The statement's principals beside EC2.
fn principals(statement: &Statement) -> Vec<String> {
    if statement.not_principal.is_some() {
        return vec!["everybody but a few (NotPrincipal)".into()];
    }
    let Some(Value::Object(principals)) = &statement.principal else {
        // `"*"`, or what IAM would not have taken.
        return vec!["everybody (*)".into()];
    };
    let mut names = Vec::new();
    for (kind, who) in principals {
        let each = match who {
            Value::Array(each) => each.iter().collect(),
            one => vec![one],
        };
        for who in each {
            match who.as_str() {
                Some(service) if kind == "Service" && EC2.contains(&service) => {}
                Some("*") => names.push("everybody (*)".into()),
                Some(who) => names.push(format!("{} {}", brief(kind), brief(who))),
                None => names.push(brief(kind)),
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(principal: &str) -> Vec<String> {
        let document = format!(
            r#"{{"Statement":{{"Effect":"Allow","Action":"sts:AssumeRole",{principal}}}}}"#
        );
        outsiders(&document).unwrap().names.into_iter().collect()
    }

    #[test]
    fn ec2_alone_is_in_order_in_every_partition() {
        for service in EC2 {
            assert!(names(&format!(r#""Principal":{{"Service":"{service}"}}"#)).is_empty());
        }
        assert!(names(r#""Principal":{"Service":["ec2.amazonaws.com"]}"#).is_empty());
    }

    #[test]
    fn everybody_else_is_named() {
        for (principal, name) in [
            (r#""Principal":"*""#, "everybody (*)"),
            (r#""Principal":{"AWS":"*"}"#, "everybody (*)"),
            (
                r#""Principal":{"AWS":["123456789012"]}"#,
                "AWS 123456789012",
            ),
            (
                r#""Principal":{"Service":["ec2.amazonaws.com","lambda.amazonaws.com"]}"#,
                "Service lambda.amazonaws.com",
            ),
            (
                r#""Principal":{"Federated":"cognito-identity.amazonaws.com"}"#,
                "Federated cognito-identity.amazonaws.com",
            ),
            (
                r#""NotPrincipal":{"AWS":"123456789012"}"#,
                "everybody but a few (NotPrincipal)",
            ),
        ] {
            assert_eq!(names(principal), [name], "{principal}");
        }
    }

    #[test]
    fn what_lets_nobody_in_is_not_counted_and_a_condition_is_said() {
        let document = r#"{"Statement":[
            {"Effect":"Deny","Action":"*","Principal":"*"},
            {"Effect":"Allow","Action":"sts:TagSession","Principal":{"AWS":"*"}},
            {"Effect":"Allow","Action":"sts:Assume*","Principal":{"AWS":"arn:aws:iam::1:root"},
             "Condition":{"StringEquals":{"sts:ExternalId":"x"}}}]}"#;
        let found = outsiders(document).unwrap();
        assert_eq!(
            found.names.into_iter().collect::<Vec<_>>(),
            ["AWS arn:aws:iam::1:root"]
        );
        assert!(found.is_conditional);
        assert_eq!(outsiders("not JSON"), None);
    }
}

//! IAM's policy language, as far as it is judged. Source: "Grammar of the IAM
//! JSON policy language".

use serde::Deserialize;
use serde_json::Value;

/// A statement of a policy.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) allows: bool,
    pub(super) action: Except<Action>,
    /// Nothing in a trust policy.
    pub(super) resource: Except<Resource>,
    /// Nothing in a permissions policy.
    pub(super) principal: Option<Value>,
    pub(super) not_principal: Option<Value>,
    pub(super) is_conditional: bool,
}

/// What a list of patterns covers: what they match, or all but that.
#[derive(Debug)]
pub(super) enum Except<T> {
    Only(Vec<T>),
    AllBut(Vec<T>),
}

/// A pattern of actions, such as `iam:*`; case does not count.
#[derive(Debug)]
pub(super) struct Action(pub(super) String);

/// A pattern of ARNs.
#[derive(Debug)]
pub(super) struct Resource(pub(super) String);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    statement: OneOrMany<Raw>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw {
    effect: Effect,
    action: Option<OneOrMany<String>>,
    not_action: Option<OneOrMany<String>>,
    resource: Option<OneOrMany<String>>,
    not_resource: Option<OneOrMany<String>>,
    principal: Option<Value>,
    not_principal: Option<Value>,
    condition: Option<Value>,
}

#[derive(Deserialize, PartialEq)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::Many(many) => many,
            Self::One(one) => vec![one],
        }
    }
}

/// The statements of a document; `None` where it is no policy.
pub(super) fn parse(document: &str) -> Option<Vec<Statement>> {
    let document: Document = serde_json::from_str(document).ok()?;
    let statements = document.statement.into_vec().into_iter();
    statements.map(Statement::new).collect()
}

impl Statement {
    fn new(raw: Raw) -> Option<Self> {
        let is_empty = |value: &Value| value.as_object().is_some_and(serde_json::Map::is_empty);
        Some(Self {
            allows: raw.effect == Effect::Allow,
            action: Except::new(raw.action, raw.not_action, Action)?,
            resource: Except::new(raw.resource, raw.not_resource, Resource)
                .unwrap_or(Except::Only(Vec::new())),
            principal: raw.principal,
            not_principal: raw.not_principal,
            is_conditional: raw.condition.is_some_and(|condition| !is_empty(&condition)),
        })
    }
}

impl<T> Except<T> {
    fn new(
        only: Option<OneOrMany<String>>,
        all_but: Option<OneOrMany<String>>,
        pattern: fn(String) -> T,
    ) -> Option<Self> {
        let patterns = |list: OneOrMany<String>| list.into_vec().into_iter().map(pattern).collect();
        match (only, all_but) {
            (Some(only), None) => Some(Self::Only(patterns(only))),
            (None, Some(all_but)) => Some(Self::AllBut(patterns(all_but))),
            _ => None,
        }
    }
}

impl Action {
    pub(super) fn matches(&self, action: &str) -> bool {
        let fold = str::to_ascii_lowercase;
        is_match(fold(&self.0).as_bytes(), fold(action).as_bytes())
    }
}

impl Except<Action> {
    pub(super) fn covers(&self, action: &str) -> bool {
        match self {
            Self::Only(patterns) => patterns.iter().any(|pattern| pattern.matches(action)),
            Self::AllBut(patterns) => !patterns.iter().any(|pattern| pattern.matches(action)),
        }
    }
}

/// A name that only a wildcard matches: no name of AWS's has these characters.
const ANY_NAME: &str = "~~~~~~~~";

/// An action of no service, which only patterns of all actions match.
pub(super) const ANY_ACTION: &str = "~~~~~~~~:~~~~~~~~";

impl Resource {
    /// Whether it stands for every resource of a kind that IAM has, such as
    /// `role`, in some account.
    fn covers_all(&self, kind: &str) -> bool {
        let parts: Vec<&str> = self.0.splitn(6, ':').collect();
        let literal = |index: usize, otherwise| {
            let part = parts.get(index).filter(|_| parts.len() == 6);
            part.filter(|part| !part.is_empty() && !part.contains(['*', '?']))
                .map_or(otherwise, |part| *part)
        };
        let (partition, account) = (literal(1, "aws"), literal(4, "000000000000"));
        let any = format!("arn:{partition}:iam::{account}:{kind}/{ANY_NAME}");
        is_match(self.0.as_bytes(), any.as_bytes())
    }
}

impl Except<Resource> {
    /// What leaves out but some counts as all: those are seldom the ones that
    /// matter.
    pub(super) fn covers_all(&self, kind: &str) -> bool {
        match self {
            Self::Only(patterns) => patterns.iter().any(|pattern| pattern.covers_all(kind)),
            Self::AllBut(_) => true,
        }
    }

    /// Whether it stands for resources of every kind.
    pub(super) fn is_everything(&self) -> bool {
        match self {
            Self::Only(patterns) => patterns.iter().any(|pattern| {
                is_match(
                    pattern.0.as_bytes(),
                    format!("arn:aws:{ANY_ACTION}").as_bytes(),
                )
            }),
            Self::AllBut(_) => true,
        }
    }
}

/// `*` for any characters, `?` for one.
fn is_match(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stands, and how much of the text it took.
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_those_of_iam() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("iam:*", "iam:PassRole", true),
            ("iam:*Role", "iam:PassRole", true),
            ("iam:Pass?ole", "iam:PassRole", true),
            ("iam:*Policy*", "iam:PassRole", false),
            ("iam:PassRole", "iam:PassRoles", false),
            ("i?m:**", "iam:PassRole", true),
            ("*a*b*c", "aXbXbXc", true),
            ("", "a", false),
        ] {
            let matched = is_match(pattern.as_bytes(), text.as_bytes());
            assert_eq!(matched, matches, "{pattern} {text}");
        }
        assert!(Action("IAM:passROLE".into()).matches("iam:PassRole"));
    }

    #[test]
    fn a_resource_is_all_of_a_kind_or_it_is_not() {
        for (pattern, all) in [
            ("*", true),
            ("arn:aws:iam::*:role/*", true),
            ("arn:aws-cn:iam::123456789012:role/*", true),
            ("arn:*:iam::*:*", true),
            ("arn:aws:iam::123456789012:*", true),
            ("arn:aws:iam::123456789012:role/web-*", false),
            ("arn:aws:iam::123456789012:role/r*", false),
            ("arn:aws:iam::123456789012:user/*", false),
            ("arn:aws:iam::*:role/${aws:username}", false),
            ("arn:aws:s3:::bucket/*", false),
        ] {
            assert_eq!(
                Resource(pattern.into()).covers_all("role"),
                all,
                "{pattern}"
            );
        }
    }

    #[test]
    fn what_is_no_policy_is_none() {
        for document in [
            "",
            "[]",
            "{}",
            r#"{"Statement":{"Effect":"Permit","Action":"*","Resource":"*"}}"#,
            r#"{"Statement":{"Effect":"Allow","Resource":"*"}}"#,
            r#"{"Statement":{"Effect":"Allow","Action":"a","NotAction":"b","Resource":"*"}}"#,
            r#"{"Statement":{"Effect":"Allow","Action":[1],"Resource":"*"}}"#,
        ] {
            assert!(parse(document).is_none(), "{document}");
        }
    }

    proptest::proptest! {
        #[test]
        fn matching_ends_and_agrees_with_a_regex(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            let regex = pattern.replace('*', ".*").replace('?', ".");
            let regex = regex::Regex::new(&format!("^{regex}$")).unwrap();
            proptest::prop_assert_eq!(
                is_match(pattern.as_bytes(), text.as_bytes()),
                regex.is_match(&text)
            );
        }
    }
}

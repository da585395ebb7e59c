//! CloudWatch Logs' filter patterns for JSON events, as far as the stack uses
//! them: `=` and `!=` with quoted strings, in which `*` stands for anything,
//! `&&`, `||` and parentheses.

use regex::Regex;
use serde_json::Value;

/// A parsed pattern.
#[derive(Debug)]
pub(super) enum Pattern {
    Compare {
        /// The names behind `$.`.
        field: Vec<String>,
        equal: bool,
        literal: Regex,
    },
    All(Vec<Pattern>),
    Any(Vec<Pattern>),
}

impl Pattern {
    /// Panics where the text is outside of the subset.
    pub(super) fn parse(text: &str) -> Self {
        let inner = text
            .trim()
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let mut rest = inner.expect("a JSON pattern stands in braces").trim();
        let pattern = any(&mut rest);
        assert_eq!(rest, "", "{text}");
        pattern
    }

    pub(super) fn matches(&self, event: &Value) -> bool {
        match self {
            Self::Compare {
                field,
                equal,
                literal,
            } => {
                let found = field.iter().try_fold(event, |value, name| value.get(name));
                // What is not there is neither equal nor different.
                found
                    .and_then(Value::as_str)
                    .is_some_and(|text| literal.is_match(text) == *equal)
            }
            Self::All(parts) => parts.iter().all(|part| part.matches(event)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(event)),
        }
    }

    /// Every field that is asked for.
    pub(super) fn fields(&self) -> Vec<String> {
        match self {
            Self::Compare { field, .. } => vec![field.join(".")],
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::fields).collect(),
        }
    }
}

fn any(rest: &mut &str) -> Pattern {
    let mut parts = vec![all(rest)];
    while take(rest, "||") {
        parts.push(all(rest));
    }
    Pattern::Any(parts)
}

fn all(rest: &mut &str) -> Pattern {
    let mut parts = vec![one(rest)];
    while take(rest, "&&") {
        parts.push(one(rest));
    }
    Pattern::All(parts)
}

fn one(rest: &mut &str) -> Pattern {
    if take(rest, "(") {
        let inner = any(rest);
        assert!(take(rest, ")"), "an open parenthesis before {rest}");
        return inner;
    }
    assert!(take(rest, "$."), "no field before {rest}");
    let end = rest.find([' ', '=', '!']).expect("an operator");
    let field = rest[..end].split('.').map(Into::into).collect();
    *rest = rest[end..].trim_start();
    let equal = !take(rest, "!=");
    assert!(!equal || take(rest, "="), "no operator before {rest}");
    assert!(take(rest, "\""), "no quoted string before {rest}");
    let (literal, behind) = rest.split_once('"').expect("the end of a string");
    *rest = behind.trim_start();
    let literal = format!("^{}$", regex::escape(literal).replace(r"\*", ".*"));
    Pattern::Compare {
        field,
        equal,
        literal: Regex::new(&literal).expect("an escaped pattern"),
    }
}

fn take(rest: &mut &str, token: &str) -> bool {
    let Some(behind) = rest.strip_prefix(token) else {
        return false;
    };
    *rest = behind.trim_start();
    true
}

#[test]
fn patterns_hold_as_the_service_documents_them() {
    let event = serde_json::json!({"event": "opened", "rule": "aws.x", "at": {"unit": "a"}});
    for (pattern, holds) in [
        (r#"{ $.event = "opened" }"#, true),
        (r#"{ $.event != "opened" }"#, false),
        (r#"{ ($.event = "no") || ($.rule = "aws.*") }"#, true),
        (r#"{ ($.event = "opened") && ($.rule = "iam.*") }"#, false),
        (
            r#"{ $.at.unit = "a" && ($.rule = "b" || $.rule = "*x") }"#,
            true,
        ),
        (r#"{ $.gone = "*" }"#, false),
        (r#"{ $.gone != "x" }"#, false),
        (r#"{ $.rule = "awsx*" }"#, false),
    ] {
        assert_eq!(Pattern::parse(pattern).matches(&event), holds, "{pattern}");
    }
}

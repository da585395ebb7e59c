//! What IMDS answers, parsed: pure, and keeping only what is needed.
//!
//! Everything that goes on to reports and pasted commands is held to the
//! alphabet that AWS uses for it.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, Visitor};

use super::Error;
use crate::sanitize;
use crate::secret::{Credentials, Secret};

/// `iam/info`: which instance profile is attached, and whether it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IamInfo {
    /// `Success`, or what is wrong with the profile.
    pub code: String,
    pub instance_profile_arn: Option<String>,
}

/// What the role's credentials say of themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialsStatus {
    /// `Success`, or why there are none, such as
    /// `AssumeRoleUnauthorizedAccess`.
    pub code: String,
    /// When they expire; `None` where it is missing or not a time.
    pub expiration: Option<Timestamp>,
    /// When they were last renewed.
    pub last_updated: Option<Timestamp>,
    /// The kind of credentials, `AWS-HMAC`.
    pub kind: Option<String>,
    /// Where an ID, a secret and a session token are all there.
    pub credentials: Option<Credentials>,
}

/// The instance identity document, as far as it is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    pub account_id: Option<String>,
    pub region: Option<String>,
    pub instance_id: Option<String>,
    pub image_id: Option<String>,
    /// When the instance was started, RFC 3339.
    pub pending_time: Option<String>,
}

/// Roles are named with `[\w+=,.@-]`, 64 characters at most.
const MAX_ROLE_NAME: usize = 64;

/// `None` where the list of roles is empty.
pub(super) fn parse_role_name(what: &'static str, body: &[u8]) -> Result<Option<String>, Error> {
    let text = std::str::from_utf8(body).map_err(|_| Error::malformed(what))?;
    let Some(name) = text.lines().map(str::trim).find(|line| !line.is_empty()) else {
        return Ok(None);
    };
    if name.starts_with('<') {
        return Err(Error::Proxy {
            what,
            sign: "a web page",
        });
    }
    let well_named = name.len() <= MAX_ROLE_NAME
        && name != "."
        && name != ".."
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b));
    if well_named {
        Ok(Some(name.to_owned()))
    } else {
        Err(Error::malformed(what))
    }
}

pub(super) fn parse_iam_info(what: &'static str, body: &[u8]) -> Result<IamInfo, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Raw {
        code: String,
        instance_profile_arn: Option<String>,
    }
    let raw: Raw = parse_json(what, body)?;
    Ok(IamInfo {
        code: code(what, &raw.code)?,
        instance_profile_arn: raw
            .instance_profile_arn
            .filter(|arn| held_to(arn, 2048, b":/_+=,.@-")),
    })
}

pub(super) fn parse_credentials_status(
    what: &'static str,
    body: &[u8],
) -> Result<CredentialsStatus, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Raw {
        code: String,
        expiration: Option<String>,
        last_updated: Option<String>,
        r#type: Option<String>,
        access_key_id: Option<String>,
        #[serde(default)]
        secret_access_key: Text,
        #[serde(default)]
        token: Text,
    }
    let raw: Raw = parse_json(what, body)?;
    let time = |text: Option<String>| text.and_then(|text| text.parse::<Timestamp>().ok());
    let access_key_id = raw.access_key_id.filter(|id| held_to(id, 128, b""));
    let all = access_key_id.zip(raw.secret_access_key.0.zip(raw.token.0));
    Ok(CredentialsStatus {
        code: code(what, &raw.code)?,
        expiration: time(raw.expiration),
        last_updated: time(raw.last_updated),
        kind: raw.r#type.filter(|kind| held_to(kind, 32, b"-_")),
        credentials: all.map(|(access_key_id, (secret, token))| Credentials {
            access_key_id,
            secret_access_key: secret,
            session_token: Some(token),
        }),
    })
}

pub(super) fn parse_identity(what: &'static str, body: &[u8]) -> Result<Identity, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        account_id: Option<String>,
        region: Option<String>,
        instance_id: Option<String>,
        image_id: Option<String>,
        pending_time: Option<String>,
    }
    let raw: Raw = parse_json(what, body)?;
    let word = |text: Option<String>| text.filter(|text| held_to(text, 64, b"-_"));
    Ok(Identity {
        account_id: raw
            .account_id
            .filter(|id| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit())),
        region: word(raw.region),
        instance_id: word(raw.instance_id),
        image_id: word(raw.image_id),
        pending_time: raw
            .pending_time
            .filter(|time| time.parse::<Timestamp>().is_ok()),
    })
}

/// One line of text, made safe to show.
pub(super) fn parse_word(what: &'static str, text: &str) -> Result<String, Error> {
    if text.contains(['\n', '\r', '\0']) {
        return Err(Error::malformed(what));
    }
    Ok(sanitize::line(text).into_owned())
}

/// A status code such as `Success`: a word, as it goes into reports.
fn code(what: &'static str, code: &str) -> Result<String, Error> {
    if held_to(code, 128, b"-_.") {
        Ok(code.to_owned())
    } else {
        Err(Error::malformed(what))
    }
}

fn held_to(text: &str, max: usize, also: &[u8]) -> bool {
    !text.is_empty()
        && text.len() <= max
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || also.contains(&b))
}

/// The parser's own message may quote the answer, so it is dropped.
fn parse_json<T: DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, Error> {
    let body = body.trim_ascii();
    match body.first() {
        None => Err(Error::Empty { what }),
        Some(b'<') => Err(Error::Proxy {
            what,
            sign: "a web page",
        }),
        Some(_) => serde_json::from_slice(body).map_err(|_| Error::malformed(what)),
    }
}

/// A string that is there and not empty; anything else is none.
#[derive(Default)]
struct Text(Option<Secret>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Text;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text((!text.is_empty()).then(|| Secret::new(text))))
            }
            fn visit_unit<E>(self) -> Result<Text, E> {
                Ok(Text(None))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHAT: &str = "a thing";

    #[test]
    fn a_role_name_is_held_to_the_alphabet_of_iam() {
        let name = |body: &str| parse_role_name(WHAT, body.as_bytes());
        assert_eq!(
            name("web-role_1+=,.@\n"),
            Ok(Some("web-role_1+=,.@".into()))
        );
        assert_eq!(name("\n \n"), Ok(None));
        assert_eq!(name(""), Ok(None));
        for bad in ["../info", "..", "a b", "a;reboot", "a/b", &"x".repeat(65)] {
            assert_eq!(name(bad), Err(Error::malformed(WHAT)), "{bad}");
        }
        assert!(matches!(name("<html>"), Err(Error::Proxy { .. })));
    }

    #[test]
    fn secrets_are_read_and_never_shown() {
        let secret = "s".repeat(40);
        let body = format!(
            r#"{{"Code":"Success","AccessKeyId":"ASIAX","SecretAccessKey":"{secret}",
                "Token":"t","Expiration":"2030-01-01T00:00:00Z","Type":"AWS-HMAC"}}"#
        );
        let status = parse_credentials_status(WHAT, body.as_bytes()).unwrap();
        assert!(!format!("{status:?}").contains(&secret));
        let credentials = status.credentials.unwrap();
        assert_eq!(credentials.access_key_id, "ASIAX");
        assert_eq!(
            credentials.secret_access_key.expose_str(),
            Some(secret.as_str())
        );
    }

    #[test]
    fn incomplete_credentials_are_told() {
        for body in [
            r#"{"Code":"Success"}"#,
            r#"{"Code":"Success","AccessKeyId":"A","SecretAccessKey":"","Token":"t"}"#,
            r#"{"Code":"Success","AccessKeyId":"A","SecretAccessKey":null,"Token":{"a":1}}"#,
        ] {
            let status = parse_credentials_status(WHAT, body.as_bytes()).unwrap();
            assert_eq!(status.credentials, None, "{body}");
            assert_eq!(status.expiration, None);
        }
    }

    #[test]
    fn errors_do_not_quote_the_answer() {
        let body = r#"{"Code":["hidden-value"]}"#;
        let error = parse_credentials_status(WHAT, body.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hidden-value"));
    }

    #[test]
    fn an_identity_that_could_break_a_pasted_command_is_dropped() {
        let body = r#"{"instanceId":"i-1; reboot","accountId":"12","region":"eu-central-1",
                       "pendingTime":"soon"}"#;
        let identity = parse_identity(WHAT, body.as_bytes()).unwrap();
        assert_eq!(
            identity,
            Identity {
                region: Some("eu-central-1".into()),
                ..Identity::default()
            }
        );
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_answered_is_a_value_or_an_error(body: Vec<u8>) {
            let _ = parse_role_name(WHAT, &body);
            let _ = parse_iam_info(WHAT, &body);
            let _ = parse_credentials_status(WHAT, &body);
            let _ = parse_identity(WHAT, &body);
        }

        #[test]
        fn what_is_shown_has_nothing_to_escape(text in "\\PC*|.*") {
            if let Ok(word) = parse_word(WHAT, &text) {
                proptest::prop_assert!(!word.contains(sanitize::is_unsafe));
            }
        }
    }
}

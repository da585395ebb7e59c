//! The proxy on the way to AWS: an endpoint, and the one place of the
//! configuration in which a password may stand.

use super::endpoint::read_endpoint;
use super::error::Invalid;
use crate::secret::Secret;

/// What stands in the place of a password where one is shown.
const MASK: &str = "***";

/// The URL of a proxy.
#[derive(Debug, Clone, PartialEq)]
pub struct Proxy {
    url: Secret,
    /// The same without its password.
    shown: String,
}

impl Proxy {
    /// The URL, with user name and password.
    pub const fn url(&self) -> &Secret {
        &self.url
    }

    /// The URL as it may be shown.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    pub fn has_password(&self) -> bool {
        self.url.expose() != self.shown.as_bytes()
    }
}

/// No part of what stands before an `@` is ever quoted.
pub(super) fn read_proxy(text: &str) -> Result<Proxy, Invalid> {
    let plain = |text: &str| {
        read_endpoint(text).map(|url| Proxy {
            url: Secret::new(url.as_str()),
            shown: url,
        })
    };
    let Some((scheme, rest)) = text.split_once("://") else {
        return plain(text);
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let Some((user_info, host)) = authority.rsplit_once('@') else {
        return plain(text);
    };
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let is_encoded = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_graphic() && !b"@:/?#[]\"<>\\^`{|}".contains(&b))
    };
    if user.is_empty() || !is_encoded(user) || !is_encoded(password) {
        return Err(Invalid::new(
            "the user name or password is empty or has characters that are not \
             percent-encoded, such as %40 for @",
        ));
    }
    if password == MASK {
        return Err(Invalid::new(
            "the password is only the mask that `rolecall config` prints in its place",
        ));
    }
    let path = &rest[authority.len()..];
    let bare = read_endpoint(&format!("{scheme}://{host}{path}"))?;
    let with = |user_info: &str| bare.replacen("://", &format!("://{user_info}@"), 1);
    let shown = if password.is_empty() {
        user_info.to_owned()
    } else {
        format!("{user}:{MASK}")
    };
    Ok(Proxy {
        url: Secret::new(with(user_info)),
        shown: with(&shown),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(user_info: &str) -> String {
        ["http://", user_info, "@proxy:3128"].concat()
    }

    #[test]
    fn a_password_is_kept_and_never_shown() {
        let text = url("me:hunter%402");
        let proxy = read_proxy(&text).unwrap();
        assert_eq!(proxy.url().expose_str(), Some(text.as_str()));
        assert_eq!(proxy.shown(), url("me:***"));
        assert!(proxy.has_password());
        assert!(!format!("{proxy:?}").contains("hunter"));
    }

    #[test]
    fn without_a_password_all_is_shown() {
        for text in [url("me"), "https://proxy".into()] {
            let proxy = read_proxy(&text).unwrap();
            assert_eq!(proxy.shown(), text);
            assert!(!proxy.has_password());
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_quoting_it() {
        for text in [
            url("me:hunt/er"),
            url("me:hunt#er"),
            url("me:hunt@er"),
            url("me:hunt er"),
            url(":hunter"),
            url("me:***"),
            url("me:hunter") + ":x",
            url("me:hunter").replace("http:", "ftp:"),
            "me:hunter@proxy:3128".into(),
        ] {
            let error = read_proxy(&text).unwrap_err();
            assert!(!error.reason.contains("hunt"), "{}", error.reason);
        }
    }
}

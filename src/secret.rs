//! The only type in which a secret access key, a session token or an IMDS
//! token exists inside rolecall.
//!
//! There is no `Display`, `Debug` is redacted, nothing serialises it, and the
//! bytes are wiped when it is dropped. Whoever needs the text calls
//! [`Secret::expose`], which is easy to find in review.

use std::fmt;

use zeroize::Zeroizing;

/// Bytes that must never leave the process.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over the bytes; the caller's copy is the one that is wiped later.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The secret itself. Neither format nor store what this returns.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The secret as text, or `None` where it is not UTF-8.
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

/// What signs a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: Secret,
    /// Of temporary credentials.
    pub session_token: Option<Secret>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formatting_reveals_neither_content_nor_length() {
        let short = format!("{:?} {:#?}", Secret::new("a"), Secret::new("b"));
        let long = format!(
            "{:?} {:#?}",
            Secret::new("abcdefgh"),
            Secret::new("ijklmnop")
        );
        assert_eq!(short, long);
        assert!(!long.contains("abcdefgh"));
    }
}

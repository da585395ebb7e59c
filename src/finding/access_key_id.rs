//! AWS access key IDs: their shape, and what can be read from them offline.
//!
//! An ID is a prefix of four letters and 16 characters of base32 (RFC 4648,
//! `A-Z2-7`), 20 in all. Two generations have been issued:
//!
//! * new: decoded, the first six bytes big-endian are `z`; bit 47 of `z` is 1
//!   (so the fifth character is `Q-Z` or `2-7`), the account is
//!   `(z & 0x7fff_ffff_ff80) >> 7`;
//! * legacy: the fifth character is `I` or `J`, the last one `A` or `Q`; the
//!   account cannot be decoded.
//!
//! Source: <https://awsteele.com/blog/2020/09/26/aws-access-key-format.html>
//! and <https://github.com/awslabs/git-secrets/pull/57>. Other partitions and
//! S3-compatible vendors are unverified, so anything else is a reason for less
//! confidence, never for silence.

use std::fmt;

use serde::{Serialize, Serializer};

/// Thinkst canary accounts: their keys are decoys that report their user.
const CANARY_ACCOUNTS: [&str; 10] = [
    "052310077262",
    "171436882533",
    "534261010715",
    "595918472158",
    "717712589309",
    "819147034852",
    "992382622183",
    "730335385048",
    "266735846894",
    "893192397702",
];

/// Whether an ID looks like one that AWS issues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Structure {
    /// The current generation; it carries its account.
    Current,
    /// Issued years ago; valid still.
    Legacy,
    /// Nothing that AWS is known to have issued.
    Unissued,
}

/// An access key ID as found, or masked for display.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccessKeyId([u8; AccessKeyId::LEN]);

impl AccessKeyId {
    /// Characters of an ID, prefix included.
    pub const LEN: usize = 20;

    /// Prefixes of IDs that come with a secret. `AROA`, `AIDA` and their kin
    /// name roles and users and are no credentials.
    pub const PREFIXES: [&'static [u8; 4]; 4] = [b"AKIA", b"ASIA", b"ABIA", b"ACCA"];

    /// `None` unless `raw` is a credential-bearing prefix and 16 of `[A-Z0-9]`.
    pub fn parse(raw: &[u8]) -> Option<Self> {
        let raw = *<&[u8; Self::LEN]>::try_from(raw).ok()?;
        let (prefix, tail) = raw.split_first_chunk::<4>()?;
        let shaped = Self::PREFIXES.contains(&prefix)
            && tail
                .iter()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        shaped.then_some(Self(raw))
    }

    pub fn as_str(&self) -> &str {
        // All of them are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Long-term keys belong to a user or to root and never expire.
    pub fn is_long_term(&self) -> bool {
        self.0.starts_with(b"AKIA")
    }

    /// Whether the ID could have been issued at all.
    pub fn structure(&self) -> Structure {
        let tail = &self.0[4..];
        let base32 = tail.iter().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7'));
        match (base32, tail.first(), tail.last()) {
            (true, Some(b'I' | b'J'), Some(b'A' | b'Q')) => Structure::Legacy,
            (true, ..) if self.decode_account().is_some() => Structure::Current,
            _ => Structure::Unissued,
        }
    }

    /// The twelve digits of the account that owns the key, or `None` where
    /// the ID does not carry it.
    pub fn account_id(&self) -> Option<String> {
        self.decode_account()
            .map(|account| format!("{account:012}"))
    }

    /// Whether the key is a decoy of a known canary service.
    pub fn is_canary(&self) -> bool {
        self.account_id()
            .is_some_and(|account| CANARY_ACCOUNTS.contains(&account.as_str()))
    }

    /// The first eight and the last four characters, the rest as `*`: enough
    /// to recognise the key in the console, not enough to name it.
    #[must_use]
    pub fn masked(mut self) -> Self {
        self.0[8..16].fill(b'*');
        self
    }

    fn decode_account(&self) -> Option<u64> {
        // Ten base32 characters hold the 48 bits of `z` and two more.
        let mut bits = 0u64;
        for byte in self.0.get(4..14)? {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'2'..=b'7' => byte - b'2' + 26,
                _ => return None,
            };
            bits = bits << 5 | u64::from(value);
        }
        let z = bits >> 2;
        let account = (z & 0x7fff_ffff_ff80) >> 7;
        (z >> 47 == 1 && account <= 999_999_999_999).then_some(account)
    }
}

impl Serialize for AccessKeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl fmt::Display for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(tail: &str, prefix: &str) -> AccessKeyId {
        AccessKeyId::parse(format!("{prefix}{tail}").as_bytes()).expect("an access key ID")
    }

    #[test]
    fn accounts_are_decoded_as_published() {
        for (tail, prefix, account) in [
            ("Y34FZKBOKMUTVV7A", "ASIA", "609629065308"),
            ("QNZGKIQY56JQ7WML", "ASIA", "029608264753"),
            ("SP2TPHJSQH3FJRUX", "AKIA", "171436882533"),
            ("QYLPMN5HHHFPZAM2", "AKIA", "052310077262"),
        ] {
            let id = id(tail, prefix);
            assert_eq!(id.account_id().as_deref(), Some(account));
            assert_eq!(id.structure(), Structure::Current);
        }
    }

    #[test]
    fn generations_are_told_apart() {
        assert_eq!(
            id("IABCDEFGHJKLMNPQ", "AKIA").structure(),
            Structure::Legacy
        );
        assert_eq!(
            id("IABCDEFGHJKLMNPR", "AKIA").structure(),
            Structure::Unissued
        );
        // An account above 999999999999, a clear bit 47, a digit outside base32.
        assert_eq!(
            id("7ABCDEFGHJKLMNPQ", "AKIA").structure(),
            Structure::Unissued
        );
        assert_eq!(
            id("BABCDEFGHJKLMNPQ", "AKIA").structure(),
            Structure::Unissued
        );
        assert_eq!(
            id("QABCDEFGHJKLMNP1", "AKIA").structure(),
            Structure::Unissued
        );
    }

    #[test]
    fn canaries_are_known_by_their_account() {
        assert!(id("SP2TPHJSQH3FJRUX", "AKIA").is_canary());
        assert!(!id("Y34FZKBOKMUTVV7A", "AKIA").is_canary());
    }

    #[test]
    fn identifiers_are_not_credentials() {
        for prefix in [
            "AROA", "AIDA", "AGPA", "AIPA", "ANPA", "ANVA", "ASCA", "APKA",
        ] {
            assert_eq!(
                AccessKeyId::parse(format!("{prefix}Y34FZKBOKMUTVV7A").as_bytes()),
                None
            );
        }
    }

    #[test]
    fn masking_hides_the_middle() {
        assert_eq!(
            id("SP2TPHJSQH3FJRUX", "AKIA").masked().as_str(),
            "AKIASP2T********JRUX"
        );
    }
}

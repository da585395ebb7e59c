//! Made-up credentials of the shapes that AWS issues.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Long-term, of the generation that carries its account.
    Id,
    /// Long-term, issued years ago; the account cannot be read from it.
    Legacy,
    /// Long-term by its prefix, and nothing that AWS is known to issue.
    Unissued,
    /// Long-term, of an account that hosts decoys.
    Canary,
    /// Temporary.
    Asia,
    Abia,
    Acca,
    Secret,
    Token,
    /// A session token as it began some years ago.
    OldToken,
    Bedrock,
    BedrockShort,
    Smtp,
}

impl Kind {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "id" => Self::Id,
            "legacy" => Self::Legacy,
            "unissued" => Self::Unissued,
            "canary" => Self::Canary,
            "asia" => Self::Asia,
            "abia" => Self::Abia,
            "acca" => Self::Acca,
            "secret" | "secret+" | "secret/" => Self::Secret,
            "token" => Self::Token,
            "oldtoken" => Self::OldToken,
            "bedrock" => Self::Bedrock,
            "bedrock-short" => Self::BedrockShort,
            "smtp" => Self::Smtp,
            _ => return None,
        })
    }

    pub(crate) fn is_access_key_id(self) -> bool {
        self <= Self::Acca
    }

    /// A fresh one. `starts` and `ends` force the outer characters of a secret.
    pub(crate) fn generate(self, rng: &mut Rng, starts: Option<u8>, ends: Option<u8>) -> String {
        match self {
            Self::Id => issued("AKIA", account(rng), rng),
            Self::Canary => issued("AKIA", 171_436_882_533, rng),
            Self::Asia => issued("ASIA", account(rng), rng),
            Self::Abia => issued("ABIA", account(rng), rng),
            Self::Acca => issued("ACCA", account(rng), rng),
            Self::Legacy => {
                let (first, last) = (pick(b"IJ", 1, rng), pick(b"AQ", 1, rng));
                format!("AKIA{first}{}{last}", pick(BASE32, 14, rng))
            }
            // A fifth character below Q means that bit 47 is not set.
            Self::Unissued => format!(
                "AKIA{}{}",
                pick(b"ABCDEFGHKLMNOP", 1, rng),
                pick(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 15, rng)
            ),
            Self::Secret => {
                let mut text = pick(BASE64, 40, rng).into_bytes();
                text[0] = starts.unwrap_or(text[0]);
                text[39] = ends.unwrap_or(text[39]);
                String::from_utf8(text).expect("ASCII")
            }
            Self::Token => format!("{}{}", concat!("IQoJb3Jp", "Z2luX2Vj"), blob(rng)),
            Self::OldToken => format!("{}{}", concat!("FwoGZX", "IvYXdz"), blob(rng)),
            Self::Bedrock => {
                let (suffix, secret) = (pick(&BASE32[..26], 4, rng), pick(BASE64, 61, rng));
                let account = account(rng);
                let inner = format!("BedrockAPIKey-{suffix}-at-{account:012}:{secret}");
                format!("{}{}", concat!("AB", "SK"), STANDARD.encode(inner))
            }
            Self::BedrockShort => {
                let id = issued("ASIA", account(rng), rng);
                let token = format!("{}{}", concat!("IQoJb3Jp", "Z2luX2Vj"), blob(rng));
                let token = token
                    .replace('+', "%2B")
                    .replace('/', "%2F")
                    .replace('=', "%3D");
                let signature = pick(b"0123456789abcdef", 64, rng);
                let url = format!(
                    "bedrock.amazonaws.com/?Action=CallWithBearerToken\
                     &X-Amz-Algorithm=AWS4-HMAC-SHA256\
                     &X-Amz-Credential={id}%2F20260301%2Feu-central-1%2Fbedrock%2Faws4_request\
                     &X-Amz-Date=20260301T100000Z&X-Amz-Expires=43200\
                     &X-Amz-Security-Token={token}&X-Amz-Signature={signature}\
                     &X-Amz-SignedHeaders=host&Version=1"
                );
                format!(
                    "{}{}",
                    concat!("bedrock-", "api-key-"),
                    STANDARD.encode(url)
                )
            }
            // Version byte 4 in front of an HMAC-SHA256 is `B` and one of A-P.
            Self::Smtp => {
                let mut raw = vec![4u8];
                raw.extend((0..32).map(|_| rng.u8(..)));
                STANDARD.encode(raw)
            }
        }
    }
}

/// An identifier of a role, user, group …: shaped as an access key ID is.
pub(crate) fn identifier(prefix: &str, rng: &mut Rng) -> Option<String> {
    let known = [
        "aroa", "aida", "agpa", "aipa", "anpa", "anva", "asca", "apka",
    ];
    known
        .contains(&prefix)
        .then(|| issued(&prefix.to_uppercase(), account(rng), rng))
}

/// `count` characters of `alphabet`.
pub(crate) fn pick(alphabet: &[u8], count: usize, rng: &mut Rng) -> String {
    (0..count)
        .map(|_| char::from(alphabet[rng.usize(..alphabet.len())]))
        .collect()
}

fn account(rng: &mut Rng) -> u64 {
    rng.u64(1..=999_999_999_999)
}

/// An ID that carries `account` as AWS writes it: bit 47 of the first six
/// bytes is set, the account follows, the rest is free.
fn issued(prefix: &str, account: u64, rng: &mut Rng) -> String {
    let head = u128::from(1 << 47 | account << 7 | rng.u64(..128));
    let bits = head << 32 | u128::from(rng.u32(..));
    let tail = (0..16)
        .rev()
        .map(|i| char::from(BASE32[(bits >> (i * 5)) as usize & 31]));
    prefix.chars().chain(tail).collect()
}

/// The body of a session token.
fn blob(rng: &mut Rng) -> String {
    let length = rng.usize(300..560);
    STANDARD.encode((0..length).map(|_| rng.u8(..)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use rolecall::finding::{AccessKeyId, Structure};

    use super::*;

    #[test]
    fn ids_have_the_structure_that_they_are_named_for() {
        let mut rng = Rng::with_seed(7);
        for _ in 0..1000 {
            for (kind, structure) in [
                (Kind::Id, Structure::Current),
                (Kind::Asia, Structure::Current),
                (Kind::Legacy, Structure::Legacy),
                (Kind::Unissued, Structure::Unissued),
            ] {
                let text = kind.generate(&mut rng, None, None);
                let id = AccessKeyId::parse(text.as_bytes()).expect("the shape of an ID");
                assert_eq!(id.structure(), structure, "{text}");
                assert!(!id.is_canary());
            }
            let decoy = Kind::Canary.generate(&mut rng, None, None);
            let decoy = AccessKeyId::parse(decoy.as_bytes()).expect("the shape of an ID");
            assert!(decoy.is_canary());
        }
    }

    #[test]
    fn an_id_carries_the_account_it_was_made_with() {
        let id = issued("AKIA", 12_345_678_901, &mut Rng::with_seed(1));
        let id = AccessKeyId::parse(id.as_bytes()).expect("the shape of an ID");
        assert_eq!(id.account_id().as_deref(), Some("012345678901"));
    }

    #[test]
    fn secrets_begin_and_end_as_asked() {
        let secret = Kind::Secret.generate(&mut Rng::with_seed(1), Some(b'+'), Some(b'/'));
        assert_eq!(secret.len(), 40);
        assert!(secret.starts_with('+') && secret.ends_with('/'));
    }

    #[test]
    fn the_other_credentials_have_their_length() {
        let mut rng = Rng::with_seed(3);
        for _ in 0..100 {
            let smtp = Kind::Smtp.generate(&mut rng, None, None);
            assert_eq!(smtp.len(), 44);
            assert!(matches!(smtp.as_bytes()[..2], [b'B', b'A'..=b'P']));
            let bedrock = Kind::Bedrock.generate(&mut rng, None, None);
            assert!((113..=273).contains(&bedrock.len()));
        }
    }
}

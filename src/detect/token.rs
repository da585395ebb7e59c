//! Credentials that are one long token: STS session tokens and Bedrock API
//! keys.

use base64::Engine as _;

use super::encoding::base64::LENIENT;
use super::glyph;
use super::sighting::{Place, Standalone};
use crate::finding::{AccessKeyId, Rule};
use crate::secret::Secret;

/// Session tokens have hundreds of characters; shorter ones are cut or made up.
const MIN_TOKEN: usize = 100;
const MAX_TOKEN: usize = 8 * 1024;

/// What a long-lived Bedrock key decodes to begins so, followed by
/// `<user>-at-<account>:<secret>`.
const BEDROCK_LONG: &[u8] = b"BedrockAPIKey-";
const BEDROCK_SHORT: &[u8] = b"bedrock-api-key-";
const BEDROCK_HOST: &[u8] = b"bedrock.amazonaws.com";

/// Characters behind the prefix of the shortest key there is.
const MIN_BEDROCK: usize = 100;

/// Characters that hold the name and the account of a long-lived Bedrock key:
/// a user name has 64 at most. A multiple of four.
const BEDROCK_HEAD: usize = 160;

/// The session token that starts at `at`. One in a signed URL is no
/// credential: without the secret nothing can be signed with it.
pub(super) fn read_session_token(bytes: &[u8], at: usize) -> Option<Standalone> {
    if !begins_here(bytes, at) || bytes[..at].ends_with(b"Security-Token=") {
        return None;
    }
    let value = read_text(bytes, at, MAX_TOKEN);
    (value.len() >= MIN_TOKEN).then(|| Standalone {
        place: Place::at(at as u64),
        rule: Rule::TemporaryCredentials,
        value: Secret::new(value),
        account_id: None,
        long_term: false,
    })
}

/// The Bedrock API key that starts at `at`.
pub(super) fn read_bedrock_key(bytes: &[u8], at: usize) -> Option<Standalone> {
    if !begins_here(bytes, at) {
        return None;
    }
    let long_term = bytes[at..].starts_with(b"ABSK");
    let prefix = if long_term { 4 } else { BEDROCK_SHORT.len() };
    // What a key begins with tells it from the rest: only a key is read to
    // its end, so that many prefixes in a row do not cost a key each.
    let head = read_text(bytes, at + prefix, BEDROCK_HEAD);
    let head = decode(&head)?;
    let long_lived_account = if long_term {
        Some(account_in_name(head.strip_prefix(BEDROCK_LONG)?)?)
    } else {
        head.strip_prefix(BEDROCK_HOST)?;
        None
    };
    let encoded = read_text(bytes, at + prefix, MAX_TOKEN);
    // A page that explains the form shows only how it begins.
    if encoded.len() < MIN_BEDROCK {
        return None;
    }
    let account_id = long_lived_account.or_else(|| account_of_signer(&decode(&encoded)?));
    let mut value = bytes[at..at + prefix].to_vec();
    value.extend(encoded);
    Some(Standalone {
        place: Place::at(at as u64),
        rule: Rule::BedrockApiKey,
        value: Secret::new(value),
        account_id,
        long_term,
    })
}

fn begins_here(bytes: &[u8], at: usize) -> bool {
    at == 0 || !bytes[at - 1].is_ascii_alphanumeric() || glyph::escape_ends(bytes, at)
}

/// The characters of the base64 alphabet from `at` on, `most` of them at most,
/// through escapes, joints and wrapped lines, and the padding behind them.
fn read_text(bytes: &[u8], at: usize, most: usize) -> Vec<u8> {
    let mut text = Vec::new();
    let mut place = at;
    while text.len() < most {
        if let Some((byte, next)) = glyph::read(bytes, place) {
            text.push(byte);
            place = next;
        } else {
            match glyph::joint(bytes, place) {
                Some(next) if glyph::read(bytes, next).is_some() => place = next,
                _ => break,
            }
        }
    }
    let mut signs = 0;
    while signs < 2
        && let Some(sign) = PADDING.iter().find(|sign| bytes[place..].starts_with(sign))
    {
        signs += 1;
        place += sign.len();
    }
    text.resize(text.len() + signs, b'=');
    text
}

/// A sign of padding, and how it is escaped.
const PADDING: [&[u8]; 6] = [b"=", b"%3D", b"%3d", b"\\u003d", b"\\u003D", b"\\x3d"];

/// Whatever padding there is.
fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
    let end = encoded.iter().position(|byte| *byte == b'=');
    LENIENT
        .decode(&encoded[..end.unwrap_or(encoded.len())])
        .ok()
}

/// The account in `<user>-at-<account>:<secret>`.
fn account_in_name(name: &[u8]) -> Option<String> {
    let colon = name.iter().position(|byte| *byte == b':')?;
    let (rest, account) = name[..colon].split_last_chunk::<12>()?;
    let digits = account.iter().all(u8::is_ascii_digit) && rest.ends_with(b"-at-");
    digits.then(|| String::from_utf8_lossy(account).into_owned())
}

/// The account of the access key ID that signed a short-lived key.
fn account_of_signer(decoded: &[u8]) -> Option<String> {
    let at = memchr::memmem::find(decoded, b"ASIA")?;
    AccessKeyId::parse(decoded.get(at..at + AccessKeyId::LEN)?)?.account_id()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_with_the_padding_that_it_is_written_with() {
        let body = format!("IQoJb3JpZ2lu{}", "aB3x".repeat(30));
        for (padding, read) in [
            ("", ""),
            ("=", "="),
            ("==\"", "=="),
            ("%3D%3D&", "=="),
            ("\\u003d,", "="),
            ("\nnext=", ""),
        ] {
            let text = format!("token={body}{padding}");
            let token = read_session_token(text.as_bytes(), 6).unwrap();
            let token = token.value.expose_str().unwrap().to_owned();
            assert_eq!(token, format!("{body}{read}"), "{text}");
        }
    }
}

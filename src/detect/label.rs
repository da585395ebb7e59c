//! The name right before a value, with a mark that says so (`NAME=`,
//! `"NAME": "`, `<NAME>`, `("NAME", "`), and what it says of the value.

use std::ops::Range;

use super::owner;
use crate::finding::AccessKeyId;

/// Bytes before a value in which its name is looked for.
const REACH: usize = 128;

/// What the name of a value says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// There is no name.
    Nothing,
    /// It is one of AWS, or was or is to be replaced: `AWS_PASS`, `OLD_SECRET`.
    Own,
    /// It is a secret of some kind.
    Secret,
    /// It opens something: `password`, `token`.
    Key,
    /// Something else, in words that are not known.
    Other,
    /// It is of another service than AWS: `CLOUDFLARE_API_TOKEN`.
    Service,
}

/// Services that hand out secrets as long as those of AWS, and what else is
/// random: `salt`, `SessionId`.
const SERVICES: [&str; 72] = [
    "algolia",
    "azure",
    "bitbucket",
    "captcha",
    "checksum",
    "circleci",
    "cloudflare",
    "commit",
    "consumer",
    "cookie",
    "csrf",
    "database",
    "datadog",
    "db",
    "digest",
    "discord",
    "django",
    "docker",
    "dropbox",
    "etag",
    "facebook",
    "firebase",
    "gcp",
    "github",
    "gitlab",
    "google",
    "grafana",
    "hash",
    "heroku",
    "hmac",
    "intercom",
    "jira",
    "jwt",
    "laravel",
    "mailchimp",
    "mailgun",
    "mapbox",
    "maps",
    "mongo",
    "mongodb",
    "mysql",
    "netlify",
    "newrelic",
    "nonce",
    "npm",
    "oauth",
    "okta",
    "openai",
    "paypal",
    "pepper",
    "pg",
    "postgres",
    "postgresql",
    "pypi",
    "rails",
    "redis",
    "salt",
    "sendgrid",
    "sentry",
    "session",
    "sha",
    "shopify",
    "signature",
    "slack",
    "stripe",
    "telegram",
    "travis",
    "twilio",
    "twitter",
    "vercel",
    "webhook",
    "zendesk",
];

/// Words of which a name is one of AWS, whatever else it says.
const OF_AWS: [&str; 6] = ["amazon", "aws", "iam", "s3", "s3a", "ses"];

const ROTATED: [&str; 8] = [
    "bak", "current", "next", "new", "old", "prev", "previous", "rotated",
];

const KEYS: [&str; 13] = [
    "access",
    "auth",
    "credential",
    "credentials",
    "key",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "private",
    "pwd",
    "sk",
    "token",
];

/// Names that any value has.
const OF_ALL: [&str; 7] = [
    "content", "data", "default", "literal", "string", "text", "value",
];

/// Elements of a page, which say nothing of what is in them.
const OF_PAGES: [&str; 12] = [
    "b", "code", "dd", "div", "em", "li", "p", "pre", "span", "strong", "td", "th",
];

/// What the name of the value at `at` says.
pub(super) fn said(bytes: &[u8], at: usize) -> Said {
    let Some(label) = of(bytes, at) else {
        return Said::Nothing;
    };
    if !is_of_all(&bytes[label.clone()]) {
        return said_by(&bytes[label]);
    }
    // What stands above may say something else of the same setting.
    let names = [owner::name(bytes, at), heading(&bytes[..label.start])];
    let mut said = names.into_iter().flatten().map(said_by);
    if said.any(|said| said == Said::Service) {
        Said::Service
    } else {
        Said::Nothing
    }
}

/// The name with which a block begins that the last line is in: `NAME:`,
/// `variable "NAME" {`.
fn heading(before: &[u8]) -> Option<&[u8]> {
    const MAX_LINES: usize = 5;
    let near = &before[before.len().saturating_sub(2 * REACH)..];
    let lines = near.rsplit(|byte| *byte == b'\n').take(MAX_LINES);
    let mut lines = lines.map(<[u8]>::trim_ascii_end);
    let line = lines.find(|line| matches!(line, [.., b'{' | b':']))?;
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    line.split(|byte| !is_part(byte))
        .rfind(|word| !word.is_empty())
}

/// What a name says of its value.
pub(super) fn said_by(name: &[u8]) -> Said {
    let words: Vec<String> = words(name).collect();
    let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    let is_service = |word: &String| {
        SERVICES
            .iter()
            .any(|known| word == known || (known.len() > 4 && word.contains(known)))
    };
    let is_of_aws = has(&OF_AWS);
    let is_secret = words.iter().any(|word| word.contains("secret"));
    let is_key = words
        .last()
        .is_some_and(|word| KEYS.iter().any(|known| word.ends_with(known)));
    if !is_of_aws && words.iter().any(is_service) {
        Said::Service
    } else if (is_of_aws && (is_secret || is_key)) || (is_secret && has(&ROTATED)) {
        Said::Own
    } else if is_secret {
        Said::Secret
    } else if is_key {
        Said::Key
    } else {
        Said::Other
    }
}

/// The words of a name that are no numbers.
fn words(name: &[u8]) -> impl Iterator<Item = String> {
    let lower = |word: Range<usize>| String::from_utf8_lossy(&name[word]).to_ascii_lowercase();
    let words = owner::words(name).map(lower);
    words.scan(String::new(), |before, word| {
        // `s3` is one word.
        let whole = if word.starts_with(|first: char| first.is_ascii_digit()) {
            before.clone() + &word
        } else {
            word
        };
        before.clone_from(&whole);
        Some(whole)
    })
}

/// Whether the name says no more than that this is a value: `Default`,
/// `ParameterValue`, `<td>`.
pub(super) fn is_of_all(name: &[u8]) -> bool {
    let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
    OF_ALL.iter().any(|word| lower.ends_with(word)) || OF_PAGES.contains(&lower.as_str())
}

/// Where the name stands that the value at `at` has of its own.
pub(super) fn of(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let from = at.saturating_sub(REACH);
    let (mut end, mark) = before_signs(bytes, from..at);
    let mut is_marked = mark != Mark::None;
    if mark == Mark::Tag {
        return of_element(bytes, from..end);
    }
    if !is_marked && bytes[from..end].ends_with(b"(") {
        // `NAME: aws.String("…")`.
        let call = word(bytes, from..end - 1);
        let (before, mark) = before_signs(bytes, from..call.start);
        is_marked = !call.is_empty() && mark == Mark::Sign;
        end = before;
    } else if !is_marked && bytes[from..end].ends_with(b",") {
        // `("NAME", "…`.
        let name = bytes[from..end - 1].trim_ascii_end();
        let quote = name.last().filter(|quote| b"\"'".contains(quote));
        let name = word(
            bytes,
            from..from + name.len() - usize::from(quote.is_some()),
        );
        let opens = |quote: &u8| bytes[from..name.start].ends_with(&[b'(', *quote]);
        is_marked = quote.is_some_and(opens);
        end = name.end;
    }
    let mut name = word(bytes, from..end);
    if !is_marked || name.is_empty() {
        return None;
    }
    // `\nNAME=…` in a string, `--NAME=…`.
    if bytes[from..name.start].ends_with(b"\\") && matches!(bytes[name.start], b'n' | b'r' | b't') {
        name.start += 1;
    }
    let text = &bytes[name.clone()];
    name.start += text.iter().take_while(|byte| **byte == b'-').count();
    let is_name = text.iter().any(u8::is_ascii_alphabetic) && AccessKeyId::parse(text).is_none();
    // As in a comment: `# until Monday: …`.
    let is_in_sentence = bytes.get(end) == Some(&b':')
        && matches!(bytes[from..name.start], [.., before, b' '] if before.is_ascii_alphanumeric());
    (is_name && !is_in_sentence).then_some(name)
}

/// What tells that a name is before a value.
#[derive(PartialEq, Eq)]
enum Mark {
    None,
    Sign,
    /// The end of an element's tag.
    Tag,
}

/// Where the signs that end the text in `range` begin, and what they are.
fn before_signs(bytes: &[u8], range: Range<usize>) -> (usize, Mark) {
    let is_sign = |byte: &&u8| b" \t\"'`\\=:>?|[]-".contains(byte);
    let text = &bytes[range.clone()];
    let count = text.iter().rev().take_while(is_sign).count();
    let signs = &text[text.len() - count..];
    let tag = signs.iter().rposition(|byte| *byte == b'>');
    let is_tag = tag.is_some_and(|at| !matches!(signs[..at], [.., b'=' | b'-']));
    let mark = match tag {
        Some(at) if is_tag => {
            return (range.end - count + at, Mark::Tag);
        }
        _ if signs.iter().any(|byte| b"=:>".contains(byte)) => Mark::Sign,
        _ => Mark::None,
    };
    (range.end - count, mark)
}

/// The word that ends the text in `range`.
fn word(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    let text = bytes[range.clone()].iter().rev();
    range.end - text.take_while(is_part).count()..range.end
}

/// The name of the element whose tag ends the text in `range`: that which an
/// attribute gives, or its kind. None if the tag closes another one.
fn of_element(bytes: &[u8], range: Range<usize>) -> Option<Range<usize>> {
    let text = &bytes[range.clone()];
    let open = range.start + memchr::memrchr(b'<', text)? + 1;
    let tag = &bytes[open..range.end];
    let named = [&b" name=\""[..], b" key=\"", b" id=\""]
        .into_iter()
        .find_map(|attribute| Some(memchr::memmem::find(tag, attribute)? + attribute.len()));
    let start = open + named.unwrap_or(0);
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(byte);
    let len = bytes[start..range.end].iter().take_while(is_part).count();
    (len > 0).then_some(start..start + len)
}

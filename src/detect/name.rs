//! Names of secret access keys, and the values that belong to them.
//!
//! The value is the first run in the shape of a secret within a few lines of
//! the name. No syntax is parsed, so every one of them works: assignments,
//! maps, XML properties, environment lists, setter calls, CSV headers. Only what
//! another name stands before is not taken, where the own value is plainly empty.

mod empty;

use std::sync::LazyLock;

use aho_corasick::packed;

use super::sighting::{Named, SecretSighting};
use super::{glyph, run, secret};

/// How far behind its name a value may start: `<name>…</name>`, a line end
/// and `<value>` fit, a value of something else rarely does.
const REACH: usize = 192;

/// Line ends between a name and its value.
const MAX_LINES: usize = 3;

/// Longest identifier looked at on each side.
const MAX_NAME: usize = 48;

/// Bytes on each side of a name that decide whether a loose one is one of AWS.
const AROUND: usize = 384;

/// Bytes on each side of a literal that decide what it is the name of.
pub(super) const LOOKED_AT: usize = AROUND + MAX_NAME + MAX_REST;

/// Longest rest of a name that is written as words of its own.
const MAX_REST: usize = 16;

/// Bytes of `ecret`, the literal that is searched for.
const LITERAL_LEN: usize = 5;

/// The place up to which no run in the shape of a secret starts, so that a
/// text of nothing but names is searched once.
#[derive(Debug, Default)]
pub(super) struct Barren {
    from: usize,
    to: usize,
}

/// What belongs to a word like `secret`.
pub(super) enum Value {
    Found(SecretSighting),
    /// Nothing in the shape of a secret follows the name.
    Missing,
    /// It is no name of a secret access key.
    OfAnother,
}

/// Whether the literal at `at` is part of the name of a secret access key.
pub(super) fn is_of_secret(bytes: &[u8], at: usize) -> bool {
    named(bytes, at) != Named::No
}

/// How much the name says that the literal at `at` is part of.
pub(super) fn named(bytes: &[u8], at: usize) -> Named {
    let (start, end) = extent(bytes, at);
    classify(bytes, (start, at, end))
}

/// Whether this is the name of a secret access key, and not of something about it.
pub(super) fn is_secrets_own(name: &[u8]) -> bool {
    const ABOUT: [&[u8]; 8] = [
        b"arn",
        b"checksum",
        b"hash",
        b"manager",
        b"name",
        b"path",
        b"sha",
        b"token",
    ];
    let lower = name.to_ascii_lowercase();
    let is_about = |words: &&[u8]| memchr::memmem::find(&lower, words).is_some();
    let mut literals = memchr::memmem::find_iter(&lower, b"ecret");
    !ABOUT.iter().any(is_about) && literals.any(|at| is_of_secret(name, at))
}

/// The secret whose name contains the literal at `at`.
pub(super) fn read(bytes: &[u8], at: usize, barren: &mut Barren) -> Value {
    let (start, end) = extent(bytes, at);
    let named = classify(bytes, (start, at, end));
    if named == Named::No {
        return Value::OfAnother;
    }
    if let Some(value) = right_behind(bytes, at)
        && let Some(sighting) = run::run_at(bytes, value).and_then(|run| run.secret(named))
    {
        return Value::Found(sighting);
    }
    let mut limit = reach(bytes, end);
    let from = if (barren.from..barren.to).contains(&end) {
        barren.to
    } else {
        end
    };
    let mut place = from;
    // A name longer than is looked at goes on: its rest is no value.
    let in_name = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    if from == end && end > 0 && in_name(end - 1) && in_name(end) {
        place = run::next_run(bytes, end, limit).map_or(end, |run| run.end);
    }
    while let Some(run) = run::next_long_run(bytes, place, limit) {
        if let Some(sighting) = run.secret(named) {
            if !empty::is_anothers(bytes, start..end, run.start) {
                return Value::Found(sighting);
            }
            limit = run.start;
            break;
        }
        place = run.end;
    }
    if from == end {
        barren.from = end;
    }
    barren.to = place.max(limit);
    Value::Missing
}

/// Where a value would begin that follows its name without a mark, as it does
/// in a row of a database.
fn right_behind(bytes: &[u8], at: usize) -> Option<usize> {
    const REST: &[u8] = b"_access_key";
    let behind = bytes.get(at + LITERAL_LEN..)?;
    let starts_with = |rest: &[u8]| {
        let start = behind.get(..rest.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(rest))
    };
    if starts_with(REST) {
        return Some(at + LITERAL_LEN + REST.len());
    }
    // Other names are parts of longer ones, so that the value has to tell itself.
    let rests: [&[u8]; 8] = [
        b"accesskey",
        b"-access-key",
        b".access.key",
        b"_key",
        b"-key",
        b".key",
        b"key",
        b"",
    ];
    let rests = rests.into_iter().filter(|rest| starts_with(rest));
    rests
        .map(|rest| at + LITERAL_LEN + rest.len())
        .find(|start| is_closed_off(bytes, *start))
}

/// Whether a secret begins at `start` and ends where no text goes on.
fn is_closed_off(bytes: &[u8], start: usize) -> bool {
    let is_foreign = |byte: &u8| *byte >= 0x80 || glyph::is_mark(*byte);
    bytes.get(start + run::LEN).is_some_and(is_foreign) && secret::is_at(bytes, start)
}

/// The identifier around `at`; dots, dashes, blanks between words included.
fn extent(bytes: &[u8], at: usize) -> (usize, usize) {
    let part =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b' ');
    let before = &bytes[at.saturating_sub(MAX_NAME)..at];
    let after = &bytes[at..bytes.len().min(at + MAX_NAME)];
    let start = at - before.iter().rev().take_while(|byte| part(byte)).count();
    // A blank ends the name behind the literal unless it reads "secret
    // access key"; else a value after it would be taken for the name's end.
    let end = at
        + after
            .iter()
            .take_while(|byte| part(byte) && **byte != b' ')
            .count();
    let spelled = spelled_out(&bytes[end..bytes.len().min(end + MAX_REST)]);
    (start, end + spelled)
}

/// Length of ` access key` or ` key` where it follows.
fn spelled_out(after: &[u8]) -> usize {
    [&b" access key"[..], b" key"]
        .into_iter()
        .find(|words| {
            after
                .get(..words.len())
                .is_some_and(|text| text.eq_ignore_ascii_case(words))
        })
        .map_or(0, <[u8]>::len)
}

fn classify(bytes: &[u8], (start, at, end): (usize, usize, usize)) -> Named {
    // What stands before and behind the word `secret`, of which the literal
    // at `at` is all but the first letter.
    let Some(first) = at.checked_sub(1).filter(|first| *first >= start) else {
        return Named::No;
    };
    if !bytes[first].eq_ignore_ascii_case(&b's') {
        return Named::No;
    }
    let words = |part: &[u8]| -> Vec<u8> {
        part.iter()
            .filter(|byte| byte.is_ascii_alphanumeric())
            .map(u8::to_ascii_lowercase)
            .collect()
    };
    let before = words(&bytes[start..first]);
    let behind = words(bytes.get(at + LITERAL_LEN..end).unwrap_or_default());
    let of_aws = |part: &[u8]| memchr::memmem::find(part, b"aws").is_some();

    let exactly = behind.starts_with(b"accesskey")
        || [&b"aws"[..], b"amazon", b"s3", b"s3a"]
            .iter()
            .any(|owner| before.ends_with(owner))
        || (behind.starts_with(b"key") && (of_aws(&before) || of_aws(&behind)));
    if exactly {
        return Named::Exactly;
    }
    let loosely =
        behind.starts_with(b"key") || behind.starts_with(b"access") || before.ends_with(b"access");
    if loosely && near_aws(bytes, start, end) {
        Named::Loosely
    } else {
        Named::No
    }
}

/// Words near which a loose name is one of AWS.
static NEAR_AWS: LazyLock<packed::Searcher> = LazyLock::new(|| {
    let words = [
        "aws",
        "amazon",
        "s3.",
        "s3:",
        "s3_",
        "[s3",
        "\"s3",
        "s3a",
        "access_key",
        "accesskey",
        "access-key",
        "access key",
    ];
    packed::Searcher::new(words).expect("the words suit the packed searcher")
});

/// What the name of a value has in it that is a secret, and not one of AWS.
const OTHERS: [&[u8]; 45] = [
    b"algolia",
    b"app",
    b"azure",
    b"captcha",
    b"cloudflare",
    b"consumer",
    b"cookie",
    b"csrf",
    b"datadog",
    b"django",
    b"encryption",
    b"facebook",
    b"firebase",
    b"gcp",
    b"github",
    b"gitlab",
    b"google",
    b"hash",
    b"heroku",
    b"hmac",
    b"jwt",
    b"mailchimp",
    b"mailgun",
    b"mapbox",
    b"maps",
    b"netlify",
    b"nocaptcha",
    b"oauth",
    b"okta",
    b"password",
    b"paypal",
    b"pepper",
    b"recaptcha",
    b"salt",
    b"sendgrid",
    b"session",
    b"shopify",
    b"sitekey",
    b"slack",
    b"stripe",
    b"telegram",
    b"token",
    b"twilio",
    b"twitter",
    b"webhook",
];

/// Whether the value at `at` has a name that says so: `JWT_SECRET=…`.
pub(super) fn is_of_another(bytes: &[u8], at: usize) -> bool {
    const MAX_SIGNS: usize = 8;
    let signs = bytes[..at].iter().rev().take(MAX_SIGNS);
    let sign = |byte: &&u8| {
        matches!(
            byte,
            b' ' | b'\t' | b'"' | b'\'' | b'`' | b'=' | b':' | b'>'
        )
    };
    let end = at - signs.take_while(sign).count();
    let letters = bytes[..end].iter().rev().take(MAX_NAME);
    let part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let start = end - letters.take_while(part).count();
    end < at
        && bytes[start..end]
            .split(|byte| !byte.is_ascii_alphanumeric())
            .any(|word| OTHERS.iter().any(|other| word.eq_ignore_ascii_case(other)))
}

/// Whether the text around a loose name speaks of AWS.
fn near_aws(bytes: &[u8], start: usize, end: usize) -> bool {
    let text =
        bytes[start.saturating_sub(AROUND)..bytes.len().min(end + AROUND)].to_ascii_lowercase();
    NEAR_AWS.find(&text).is_some()
}

/// Where the search for a value that starts behind `end` has to give up.
fn reach(bytes: &[u8], end: usize) -> usize {
    let window = &bytes[end..bytes.len().min(end + REACH)];
    let cut = memchr::memchr_iter(b'\n', window).nth(MAX_LINES - 1);
    end + cut.unwrap_or(window.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_right_behind_its_name_is_read_where_no_text_goes_on() {
        let mut random = fastrand::Rng::with_seed(3);
        let value: String = (0..run::LEN).map(|_| random.alphanumeric()).collect();
        let found = |text: &[u8]| {
            let at = memchr::memmem::rfind(&text.to_ascii_lowercase(), b"ecret").unwrap();
            match read(text, at, &mut Barren::default()) {
                Value::Found(found) => found.value.expose() == value.as_bytes(),
                Value::Missing | Value::OfAnother => false,
            }
        };
        for name in [
            "s3_secret_key",
            "s3-secret-key",
            "fs.s3a.secret.key",
            "awsSecretKey",
            "secretAccessKey",
            "aws.secret.access.key",
            "storage.s3.secret",
        ] {
            for behind in [&b"\0"[..], b"\x15option", b"\xff"] {
                let text = [b"\x0b", name.as_bytes(), value.as_bytes(), behind].concat();
                assert!(found(&text), "{name} {behind:?}");
            }
            let goes_on = [b"\x0b", name.as_bytes(), value.as_bytes(), b"x\0"].concat();
            assert!(!found(&goes_on), "{name}");
        }
    }
}

//! Names of places as they are told: some files are named for a signed request
//! or a setting, and so for its secret, which stays here.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::Scan;
use crate::detect::{Detector, Scanner};
use crate::finding::{AccessKeyId, Coverage};
use crate::secret::Secret;

/// What is told in place of a secret.
pub(super) const SECRET: &str = "<secret>";

/// The shortest secret.
const SHORTEST: usize = 40;

/// What all session tokens begin with: one in a signed request is no finding.
const TOKENS: [&str; 5] = [
    "IQoJb3JpZ2lu",
    "FwoGZXIvYXdz",
    "FQoGZXIvYXdz",
    "AQoDYXdz",
    "AgoJb3JpZ2lu",
];

/// What ends one in a name, in whatever spelling it stands there.
const ENDS: [char; 5] = ['!', '?', '&', '/', ' '];

/// Where the spelling of a secret hides its bounds, all that could be it.
static LIKE_A_SECRET: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("[A-Za-z0-9+%\\\\=]{36,}").expect("a pattern"));

/// Takes secrets out of all names that a scan tells, and the middle of IDs where
/// `redact` asks for it.
pub(super) fn mask(scan: &mut Scan, detector: &Detector, redact: bool) {
    let mut scanner = Scanner::new(detector);
    for finding in &mut scan.findings {
        finding.location.path = told_shared(finding.location.path.take(), &mut scanner);
        finding.location.member = told_shared(finding.location.member.take(), &mut scanner);
        for place in &mut finding.also_in {
            if let Some(told) = told(place, &mut scanner) {
                *place = told.into();
            }
        }
        if redact {
            finding.redact();
        }
    }
    for example in scan.coverage.iter_mut().flat_map(Coverage::examples) {
        if let Some(told) = told(example, &mut scanner) {
            *example = told;
        }
        if redact && let Cow::Owned(masked) = AccessKeyId::masked_in(example) {
            *example = masked;
        }
    }
}

fn told_shared(name: Option<Arc<str>>, scanner: &mut Scanner<'_>) -> Option<Arc<str>> {
    let name = name?;
    Some(told(&name, scanner).map_or(name, Arc::from))
}

/// The name without the secrets that it spells out; `None` where it has none.
fn told(name: &str, scanner: &mut Scanner<'_>) -> Option<String> {
    if name.len() < SHORTEST {
        return None;
    }
    let mut told = without_tokens(name);
    // A slash is of the alphabet of secrets, too.
    let parts = name.split('/').filter(|part| part.len() >= SHORTEST);
    for text in parts.chain([name]) {
        scanner.feed(text.as_bytes());
        for found in scanner.finish().matches {
            for secret in [found.secret, found.session_token].into_iter().flatten() {
                let text = without(&told, &secret).unwrap_or_else(|| {
                    let masked = LIKE_A_SECRET.replace_all(&told, SECRET);
                    masked.into_owned()
                });
                told = Cow::Owned(text);
            }
        }
    }
    match told {
        Cow::Owned(told) => Some(told),
        Cow::Borrowed(_) => None,
    }
}

fn without_tokens(name: &str) -> Cow<'_, str> {
    let mut told = Cow::Borrowed(name);
    for token in TOKENS {
        while let Some(at) = told.find(token) {
            let end = told[at..].find(ENDS).map_or(told.len(), |len| at + len);
            told = format!("{}{SECRET}{}", &told[..at], &told[end..]).into();
        }
    }
    told
}

/// The text without a secret, if that stands in it as it is.
pub(super) fn without(text: &str, secret: &Secret) -> Option<String> {
    let secret = secret.expose_str().filter(|secret| !secret.is_empty())?;
    text.contains(secret).then(|| text.replace(secret, SECRET))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_without_the_secret_that_it_spells_out() {
        let detector = Detector::new(4);
        let mut scanner = Scanner::new(&detector);
        let mut told = |name: &str| told(name, &mut scanner);
        let mut random = fastrand::Rng::with_seed(7);
        let letters: String = (0..38).map(|_| random.alphanumeric()).collect();
        let secret = format!("{}+{}", &letters[..20], &letters[19..]);
        let mut letter = || char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[random.usize(..32)]);
        let id = format!("AKIAQ{}", (0..15).map(|_| letter()).collect::<String>());
        for (name, expected) in [
            (
                format!("/srv/AWS_SECRET_ACCESS_KEY={secret}/x"),
                "/srv/AWS_SECRET_ACCESS_KEY=<secret>/x".to_owned(),
            ),
            (
                format!("/srv/{id}_{secret}.txt").replace('_', ":"),
                format!("/srv/{id}:<secret>.txt"),
            ),
            (
                format!(
                    "/tmp/o?X-Amz-Security-Token=IQoJb3JpZ2lu{}%3D&X-Amz-Expires=60",
                    "aB3x".repeat(60)
                ),
                "/tmp/o?X-Amz-Security-Token=<secret>&X-Amz-Expires=60".to_owned(),
            ),
        ] {
            assert_eq!(told(&name), Some(expected), "{name}");
        }
        let escaped = secret.replace('+', "%2B");
        let told_escaped = told(&format!("/srv/aws_secret_access_key={escaped}"));
        assert!(!told_escaped.unwrap().contains(&secret[8..]));
        let plain = "/usr/lib/python3/dist-packages/botocore/data/ec2/2016-11-15/service-2.json";
        assert_eq!(told(plain), None);
    }
}

//! Names of files as they are told: some are named for a signed request or a
//! setting, and so for its secret, which stays here.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::Scan;
use crate::detect::{Detector, SECRET_LEN, Scanner, is_like_secret};
use crate::finding::{AccessKeyId, Coverage, secret_fingerprint};
use crate::sanitize;
use crate::secret::Secret;

/// What is told in place of a secret.
const SECRET: &str = "<secret>";

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

/// Takes secrets out of the names of files that a scan tells.
pub(super) fn mask(scan: &mut Scan, detector: &Detector) {
    let secrets = scan.findings.iter();
    let secrets = secrets.filter_map(|finding| finding.secret_fingerprint.clone());
    let mut names = Names {
        scanner: Scanner::new(detector),
        secrets: secrets.collect(),
        told: HashMap::new(),
    };
    for finding in &mut scan.findings {
        let place = &mut finding.location;
        let places = [&mut place.path, &mut place.member, &mut place.exe];
        let places = places.into_iter().flatten();
        for name in places.chain(&mut finding.also_in) {
            *name = names.told(name);
        }
    }
    for example in scan.coverage.iter_mut().flat_map(Coverage::examples) {
        if let Some(told) = names.masked(example) {
            *example = told;
        }
    }
}

struct Names<'d> {
    scanner: Scanner<'d>,
    /// The fingerprints of what was found.
    secrets: HashSet<String>,
    /// Findings share their names.
    told: HashMap<Arc<str>, Arc<str>>,
}

impl Names<'_> {
    fn told(&mut self, name: &Arc<str>) -> Arc<str> {
        if let Some(told) = self.told.get(name) {
            return Arc::clone(told);
        }
        let told = self
            .masked(name)
            .map_or_else(|| Arc::clone(name), Arc::from);
        self.told.insert(Arc::clone(name), Arc::clone(&told));
        told
    }

    /// The name without the secrets that it spells out; `None` where it has none.
    fn masked(&mut self, name: &str) -> Option<String> {
        if name.len() < SECRET_LEN {
            return None;
        }
        let masked = self.masked_as_it_is(&without_tokens(name));
        let plain = percent_decode_str(&masked).decode_utf8_lossy();
        let masked = if *plain != masked && self.masked_as_it_is(&plain) != *plain {
            without_escapes(&masked)
        } else {
            masked
        };
        (masked != name).then_some(masked)
    }

    fn masked_as_it_is(&mut self, name: &str) -> String {
        let mut masked = self.without_known(name);
        // A slash may be the next folder, and of the alphabet of secrets, too.
        for text in [&name.replace('/', "\n"), name] {
            self.scanner.feed(text.as_bytes());
            for found in self.scanner.finish().matches {
                for secret in [found.secret, found.session_token].into_iter().flatten() {
                    masked = without(&masked, &secret).unwrap_or(masked);
                }
            }
        }
        let says_so = name.to_ascii_lowercase().contains("secret") || has_id(name);
        if says_so {
            without_words(&masked)
        } else {
            masked
        }
    }

    /// Without what was found somewhere in this scan, whatever stands beside it.
    fn without_known(&self, name: &str) -> String {
        let mut masked = name.to_owned();
        if self.secrets.is_empty() {
            return masked;
        }
        let is_of_secret = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
        for run in name.split(|c| !is_of_secret(c)) {
            for at in 0..(run.len() + 1).saturating_sub(SECRET_LEN) {
                let part = Secret::new(&run.as_bytes()[at..at + SECRET_LEN]);
                if self.secrets.contains(&secret_fingerprint(&part)) {
                    masked = without(&masked, &part).unwrap_or(masked);
                }
            }
        }
        masked
    }
}

fn has_id(name: &str) -> bool {
    let mut parts = name.as_bytes().windows(AccessKeyId::LEN);
    parts.any(|part| AccessKeyId::parse(part).is_some())
}

/// The name without the words that look like a secret.
fn without_words(name: &str) -> String {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '+';
    let mut told = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(start) = rest.find(is_of_word) {
        let word = &rest[start..];
        let end = word.find(|c| !is_of_word(c)).unwrap_or(word.len());
        let (word, behind) = word.split_at(end);
        told.push_str(&rest[..start]);
        let is_secret = is_like_secret(word.as_bytes());
        told.push_str(if is_secret { SECRET } else { word });
        rest = behind;
    }
    told + rest
}

/// The name without the parts in which characters are escaped: they spell a
/// secret of which only their reader knows the bounds.
fn without_escapes(name: &str) -> String {
    let parts = name.split('/');
    let parts = parts.map(|part| if part.contains('%') { SECRET } else { part });
    parts.collect::<Vec<_>>().join("/")
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

/// The text without a secret, if that stands in it as it is. As many slashes
/// stay as there were: it may be the name of a file in folders.
pub(super) fn without(text: &str, secret: &Secret) -> Option<String> {
    let secret = secret.expose_str().filter(|secret| !secret.is_empty())?;
    text.contains(secret).then(|| {
        let parts: Vec<_> = secret.split('/').map(|_| SECRET).collect();
        text.replace(secret, &parts.join("/"))
    })
}

/// A path as findings have it, secrets apart.
pub(super) fn shown(path: &Path) -> Cow<'_, str> {
    match path.to_str() {
        Some(path) => path.into(),
        None => sanitize::bytes(path.as_os_str().as_encoded_bytes()).into(),
    }
}

/// Whether a place, as a finding tells it, may be at or below `path`.
pub fn may_lie_in(place: &str, path: &Path) -> bool {
    let path = shown(path);
    let path = Path::new(&*path);
    if !place.contains(SECRET) {
        return Path::new(place).starts_with(path);
    }
    let mut told = Path::new(place).components();
    let mut parts = path.components();
    parts.all(|part| {
        let told = told.next().and_then(|told| told.as_os_str().to_str());
        told.is_some_and(|told| may_be_named(told, part.as_os_str()))
    })
}

/// Whether a place, as a finding tells it, may be `path`.
pub(super) fn may_be_at(place: &str, path: &str) -> bool {
    let parts = |path| Path::new(path).components().count();
    parts(place) == parts(path) && may_lie_in(place, Path::new(path))
}

/// Whether secrets were taken out of the name.
pub fn is_masked(place: &str) -> bool {
    place.contains(SECRET)
}

/// Whether one part of a path, as it is told, may be this name.
pub fn may_be_named(told: &str, name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    let Some((start, rest)) = told.split_once(SECRET) else {
        return told.as_bytes() == name;
    };
    let end = rest.rsplit(SECRET).next().unwrap_or_default();
    name.len() >= start.len() + end.len()
        && name.starts_with(start.as_bytes())
        && name.ends_with(end.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_without_the_secret_that_it_spells_out() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut letters =
            |len: usize| -> String { (0..len).map(|_| random.alphanumeric()).collect() };
        let secret = format!("{}+{}", letters(20), letters(19));
        let in_folders = format!("{}/{}", letters(20), letters(19));
        let (other, asset) = (letters(40), letters(40));
        let token = letters(200);
        let mut letter = || char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[random.usize(..32)]);
        let id = format!("AKIAQ{}", (0..15).map(|_| letter()).collect::<String>());
        let detector = Detector::new(4);
        let mut names = Names {
            scanner: Scanner::new(&detector),
            secrets: HashSet::from([secret_fingerprint(&Secret::new(other.as_bytes()))]),
            told: HashMap::new(),
        };
        let escaped = secret.replace('+', "%2B");
        for (name, expected) in [
            (
                format!("/srv/AWS_SECRET_ACCESS_KEY={secret}/x"),
                "/srv/AWS_SECRET_ACCESS_KEY=<secret>/x".to_owned(),
            ),
            (
                format!("/srv/{id}:{secret}.txt"),
                format!("/srv/{id}:<secret>.txt"),
            ),
            (
                format!("/srv/{id}/{secret}/f"),
                format!("/srv/{id}/<secret>/f"),
            ),
            (
                format!("/srv/{id}-{secret}_{secret}"),
                format!("/srv/{id}-<secret>_<secret>"),
            ),
            (
                format!("/srv/aws_secret_access_key={in_folders}"),
                "/srv/aws_secret_access_key=<secret>/<secret>".to_owned(),
            ),
            (
                format!("/srv/a/aws_secret_access_key={escaped}"),
                "/srv/a/<secret>".to_owned(),
            ),
            (
                format!("/srv/x{other}y.gz"),
                "/srv/x<secret>y.gz".to_owned(),
            ),
            (
                format!("/tmp/o?X-Amz-Security-Token=IQoJb3JpZ2lu{token}%3D&X-Amz-Expires=60"),
                "/tmp/o?X-Amz-Security-Token=<secret>&X-Amz-Expires=60".to_owned(),
            ),
        ] {
            assert_eq!(names.masked(&name).as_ref(), Some(&expected), "{name}");
            assert!(may_be_at(&expected, &name), "{name}");
        }
        let path = "/usr/lib/python3/dist-packages/botocore/data/ec2/2016-11-15/service-2.json";
        for plain in [path, &format!("/srv/cache/{asset}.js")] {
            assert_eq!(names.masked(plain), None);
        }
    }

    #[test]
    fn a_place_without_its_secret_is_known_again() {
        let place = "/srv/k=<secret>.d/x";
        assert!(may_be_at(place, "/srv/k=123.d/x") && may_lie_in(place, Path::new("/srv/k=1.d")));
        for other in [
            "/srv/k=1.e/x",
            "/srv/k=1.d",
            "/srv/k=1.d/x/y",
            "/srv/k=.",
            "/",
        ] {
            assert!(!may_be_at(place, other), "{other}");
        }
        assert!(!may_lie_in(place, Path::new("/srv/k=1.d/x/y")));
        assert!(may_lie_in("/a/b", Path::new("/a")) && !may_lie_in("/a/b", Path::new("/a/b/c")));
    }
}

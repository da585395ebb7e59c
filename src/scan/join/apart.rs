//! Keys that a unit takes from two files: the ID stands in one and its secret
//! in the other, such as a unit and its environment file. The detector sees
//! one file at a time; here each of the two becomes a place of the whole key.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::definitions::shown;
use crate::detect::{Detector, Match};
use crate::finding::{
    AccessKeyId, Finding, Location, Pool, Rule, SourceKind, finding_id, secret_fingerprint,
};
use crate::host::unit::Unit;
use crate::host::{Assignment, Omitted, Root};
use crate::scan::Settings;
use crate::scan::finding::{finding, pair};
use crate::secret::{Credentials, Secret};
use crate::source::user_data::is_copy;

const ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const TOKEN: &str = "AWS_SESSION_TOKEN";

/// The key that the processes of a unit are started with.
#[derive(Debug)]
pub(super) struct Key {
    id: AccessKeyId,
    secret: Secret,
    fingerprint: String,
    token: Option<Secret>,
    id_file: PathBuf,
    secret_file: PathBuf,
}

/// What findings are once the halves of a key are together.
#[derive(Debug, Default)]
pub(super) struct Whole {
    /// By their place among the findings; `None` for those that the allow
    /// list sets aside now that they are whole.
    pub(super) places: HashMap<usize, Option<Finding>>,
    /// What signs, each with the place of its finding.
    pub(super) pairs: Vec<(usize, Credentials)>,
}

impl Key {
    /// `None` for a unit that has none, or of which a file was not read that
    /// may override it.
    pub(super) fn of(unit: &Unit, root: Root<'_>) -> Option<Self> {
        let mut omitted = Omitted::default();
        let environment = unit.started_with(root, &mut omitted);
        let named = |name: &str| {
            environment
                .iter()
                .find(|one: &&Assignment| one.name == name)
        };
        let (id, secret) = (named(ID)?, named(SECRET)?);
        if omitted.count > 0 {
            return None;
        }
        Some(Self {
            id: AccessKeyId::parse(id.value.expose())?,
            secret: secret.value.clone(),
            fingerprint: secret_fingerprint(&secret.value),
            token: named(TOKEN).map(|token| token.value.clone()),
            id_file: id.place.path.clone(),
            secret_file: secret.place.path.clone(),
        })
    }

    /// What the detector makes of the key, were it written in one place;
    /// `None` for a placeholder and for what is no key of AWS's.
    fn judge(&self, detector: &Detector) -> Option<Match> {
        let token = self.token.as_ref().filter(|_| !self.id.is_long_term());
        let lines = [
            (ID, Some(self.id.as_str().as_bytes())),
            (SECRET, Some(self.secret.expose())),
            (TOKEN, token.map(Secret::expose)),
        ];
        let length =
            |(name, value): &(&str, Option<&[u8]>)| name.len() + value.map_or(0, <[u8]>::len) + 2;
        // Of full length, since what it grows out of is not wiped.
        let mut text = Vec::with_capacity(lines.iter().map(length).sum());
        for (name, value) in lines {
            if let Some(value) = value {
                for part in [name.as_bytes(), b"=", value, b"\n"] {
                    text.extend_from_slice(part);
                }
            }
        }
        let text = Secret::new(text);
        let mut matches = detector.scan(text.expose()).matches.into_iter();
        matches.find(|found| {
            found.access_key_id.as_ref() == Some(&self.id)
                && found.secret.as_ref() == Some(&self.secret)
                && matches!(found.rule, Rule::AccessKeyPair | Rule::TemporaryCredentials)
        })
    }

    /// Whether `found` is this half of the key, alone or with the other one. An
    /// ID may have a secret beside it that the unit overrides; a secret that has
    /// another ID is that one's.
    fn is_in(&self, found: &Match, half: Half) -> bool {
        let is_ours = |id: &AccessKeyId| *id == self.id;
        let (id, secret) = (&found.access_key_id, &found.secret);
        match half {
            Half::Id => id.as_ref().is_some_and(is_ours),
            Half::Secret => {
                secret.as_ref() == Some(&self.secret) && id.as_ref().is_none_or(is_ours)
            }
        }
    }

    fn file(&self, half: Half) -> &Path {
        match half {
            Half::Id => &self.id_file,
            Half::Secret => &self.secret_file,
        }
    }

    /// The id that the detector's finding of this half has.
    fn lone_id(&self, half: Half) -> String {
        let credential = match half {
            Half::Id => [self.id.as_str(), ""],
            Half::Secret => ["", &self.fingerprint],
        };
        finding_id(credential, &location(self.file(half)))
    }
}

#[derive(Debug, Clone, Copy)]
enum Half {
    Id,
    Secret,
}

/// Whether the other half of a finding may stand in another file.
pub(super) fn is_half(finding: &Finding) -> bool {
    let (id, secret) = finding.credential();
    let place = &finding.location;
    place.source == SourceKind::File
        && !place.path.as_deref().is_some_and(is_copy)
        && match finding.rule {
            // An ID with a token is told as temporary credentials.
            Rule::AccessKeyIdAlone | Rule::TemporaryCredentials => secret.is_empty(),
            Rule::SecretAccessKey => id.is_empty(),
            _ => false,
        }
}

/// Makes whole keys of the halves among `findings` that units put together.
/// The file of the other half may be one that this scan did not come to: it is
/// read for it, so that a scan of one of them tells the same as a scan of both.
pub(super) fn make_whole(
    findings: &[Finding],
    keys: &[Key],
    root: Root<'_>,
    settings: &Settings,
    detector: &Detector,
) -> Whole {
    let mut together = Whole::default();
    let of_findings = findings.iter().enumerate();
    let mut halves: HashMap<String, usize> = of_findings
        .filter(|(_, finding)| is_half(finding))
        .map(|(at, finding)| (finding.id.clone(), at))
        .collect();
    let mut files = Files {
        root,
        settings,
        detector,
        read: HashMap::new(),
    };
    for (key, whole) in belonging(keys, detector) {
        for (own, other) in [(Half::Id, Half::Secret), (Half::Secret, Half::Id)] {
            let id = key.lone_id(own);
            let Some(at) = halves.get(&id).copied() else {
                continue;
            };
            let (Some(partner), Some(half)) = (files.finding(key, other), findings.get(at)) else {
                continue;
            };
            let told = made_whole(half, whole.clone(), settings);
            if settings.allow.allows(&told) {
                together.places.insert(at, None);
            } else if settings.allow.allows(&partner) {
                // Whoever accepts one place does not ask for more of another.
                continue;
            } else {
                let told = if settings.redact {
                    told.redacted()
                } else {
                    told
                };
                if settings.keep_pairs
                    && let Some(pair) = pair(&whole)
                {
                    together.pairs.push((at, pair));
                }
                together.places.insert(at, Some(told));
            }
            halves.remove(&id);
        }
    }
    together
}

/// The finding as it would be if the other half stood beside it.
fn made_whole(half: &Finding, whole: Match, settings: &Settings) -> Finding {
    let found = Match {
        occurrences: half.occurrences,
        ..whole
    };
    Finding {
        location: half.location.clone(),
        ..finding(
            found,
            &half.location,
            half.file.as_ref(),
            settings,
            &mut Pool::default(),
        )
    }
}

/// The keys that stand in two files, each with what it is, as far as it is
/// certain: a secret has one ID and an ID one secret, so where units make
/// several of either, which of them is right cannot be told.
fn belonging<'k>(keys: &'k [Key], detector: &Detector) -> Vec<(&'k Key, Match)> {
    let mut judged: HashMap<(&str, &str), Option<Match>> = HashMap::new();
    for key in keys {
        judged
            .entry((key.id.as_str(), &key.fingerprint))
            .or_insert_with(|| key.judge(detector));
    }
    let real = judged.iter().filter(|(_, whole)| whole.is_some());
    let (mut ids, mut secrets) = (HashMap::new(), HashMap::new());
    for ((id, secret), _) in real {
        *ids.entry(*id).or_insert(0_u32) += 1;
        *secrets.entry(*secret).or_insert(0_u32) += 1;
    }
    let apart = keys.iter().filter(|key| key.id_file != key.secret_file);
    let certain = apart.filter_map(|key| {
        let (id, secret) = (key.id.as_str(), key.fingerprint.as_str());
        let is_one = ids.get(id) == Some(&1) && secrets.get(secret) == Some(&1);
        let whole = judged.get(&(id, secret))?.as_ref()?;
        is_one.then(|| (key, whole.clone()))
    });
    certain.collect()
}

/// What the files that halves stand in hold, each read once.
struct Files<'a> {
    root: Root<'a>,
    settings: &'a Settings,
    detector: &'a Detector,
    read: HashMap<PathBuf, Vec<Match>>,
}

impl Files<'_> {
    /// The finding of this half of the key in its file, whether this scan
    /// came there or not.
    fn finding(&mut self, key: &Key, half: Half) -> Option<Finding> {
        let file = key.file(half);
        if self.settings.is_excluded(file) {
            return None;
        }
        let matches = self.read.entry(file.to_owned()).or_insert_with(|| {
            let text = self.root.read(file);
            text.map_or_else(|_| Vec::new(), |text| self.detector.scan(&text).matches)
        });
        let found = matches.iter().find(|found| key.is_in(found, half))?;
        Some(finding(
            found.clone(),
            &location(file),
            None,
            self.settings,
            &mut Pool::default(),
        ))
    }
}

fn location(file: &Path) -> Location {
    Location {
        path: Some(shown(file).into()),
        ..Location::new(SourceKind::File)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key for each word: a letter for the ID, one for the secret, with a
    /// dash between where both stand in one file. `P` is a placeholder.
    fn keys(words: &str) -> Vec<Key> {
        // Made here, so that no scanner takes them for real ones.
        let made = |letter: u8, alphabet: &[u8], count: usize| -> String {
            let mut rng = fastrand::Rng::with_seed(u64::from(letter));
            let mut pick = || char::from(alphabet[rng.usize(..alphabet.len())]);
            (0..count).map(|_| pick()).collect()
        };
        let key = |word: &str| {
            let letters = word.replace('-', "");
            let [id, secret] = letters.as_bytes() else {
                panic!("two letters");
            };
            let id = format!("AKIA{}", made(*id, b"QRSTUVWXYZ234567", 16));
            let mut secret = made(
                *secret,
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                40,
            );
            if letters.ends_with('P') {
                secret.replace_range(33.., "EXAMPLE");
            }
            let secret = Secret::new(secret);
            Key {
                id: AccessKeyId::parse(id.as_bytes()).expect("an ID"),
                fingerprint: secret_fingerprint(&secret),
                secret,
                token: None,
                id_file: "/unit".into(),
                secret_file: if letters == word { "/file" } else { "/unit" }.into(),
            }
        };
        words.split(' ').map(key).collect()
    }

    #[test]
    fn a_key_is_whole_where_no_other_secret_or_id_comes_into_question() {
        let detector = Detector::new(4);
        for (words, count) in [
            ("aA", 1),
            ("aA bB", 2),
            ("aA aA", 2),
            // Two IDs of one secret, two secrets of one ID.
            ("aA bA cC", 1),
            ("aA aB", 0),
            ("aA a-B", 0),
            ("a-A", 0),
            // What is no key stands in the way of none.
            ("aP", 0),
            ("aP aA", 1),
        ] {
            let keys = keys(words);
            let certain = belonging(&keys, &detector);
            assert_eq!(certain.len(), count, "{words}");
            for (key, whole) in certain {
                assert_eq!(whole.rule, Rule::AccessKeyPair);
                assert_eq!(whole.access_key_id.as_ref(), Some(&key.id));
                assert_eq!(whole.secret.as_ref(), Some(&key.secret));
            }
        }
    }

    #[test]
    fn an_id_may_have_an_overridden_secret_beside_it_and_a_secret_no_other_id() {
        let [ours, theirs] = &keys("aA bB")[..] else {
            panic!("two keys");
        };
        let whole = |id: Option<&Key>, secret: Option<&Key>| {
            let whole = ours.judge(&Detector::new(4)).expect("a key");
            Match {
                access_key_id: id.map(|key| key.id),
                secret: secret.map(|key| key.secret.clone()),
                ..whole
            }
        };
        for (id, secret, has_id, has_secret) in [
            (Some(ours), None, true, false),
            (None, Some(ours), false, true),
            (Some(ours), Some(ours), true, true),
            (Some(ours), Some(theirs), true, false),
            (Some(theirs), Some(ours), false, false),
            (None, Some(theirs), false, false),
        ] {
            let found = whole(id, secret);
            assert_eq!(ours.is_in(&found, Half::Id), has_id);
            assert_eq!(ours.is_in(&found, Half::Secret), has_secret);
        }
    }
}

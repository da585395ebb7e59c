//! Whose key a value is, as its name says: what is left of the name without the
//! words for an ID and for a secret. `BACKUP_AWS_ACCESS_KEY_ID` and
//! `backupSecretKey` are both of `backup`.

pub(super) mod beside;

use std::hash::{DefaultHasher, Hasher as _};
use std::ops::Range;

/// A word that all of these names may have.
const AWS: &[u8] = b"aws";

/// That one, and those for what a value is. `keyid` is looked for before `key`.
const KINDS_AND_AWS: [&[u8]; 5] = [AWS, b"keyid", b"access", b"secret", b"key"];

/// One more such word, unless it is the end of another one.
const ID: &[u8] = b"id";

/// Words that say it all by themselves.
const SHORT: [&[u8]; 2] = [b"ak", b"sk"];

/// A hash of the words that are left of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Owner(u64);

impl Owner {
    /// No words are left: `AWS_ACCESS_KEY_ID`.
    pub(super) const NOBODY: Self = Self(0);

    /// That of the value at `at`, if it has a name that says what it is.
    pub(super) fn of(bytes: &[u8], at: usize) -> Option<Self> {
        Self::of_name(beside::name(bytes, at)?)
    }

    pub(super) fn of_name(name: &[u8]) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let (mut rest, mut says_what) = (Vec::new(), false);
        for word in words(name) {
            let of_key = without(&lower[word], &[AWS]);
            let of_owner = match without(of_key, &KINDS_AND_AWS) {
                word if word == ID || SHORT.contains(&word) => &[],
                word => word,
            };
            says_what |= of_owner.len() < of_key.len();
            rest.extend_from_slice(of_owner);
        }
        says_what.then(|| Self::called(&rest))
    }

    fn called(words: &[u8]) -> Self {
        if words.is_empty() {
            return Self::NOBODY;
        }
        let mut hasher = DefaultHasher::new();
        hasher.write(words);
        Self(hasher.finish())
    }
}

/// A word without these at its beginning and its end.
fn without<'a>(mut word: &'a [u8], parts: &[&[u8]]) -> &'a [u8] {
    let shorter = |word: &'a [u8]| {
        parts.iter().find_map(|part| {
            word.strip_prefix(*part)
                .or_else(|| word.strip_suffix(*part))
        })
    };
    while let Some(rest) = shorter(word) {
        word = rest;
    }
    word
}

/// Where the words of a name stand, however it sets them off:
/// `prod.aws.access-key-1`, `prodAWSAccessKey1`.
fn words(name: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let is_edge = |at: usize| {
        let (before, here) = (name[at - 1], name[at]);
        let is_capital = here.is_ascii_uppercase()
            && (before.is_ascii_lowercase()
                || (before.is_ascii_uppercase()
                    && name.get(at + 1).is_some_and(u8::is_ascii_lowercase)));
        is_capital
            || before.is_ascii_digit() != here.is_ascii_digit()
            || before.is_ascii_alphanumeric() != here.is_ascii_alphanumeric()
    };
    let mut start = 0;
    let ends = (1..=name.len()).filter(move |at| *at == name.len() || is_edge(*at));
    ends.map(move |end| std::mem::replace(&mut start, end)..end)
        .filter(|word| name[word.start].is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str) -> Option<Owner> {
        Owner::of_name(name.as_bytes())
    }

    #[test]
    fn the_names_of_an_id_and_of_its_secret_say_the_same() {
        for names in [
            ["AWS_ACCESS_KEY_ID", "secretAccessKey"],
            ["AWS_KEY", "AWS_SECRET"],
            ["aws.access-key", "aws_access_key_secret"],
        ] {
            assert_eq!(names.map(owner), [Some(Owner::NOBODY); 2], "{names:?}");
        }
        for names in [
            ["BACKUP_AWS_ACCESS_KEY_ID", "BACKUP_AWS_SECRET_ACCESS_KEY"],
            ["AWS_ACCESS_KEY_ID_BACKUP", "AWS_SECRET_ACCESS_KEY_BACKUP"],
            ["AWS_BACKUP_ACCESS_KEY_ID", "AWS_BACKUP_SECRET_ACCESS_KEY"],
            ["aws.backup.accessKeyId", "backup.aws.secret-key"],
            ["backupAWSAccessKeyID", "secretKeyBackup"],
            ["accessKeyIDBackup", "backup_secret"],
            ["backupaccesskeyid", "awssecretaccesskeybackup"],
            ["BACKUP_ID", "BACKUP_SECRET"],
            ["AK_BACKUP", "SK_BACKUP"],
            ["backupAk", "skBackup"],
            ["accesskeyidbackup", "backupkey"],
        ] {
            assert_eq!(names.map(owner), [owner("backup_key"); 2], "{names:?}");
            assert!(!names.map(owner).contains(&Some(Owner::NOBODY)));
        }
        assert_eq!(owner("ACCESS_KEY_1"), owner("secretKey1"));
        assert_ne!(owner("ACCESS_KEY_1"), owner("secretKey2"));
        assert_eq!(owner("david_key"), owner("davidSecretKey"));
        for name in ["", "prod", "david", "AWS", "user"] {
            assert_eq!(owner(name), None, "{name}");
        }
    }
}

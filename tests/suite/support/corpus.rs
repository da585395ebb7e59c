//! The corpus: template files in `tests/corpus`, in which placeholders stand
//! for keys. They are expanded with a seed, so that the repository holds no
//! string that a secret scanner takes for a key, and every seed is a new
//! corpus. `tests/corpus/README.md` describes the placeholders.

mod encode;
mod keys;
mod template;

use std::fs;
use std::path::Path;

pub(crate) use keys::Kind;
pub(crate) use template::expand;

/// A template made into bytes.
#[derive(Debug)]
pub(crate) struct Specimen {
    /// Relative to `tests/corpus`; its first folder is the assertion.
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
    /// Each credential that stands in the bytes, in order of appearance.
    pub(crate) planted: Vec<Planted>,
}

/// One credential in a specimen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Planted {
    pub(crate) kind: Kind,
    /// What belongs together within a file: the ID and the secrets of one
    /// number are one key.
    pub(crate) number: u32,
    pub(crate) text: String,
    /// The lines, from 1, on which its text starts, encoded or not.
    pub(crate) lines: Vec<usize>,
}

impl Specimen {
    /// Whether the specimen lies in `folder`, such as `silent/documented`.
    pub(crate) fn is_in(&self, folder: &str) -> bool {
        self.path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
    }
}

/// Where the templates are.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus"))
}

/// Every template, expanded with `seed`, in the order of their paths.
pub(crate) fn specimens(seed: u64) -> Vec<Specimen> {
    ["found", "silent"]
        .iter()
        .flat_map(|folder| files(&root().join(folder)))
        .map(|path| {
            let text = fs::read_to_string(root().join(&path))
                .unwrap_or_else(|error| panic!("{path}: {error}"));
            expand(&path, &text, seed)
        })
        .collect()
}

/// The files below `folder`, as sorted paths relative to the corpus.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the corpus") {
        let path = entry.expect("an entry of the corpus").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let relative = path.strip_prefix(root()).expect("a path in the corpus");
            found.push(relative.to_str().expect("a UTF-8 path").to_owned());
        }
    }
    found.sort();
    found
}

#[test]
fn one_seed_is_one_corpus_and_another_seed_another() {
    let (once, again, other) = (specimens(1), specimens(1), specimens(2));
    assert_eq!(once.len(), other.len());
    for (a, b) in once.iter().zip(&again) {
        assert_eq!((&a.bytes, &a.planted), (&b.bytes, &b.planted), "{}", a.path);
    }
    let changed = once.iter().zip(&other).filter(|(a, b)| a.bytes != b.bytes);
    assert!(changed.count() > once.len() / 2);
}

/// A template in `found` that plants nothing would assert nothing.
#[test]
fn every_template_in_found_plants_a_credential() {
    for specimen in specimens(1).iter().filter(|s| s.is_in("found")) {
        assert!(!specimen.planted.is_empty(), "{}", specimen.path);
        for planted in &specimen.planted {
            assert!(!planted.lines.is_empty(), "{}: {planted:?}", specimen.path);
        }
    }
}

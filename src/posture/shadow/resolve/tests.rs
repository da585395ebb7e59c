//! The hosts that the chains are tried on.

mod order;
mod settings;

use std::collections::BTreeMap;

use super::super::chain::{self, ALL};
use super::*;

/// The host of a chain: `ID1`, `SECRET` and so on in texts are made into
/// keys, told apart by their number.
#[derive(Clone, Default)]
struct Case {
    environment: BTreeMap<&'static str, String>,
    properties: BTreeMap<&'static str, String>,
    files: BTreeMap<&'static str, String>,
    profile: Option<&'static str>,
    no_account: bool,
}

fn id(number: u8) -> String {
    [
        "AKIASP2TPHJSQH3FJRU",
        &char::from(b'A' + number).to_string(),
    ]
    .concat()
}

fn expand(text: &str) -> String {
    let text = (0..10).fold(text.to_owned(), |text, number| {
        text.replace(&format!("ID{number}"), &id(number))
    });
    text.replace("SECRET", &"s".repeat(40))
}

impl Files for Case {
    fn ini(&self, path: &Path) -> Result<Option<Rc<Ini>>, String> {
        let text = self.files.get(path.to_str().unwrap());
        match text.map(String::as_str) {
            Some("unreadable") => Err("it cannot be read".into()),
            text => Ok(text.map(|text| Rc::new(Ini::parse(text.as_bytes())))),
        }
    }
}

impl Case {
    fn new() -> Self {
        Self::default().env("HOME", "/home/a")
    }

    fn env(mut self, name: &'static str, value: &str) -> Self {
        self.environment.insert(name, expand(value));
        self
    }

    fn unset(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    fn property(mut self, name: &'static str, value: &str) -> Self {
        self.properties.insert(name, expand(value));
        self
    }

    fn file(mut self, path: &'static str, text: &str) -> Self {
        self.files.insert(path, expand(text));
        self
    }

    fn keys(self, number: u8) -> Self {
        self.env("AWS_ACCESS_KEY_ID", &id(number))
            .env("AWS_SECRET_ACCESS_KEY", "SECRET")
    }

    /// `static N` with the number of the key, or the name of the answer.
    fn answer(&self, chain: &'static Chain) -> String {
        let variables = |all: &BTreeMap<&str, String>| -> Variables {
            all.iter()
                .map(|(name, value)| ((*name).to_owned(), Secret::new(value.as_str())))
                .collect()
        };
        let (environment, properties) = (variables(&self.environment), variables(&self.properties));
        let answer = resolve(
            chain,
            &Inputs {
                environment: &environment,
                properties: &properties,
                profile: self.profile,
                home: (!self.no_account).then_some(Path::new("/home/a")),
                directory: Some(Path::new("/srv")),
                files: self,
            },
        );
        match answer {
            Answer::Static(Key { id: None, .. }) => "static ?".into(),
            Answer::Static(Key { id: Some(id), .. }) => {
                format!("static {}", id.as_str().as_bytes()[19] - b'A')
            }
            Answer::Role => "role".into(),
            Answer::Temporary => "temporary".into(),
            Answer::Stopped => "stopped".into(),
            Answer::Unknown(_) => "unknown".into(),
        }
    }

    #[track_caller]
    fn assert_all(&self, expected: &str, but: &[(&Chain, &str)]) {
        for chain in ALL {
            let other = but.iter().find(|(other, _)| other.name == chain.name);
            let expected = other.map_or(expected, |(_, other)| other);
            assert_eq!(self.answer(chain), expected, "{}", chain.name);
        }
    }
}

const CREDENTIALS: &str = "/home/a/.aws/credentials";
const CONFIG: &str = "/home/a/.aws/config";

//! Which credentials a default chain comes to. Pure: what is on the host is
//! asked through [`Files`].

mod paths;
mod profile;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::chain::{Blank, Chain, Layer, Missing, Names, Off, Step};
use super::ini::{Entry, Ini};
use super::variables::{Variable, Variables};
use crate::finding::{AccessKeyId, secret_fingerprint};
use crate::host::Place;
use crate::secret::Secret;
use paths::{absolute, home};

pub(super) use paths::shared_files;

/// Characters of a secret access key.
const SECRET_LEN: usize = 40;

/// What a chain comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// A long-term key, by itself or as what roles are assumed with.
    Static(Key),
    /// The instance's role.
    Role,
    /// Credentials that expire, from where they may come from.
    Temporary,
    /// No credentials: an outage, and no other key in the role's place.
    Stopped,
    /// It cannot be told, and why.
    Unknown(String),
}

/// A static key and where it is set. Both parts are one key for the reader,
/// wherever the secret stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// `None` where the ID has not the form of AWS's.
    pub(super) id: Option<AccessKeyId>,
    pub(super) secret_fingerprint: Option<String>,
    pub(super) setting: Setting,
}

/// Where a key is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Setting {
    /// A variable, and the line that sets it where that is known.
    Variable(&'static str, Option<Place>),
    /// A Java system property.
    Property(&'static str),
    File {
        place: Place,
        /// The section of the file.
        profile: String,
    },
}

/// The files of the host as the one who resolves sees them.
pub(super) trait Files {
    /// `None` where there is no file that this one may read; an error where
    /// there is and it could not be told what it holds.
    fn ini(&self, path: &Path) -> Result<Option<Rc<Ini>>, String>;
}

/// What a chain works on.
pub(super) struct Inputs<'a> {
    pub(super) environment: &'a Variables,
    /// Java system properties.
    pub(super) properties: &'a Variables,
    /// The profile that the command line names.
    pub(super) profile: Option<&'a str>,
    /// The home of the account, as passwd(5) has it.
    pub(super) home: Option<&'a Path>,
    pub(super) directory: Option<&'a Path>,
    pub(super) files: &'a dyn Files,
}

/// What `chain` comes to.
pub(super) fn resolve(chain: &'static Chain, inputs: &Inputs<'_>) -> Answer {
    match Resolver::new(chain, inputs) {
        Ok(resolver) => resolver.answer(),
        Err(why) => Answer::Unknown(why),
    }
}

/// Which variable keeps `chain` from the role, if one does.
pub(super) fn imds_off(chain: &Chain, inputs: &Inputs<'_>) -> Option<&'static str> {
    const VARIABLE: &str = "AWS_EC2_METADATA_DISABLED";
    let value = inputs.environment.text(VARIABLE).unwrap_or_default();
    let is_true = |value: &str| value.eq_ignore_ascii_case("true");
    let property = |name: &'static str| {
        let set = inputs.properties.text(name).is_some_and(is_true);
        set.then_some(name)
    };
    let off = match chain.off {
        Off::True => is_true(value),
        Off::AnyValue => !value.is_empty(),
        Off::AnyButFalse => !value.is_empty() && value != "false",
        Off::TrueOrJavaV1Property => {
            return property("com.amazonaws.sdk.disableEc2Metadata")
                .or_else(|| is_true(value).then_some(VARIABLE));
        }
        Off::TrueOrJavaV2Property => {
            return property("aws.disableEc2Metadata")
                .or_else(|| is_true(value).then_some(VARIABLE));
        }
    };
    off.then_some(VARIABLE)
}

struct Resolver<'a> {
    chain: &'static Chain,
    inputs: &'a Inputs<'a>,
    /// The profile in use; whether somebody named it, if only as empty.
    profile: Cow<'a, str>,
    named: bool,
    named_empty: bool,
    credentials: Option<(PathBuf, Rc<Ini>)>,
    config: Option<(PathBuf, Rc<Ini>)>,
}

impl<'a> Resolver<'a> {
    fn new(chain: &'static Chain, inputs: &'a Inputs<'a>) -> Result<Self, String> {
        let property = chain.profile_property;
        let variable = || {
            let mut names = chain.profile.iter();
            names.find_map(|name| inputs.environment.text(name))
        };
        let named = inputs
            .profile
            .or_else(|| inputs.properties.text(property?))
            .or_else(variable);
        let [credentials, config] = shared_files(chain, inputs);
        let read = |path: Option<PathBuf>| -> Result<_, String> {
            let Some(path) = path else { return Ok(None) };
            let ini = inputs.files.ini(&path)?;
            Ok(ini.map(|ini| (path, ini)))
        };
        Ok(Self {
            chain,
            inputs,
            profile: match named {
                Some("") | None => "default".into(),
                Some(name) => name.into(),
            },
            named: named.is_some_and(|name| !name.is_empty()),
            named_empty: named == Some(""),
            credentials: read(credentials)?,
            config: read(config)?,
        })
    }

    fn answer(&self) -> Answer {
        let stops_all = match self.chain.missing {
            Missing::StopsAllEvenEmpty => self.named_empty || self.misses_named(),
            Missing::StopsAll => self.misses_named(),
            Missing::Stops | Missing::Next => false,
        };
        if stops_all {
            return Answer::Stopped;
        }
        self.chain
            .steps
            .iter()
            .find_map(|step| self.step(step))
            .unwrap_or(Answer::Stopped)
    }

    fn misses_named(&self) -> bool {
        self.named && !self.exists(Layer::Merged, &self.profile)
    }

    fn step(&self, step: &'static Step) -> Option<Answer> {
        let environment = self.inputs.environment;
        match step {
            // What the command line names counts as given in code.
            Step::Environment(_) if self.inputs.profile.is_some() => None,
            Step::Environment(_) if self.chain.profile_skips_environment && self.named => None,
            Step::Environment(names) => self.environment(names),
            Step::Properties(names) => {
                let properties = self.inputs.properties;
                let (id, secret) = self.pair(properties, names)?;
                let token = properties.has("aws.sessionToken");
                Some(credentials(id.1, secret?, token, Setting::Property(id.0)))
            }
            Step::WebIdentityVariables => {
                let both = environment.has("AWS_WEB_IDENTITY_TOKEN_FILE")
                    && environment.has("AWS_ROLE_ARN");
                both.then_some(Answer::Temporary)
            }
            Step::Profile(layer, kinds) => {
                if self.chain.missing == Missing::Stops && self.misses_named() {
                    return Some(Answer::Stopped);
                }
                let mut kinds = kinds.iter();
                kinds.find_map(|kind| self.kind(*layer, &self.profile, *kind))
            }
            Step::BotoFiles => self.boto_files(),
            Step::Container => self.has_container().then_some(Answer::Temporary),
            Step::Imds => Some(self.role()),
        }
    }

    fn role(&self) -> Answer {
        match imds_off(self.chain, self.inputs) {
            Some(_) => Answer::Stopped,
            None => Answer::Role,
        }
    }

    fn has_container(&self) -> bool {
        [
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ]
        .iter()
        .any(|name| self.inputs.environment.has(name))
    }

    fn environment(&self, names: &Names) -> Option<Answer> {
        let environment = self.inputs.environment;
        let (id, secret) = self.pair(environment, names)?;
        let Some(secret) = secret else {
            return self.chain.lone_id_stops.then_some(Answer::Stopped);
        };
        let token = environment.has("AWS_SESSION_TOKEN") || environment.has("AWS_SECURITY_TOKEN");
        let setting = Setting::Variable(id.0, id.1.place.clone());
        Some(credentials(id.1, secret, token, setting))
    }

    /// An ID with its name, and the secret if there is one.
    fn pair<'v>(
        &self,
        variables: &'v Variables,
        names: &Names,
    ) -> Option<((&'static str, &'v Variable), Option<&'v Secret>)> {
        let set = |names: &'static [&'static str]| {
            let present = names
                .iter()
                .filter_map(|name| Some((*name, variables.get(name)?)));
            let is_set = |variable: &Variable| {
                let value = variable.value.expose();
                match self.chain.blank {
                    Blank::Value => !value.is_empty(),
                    Blank::Unset => !value.trim_ascii().is_empty(),
                }
            };
            let mut counting = present.filter(|(_, found)| self.chain.empty_hides || is_set(found));
            counting.next().filter(|(_, found)| is_set(found))
        };
        let id = set(names.id)?;
        Some((id, set(names.secret).map(|(_, secret)| &secret.value)))
    }

    fn boto_files(&self) -> Option<Answer> {
        let environment = self.inputs.environment;
        let home = home(self.chain, self.inputs);
        let directory = self.inputs.directory;
        let named = |name| {
            let path = environment.text(name).filter(|path| !path.is_empty())?;
            Some(absolute(path, home.as_deref(), directory))
        };
        let keys = |path: PathBuf, section: &str, id: &str, secret: &str| {
            let ini = match self.inputs.files.ini(&path) {
                Ok(ini) => ini?,
                Err(why) => return Some(Answer::Unknown(why)),
            };
            let section_entries = ini.section(section)?;
            let id = section_entries.get(id)?;
            Some(of_file(
                &path,
                section,
                id,
                section_entries.get(secret)?,
                false,
            ))
        };
        let original = named("AWS_CREDENTIAL_FILE")
            .and_then(|path| keys(path, "", "awsaccesskeyid", "awssecretkey"));
        let boto = || {
            let paths = match named("BOTO_CONFIG") {
                Some(path) => vec![path],
                None => [
                    Some("/etc/boto.cfg".into()),
                    home.as_ref().map(|home| home.join(".boto")),
                ]
                .into_iter()
                .flatten()
                .collect(),
            };
            let (id, secret) = ("aws_access_key_id", "aws_secret_access_key");
            paths
                .into_iter()
                .find_map(|path| keys(path, "Credentials", id, secret))
        };
        original.or_else(boto)
    }
}

pub(super) fn of_file(
    path: &Path,
    section: &str,
    id: &Entry,
    secret: &Entry,
    token: bool,
) -> Answer {
    let variable = Variable {
        value: id.value.clone(),
        place: None,
    };
    let setting = Setting::File {
        place: Place {
            path: path.to_owned(),
            line: id.line,
        },
        profile: section.to_owned(),
    };
    credentials(&variable, &secret.value, token, setting)
}

/// What an ID and a secret are.
fn credentials(id: &Variable, secret: &Secret, token: bool, setting: Setting) -> Answer {
    let plain = |value: &Secret| -> Secret {
        let value = value.expose().trim_ascii();
        let quoted =
            value.len() > 1 && matches!(value[0], b'"' | b'\'') && value.first() == value.last();
        Secret::new(if quoted {
            &value[1..value.len() - 1]
        } else {
            value
        })
    };
    let (raw, secret) = (plain(&id.value), plain(secret));
    if raw.expose().is_empty() {
        return Answer::Stopped;
    }
    let parsed = AccessKeyId::parse(raw.expose());
    match &parsed {
        // Documented for all to see, so AWS refuses it.
        Some(id) if id.as_str().contains("EXAMPLE") => Answer::Stopped,
        Some(id) if !id.is_long_term() => Answer::Temporary,
        None if token => Answer::Temporary,
        _ => Answer::Static(Key {
            secret_fingerprint: (parsed.is_some() && secret.expose().len() == SECRET_LEN)
                .then(|| secret_fingerprint(&secret)),
            id: parsed,
            setting,
        }),
    }
}

#[cfg(test)]
mod tests {
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
            let (environment, properties) =
                (variables(&self.environment), variables(&self.properties));
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

    /// One thing that a chain may come to, and what takes it away again.
    fn take_away(case: Case, what: &str) -> Case {
        let without = |mut case: Case, path: &'static str, keys: &[&str]| {
            if let Some(text) = case.files.get_mut(path) {
                let kept = text.lines().filter(|line| {
                    let key = line.split('=').next().unwrap().trim();
                    !keys.contains(&key)
                });
                *text = kept.collect::<Vec<_>>().join("\n");
            }
            case
        };
        match what {
            "env" => case.unset("AWS_ACCESS_KEY_ID").unset("AWS_ACCESS_KEY"),
            "amazon" => case.unset("AMAZON_ACCESS_KEY_ID"),
            "properties" => Case {
                properties: BTreeMap::new(),
                ..case
            },
            "web-identity" => case.unset("AWS_WEB_IDENTITY_TOKEN_FILE"),
            "role" => without(case, CONFIG, &["role_arn", "source_profile"]),
            "sso" => without(case, CONFIG, &["sso_start_url"]),
            "login" => without(case, CONFIG, &["login_session"]),
            "process" => without(case, CONFIG, &["credential_process"]),
            "credentials" => without(case, CREDENTIALS, &["aws_access_key_id"]),
            "config" => without(case, CONFIG, &["aws_access_key_id"]),
            "original" => case.unset("AWS_CREDENTIAL_FILE"),
            "boto" => case.unset("BOTO_CONFIG"),
            "container" => case.unset("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
            other => panic!("{other}"),
        }
    }

    fn everything() -> Case {
        Case::new()
            .keys(0)
            .env("AMAZON_ACCESS_KEY_ID", "ID1")
            .env("AMAZON_SECRET_ACCESS_KEY", "SECRET")
            .property("aws.accessKeyId", "ID2")
            .property("aws.secretKey", "SECRET")
            .property("aws.secretAccessKey", "SECRET")
            .env("AWS_WEB_IDENTITY_TOKEN_FILE", "/token")
            .env("AWS_ROLE_ARN", "arn")
            .env("AWS_SDK_LOAD_CONFIG", "1")
            .env("AWS_CREDENTIAL_FILE", "/original")
            .file("/original", "AWSAccessKeyId=ID6\nAWSSecretKey=SECRET\n")
            .env("BOTO_CONFIG", "/boto")
            .file(
                "/boto",
                "[Credentials]\naws_access_key_id=ID7\naws_secret_access_key=SECRET\n",
            )
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost")
            .file(
                CREDENTIALS,
                "[default]\naws_access_key_id = ID4\naws_secret_access_key = SECRET\n",
            )
            .file(
                CONFIG,
                "[profile default]\nrole_arn = arn\nsource_profile = base\n\
                 sso_start_url = https://x\nlogin_session = x\ncredential_process = x\n\
                 aws_access_key_id = ID5\naws_secret_access_key = SECRET\n\
                 [profile base]\naws_access_key = x\n",
            )
            .file("/unused", "")
    }

    /// Each row of the table from its first step to its last: with all of the
    /// sources there the first answers, and each that goes leaves the next.
    #[test]
    fn every_sdk_asks_in_its_own_order() {
        let botocore: &[(&str, &str)] = &[
            ("env", "static 0"),
            ("role", "static 3"),
            ("web-identity", "temporary"),
            ("sso", "temporary"),
            ("credentials", "static 4"),
            ("login", "temporary"),
            ("process", "unknown"),
            ("config", "static 5"),
            ("original", "static 6"),
            ("boto", "static 7"),
            ("container", "temporary"),
        ];
        let smithy: &[(&str, &str)] = &[
            ("env", "static 0"),
            ("role", "static 3"),
            ("sso", "temporary"),
            ("login", "temporary"),
            ("process", "unknown"),
            ("credentials", "static 4"),
            ("config", "static 5"),
            ("web-identity", "temporary"),
            ("container", "temporary"),
        ];
        let go: &[(&str, &str)] = &[
            ("env", "static 0"),
            ("web-identity", "temporary"),
            ("role", "static 3"),
            ("credentials", "static 4"),
            ("config", "static 5"),
            ("sso", "temporary"),
            ("process", "unknown"),
            ("container", "temporary"),
        ];
        let rows: &[(&'static Chain, &[(&str, &str)])] = &[
            (&chain::BOTOCORE, botocore),
            (&chain::CLI_V1, botocore),
            (&chain::CLI_V2, botocore),
            (
                &chain::JAVA_V1,
                &[
                    ("env", "static 0"),
                    ("properties", "static 2"),
                    ("web-identity", "temporary"),
                    ("role", "static 3"),
                    ("process", "unknown"),
                    ("credentials", "static 4"),
                    ("config", "static 5"),
                    ("container", "temporary"),
                ],
            ),
            (
                &chain::JAVA_V2,
                &[
                    ("properties", "static 2"),
                    ("env", "static 0"),
                    ("web-identity", "temporary"),
                    ("sso", "temporary"),
                    ("role", "static 3"),
                    ("process", "unknown"),
                    ("login", "temporary"),
                    ("credentials", "static 4"),
                    ("config", "static 5"),
                    ("container", "temporary"),
                ],
            ),
            (&chain::GO_V1, go),
            (&chain::GO_V2, go),
            (
                &chain::JS_V2,
                &[
                    ("env", "static 0"),
                    ("amazon", "static 1"),
                    ("sso", "temporary"),
                    ("role", "static 3"),
                    ("credentials", "static 4"),
                    ("config", "static 5"),
                    ("container", "temporary"),
                    ("process", "unknown"),
                    ("web-identity", "temporary"),
                ],
            ),
            (
                &chain::JS_V3,
                &[
                    ("env", "static 0"),
                    ("role", "static 3"),
                    ("credentials", "static 4"),
                    ("config", "static 5"),
                    ("process", "unknown"),
                    ("sso", "temporary"),
                    ("login", "temporary"),
                    ("web-identity", "temporary"),
                    ("container", "temporary"),
                ],
            ),
            (
                &chain::DOTNET_V3,
                &[
                    ("web-identity", "temporary"),
                    ("role", "static 3"),
                    ("credentials", "static 4"),
                    ("config", "static 5"),
                    ("process", "unknown"),
                    ("sso", "temporary"),
                    ("env", "static 0"),
                    ("container", "temporary"),
                ],
            ),
            (
                &chain::DOTNET_V4,
                &[
                    ("env", "static 0"),
                    ("web-identity", "temporary"),
                    ("role", "static 3"),
                    ("credentials", "static 4"),
                    ("config", "static 5"),
                    ("process", "unknown"),
                    ("sso", "temporary"),
                    ("login", "temporary"),
                    ("container", "temporary"),
                ],
            ),
            (
                &chain::PHP,
                &[
                    ("env", "static 0"),
                    ("web-identity", "temporary"),
                    ("sso", "temporary"),
                    ("credentials", "static 4"),
                    ("process", "unknown"),
                    ("config", "static 5"),
                    ("container", "temporary"),
                ],
            ),
            (
                &chain::RUBY,
                &[
                    ("env", "static 0"),
                    ("amazon", "static 1"),
                    ("web-identity", "temporary"),
                    ("sso", "temporary"),
                    ("role", "static 3"),
                    ("credentials", "static 4"),
                    ("config", "static 5"),
                    ("process", "unknown"),
                    ("container", "temporary"),
                ],
            ),
            (&chain::RUST, smithy),
            (
                &chain::CPP,
                &[
                    ("env", "static 0"),
                    ("credentials", "static 4"),
                    ("process", "unknown"),
                    ("web-identity", "temporary"),
                    ("sso", "temporary"),
                    ("container", "temporary"),
                ],
            ),
            (
                &chain::KOTLIN,
                &[
                    ("properties", "static 2"),
                    ("env", "static 0"),
                    ("web-identity", "temporary"),
                    ("role", "static 3"),
                    ("sso", "temporary"),
                    ("login", "temporary"),
                    ("process", "unknown"),
                    ("credentials", "static 4"),
                    ("config", "static 5"),
                    ("container", "temporary"),
                ],
            ),
            (&chain::SWIFT, smithy),
        ];
        assert_eq!(rows.len(), ALL.len());
        for (chain, steps) in rows {
            let mut case = everything();
            let config = case.files[CONFIG].replace(
                "aws_access_key = x",
                &expand("aws_secret_access_key = SECRET\nAWS_ACCESS_KEY_ID = ID3"),
            );
            case.files.insert(CONFIG, config);
            for (step, answer) in *steps {
                assert_eq!(case.answer(chain), *answer, "{} at {step}", chain.name);
                case = take_away(case, step);
            }
            assert_eq!(case.answer(chain), "role", "{} at its end", chain.name);
        }
    }

    #[test]
    fn with_nothing_set_everybody_comes_to_the_role() {
        Case::new().assert_all("role", &[]);
        Case::default().assert_all("role", &[]);
    }

    #[test]
    fn an_id_without_a_secret_stops_botocore_alone() {
        let stops = [
            (&chain::BOTOCORE, "stopped"),
            (&chain::CLI_V1, "stopped"),
            (&chain::CLI_V2, "stopped"),
        ];
        let lone = Case::new().env("AWS_ACCESS_KEY_ID", "ID0");
        lone.assert_all("role", &stops);
        lone.env("AWS_SECRET_ACCESS_KEY", "")
            .assert_all("role", &stops);
        Case::new()
            .env("AWS_SECRET_ACCESS_KEY", "SECRET")
            .assert_all("role", &[]);
    }

    #[test]
    fn blanks_are_a_key_that_signs_nothing_or_no_key() {
        let unset = [
            (&chain::JAVA_V1, "role"),
            (&chain::JAVA_V2, "role"),
            (&chain::RUST, "role"),
        ];
        let blank = Case::new()
            .env("AWS_ACCESS_KEY_ID", "  ")
            .env("AWS_SECRET_ACCESS_KEY", "SECRET");
        blank.assert_all("stopped", &unset);
        Case::new()
            .env("AWS_ACCESS_KEY_ID", " ID1\n")
            .env("AWS_SECRET_ACCESS_KEY", " SECRET")
            .assert_all("static 1", &[]);
    }

    #[test]
    fn alternate_names_are_heeded_where_the_sdk_has_them() {
        let with = |id, secret| Case::new().env(id, "ID1").env(secret, "SECRET");
        with("AWS_ACCESS_KEY", "AWS_SECRET_KEY").assert_all(
            "role",
            &[
                (&chain::JAVA_V1, "static 1"),
                (&chain::GO_V1, "static 1"),
                (&chain::GO_V2, "static 1"),
                (&chain::RUBY, "static 1"),
            ],
        );
        with("AMAZON_ACCESS_KEY_ID", "AMAZON_SECRET_ACCESS_KEY").assert_all(
            "role",
            &[(&chain::JS_V2, "static 1"), (&chain::RUBY, "static 1")],
        );
        let stops = [
            (&chain::BOTOCORE, "stopped"),
            (&chain::CLI_V1, "stopped"),
            (&chain::CLI_V2, "stopped"),
        ];
        let mut but = stops.to_vec();
        but.push((&chain::RUST, "static 1"));
        with("AWS_ACCESS_KEY_ID", "SECRET_ACCESS_KEY").assert_all("role", &but);
        let mut but = stops.to_vec();
        for chain in [
            &chain::JAVA_V1,
            &chain::GO_V1,
            &chain::GO_V2,
            &chain::DOTNET_V3,
            &chain::DOTNET_V4,
            &chain::RUBY,
        ] {
            let answer = if chain.name == chain::DOTNET_V4.name {
                "role"
            } else {
                "static 1"
            };
            but.push((chain, answer));
        }
        with("AWS_ACCESS_KEY_ID", "AWS_SECRET_KEY").assert_all("role", &but);
        // A name that is there and empty hides the others from Ruby.
        let hidden = with("AWS_ACCESS_KEY", "AWS_SECRET_KEY").env("AWS_ACCESS_KEY_ID", "");
        assert_eq!(hidden.answer(&chain::RUBY), "role");
        assert_eq!(hidden.answer(&chain::GO_V2), "static 1");
    }

    #[test]
    fn a_profile_that_is_missing_is_an_outage_for_some_and_nothing_for_others() {
        let named = Case::new().env("AWS_PROFILE", "gone");
        let stops = [
            (&chain::BOTOCORE, "stopped"),
            (&chain::CLI_V1, "stopped"),
            (&chain::CLI_V2, "stopped"),
            (&chain::GO_V2, "stopped"),
            (&chain::DOTNET_V4, "stopped"),
        ];
        named.assert_all("role", &stops);
        // With keys in the environment: .NET 4 asks for them first, and
        // JavaScript 3 does not ask for them.
        named.clone().keys(0).assert_all(
            "static 0",
            &[
                (&chain::BOTOCORE, "stopped"),
                (&chain::CLI_V1, "stopped"),
                (&chain::CLI_V2, "stopped"),
                (&chain::GO_V2, "stopped"),
                (&chain::JS_V3, "role"),
            ],
        );
        let empty = Case::new().env("AWS_PROFILE", "");
        empty.assert_all("role", &stops[..3]);
        empty.keys(0).assert_all("static 0", &stops[..3]);
    }

    #[test]
    fn a_named_profile_beats_the_environment_for_two() {
        let case = Case::new().keys(0).env("AWS_PROFILE", "p").file(
            CREDENTIALS,
            "[p]\naws_access_key_id=ID1\naws_secret_access_key=SECRET\n",
        );
        case.assert_all(
            "static 0",
            &[(&chain::JS_V3, "static 1"), (&chain::DOTNET_V3, "static 1")],
        );
    }

    #[test]
    fn of_two_names_for_the_profile_the_stronger_counts() {
        let case = Case::new()
            .env("AWS_PROFILE", "one")
            .env("AWS_DEFAULT_PROFILE", "two")
            .file(
                CREDENTIALS,
                "[one]\naws_access_key_id=ID1\naws_secret_access_key=SECRET\n\
                 [two]\naws_access_key_id=ID2\naws_secret_access_key=SECRET\n",
            );
        case.assert_all(
            "static 1",
            &[
                (&chain::BOTOCORE, "static 2"),
                (&chain::CLI_V1, "static 2"),
                (&chain::CPP, "static 2"),
            ],
        );
        let default_only = case.unset("AWS_PROFILE");
        default_only.assert_all(
            "role",
            &[
                (&chain::BOTOCORE, "static 2"),
                (&chain::CLI_V1, "static 2"),
                (&chain::CLI_V2, "static 2"),
                (&chain::GO_V2, "static 2"),
                (&chain::CPP, "static 2"),
            ],
        );
        let property = default_only.property("aws.profile", "one");
        for chain in [&chain::JAVA_V1, &chain::JAVA_V2, &chain::KOTLIN] {
            assert_eq!(property.answer(chain), "static 1");
        }
    }

    #[test]
    fn a_container_takes_the_place_of_the_role() {
        for name in [
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ] {
            Case::new().env(name, "/x").assert_all("temporary", &[]);
        }
    }

    #[test]
    fn each_sdk_has_its_own_way_to_switch_imds_off() {
        let off = |value| Case::new().env("AWS_EC2_METADATA_DISABLED", value);
        for value in ["true", "TRUE"] {
            off(value).assert_all("stopped", &[]);
        }
        off("false").assert_all("role", &[(&chain::JS_V2, "stopped")]);
        off("1").assert_all(
            "role",
            &[(&chain::JS_V2, "stopped"), (&chain::JS_V3, "stopped")],
        );
        off("").assert_all("role", &[]);
        Case::new()
            .property("aws.disableEc2Metadata", "true")
            .assert_all(
                "role",
                &[(&chain::JAVA_V2, "stopped"), (&chain::KOTLIN, "stopped")],
            );
        Case::new()
            .property("com.amazonaws.sdk.disableEc2Metadata", "true")
            .assert_all("role", &[(&chain::JAVA_V1, "stopped")]);
        off("true").keys(0).assert_all("static 0", &[]);
    }

    #[test]
    fn without_home_the_account_is_asked_by_some() {
        let keys = "[default]\naws_access_key_id=ID1\naws_secret_access_key=SECRET\n";
        let case = Case::default().file(CREDENTIALS, keys);
        case.assert_all(
            "static 1",
            &[
                (&chain::RUST, "role"),
                (&chain::PHP, "role"),
                (&chain::DOTNET_V3, "role"),
                (&chain::DOTNET_V4, "role"),
            ],
        );
        let in_directory = Case::default().file("/srv/.aws/credentials", keys);
        in_directory.assert_all(
            "role",
            &[
                (&chain::DOTNET_V3, "static 1"),
                (&chain::DOTNET_V4, "static 1"),
            ],
        );
        // Java 1 asks the virtual machine, which asks passwd(5).
        let elsewhere = Case::default()
            .env("HOME", "/elsewhere")
            .file(CREDENTIALS, keys);
        elsewhere.assert_all("role", &[(&chain::JAVA_V1, "static 1")]);
        let property = elsewhere.property("user.home", "/x");
        property.assert_all("role", &[]);
        let nobody = Case {
            no_account: true,
            ..Case::default()
        };
        nobody.assert_all("role", &[]);
    }

    #[test]
    fn the_shared_files_may_be_elsewhere() {
        let keys = "[default]\naws_access_key_id=ID1\naws_secret_access_key=SECRET\n";
        let credentials = |path| {
            Case::new()
                .env("AWS_SHARED_CREDENTIALS_FILE", path)
                .file("/srv/keys", keys)
                .file("/home/a/keys", keys)
        };
        for path in ["/srv/keys", "keys", "~/keys"] {
            credentials(path).assert_all("static 1", &[(&chain::JS_V2, "role")]);
        }
        credentials("/srv/keys")
            .env("AWS_SDK_LOAD_CONFIG", "1")
            .assert_all("static 1", &[]);
        let config = Case::new()
            .env("AWS_CONFIG_FILE", "/srv/config")
            .file("/srv/config", keys);
        let but = [
            (&chain::GO_V1, "role"),
            (&chain::JS_V2, "role"),
            (&chain::PHP, "role"),
            (&chain::CPP, "role"),
        ];
        config.assert_all("static 1", &but);
        config
            .env("AWS_SDK_LOAD_CONFIG", "true")
            .assert_all("static 1", &but[2..]);
        Case::new()
            .env("AWS_CREDENTIAL_PROFILES_FILE", "/srv/keys")
            .file("/srv/keys", keys)
            .assert_all("role", &[(&chain::JAVA_V1, "static 1")]);
    }

    #[test]
    fn a_role_is_what_it_is_assumed_with() {
        let with = |profile: &str, rest: &str| {
            Case::new()
                .env("AWS_PROFILE", "p")
                .env("AWS_SDK_LOAD_CONFIG", "1")
                .file(
                    CREDENTIALS,
                    &format!("[p]\nrole_arn = arn\n{profile}\n{rest}"),
                )
        };
        let base = "aws_access_key_id=ID1\naws_secret_access_key=SECRET\n";
        let cpp = (&chain::CPP, "role");
        with("source_profile=b", &format!("[b]\n{base}")).assert_all("static 1", &[cpp]);
        with(
            "source_profile=b",
            &format!("[b]\nrole_arn=x\nsource_profile=c\n[c]\n{base}"),
        )
        .assert_all("static 1", &[cpp]);
        // JavaScript 2 knows no credential_source.
        with("credential_source = Ec2InstanceMetadata", "").assert_all("role", &[]);
        let of_environment = with("credential_source = Environment", "").keys(2);
        let answer = of_environment.answer(&chain::DOTNET_V3);
        assert_eq!(answer, "static 2");
        with("source_profile=b", "[b]\nsso_session=x\n").assert_all("temporary", &[cpp]);
        with("source_profile=b", "[b]\ncredential_process=x\n").assert_all("unknown", &[cpp]);
        // A profile that names itself takes its own keys.
        with(&format!("source_profile=p\n{base}"), "").assert_all("static 1", &[]);
    }

    #[test]
    fn a_source_with_both_keys_and_a_role_is_read_in_two_ways() {
        let case = Case::new()
            .env("AWS_PROFILE", "p")
            .env("AWS_SDK_LOAD_CONFIG", "1")
            .file(
                CREDENTIALS,
                "[p]\nrole_arn=a\nsource_profile=b\n\
                 [b]\nrole_arn=b\nsource_profile=c\naws_access_key_id=ID1\n\
                 aws_secret_access_key=SECRET\n\
                 [c]\naws_access_key_id=ID2\naws_secret_access_key=SECRET\n",
            );
        case.assert_all(
            "static 1",
            &[
                (&chain::JAVA_V1, "static 2"),
                (&chain::JAVA_V2, "static 2"),
                (&chain::GO_V1, "static 2"),
                (&chain::GO_V2, "static 2"),
                (&chain::CPP, "role"),
            ],
        );
    }

    #[test]
    fn a_broken_profile_stops_the_strict_and_never_loops() {
        let stops = [
            (&chain::BOTOCORE, "stopped"),
            (&chain::CLI_V1, "stopped"),
            (&chain::CLI_V2, "stopped"),
            (&chain::RUST, "stopped"),
        ];
        for text in [
            "role_arn=a\nsource_profile=q\n[q]\nrole_arn=b\nsource_profile=default\n",
            "role_arn=a\nsource_profile=gone\n",
            "role_arn=a\n",
            "aws_access_key_id=ID1\n",
        ] {
            Case::new()
                .file(CREDENTIALS, &format!("[default]\n{text}"))
                .assert_all("role", &stops);
        }
        let deep: String = (0..100)
            .map(|n| format!("[p{n}]\nrole_arn=a\nsource_profile=p{}\n", n + 1))
            .collect();
        Case::new()
            .env("AWS_PROFILE", "p0")
            .file(CREDENTIALS, &deep)
            .assert_all("role", &stops);
    }

    #[test]
    fn what_expires_and_what_was_never_a_key_is_no_static_key() {
        let temporary = id(1).replacen("AKIA", "ASIA", 1);
        let with = |id: &str| {
            Case::new()
                .env("AWS_ACCESS_KEY_ID", id)
                .env("AWS_SECRET_ACCESS_KEY", "SECRET")
        };
        with(&temporary).assert_all("temporary", &[]);
        with("minio")
            .env("AWS_SESSION_TOKEN", "t")
            .assert_all("temporary", &[]);
        with("minio").assert_all("static ?", &[]);
        let documented = ["AKIAIOSFODNN7", "EXAMPLE"].concat();
        with(&documented).assert_all("stopped", &[]);
        // A token does not make a long-term key expire.
        with("ID1")
            .env("AWS_SESSION_TOKEN", "t")
            .assert_all("static 1", &[]);
    }

    #[test]
    fn a_file_that_cannot_be_read_leaves_the_answer_open() {
        let case = Case::new().file(CREDENTIALS, "unreadable");
        case.assert_all("unknown", &[]);
    }

    #[test]
    fn the_command_line_of_the_cli_beats_the_environment() {
        let case = Case {
            profile: Some("p"),
            ..Case::new().keys(0).file(
                CREDENTIALS,
                "[p]\naws_access_key_id=ID1\naws_secret_access_key=SECRET\n",
            )
        };
        assert_eq!(case.answer(&chain::CLI_V2), "static 1");
        let missing = Case {
            profile: Some("q"),
            ..case
        };
        assert_eq!(missing.answer(&chain::CLI_V2), "stopped");
    }

    #[test]
    fn a_key_is_told_with_its_place_and_its_fingerprint_and_not_with_its_secret() {
        let case = Case::new().file(
            CREDENTIALS,
            "\n[default]\naws_secret_access_key = \"SECRET\"\naws_access_key_id = 'ID1'\n",
        );
        let environment: Variables = [("HOME".to_owned(), Secret::new("/home/a"))]
            .into_iter()
            .collect();
        let answer = resolve(
            &chain::BOTOCORE,
            &Inputs {
                environment: &environment,
                properties: &Variables::default(),
                profile: None,
                home: None,
                directory: None,
                files: &case,
            },
        );
        let Answer::Static(key) = &answer else {
            panic!("{answer:?}")
        };
        assert_eq!(
            key.setting,
            Setting::File {
                place: Place {
                    path: CREDENTIALS.into(),
                    line: 4
                },
                profile: "default".into()
            }
        );
        assert_eq!(
            key.secret_fingerprint,
            Some(secret_fingerprint(&Secret::new("s".repeat(40))))
        );
        assert!(!format!("{answer:?}").contains("ssss"));
    }
}

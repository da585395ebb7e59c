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
mod tests;

//! What a profile of the shared files gives, and what its roles are assumed
//! with.

use std::path::Path;

use super::super::chain::{Kind, Layer, Step};
use super::super::ini::{Entry, Ini};
use super::{Answer, Resolver, of_file};

/// Profiles followed from one to the next.
const MAX_SOURCES: usize = 16;

impl Resolver<'_> {
    /// What one profile gives in one way.
    pub(super) fn kind(&self, layer: Layer, profile: &str, kind: Kind) -> Option<Answer> {
        let has = |key| self.has(layer, profile, key);
        match kind {
            Kind::SourceProfile | Kind::CredentialSource if !self.assumes_role(layer, profile) => {
                None
            }
            Kind::SourceProfile => {
                let broken = self.chain.broken_profile_stops
                    && !has("source_profile")
                    && !has("credential_source");
                if broken {
                    return Some(Answer::Stopped);
                }
                let source = self.get(layer, profile, "source_profile")?.1;
                let base = self.source(layer, profile, source.text(), &mut Vec::new());
                base.or(self.chain.broken_profile_stops.then_some(Answer::Stopped))
            }
            Kind::CredentialSource => self.credential_source(layer, profile),
            Kind::WebIdentity => {
                (has("role_arn") && has("web_identity_token_file")).then_some(Answer::Temporary)
            }
            Kind::Sso => (has("sso_session") || has("sso_start_url")).then_some(Answer::Temporary),
            Kind::Login => has("login_session").then_some(Answer::Temporary),
            Kind::Process => has("credential_process").then(|| {
                Answer::Unknown(
                    "what a credential_process gives cannot be told without running it".into(),
                )
            }),
            Kind::Keys => self.keys(layer, profile),
        }
    }

    fn assumes_role(&self, layer: Layer, profile: &str) -> bool {
        self.has(layer, profile, "role_arn") && !self.has(layer, profile, "web_identity_token_file")
    }

    fn credential_source(&self, layer: Layer, profile: &str) -> Option<Answer> {
        let (_, source) = self.get(layer, profile, "credential_source")?;
        match source.text() {
            "Ec2InstanceMetadata" => Some(self.role()),
            "Environment" => {
                let mut steps = self.chain.steps.iter();
                let names = steps.find_map(|step| match step {
                    Step::Environment(names) => Some(names),
                    _ => None,
                })?;
                self.environment(names).or(Some(Answer::Stopped))
            }
            "EcsContainer" if self.has_container() => Some(Answer::Temporary),
            _ => Some(Answer::Stopped),
        }
    }

    /// What a role is assumed with: the base of the chain of profiles that
    /// begins at `name`, which `from` names as its source.
    fn source(
        &self,
        layer: Layer,
        from: &str,
        name: &str,
        visited: &mut Vec<String>,
    ) -> Option<Answer> {
        if name == from {
            return self.base(layer, name);
        }
        if visited.len() == MAX_SOURCES || visited.iter().any(|known| known == name) {
            return None;
        }
        visited.push(name.to_owned());
        let keys = || self.keys(layer, name);
        let role = |visited: &mut Vec<String>| {
            if !self.assumes_role(layer, name) {
                return None;
            }
            match self.get(layer, name, "source_profile") {
                Some((_, next)) => self.source(layer, name, next.text(), visited),
                None => self.credential_source(layer, name),
            }
        };
        if self.chain.source_keys_first {
            keys().or_else(|| role(visited))
        } else {
            role(visited).or_else(keys)
        }
        .or_else(|| self.base(layer, name))
    }

    fn base(&self, layer: Layer, profile: &str) -> Option<Answer> {
        [
            Kind::Keys,
            Kind::WebIdentity,
            Kind::Sso,
            Kind::Login,
            Kind::Process,
        ]
        .into_iter()
        .find_map(|kind| self.kind(layer, profile, kind))
    }

    fn keys(&self, layer: Layer, profile: &str) -> Option<Answer> {
        let (path, id) = self.get(layer, profile, "aws_access_key_id")?;
        let Some((_, secret)) = self.get(layer, profile, "aws_secret_access_key") else {
            return self.chain.broken_profile_stops.then_some(Answer::Stopped);
        };
        let token = self.has(layer, profile, "aws_session_token")
            || self.has(layer, profile, "aws_security_token");
        Some(of_file(path, profile, id, secret, token))
    }

    fn has(&self, layer: Layer, profile: &str, key: &str) -> bool {
        self.get(layer, profile, key).is_some()
    }

    /// The value of a key in a profile, if it is not empty.
    fn get(&self, layer: Layer, profile: &str, key: &str) -> Option<(&Path, &Entry)> {
        let in_credentials = || {
            let (path, ini) = self.credentials.as_ref()?;
            Some((path.as_path(), ini.section(profile)?.get(key)?))
        };
        let in_config = || {
            let (path, ini) = self.config.as_ref()?;
            let section = self.config_section(ini, profile)?;
            Some((path.as_path(), ini.section(&section)?.get(key)?))
        };
        let found = match layer {
            Layer::Credentials => in_credentials(),
            Layer::Config => in_config(),
            Layer::Merged => in_credentials().or_else(in_config),
        };
        found.filter(|(_, entry)| !entry.value.expose().is_empty())
    }

    pub(super) fn exists(&self, layer: Layer, profile: &str) -> bool {
        let in_credentials = self
            .credentials
            .as_ref()
            .is_some_and(|(_, ini)| ini.section(profile).is_some());
        let in_config = self
            .config
            .as_ref()
            .is_some_and(|(_, ini)| self.config_section(ini, profile).is_some());
        match layer {
            Layer::Credentials => in_credentials,
            Layer::Config => in_config,
            Layer::Merged => in_credentials || in_config,
        }
    }

    /// The name of a profile's section in the config file.
    fn config_section(&self, ini: &Ini, profile: &str) -> Option<String> {
        let prefixed = format!("profile {profile}");
        if ini.section(&prefixed).is_some() {
            return Some(prefixed);
        }
        let plain = profile == "default" && self.chain.plain_default;
        (plain && ini.section(profile).is_some()).then(|| profile.to_owned())
    }
}

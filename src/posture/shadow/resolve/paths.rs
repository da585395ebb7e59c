//! Where the shared files are.

use std::path::{Path, PathBuf};

use super::super::chain::{Chain, Gate, Home};
use super::Inputs;

/// The files that `chain` reads profiles from: credentials, config.
pub(in crate::posture::shadow) fn shared_files(
    chain: &Chain,
    inputs: &Inputs<'_>,
) -> [Option<PathBuf>; 2] {
    let load = inputs.environment.text("AWS_SDK_LOAD_CONFIG");
    let load = load.unwrap_or_default();
    let (named, config) = match chain.gate {
        Gate::Open => (true, true),
        Gate::GoLoadConfig => (
            true,
            matches!(load, "1" | "t" | "T" | "true" | "TRUE" | "True"),
        ),
        Gate::JsLoadConfig => (!load.is_empty(), !load.is_empty()),
    };
    let home = home(chain, inputs);
    let file = |names: &[&str], default: &str| {
        let set = names.iter().find_map(|name| {
            inputs
                .environment
                .text(name)
                .filter(|path| !path.is_empty())
        });
        match set {
            Some(path) => Some(absolute(path, home.as_deref(), inputs.directory)),
            None => Some(home.as_deref()?.join(default)),
        }
    };
    let credentials = if named { chain.credentials_file } else { &[] };
    [
        file(credentials, ".aws/credentials"),
        config
            .then(|| file(chain.config_file, ".aws/config"))
            .flatten(),
    ]
}

pub(super) fn home(chain: &Chain, inputs: &Inputs<'_>) -> Option<PathBuf> {
    let variable = || {
        let home = inputs.environment.text("HOME")?;
        (!home.is_empty()).then(|| PathBuf::from(home))
    };
    let account = || inputs.home.map(Path::to_path_buf);
    let property = || {
        let home = inputs.properties.text("user.home").map(PathBuf::from);
        home.or_else(account)
    };
    match chain.home {
        Home::VariableOrAccount => variable().or_else(account),
        Home::Variable => variable(),
        Home::VariableOrDirectory => variable().or_else(|| inputs.directory.map(Path::to_path_buf)),
        Home::VariableOrProperty => variable().or_else(property),
        Home::Property => property(),
    }
}

pub(super) fn absolute(path: &str, home: Option<&Path>, directory: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => directory.unwrap_or(Path::new("/")).join(path),
    }
}

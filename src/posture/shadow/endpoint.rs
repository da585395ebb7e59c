//! `imds.endpoint-override`: who asks for metadata somewhere else, or not at
//! all.

use super::chain;
use super::resolve::{Inputs, imds_off, shared_files};
use super::runtime::Guess;
use super::survey::Holder;
use crate::host::Place;
use crate::sanitize;

/// Where SDKs ask by themselves, over IPv4 and IPv6; a setting that says the
/// same changes nothing.
const DEFAULTS: [&str; 2] = ["http://169.254.169.254", "http://[fd00:ec2::254]"];

/// Characters of a value that are told.
const MAX_VALUE: usize = 100;

/// A setting that turns a holder away from IMDS.
#[derive(Debug, Clone)]
pub(super) struct Override {
    pub(super) holder: Holder,
    /// One process of the holder.
    pub(super) pid: Option<u32>,
    pub(super) name: String,
    /// Safe to show.
    pub(super) value: String,
    pub(super) place: Option<Place>,
    /// The SDKs that heed it, where not all do.
    pub(super) heeded_by: Vec<&'static str>,
    /// How many processes have it.
    pub(super) count: u64,
}

impl Override {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        // One line of a file is one setting, whoever reads it.
        let same_holder = self.place.is_some() || self.holder == other.holder;
        same_holder
            && (&self.name, &self.value, &self.place) == (&other.name, &other.value, &other.place)
    }
}

/// Settings that say where IMDS is.
const ENDPOINTS: [&str; 4] = [
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "aws.ec2MetadataServiceEndpoint",
    "com.amazonaws.sdk.ec2MetadataServiceEndpointOverride",
    "ec2_metadata_service_endpoint",
];

/// Settings that choose between its addresses.
const MODES: [&str; 3] = [
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "aws.ec2MetadataServiceEndpointMode",
    "ec2_metadata_service_endpoint_mode",
];

/// Settings that switch it off, for those SDKs that heed them.
const SWITCHES: [&str; 3] = [
    "AWS_EC2_METADATA_DISABLED",
    "aws.disableEc2Metadata",
    "com.amazonaws.sdk.disableEc2Metadata",
];

/// Whether any of the settings is there, whatever it says.
pub(super) fn is_suspected(inputs: &Inputs<'_>) -> bool {
    let set = |name: &&str| inputs.environment.has(name) || inputs.properties.has(name);
    ENDPOINTS.iter().chain(&MODES).chain(&SWITCHES).any(set)
}

/// The overrides of a process or a unit.
pub(super) fn of(
    holder: &Holder,
    pid: Option<u32>,
    guess: &Guess,
    inputs: &Inputs<'_>,
) -> Vec<Override> {
    let mut found = in_profiles(holder, inputs);
    for variables in [inputs.environment, inputs.properties] {
        for name in ENDPOINTS.iter().chain(&MODES).chain(&SWITCHES) {
            let Some(variable) = variables.get(name) else {
                continue;
            };
            let value = variable.value.expose_str().unwrap_or_default();
            let heeded_by = if SWITCHES.contains(name) {
                heeded_by(name, value, guess, inputs)
            } else {
                told_value(name, value).map(|_| Vec::new())
            };
            if let (Some(heeded_by), Some(value)) = (heeded_by, told_value(name, value)) {
                found.push(Override {
                    holder: holder.clone(),
                    pid,
                    name: (*name).to_owned(),
                    value,
                    place: variable.place.clone(),
                    heeded_by,
                    count: 1,
                });
            }
        }
    }
    found
}

/// Whom a switch keeps from IMDS; `None` where nobody that counts.
fn heeded_by(
    name: &'static str,
    value: &str,
    guess: &Guess,
    inputs: &Inputs<'_>,
) -> Option<Vec<&'static str>> {
    // Only version 2 for JavaScript takes a "false" for a yes: whoever wrote
    // it does not mean it, and few programs are that.
    if value.eq_ignore_ascii_case("false") && !guess.is_some() {
        return None;
    }
    let off: Vec<_> = guess
        .chains
        .iter()
        .filter(|chain| imds_off(chain, inputs) == Some(name))
        .map(|chain| chain.name)
        .collect();
    match off.len() {
        0 => None,
        all if all == guess.chains.len() => Some(Vec::new()),
        _ => Some(off),
    }
}

/// The overrides in any profile of the shared files that a holder reads.
fn in_profiles(holder: &Holder, inputs: &Inputs<'_>) -> Vec<Override> {
    let mut found = Vec::new();
    for path in shared_files(&chain::BOTOCORE, inputs).into_iter().flatten() {
        // What cannot be read is told with the keys that it may hold.
        let Ok(Some(ini)) = inputs.files.ini(&path) else {
            continue;
        };
        for (_, section) in ini.sections() {
            for name in [ENDPOINTS[3], MODES[2]] {
                let entry = section.get(name);
                if let Some((entry, value)) =
                    entry.and_then(|entry| Some((entry, told_value(name, entry.text())?)))
                {
                    found.push(Override {
                        holder: holder.clone(),
                        pid: None,
                        name: name.to_owned(),
                        value,
                        place: Some(Place {
                            path: path.clone(),
                            line: entry.line,
                        }),
                        heeded_by: Vec::new(),
                        count: 1,
                    });
                }
            }
        }
    }
    found
}

/// What is told of a value; `None` where it changes nothing. Of an endpoint
/// no more than scheme, host and port: the rest may hold a password.
fn told_value(name: &str, value: &str) -> Option<String> {
    let value = value.trim();
    let shown = if ENDPOINTS.contains(&name) {
        let (scheme, rest) = value.split_once("://").unwrap_or(("", value));
        let host = sanitize::host(rest);
        let port_80 = host.strip_suffix(":80").unwrap_or(host);
        if value.is_empty() || DEFAULTS.contains(&format!("{scheme}://{port_80}").as_str()) {
            return None;
        }
        match scheme {
            "" => host.to_owned(),
            scheme => format!("{scheme}://{host}"),
        }
    } else if value.is_empty() || (MODES.contains(&name) && value.eq_ignore_ascii_case("ipv4")) {
        return None;
    } else {
        value.to_owned()
    };
    let clipped: String = shown.chars().take(MAX_VALUE).collect();
    Some(sanitize::line(&clipped).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_the_default_overrides_nothing() {
        for value in [
            "",
            "http://169.254.169.254",
            "http://169.254.169.254/",
            "http://169.254.169.254:80/",
            " http://[fd00:ec2::254]/ ",
        ] {
            assert_eq!(told_value(ENDPOINTS[0], value), None, "{value}");
        }
        assert_eq!(told_value(MODES[0], "IPv4"), None);
        assert_eq!(told_value(MODES[0], "IPv6").as_deref(), Some("IPv6"));
    }

    #[test]
    fn of_an_endpoint_the_host_is_told_and_no_password() {
        for (value, told) in [
            ("http://127.0.0.1:1338", "http://127.0.0.1:1338"),
            ("https://169.254.169.254", "https://169.254.169.254"),
            ("http://u:hunter2@proxy/x?token=hunter2", "http://proxy"),
            ("u:hunter2@proxy", "proxy"),
            ("http://u:hunt/er2@proxy/x", "http://proxy"),
            ("http://a\x1b[31m", "http://"),
            ("http://169.254.169.254@evil", "http://evil"),
        ] {
            assert_eq!(told_value(ENDPOINTS[0], value).as_deref(), Some(told));
        }
    }
}

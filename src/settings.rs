//! The configuration as each part needs it: `check` and the service are put
//! together from the same pieces.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::aws::Network;
use crate::config::{Config, Loaded, Origin};
use crate::deadline::Deadline;
use crate::finding::{Instance, SkipReason};
use crate::scan::{AllowList, UserData};
use crate::{ledger, posture, scan, ship, verify};

/// For the posture checks; `wait` is for a machine that may still be booting.
pub fn posture(loaded: &Loaded, wait: Duration) -> posture::Settings {
    let config = &loaded.config;
    posture::Settings {
        endpoint: config.imds.endpoint.clone(),
        endpoint_is_explicit: loaded.origin("imds.endpoint") != Origin::Default,
        wait,
        limit: None,
        hop_limit: config.posture.hop_limit,
        hop_limit_is_explicit: loaded.origin("posture.hop_limit") != Origin::Default,
        probe_v1: config.posture.probe_v1,
        redact: config.redact_access_key_ids,
        user_data: config.scan.user_data,
        role_policies: config.posture.role_policies,
        services: posture::Services {
            network: network(config),
            region: config.ship.region.clone(),
            sts_endpoint: config.ship.sts_endpoint.clone(),
            iam_endpoint: config.posture.iam_endpoint.clone(),
        },
        looks: posture::Looks::default(),
    }
}

/// For a scan of all that is configured.
pub fn scan(
    config: &Config,
    root: &Path,
    instance: &Instance,
    allow: &Arc<AllowList>,
) -> scan::Settings {
    scan::Settings {
        root: root.to_owned(),
        roots: config.scan.roots.clone(),
        exclude: config.scan.exclude.clone(),
        ledger: Some(config.state_dir.join(ledger::FILE_NAME)),
        network_filesystems: config.scan.network_filesystems,
        threads: config.scan.threads,
        max_depth: config.scan.max_depth,
        archives: config.scan.archives,
        git: config.scan.git,
        processes: config.scan.processes,
        user_data: config.scan.user_data.then(UserData::default),
        allow: Arc::clone(allow),
        instance: instance.clone(),
        keep_pairs: false,
        redact: config.redact_access_key_ids,
        role_key: None,
        deadline: Deadline::default(),
        memory: None,
        tails: None,
        silences: Arc::default(),
    }
}

/// What a scan is given of the user-data.
pub fn user_data(asked: posture::UserData) -> UserData {
    match asked {
        posture::UserData::Given(text) => UserData::Given(text),
        posture::UserData::Absent(why) => UserData::Without(SkipReason::Absent, why),
        posture::UserData::Unknown(why) => UserData::Without(SkipReason::IoError, why),
        posture::UserData::NotInTime(why) => UserData::Without(SkipReason::TimeLimit, why),
    }
}

/// For delivery from `instance`.
pub fn ship(config: &Config, instance: &Instance) -> ship::Settings {
    let instance_id = instance.instance_id.as_deref().unwrap_or("unknown");
    ship::Settings {
        log_group: config.ship.log_group.clone(),
        log_stream: config.ship.log_stream.replace("{instance_id}", instance_id),
        region: config
            .ship
            .region
            .clone()
            .or_else(|| instance.region.clone()),
        endpoint: config.ship.endpoint.clone(),
        imds_endpoint: config.imds.endpoint.clone(),
        network: network(config),
    }
}

/// For asking AWS about keys that were found by `instance`.
pub fn verify(config: &Config, instance: &Instance) -> verify::Settings {
    verify::Settings {
        network: network(config),
        sts_endpoint: config.ship.sts_endpoint.clone(),
        region: instance
            .region
            .clone()
            .or_else(|| config.ship.region.clone()),
    }
}

/// For the way to AWS.
pub fn network(config: &Config) -> Network {
    Network {
        fips: config.ship.fips,
        dual_stack: config.ship.dual_stack,
        proxy: config.ship.proxy.as_ref().map(|proxy| proxy.url().clone()),
        ca_bundle: config.ship.ca_bundle.clone(),
    }
}

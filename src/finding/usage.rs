//! Who uses the place of a credential, and who holds the credential.

use std::sync::Arc;

use serde::Serialize;

use super::coverage::is_zero;

/// Users and holders told for one finding; all are counted.
const MAX_TOLD: usize = 20;

/// What a file is to the host, where that says who takes the credential from
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlaceKind {
    SystemdUnit,
    SystemdDropIn,
    /// Named in `EnvironmentFile=`.
    EnvironmentFile,
    /// Named in a command of a systemd unit.
    UnitCommandFile,
    /// Named in `LoadCredential=` or `ImportCredential=`.
    UnitCredential,
    /// Docker's or the OCI runtime's description of a container.
    ContainerConfiguration,
    /// A compose file, an environment file of compose, or what of the host is
    /// mounted.
    ContainerFile,
    /// In the container's own layer, volumes or logs.
    ContainerStorage,
    /// In a layer of its image, or in the image's configuration.
    ContainerImage,
    Crontab,
    /// `/etc/environment` and its kin: every session has it.
    LoginEnvironment,
    ShellProfile,
    /// `/etc/default`, `/etc/sysconfig`.
    ServiceDefaults,
    /// A manifest that the kubelet runs by itself.
    StaticPod,
    /// `DefaultEnvironment=` of systemd's manager and its generators: every
    /// unit has it.
    ServiceManager,
    PhpFpmPool,
    /// A program of supervisord.
    SupervisedProgram,
    /// What the agent of ECS is configured with.
    EcsAgent,
}

impl PlaceKind {
    /// As it is said in a sentence.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::SystemdUnit => "systemd unit",
            Self::SystemdDropIn => "systemd drop-in",
            Self::EnvironmentFile => "environment file",
            Self::UnitCommandFile => "file in a unit's command",
            Self::UnitCredential => "credential of a unit",
            Self::ContainerConfiguration => "container configuration",
            Self::ContainerFile => "file of a container",
            Self::ContainerStorage => "storage of a container",
            Self::ContainerImage => "image of a container",
            Self::Crontab => "crontab",
            Self::LoginEnvironment => "environment of all sessions",
            Self::ShellProfile => "shell profile",
            Self::ServiceDefaults => "defaults of a service",
            Self::StaticPod => "static pod",
            Self::ServiceManager => "environment of all units",
            Self::PhpFpmPool => "pool of php-fpm",
            Self::SupervisedProgram => "program of supervisord",
            Self::EcsAgent => "configuration of the ECS agent",
        }
    }
}

/// What takes its settings from a place, running or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum User {
    Unit {
        unit: String,
    },
    Container {
        /// The first 12 digits of its ID, as in a location.
        container: String,
        name: Option<String>,
        image: Option<String>,
    },
    /// Of a crontab.
    Account {
        user: String,
        /// `None` where `/etc/passwd` does not know the user.
        uid: Option<u32>,
    },
}

impl User {
    pub fn unit(&self) -> Option<&str> {
        match self {
            Self::Unit { unit } => Some(unit),
            _ => None,
        }
    }

    pub fn container(&self) -> Option<&str> {
        match self {
            Self::Container { container, .. } => Some(container),
            _ => None,
        }
    }
}

/// A process that has the credential in its environment or command line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Holder {
    pub pid: u32,
    pub exe: Option<Arc<str>>,
    pub uid: Option<u32>,
    pub unit: Option<Arc<str>>,
    pub container: Option<Arc<str>>,
}

/// The join of a finding with units, containers, accounts and processes: the
/// first few of each, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Usage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place_kind: Option<PlaceKind>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub used_by: Vec<User>,
    #[serde(skip_serializing_if = "is_zero")]
    pub used_by_total: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held_by: Vec<Holder>,
    #[serde(skip_serializing_if = "is_zero")]
    pub held_by_total: u64,
}

impl Usage {
    pub fn new(place_kind: Option<PlaceKind>, used_by: &[User], held_by: &[&Holder]) -> Self {
        let holders = held_by.iter().take(MAX_TOLD);
        Self {
            place_kind,
            used_by: used_by.iter().take(MAX_TOLD).cloned().collect(),
            used_by_total: used_by.len() as u64,
            held_by: holders.map(|holder| (*holder).clone()).collect(),
            held_by_total: held_by.len() as u64,
        }
    }
}

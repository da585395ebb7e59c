//! What the files of a host are to it: units, environment files, containers,
//! crontabs, profiles; and who takes settings from them.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::apart::Key;
use crate::finding::{PlaceKind, User};
use crate::host::account::{self, Account};
use crate::host::container::{self, Container};
use crate::host::crontab::{self, Crontab};
use crate::host::unit::{Manager, Units};
use crate::host::{Omitted, Root};
use crate::sanitize;
use crate::source::mounts::{Mounts, Overlay};

/// Where session managers and shells take variables from.
const LOGIN_ENVIRONMENT: &[&str] = &[
    "/etc/environment",
    "/etc/environment.d/*",
    "/etc/security/pam_env.conf",
    "/usr/lib/environment.d/*",
    "*/.config/environment.d/*",
    "*/.pam_environment",
];

const SHELL_PROFILES: &[&str] = &[
    "/etc/profile",
    "/etc/profile.d/*",
    "/etc/bashrc",
    "/etc/bash.bashrc",
    "/etc/csh.cshrc",
    "/etc/csh.login",
    "/etc/fish/config.fish",
    "/etc/fish/conf.d/*",
    "/etc/zsh/*",
    "/etc/zshrc",
    "/etc/zshenv",
    "/etc/zprofile",
    "*/.profile",
    "*/.bashrc",
    "*/.bash_profile",
    "*/.bash_login",
    "*/.bash_aliases",
    "*/.cshrc",
    "*/.login",
    "*/.tcshrc",
    "*/.config/fish/config.fish",
    "*/.config/fish/conf.d/*",
    "*/.zshrc",
    "*/.zshenv",
    "*/.zprofile",
    "*/.zlogin",
];

/// Files that say by their place what takes settings from them.
const PLACES: &[(&[&str], PlaceKind)] = &[
    (LOGIN_ENVIRONMENT, PlaceKind::LoginEnvironment),
    (SHELL_PROFILES, PlaceKind::ShellProfile),
    (
        &["/etc/default/*", "/etc/sysconfig/*"],
        PlaceKind::ServiceDefaults,
    ),
    (&["/etc/kubernetes/manifests/*"], PlaceKind::StaticPod),
    (
        &[
            "*/systemd/system.conf",
            "*/systemd/system.conf.d/*",
            "*/systemd/user.conf",
            "*/systemd/user.conf.d/*",
            "*/systemd/system-environment-generators/*",
            "*/systemd/user-environment-generators/*",
        ],
        PlaceKind::ServiceManager,
    ),
    (
        &[
            "/etc/php-fpm.conf",
            "*/php-fpm.d/*",
            "*/fpm/php-fpm.conf",
            "*/fpm/pool.d/*",
        ],
        PlaceKind::PhpFpmPool,
    ),
    (
        &[
            "*/supervisord.conf",
            "/etc/supervisord.d/*",
            "/etc/supervisor/conf.d/*",
        ],
        PlaceKind::SupervisedProgram,
    ),
    (&["/etc/ecs/*"], PlaceKind::EcsAgent),
];

/// Below a home directory that has units of its own.
const USER_UNITS: [&str; 2] = [".config/systemd/user", ".local/share/systemd/user"];

/// What the host says of the files that findings are in.
#[derive(Default)]
pub(super) struct Definitions {
    /// By path.
    files: HashMap<String, (PlaceKind, Vec<User>)>,
    /// Directories of containers, layers and configurations of their images,
    /// and what is mounted into them.
    storage: HashMap<PathBuf, (PlaceKind, Vec<User>)>,
    /// Those of the system, by path.
    crontabs: HashMap<PathBuf, crontab::Users>,
    /// By the ID that processes have.
    pub(super) containers: HashMap<String, User>,
    /// The control groups that containers are configured to have, with their IDs.
    cgroups: Vec<(String, String)>,
    accounts: Vec<Account>,
    /// Those that the system's units give their processes, where somebody asks.
    pub(super) keys: Vec<Key>,
    /// Instances of the system's templates in whose processes something was
    /// found.
    running: BTreeSet<String>,
    with_keys: bool,
    pub(super) omitted: Omitted,
}

impl Definitions {
    pub(super) fn read(
        root: Root<'_>,
        mounts: &Mounts,
        places: &HashSet<&str>,
        running: BTreeSet<String>,
        with_keys: bool,
    ) -> Self {
        let mut definitions = Self {
            running,
            with_keys,
            ..Self::default()
        };
        match account::list(&root) {
            Ok(accounts) => definitions.accounts = accounts,
            Err(error) => definitions
                .omitted
                .add_error(Path::new("/etc/passwd"), &error),
        }
        // First: what anybody can make costly must not leave nothing for it.
        if !places.is_empty() {
            definitions.add_units(root, Manager::System, places);
        }
        for container in container::list(root, &definitions.accounts, &mut definitions.omitted) {
            definitions.add_container(container, places);
        }
        if places.is_empty() {
            return definitions;
        }
        for overlay in mounts.overlays() {
            definitions.add_overlay(root, overlay);
        }
        for path in places.iter().copied().map(Path::new) {
            if Crontab::at(path) == Some(Crontab::System) {
                definitions.add_crontab(root, path);
            }
        }
        let accounts = std::mem::take(&mut definitions.accounts);
        let mut users = accounts.iter().filter_map(|account| {
            let is_there = |units| root.resolve(&account.home.join(units)).is_ok();
            let home = account.home.to_str()?;
            USER_UNITS.iter().any(is_there).then_some(Manager::User {
                name: &account.name,
                uid: account.uid,
                home,
            })
        });
        // What all of them have is read with the first one's.
        let first = users.next().unwrap_or(Manager::User {
            name: "root",
            uid: 0,
            home: "/root",
        });
        for user in [first].into_iter().chain(users) {
            definitions.add_units(root, user, places);
        }
        definitions.accounts = accounts;
        definitions
    }

    fn add(&mut self, path: &Path, kind: PlaceKind, user: &User, places: &HashSet<&str>) {
        let path = shown(path);
        if places.contains(path.as_str()) {
            let (known, users) = self.files.entry(path).or_insert((kind, Vec::new()));
            *known = (*known).min(kind);
            if !users.contains(user) {
                users.push(user.clone());
            }
        }
    }

    fn add_container(&mut self, container: Container, places: &HashSet<&str>) {
        let id = container.short_id().to_owned();
        let user = User::Container {
            container: id.clone(),
            name: container.name,
            image: container.image,
        };
        for path in &container.configuration {
            self.add(path, PlaceKind::ContainerConfiguration, &user, places);
        }
        for path in &container.files {
            self.add(path, PlaceKind::ContainerFile, &user, places);
        }
        let directories = container.directories.into_iter();
        let image_files = container.image_files.into_iter();
        let mounted = container.mounted.into_iter();
        let own = directories.map(|path| (path, PlaceKind::ContainerStorage));
        let of_image = image_files.map(|path| (path, PlaceKind::ContainerImage));
        let of_host = mounted.map(|path| (path, PlaceKind::ContainerFile));
        for (path, kind) in own.chain(of_image).chain(of_host) {
            self.add_storage(path, kind, &user);
        }
        let cgroup = container.cgroup.map(|cgroup| (cgroup, id.clone()));
        self.cgroups.extend(cgroup);
        self.containers.insert(id, user);
    }

    /// The container of a process in these control groups: of one that has a
    /// name in place of an ID, its configuration alone tells.
    pub(super) fn container_in(&self, cgroups: &[String]) -> Option<&str> {
        let is_in = |configured: &str| {
            cgroups.iter().any(|cgroup| {
                if configured.starts_with('/') {
                    Path::new(cgroup).starts_with(configured)
                } else {
                    cgroup.split('/').any(|part| part == configured)
                }
            })
        };
        let found = self.cgroups.iter().filter(|(group, _)| is_in(group));
        // One may run within another.
        let innermost = found.max_by_key(|(group, _)| Path::new(group).components().count());
        innermost.map(|(_, id)| id.as_str())
    }

    fn add_storage(&mut self, path: PathBuf, kind: PlaceKind, user: &User) {
        let (_, users) = self.storage.entry(path).or_insert((kind, Vec::new()));
        if !users.contains(user) {
            users.push(user.clone());
        }
    }

    /// Adds what is mounted as the file system of a container, wherever its
    /// runtime keeps that.
    fn add_overlay(&mut self, root: Root<'_>, overlay: &Overlay) {
        let on_host = |path: &Path| match path.strip_prefix(root.path) {
            Ok(inside) => Path::new("/").join(inside),
            Err(_) => path.to_owned(),
        };
        let mount_point = on_host(&overlay.mount_point);
        // What is mounted below a directory of the host is not the file system
        // of a container that has the directory.
        let of_container = |above: &Path| {
            let (kind, users) = self.storage.get(above)?;
            (*kind != PlaceKind::ContainerFile).then(|| users.clone())
        };
        let Some(users) = mount_point.ancestors().find_map(of_container) else {
            return;
        };
        let upper = overlay
            .upper
            .iter()
            .map(|path| (path, PlaceKind::ContainerStorage));
        let lower = overlay
            .lower
            .iter()
            .map(|path| (path, PlaceKind::ContainerImage));
        for (path, kind) in upper.chain(lower) {
            let Ok(path) = root.resolve(&on_host(path)) else {
                continue;
            };
            for user in &users {
                self.add_storage(path.clone(), kind, user);
            }
        }
    }

    fn add_units(&mut self, root: Root<'_>, manager: Manager<'_>, places: &HashSet<&str>) {
        let mut units = Units::read(root, manager, &mut self.omitted);
        if manager == Manager::System {
            units.add_running(self.running.iter().map(String::as_str));
        }
        for name in units.names() {
            let Some(unit) = units.unit(name, &mut self.omitted) else {
                continue;
            };
            let user = User::Unit {
                unit: unit.name.clone(),
            };
            for (path, index) in unit.files.iter().zip(0..) {
                let kind = match index {
                    0 => PlaceKind::SystemdUnit,
                    _ => PlaceKind::SystemdDropIn,
                };
                self.add(path, kind, &user, places);
            }
            for file in &unit.environment_files {
                for path in file.paths(root, &mut self.omitted) {
                    self.add(&path, PlaceKind::EnvironmentFile, &user, places);
                }
            }
            for path in unit.credentials(root, &mut self.omitted) {
                self.add(&path, PlaceKind::UnitCredential, &user, places);
                self.add_storage(path, PlaceKind::UnitCredential, &user);
            }
            for path in unit.files_in_commands(root) {
                self.add(&path, PlaceKind::UnitCommandFile, &user, places);
            }
            // What an account's own units say of files that are not its own
            // is no reason to tell another key of them.
            if self.with_keys && matches!(manager, Manager::System) {
                self.keys.extend(Key::of(&unit, root));
            }
        }
    }

    /// What a file is, and who takes its settings from it.
    pub(super) fn users(
        &self,
        path: &str,
        line: Option<u64>,
    ) -> (Option<PlaceKind>, Cow<'_, [User]>) {
        if let Some((kind, users)) = self.files.get(path) {
            return (Some(*kind), users.into());
        }
        let file = Path::new(path);
        if let Some(crontab) = Crontab::at(file) {
            let users = self.cron_users(file, crontab, line);
            return (Some(PlaceKind::Crontab), users.into());
        }
        match file.ancestors().find_map(|above| self.storage.get(above)) {
            // What the file is to the host says more.
            Some((kind @ PlaceKind::ContainerFile, users)) => {
                (kind_by_path(path).or(Some(*kind)), users.into())
            }
            Some((kind, users)) => (Some(*kind), users.into()),
            None => match unit_with_credential(path) {
                Some(unit) => (Some(PlaceKind::UnitCredential), vec![unit].into()),
                None => (kind_by_path(path), Cow::default()),
            },
        }
    }

    fn add_crontab(&mut self, root: Root<'_>, path: &Path) {
        match root.read(path) {
            Ok(text) => {
                let users = crontab::Users::of(&text);
                self.crontabs.insert(path.to_owned(), users);
            }
            Err(error) => self.omitted.add_error(path, &error),
        }
    }

    fn cron_users(&self, path: &Path, crontab: Crontab, line: Option<u64>) -> Vec<User> {
        let user = |name: &str| User::Account {
            uid: self
                .accounts
                .iter()
                .find(|account| account.name == name)
                .map(|account| account.uid),
            user: name.to_owned(),
        };
        match crontab {
            Crontab::Of(name) => vec![user(&name)],
            Crontab::System => {
                let users = self.crontabs.get(path).into_iter();
                let users = users.flat_map(|users| users.of_line(line.unwrap_or(1)));
                users.map(user).collect()
            }
        }
    }
}

/// The unit for which systemd keeps a credential.
fn unit_with_credential(path: &str) -> Option<User> {
    let (unit, _) = path.strip_prefix("/run/credentials/")?.split_once('/')?;
    // Those of the system are in `@system` and `@encrypted`.
    (!unit.starts_with('@')).then(|| User::Unit { unit: unit.into() })
}

fn kind_by_path(path: &str) -> Option<PlaceKind> {
    let (folder, name) = path.rsplit_once('/')?;
    let is_at = |places: &[&str]| {
        places.iter().any(|place| match place.strip_prefix('*') {
            Some(end) => match end.strip_suffix("/*") {
                Some(end) => folder.ends_with(end),
                None => path.ends_with(end),
            },
            None => place
                .strip_suffix("/*")
                .map_or(path == *place, |place| folder == place),
        })
    };
    if let Some((_, kind)) = PLACES.iter().find(|(places, _)| is_at(places)) {
        return Some(*kind);
    }
    let is_systemd = ["/systemd/system", "/systemd/user"]
        .iter()
        .any(|part| folder.contains(part));
    if is_systemd && Path::new(name).extension().is_some_and(|end| end == "conf") {
        Some(PlaceKind::SystemdDropIn)
    } else if is_systemd {
        Some(PlaceKind::SystemdUnit)
    } else {
        None
    }
}

/// As locations have it.
pub(super) fn shown(path: &Path) -> String {
    sanitize::bytes(path.as_os_str().as_encoded_bytes())
}

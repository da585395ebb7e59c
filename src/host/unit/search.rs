//! Which files make up a unit.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::facts::Facts;
use super::syntax::Specifiers;
use super::{MAX_DROP_INS, Unit, merge};
use crate::host::{Omitted, Root};

/// Where the system's manager looks, first wins.
const SYSTEM: &[&str] = &[
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
];

/// Where a user's manager looks in the home directory, before [`USER`].
const HOME: &[&str] = &[".config/systemd/user.control", ".config/systemd/user"];

/// Where each user's manager looks. What stands in a runtime directory is of
/// one session and is left out.
const USER: &[&str] = &[
    "/etc/xdg/systemd/user",
    "/etc/systemd/user",
    "/run/systemd/user",
    "/usr/local/share/systemd/user",
    "/usr/share/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
];

/// The same behind [`HOME`]: what a package put into the home directory.
const HOME_DATA: &str = ".local/share/systemd/user";

/// Kinds of units that start processes.
const KINDS: &[&str] = &["service", "socket", "mount", "swap"];

/// Names of units kept for one manager.
const MAX_UNITS: usize = 20_000;

/// Aliases followed from one name to the next.
const MAX_ALIASES: usize = 8;

/// Whose units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager<'a> {
    System,
    /// That of a user, with the home directory on the host.
    User {
        name: &'a str,
        uid: u32,
        home: &'a str,
    },
}

impl Manager<'_> {
    fn directories(self) -> Vec<PathBuf> {
        match self {
            Self::System => SYSTEM.iter().map(PathBuf::from).collect(),
            Self::User { home, .. } => {
                let home = Path::new(home);
                let own = HOME.iter().map(|directory| home.join(directory));
                let (first, rest) = USER.split_at(3);
                own.chain(first.iter().map(PathBuf::from))
                    .chain([home.join(HOME_DATA)])
                    .chain(rest.iter().map(PathBuf::from))
                    .collect()
            }
        }
    }
}

/// The units that a manager knows: their names. The files are read when a
/// unit is asked for.
#[derive(Debug)]
pub struct Units<'a> {
    root: Root<'a>,
    manager: Manager<'a>,
    host: Facts,
    /// Where the manager looks, without links, first wins.
    directories: Vec<PathBuf>,
    /// The directory in which a unit file of this name is found first; `None`
    /// for a masked one.
    files: BTreeMap<String, Option<usize>>,
    /// Directories that have a folder of drop-ins for this name.
    drop_ins: HashSet<(usize, String)>,
    aliases: HashMap<String, String>,
    /// The aliases of a unit.
    aliases_of: HashMap<String, Vec<String>>,
    /// Instances of templates that are enabled, have drop-ins or run.
    instances: BTreeSet<String>,
}

impl<'a> Units<'a> {
    /// Lists the directories of a manager.
    pub fn read(root: Root<'a>, manager: Manager<'a>, omitted: &mut Omitted) -> Self {
        let mut units = Self {
            root,
            manager,
            host: Facts::read(root, omitted),
            directories: Vec::new(),
            files: BTreeMap::new(),
            drop_ins: HashSet::new(),
            aliases: HashMap::new(),
            aliases_of: HashMap::new(),
            instances: BTreeSet::new(),
        };
        for directory in manager.directories() {
            match root.resolve(&directory) {
                // `/lib` is a link to `/usr/lib` nearly everywhere.
                Ok(resolved) if units.directories.contains(&resolved) => {}
                Ok(resolved) => units.directories.push(resolved),
                Err(error) => omitted.add_error(&directory, &error),
            }
        }
        for index in 0..units.directories.len() {
            units.list(index, omitted);
        }
        let mut aliases_of: HashMap<String, Vec<String>> = HashMap::new();
        for alias in units.aliases.keys() {
            let unit = units.canonical(alias);
            aliases_of.entry(unit).or_default().push(alias.clone());
        }
        units.aliases_of = aliases_of;
        units
    }

    /// Takes in instances of templates that run, whatever started them.
    pub fn add_running<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        let names = names.filter(|name| may_run(name));
        let instances = names.filter(|name| {
            template(name).is_some_and(|template| self.files.contains_key(&template))
        });
        let instances: Vec<String> = instances.map(ToOwned::to_owned).collect();
        let room = MAX_UNITS.saturating_sub(self.known());
        self.instances.extend(instances.into_iter().take(room));
    }

    /// Names of all units with a file: no aliases, none that a link masks, and
    /// templates only where no instance is known.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let instances = || self.instances.iter().map(String::as_str);
        let of_templates: HashSet<String> = instances().filter_map(template).collect();
        let files = self
            .files
            .iter()
            .filter(|(_, directory)| directory.is_some())
            .map(|(name, _)| name.as_str())
            .filter(move |name| !of_templates.contains(*name));
        let named: BTreeSet<&str> = files
            .chain(instances())
            .filter(|name| !self.aliases.contains_key(*name))
            .collect();
        named.into_iter()
    }

    /// The unit of a name or an alias, of a running instance too. `None`
    /// where it is masked or has no file.
    pub fn unit(&self, name: &str, omitted: &mut Omitted) -> Option<Unit> {
        let name = self.canonical(name);
        let template = template(&name);
        let (file, directory) = [Some(name.as_str()), template.as_deref()]
            .into_iter()
            .flatten()
            .find_map(|file| Some((file, *self.files.get(file)?)))?;
        let fragment = self.directories[directory?].join(file);
        let mut files = vec![fragment];
        files.extend(self.drop_ins(&name, omitted));
        let specifiers = Specifiers {
            unit: &name,
            manager: self.manager,
            host: &self.host,
        };
        merge::unit(self.root, &specifiers, &files, omitted)
    }

    fn known(&self) -> usize {
        self.files.len() + self.drop_ins.len() + self.aliases.len() + self.instances.len()
    }

    fn list(&mut self, index: usize, omitted: &mut Omitted) {
        let directory = self.directories[index].clone();
        for name in self.root.list(&directory, omitted) {
            if self.known() >= MAX_UNITS {
                omitted.add(&directory, "too many units");
                return;
            }
            // Not valid in a unit's name.
            let Ok(name) = OsString::into_string(name) else {
                continue;
            };
            if let Some(unit) = name.strip_suffix(".d").filter(|unit| may_run(unit)) {
                if template(unit).is_some() {
                    self.instances.insert(unit.to_owned());
                }
                self.drop_ins.insert((index, unit.to_owned()));
            } else if matches!(kind(&name), "wants" | "requires" | "upholds") {
                let wanted = self.root.list(&directory.join(&name), omitted);
                let wanted = wanted.into_iter().flat_map(OsString::into_string);
                let instances = wanted.filter(|name| may_run(name) && template(name).is_some());
                self.instances.extend(instances);
            } else if may_run(&name) && !self.files.contains_key(&name) {
                self.file(index, name);
            }
        }
    }

    fn file(&mut self, index: usize, name: String) {
        let directory = &self.directories[index];
        let Some(target) = self.root.link(directory, &name) else {
            self.files.insert(name, Some(index));
            return;
        };
        if target == Path::new("/dev/null") {
            self.files.insert(name, None);
            return;
        }
        let target = directory.join(target);
        let other = target.file_name().and_then(|other| other.to_str());
        let is_unit = target
            .parent()
            .and_then(|parent| self.root.resolve(parent).ok())
            .is_some_and(|parent| self.directories.contains(&parent));
        match other {
            Some(other) if is_unit && template(&name).as_deref() == Some(other) => {
                self.instances.insert(name);
            }
            Some(other) if is_unit && other != name => {
                self.aliases.entry(name).or_insert_with(|| other.to_owned());
            }
            _ => {
                self.files.insert(name, Some(index));
            }
        }
    }

    fn canonical(&self, name: &str) -> String {
        let mut name = name.to_owned();
        for _ in 0..MAX_ALIASES {
            if self.files.contains_key(&name) {
                break;
            }
            if let Some(other) = self.aliases.get(&name) {
                name.clone_from(other);
            } else if let Some(other) = template(&name).and_then(|name| self.aliases.get(&name))
                && let Some((prefix, kind)) = other.split_once('@')
                && let Some(instance) = instance(&name)
            {
                name = format!("{prefix}@{instance}{kind}");
            } else {
                break;
            }
        }
        name
    }

    /// The drop-ins of a unit in the order in which they count. Of two with
    /// one file name only the first is taken, and all are sorted by it.
    fn drop_ins(&self, name: &str, omitted: &mut Omitted) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        let mut add = |names: &[String]| {
            for (index, directory) in self.directories.iter().enumerate() {
                for name in names {
                    if self.drop_ins.contains(&(index, name.clone())) {
                        folders.push(directory.join(format!("{name}.d")));
                    }
                }
            }
        };
        add(&general(name));
        let mut aliases: Vec<&String> = self.aliases_of.get(name).into_iter().flatten().collect();
        aliases.sort();
        for alias in aliases {
            add(&general(alias));
        }
        add(&[kind(name).to_owned()]);

        let mut drop_ins = BTreeMap::new();
        for folder in folders {
            for file in self.root.list(&folder, omitted) {
                if !file.as_encoded_bytes().ends_with(b".conf") {
                    continue;
                }
                if drop_ins.len() == MAX_DROP_INS {
                    omitted.add(&folder, "too many drop-ins");
                    break;
                }
                let path = folder.join(&file);
                drop_ins.entry(file).or_insert(path);
            }
        }
        drop_ins.into_values().collect()
    }
}

fn kind(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, kind)| kind)
}

/// Whether it is the name of a unit that can start processes, or of all units
/// of such a kind.
fn may_run(name: &str) -> bool {
    KINDS.contains(&kind(name))
}

fn instance(name: &str) -> Option<&str> {
    let (_, rest) = name.split_once('@')?;
    let (instance, _) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then_some(instance)
}

/// The name of the template of an instance.
fn template(name: &str) -> Option<String> {
    instance(name)?;
    let (prefix, _) = name.split_once('@')?;
    Some(format!("{prefix}@.{}", kind(name)))
}

/// The name, and the more general ones whose drop-ins hold for it too: of
/// `a-b@c.service` those of `a-b@.service` and `a-.service`.
fn general(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    names.extend(template(name));
    let stem = name.strip_suffix(kind(name)).unwrap_or(name);
    let (prefix, _) = stem.split_once('@').unwrap_or((stem, ""));
    let mut prefix = prefix.trim_end_matches('.');
    loop {
        let shorter = prefix.strip_suffix('-').unwrap_or(prefix);
        let Some(dash) = shorter.rfind('-').filter(|dash| *dash > 0) else {
            return names;
        };
        prefix = &shorter[..=dash];
        names.push(format!("{prefix}.{}", kind(name)));
    }
}

//! systemd units with their drop-ins, put together as systemd does: see
//! systemd.unit(5) for what stands where and which of two counts, and
//! `unit-file.c` and `dropin.c` in systemd for what the manual leaves open.

mod command;
mod facts;
mod manager;
mod merge;
mod search;
mod syntax;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Assignment, Omitted, Place, Root, environment_file, keep_last};
use crate::secret::Secret;

pub use manager::default_environment;
pub use search::{Manager, Units};

/// Drop-ins read for one unit.
const MAX_DROP_INS: usize = 1000;

/// Where a credential is looked for that has no path: systemd.exec(5). The
/// encrypted ones beside them nobody reads without the host's key.
const CREDENTIAL_STORES: [&str; 4] = [
    "/etc/credstore",
    "/run/credstore",
    "/usr/local/lib/credstore",
    "/usr/lib/credstore",
];

/// What stands between the words of a line for a shell, or between a path and
/// what is said of it.
const APART: &[u8] = b" \t\n;&|()<>\"'`=:,";

/// A unit as its files define it, running or not.
#[derive(Debug, Clone)]
pub struct Unit {
    /// With the instance, such as `worker@1.service`; a template where none of
    /// its instances is known.
    pub name: String,
    /// The unit file and its drop-ins in the order in which they count, as
    /// paths without links.
    pub files: Vec<PathBuf>,
    /// `User=`: a name or a number.
    pub user: Option<String>,
    /// `Environment=`, without what a later one or a reset took away.
    pub environment: Vec<Assignment>,
    /// `EnvironmentFile=`, in the order in which they are read.
    pub environment_files: Vec<EnvironmentFile>,
    /// Files and directories that `LoadCredential=` names.
    credentials: Vec<PathBuf>,
    /// `ImportCredential=`: names, or a glob(7) of them.
    imported_credentials: Vec<String>,
    /// `PassEnvironment=`: names taken over from the manager.
    pub pass_environment: Vec<String>,
    /// `WorkingDirectory=`, where it is a path.
    working_directory: Option<PathBuf>,
    /// The arguments of `ExecStart=` and its kin, by the setting's key.
    arguments: BTreeMap<Vec<u8>, Vec<Secret>>,
    /// `UnsetEnvironment=`: names, or assignments as `NAME=value`.
    unset_environment: Vec<Secret>,
}

/// An `EnvironmentFile=` of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentFile {
    /// Absolute; a glob(7) where it has one of `*?[`.
    pub pattern: String,
    /// With `-` in front: need not be there.
    pub optional: bool,
    pub place: Place,
}

impl EnvironmentFile {
    /// The files that are there, without links, in the order in which they
    /// are read.
    pub fn paths(&self, root: Root<'_>, omitted: &mut Omitted) -> Vec<PathBuf> {
        root.glob(&self.pattern, omitted)
    }
}

impl Unit {
    /// What a process of the unit is started with, as far as its files say
    /// it: `Environment=`, overridden by the environment files, less
    /// `UnsetEnvironment=`. Each assignment says where it stands.
    pub fn started_with(&self, root: Root<'_>, omitted: &mut Omitted) -> Vec<Assignment> {
        let mut environment = self.environment.clone();
        for file in &self.environment_files {
            for path in file.paths(root, omitted) {
                match root.read(&path) {
                    Ok(text) => environment.extend(environment_file::parse(&text, &path)),
                    Err(error) => omitted.add_error(&path, &error),
                }
            }
        }
        keep_last(&mut environment);
        environment.retain(|assignment| !self.unsets(assignment));
        environment
    }

    /// The files and directories with its credentials that are there, without
    /// links.
    pub fn credentials(&self, root: Root<'_>, omitted: &mut Omitted) -> BTreeSet<PathBuf> {
        let loaded = self.credentials.iter();
        let loaded = loaded.filter_map(|path| root.resolve(path).ok());
        let mut credentials: BTreeSet<PathBuf> = loaded.collect();
        for name in &self.imported_credentials {
            let stores = CREDENTIAL_STORES.iter();
            let patterns = stores.map(|store| format!("{store}/{name}"));
            credentials.extend(patterns.flat_map(|pattern| root.glob(&pattern, omitted)));
        }
        credentials
    }

    /// The files that its commands name and that are there, without links:
    /// scripts, configuration, and what a line for a shell takes in.
    pub fn files_in_commands(&self, root: Root<'_>) -> BTreeSet<PathBuf> {
        let words = self.arguments.values().flatten().map(Secret::expose);
        let names: BTreeSet<&[u8]> = words
            .flat_map(|word| {
                let parts = word.split(|byte| APART.contains(byte));
                // A name may hold any of these.
                let value = word.rsplit(|byte| *byte == b'=').next();
                parts.chain([word]).chain(value)
            })
            .collect();
        let paths = names.into_iter().filter_map(|name| {
            let name = std::str::from_utf8(name).ok()?;
            // The marks of systemd.service(5).
            let name = Path::new(name.trim_start_matches(['@', '-', ':', '+', '!']));
            let path = match &self.working_directory {
                Some(directory) if name != Path::new("") => directory.join(name),
                _ => name.to_owned(),
            };
            path.is_absolute().then(|| root.resolve(&path).ok())?
        });
        paths.collect()
    }

    fn unsets(&self, assignment: &Assignment) -> bool {
        self.unset_environment.iter().any(|unset| {
            let unset = unset.expose();
            match unset.strip_prefix(assignment.name.as_bytes()) {
                Some(b"") => true,
                Some(rest) => rest.strip_prefix(b"=") == Some(assignment.value.expose()),
                None => false,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    pub(super) struct Tree(tempfile::TempDir);

    impl Tree {
        pub(super) fn new(files: &[(&str, &str)]) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            for (path, text) in files {
                tree.write(path, text);
            }
            tree
        }

        fn make_way(&self, path: &str) -> PathBuf {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        }

        fn write(&self, path: &str, text: &str) {
            fs::write(self.make_way(path), text).unwrap();
        }

        fn link(&self, path: &str, target: &str) {
            symlink(target, self.make_way(path)).unwrap();
        }

        pub(super) fn root(&self) -> Root<'_> {
            Root {
                path: self.0.path(),
                avoid: &|_| None,
            }
        }

        pub(super) fn unit(&self, name: &str) -> Option<Unit> {
            let mut omitted = Omitted::default();
            let units = Units::read(self.root(), Manager::System, &mut omitted);
            let unit = units.unit(name, &mut omitted);
            assert_eq!(omitted, Omitted::default());
            unit
        }

        fn environment(&self, name: &str) -> Vec<String> {
            let unit = self.unit(name).expect("the unit is there");
            unit.started_with(self.root(), &mut Omitted::default())
                .iter()
                .map(|one| format!("{}={}", one.name, one.value.expose_str().unwrap()))
                .collect()
        }

        fn names(&self) -> Vec<String> {
            let mut omitted = Omitted::default();
            let units = Units::read(self.root(), Manager::System, &mut omitted);
            units.names().map(ToOwned::to_owned).collect()
        }
    }

    #[test]
    fn a_file_in_etc_hides_the_vendors_and_drop_ins_count_by_their_file_name() {
        let tree = Tree::new(&[
            (
                "usr/lib/systemd/system/a.service",
                "[Service]\nEnvironment=V=1\n",
            ),
            (
                "etc/systemd/system/a.service",
                "[Service]\nEnvironment=A=1 B=1\n",
            ),
            (
                "usr/lib/systemd/system/a.service.d/20.conf",
                "[Service]\nEnvironment=A=20\n",
            ),
            (
                "etc/systemd/system/a.service.d/10.conf",
                "[Service]\nEnvironment=A=10 C=10\n",
            ),
            (
                "run/systemd/system/a.service.d/10.conf",
                "[Service]\nEnvironment=D=hidden\n",
            ),
            (
                "etc/systemd/system/service.d/15.conf",
                "[Service]\nEnvironment=C=15\n",
            ),
            (
                "etc/systemd/system/service.d/20.conf",
                "[Service]\nEnvironment=E=hidden\n",
            ),
        ]);
        assert_eq!(tree.environment("a.service"), ["B=1", "C=15", "A=20"]);
        let unit = tree.unit("a.service").unwrap();
        let place = &unit.environment[2].place;
        assert_eq!(
            (place.path.as_path(), place.line),
            (Path::new("/usr/lib/systemd/system/a.service.d/20.conf"), 2)
        );
    }

    #[test]
    fn an_empty_assignment_takes_back_what_came_before() {
        let tree = Tree::new(&[
            (
                "etc/systemd/system/a.service",
                "[Service]\nEnvironment=A=1\nEnvironmentFile=/etc/x\nPassEnvironment=P\nUser=u\n",
            ),
            (
                "etc/systemd/system/a.service.d/o.conf",
                "[Service]\nEnvironment=\nEnvironment=B=1\nEnvironmentFile=\nPassEnvironment=\nUser=\n",
            ),
            ("etc/x", "A=2\n"),
        ]);
        assert_eq!(tree.environment("a.service"), ["B=1"]);
        let unit = tree.unit("a.service").unwrap();
        assert_eq!((unit.user, unit.pass_environment), (None, vec![]));
    }

    #[test]
    fn environment_files_override_and_unset_has_the_last_word() {
        let tree = Tree::new(&[
            (
                "etc/systemd/system/a@.service",
                "[Service]\nEnvironment=A=1 B=1 C=1 D=1\nEnvironmentFile=-/etc/%p/%i.env\n\
                 EnvironmentFile=/etc/a/conf.d/*.env\nUnsetEnvironment=C D=2\n",
            ),
            ("etc/a/one.env", "A=2\nB=2\n"),
            ("etc/a/conf.d/2.env", "A=4\n"),
            ("etc/a/conf.d/1.env", "A=3\n"),
            ("etc/a/conf.d/.3.env", "A=5\n"),
        ]);
        assert_eq!(tree.environment("a@one.service"), ["D=1", "B=2", "A=4"]);
        assert_eq!(tree.environment("a@two.service"), ["B=1", "D=1", "A=4"]);
    }

    #[test]
    fn instances_have_their_templates_drop_ins_and_their_own() {
        let tree = Tree::new(&[
            (
                "usr/lib/systemd/system/a-b@.service",
                "[Service]\nEnvironment=I=%i\n",
            ),
            (
                "etc/systemd/system/a-b@.service.d/t.conf",
                "[Service]\nEnvironment=T=%n\n",
            ),
            (
                "etc/systemd/system/a-b@x.service.d/x.conf",
                "[Service]\nEnvironment=X=%p\n",
            ),
            (
                "etc/systemd/system/a-.service.d/p.conf",
                "[Service]\nEnvironment=P=1\n",
            ),
        ]);
        tree.link(
            "etc/systemd/system/multi-user.target.wants/a-b@y.service",
            "/usr/lib/systemd/system/a-b@.service",
        );
        assert_eq!(
            tree.environment("a-b@x.service"),
            ["I=x", "P=1", "T=a-b@x.service", "X=a-b"]
        );
        assert_eq!(tree.names(), ["a-b@x.service", "a-b@y.service"]);
    }

    #[test]
    fn a_masked_unit_is_none_and_an_alias_is_the_unit_that_it_leads_to() {
        let tree = Tree::new(&[
            (
                "lib/systemd/system/m.service",
                "[Service]\nEnvironment=A=1\n",
            ),
            (
                "lib/systemd/system/a.service",
                "[Service]\nEnvironment=A=1\n",
            ),
            (
                "etc/systemd/system/b.service.d/b.conf",
                "[Service]\nEnvironment=B=1\n",
            ),
            ("srv/app/linked.service", "[Service]\nEnvironment=L=1\n"),
            (
                "etc/systemd/system/a.service.d/m.conf",
                "[Service]\nEnvironment=M=1\n",
            ),
            ("lib/systemd/system/empty.service", ""),
        ]);
        tree.link("etc/systemd/system/m.service", "/dev/null");
        tree.link(
            "etc/systemd/system/b.service",
            "/lib/systemd/system/a.service",
        );
        tree.link(
            "etc/systemd/system/linked.service",
            "/srv/app/linked.service",
        );
        tree.link("run/systemd/system/a.service.d/n.conf", "/dev/null");
        assert!(tree.unit("m.service").is_none());
        assert!(tree.unit("empty.service").is_none());
        let alias = tree.unit("b.service").unwrap();
        assert_eq!(alias.name, "a.service");
        assert_eq!(tree.environment("b.service"), ["A=1", "B=1", "M=1"]);
        let linked = tree.unit("linked.service").unwrap();
        assert_eq!(linked.files, [Path::new("/srv/app/linked.service")]);
        assert_eq!(
            tree.names(),
            ["a.service", "empty.service", "linked.service"]
        );
    }

    #[test]
    fn a_link_leads_to_where_it_leads_on_that_host() {
        let outside = Tree::new(&[("a.service", "[Service]\nEnvironment=OUT=1\n")]);
        let tree = Tree::new(&[("etc/real", "K=1\n")]);
        tree.write(
            "lib/systemd/system/e.service",
            "[Service]\nEnvironmentFile=/etc/link\n",
        );
        tree.link("etc/link", "../../../../etc/real");
        tree.link(
            "lib/systemd/system/a.service",
            outside.0.path().join("a.service").to_str().unwrap(),
        );
        tree.link("lib/systemd/system/loop.service", "loop.service");
        assert_eq!(tree.environment("e.service"), ["K=1"]);
        assert!(tree.unit("a.service").is_none());
        let mut omitted = Omitted::default();
        let units = Units::read(tree.root(), Manager::System, &mut omitted);
        assert!(units.unit("loop.service", &mut omitted).is_none());
        assert_eq!(omitted.count, 1);
    }

    #[test]
    fn what_is_no_file_or_too_large_is_counted_and_never_waited_for() {
        let tree = Tree::new(&[("lib/systemd/system/x.service", "[Service]\n")]);
        let fifo = tree.make_way("lib/systemd/system/f.service");
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let large = "#".repeat(5 * 1024 * 1024);
        tree.write("lib/systemd/system/l.service", &large);
        let mut omitted = Omitted::default();
        let units = Units::read(tree.root(), Manager::System, &mut omitted);
        assert!(units.unit("f.service", &mut omitted).is_none());
        assert!(units.unit("l.service", &mut omitted).is_none());
        assert_eq!(omitted.count, 2, "{omitted:?}");
    }

    #[test]
    fn specifiers_say_what_the_host_and_the_user_are() {
        let tree = Tree::new(&[
            (
                "etc/systemd/user/a.service",
                "[Service]\nEnvironment=A=%u:%U:%t:%H:%l:%m:%o%w:%W:%q\n",
            ),
            ("proc/sys/kernel/hostname", "now.example\n"),
            ("etc/hostname", "later\n"),
            ("etc/machine-id", "0123\n"),
            ("usr/lib/os-release", "ID=\"amzn\"\nVERSION_ID=\"2023\"\n"),
        ]);
        let user = Manager::User {
            name: "u",
            uid: 1000,
            home: "/home/u",
        };
        let mut omitted = Omitted::default();
        let units = Units::read(tree.root(), user, &mut omitted);
        let unit = units.unit("a.service", &mut omitted).unwrap();
        assert_eq!(
            unit.environment[0].value.expose_str(),
            Some("u:1000:/run/user/1000:now.example:now:0123:amzn2023::%q")
        );
        fs::remove_file(tree.0.path().join("proc/sys/kernel/hostname")).unwrap();
        let units = Units::read(tree.root(), user, &mut omitted);
        let unit = units.unit("a.service", &mut omitted).unwrap();
        let value = unit.environment[0].value.expose_str().unwrap();
        assert!(value.contains(":later:later:"), "{value}");
        assert_eq!(omitted, Omitted::default());
    }

    #[test]
    fn a_command_names_files_for_a_shell_and_in_its_working_directory() {
        let tree = Tree::new(&[
            (
                "etc/systemd/system/a.service",
                "[Service]\nWorkingDirectory=-/srv/%p\n\
                 ExecStartPre=-+/opt/pre.sh\n\
                 ExecStart=/bin/sh -c 'set -a; . /etc/a.env && exec ./run --conf=c.ini </etc/in'\n\
                 ExecStop=/bin/app \"/opt/with blank=x\" /srv/a /gone\n",
            ),
            ("opt/pre.sh", ""),
            ("etc/a.env", ""),
            ("etc/in", ""),
            ("srv/a/run", ""),
            ("srv/a/c.ini", ""),
            ("srv/a/other", ""),
            ("opt/with blank=x", ""),
        ]);
        let unit = tree.unit("a.service").unwrap();
        let files = unit.files_in_commands(tree.root());
        let files: Vec<_> = files
            .iter()
            .filter(|path| {
                tree.0
                    .path()
                    .join(path.strip_prefix("/").unwrap())
                    .is_file()
            })
            .map(|path| path.to_str().unwrap())
            .collect();
        assert_eq!(
            files,
            [
                "/etc/a.env",
                "/etc/in",
                "/opt/pre.sh",
                "/opt/with blank=x",
                "/srv/a/c.ini",
                "/srv/a/run",
            ]
        );
    }

    #[test]
    fn user_managers_have_their_own_directories() {
        let tree = Tree::new(&[
            (
                "home/u/.config/systemd/user/a.service",
                "[Service]\nEnvironment=H=%h\n",
            ),
            (
                "etc/systemd/user/a.service.d/a.conf",
                "[Service]\nEnvironment=A=1\n",
            ),
        ]);
        let mut omitted = Omitted::default();
        let user = Manager::User {
            name: "u",
            uid: 1000,
            home: "/home/u",
        };
        let units = Units::read(tree.root(), user, &mut omitted);
        let unit = units.unit("a.service", &mut omitted).unwrap();
        let values: Vec<_> = unit
            .environment
            .iter()
            .map(|one| one.value.expose())
            .collect();
        assert_eq!(
            values,
            [&b"1"[..], b"/home/u"]
                .into_iter()
                .rev()
                .collect::<Vec<_>>()
        );
    }
}

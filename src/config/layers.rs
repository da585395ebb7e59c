//! The layers, one over the other.
//!
//! A configuration file is opened as if its directory were hostile: it must
//! be a regular file of bounded size, and opening it never blocks.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::document::apply;
use super::error::{ConfigError, Invalid};
use super::key::{self, Key};
use super::origin::{Origin, Origins};
use super::value::{Kind, Raw};
use super::{Config, ShipMode};
use crate::sanitize;

/// Larger than anyone's configuration, allow list included.
const FILE_MAX: u64 = 1 << 20;

/// Where a configuration is to be read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Sources {
    /// `--config`: this file, which must be there, and no other.
    pub file: Option<PathBuf>,
    /// Holds `config.toml` and `config.d`; either may be absent.
    pub directory: PathBuf,
    pub flags: Overrides,
}

impl Sources {
    /// Where the packages put the configuration.
    pub const DIRECTORY: &str = "/etc/rolecall";
}

/// What flags say; `None`, or an empty list, is a flag that was not given.
/// They are checked by the same readers as the files' values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    pub state_dir: Option<PathBuf>,
    pub runtime_dir: Option<PathBuf>,
    pub threads: Option<u64>,
    pub exclude: Vec<String>,
    pub ship: Option<ShipMode>,
    pub imds_endpoint: Option<String>,
    pub logs_endpoint: Option<String>,
    pub log_group: Option<String>,
    pub log_stream: Option<String>,
    pub region: Option<String>,
}

/// A configuration, and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub config: Config,
    /// The files that were read, in that order.
    pub files: Vec<PathBuf>,
    /// What is valid and yet not as it should be, a sentence each.
    pub warnings: Vec<String>,
    pub(super) origins: Origins,
}

impl Loaded {
    /// Where the value of a key such as `scan.threads` came from.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or_default()
    }

    /// Whether everybody on the host can read the proxy's password.
    fn exposed_password(&self) -> Option<String> {
        let proxy = self.config.ship.proxy.as_ref()?;
        let Origin::File { file, .. } = self.origin("ship.proxy") else {
            return None;
        };
        let path = self.files.iter().find(|path| shown(path) == file)?;
        let mode = fs::metadata(path).ok()?.permissions().mode();
        (proxy.has_password() && mode & 0o004 != 0).then(|| {
            format!("{file} holds the proxy's password and everybody can read it: chmod 600")
        })
    }

    /// One line that says what was found to be valid.
    pub fn verdict(&self) -> String {
        let files: Vec<String> = self.files.iter().map(|file| shown(file)).collect();
        let files = if files.is_empty() {
            "no file, built-in defaults".into()
        } else {
            files.join(", ")
        };
        let allowed = match self.config.allow.len() {
            0 => String::new(),
            1 => "; 1 allow entry".into(),
            n => format!("; {n} allow entries"),
        };
        format!("configuration is valid: {files}{allowed}")
    }
}

impl Config {
    /// Reads all layers, and says of all of them what is wrong.
    pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
        match Self::load_what_is_right(sources) {
            (loaded, None) => Ok(loaded),
            (_, Some(error)) => Err(error),
        }
    }

    /// Reads all layers. What is wrong with them stays as the layer before
    /// has it: enough to ask a service that runs, and never to scan by.
    pub fn load_what_is_right(sources: &Sources) -> (Loaded, Option<ConfigError>) {
        let mut errors = Vec::new();
        let mut loaded = Loaded {
            config: Self::default(),
            files: Vec::new(),
            warnings: Vec::new(),
            origins: Origins::new(),
        };
        match candidates(sources) {
            Ok(candidates) => {
                for (file, required) in candidates {
                    if !required && is_absent(&file) {
                        continue;
                    }
                    match read(&file) {
                        Ok(bytes) => {
                            let config = &mut loaded.config;
                            let found = apply(&shown(&file), &bytes, config, &mut loaded.origins);
                            errors.extend(found);
                            loaded.files.push(file);
                        }
                        Err(error) => errors.push(error),
                    }
                }
            }
            Err(error) => errors.push(error),
        }
        for (flag, key, raw) in sources.flags.given() {
            match raw.and_then(|raw| (key.set)(&mut loaded.config, &raw)) {
                Ok(()) => {
                    loaded.origins.insert(key.dotted(), Origin::Flag(flag));
                }
                Err(Invalid { reason, .. }) => errors.push(ConfigError::Flag { flag, reason }),
            }
        }
        loaded.warnings.extend(loaded.exposed_password());
        (loaded, ConfigError::from_all(errors))
    }
}

impl Overrides {
    /// The flags that were given, and the keys that they stand above.
    fn given(&self) -> Vec<(&'static str, &'static Key, Result<Raw, Invalid>)> {
        let path = |path: &Option<PathBuf>| {
            let text = path.as_ref()?.to_str();
            Some(text.map_or_else(
                || Err(Invalid::new("the path is not UTF-8")),
                |t| Ok(Raw::text(t)),
            ))
        };
        let text = |text: &Option<String>| text.as_ref().map(|text| Ok(Raw::text(text)));
        let threads = self
            .threads
            .map(|n| Ok(Kind::Integer(n.try_into().ok()).into()));
        let globs = self.exclude.iter().map(Raw::text).collect();
        let exclude = (!self.exclude.is_empty()).then(|| Ok(Kind::List(globs).into()));
        let ship = self.ship.map(|mode| Ok(Raw::text(mode.name())));
        [
            ("--state-dir", "", "state_dir", path(&self.state_dir)),
            ("--runtime-dir", "", "runtime_dir", path(&self.runtime_dir)),
            ("--threads", "scan", "threads", threads),
            ("--exclude", "scan", "exclude", exclude),
            ("--ship", "ship", "mode", ship),
            (
                "--imds-endpoint",
                "imds",
                "endpoint",
                text(&self.imds_endpoint),
            ),
            (
                "--logs-endpoint",
                "ship",
                "endpoint",
                text(&self.logs_endpoint),
            ),
            ("--log-group", "ship", "log_group", text(&self.log_group)),
            ("--log-stream", "ship", "log_stream", text(&self.log_stream)),
            ("--region", "ship", "region", text(&self.region)),
        ]
        .into_iter()
        .filter_map(|(flag, table, name, raw)| {
            let key = key::find(table, name).expect("a flag stands above a key of the catalogue");
            Some((flag, key, raw?))
        })
        .collect()
    }
}

/// The files that there could be, in their order, and whether they must be.
fn candidates(sources: &Sources) -> Result<Vec<(PathBuf, bool)>, ConfigError> {
    if let Some(file) = &sources.file {
        return Ok(vec![(file.clone(), true)]);
    }
    let mut files = vec![(sources.directory.join("config.toml"), false)];
    let drop_ins = sources.directory.join("config.d");
    if is_absent(&drop_ins) {
        return Ok(files);
    }
    let unreadable = |source| ConfigError::Read {
        file: shown(&drop_ins),
        source,
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(&drop_ins).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        // Hidden files are what editors and package managers leave behind.
        if name.as_bytes().ends_with(b".toml") && !name.as_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    names.sort_unstable();
    files.extend(names.iter().map(|name| (drop_ins.join(name), true)));
    Ok(files)
}

/// A link to nowhere is there, and an error later on.
fn is_absent(path: &Path) -> bool {
    path.symlink_metadata()
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// `/dev/null`, which stands for no configuration.
fn is_null_device(metadata: &fs::Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == rustix::fs::makedev(1, 3)
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let failed = |source| ConfigError::Read {
        file: shown(path),
        source,
    };
    let refused = |reason| ConfigError::Refused {
        file: shown(path),
        reason,
    };
    // Before opening, because to open a device can be to act on it; and
    // again afterwards, on what was opened.
    let metadata = fs::metadata(path).map_err(failed)?;
    if is_null_device(&metadata) {
        return Ok(Vec::new());
    }
    if !metadata.is_file() {
        return Err(refused("it is not a regular file"));
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    let file = File::from(opened.map_err(|errno| failed(errno.into()))?);
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(refused("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(refused("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// A path as messages and comments show it: in one line, whatever it holds.
fn shown(path: &Path) -> String {
    sanitize::line(&sanitize::bytes(path.as_os_str().as_bytes())).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Dir(tempfile::TempDir);

    impl Dir {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("config.d")).unwrap();
            Self(dir)
        }

        #[must_use]
        fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
            fs::write(self.path(name), text).unwrap();
            self
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn load(&self, flags: Overrides) -> Result<Loaded, ConfigError> {
            Config::load(&Sources {
                file: None,
                directory: self.0.path().into(),
                flags,
            })
        }

        fn error(&self) -> String {
            let error = self.load(Overrides::default()).unwrap_err().to_string();
            error.replace(&format!("{}/", self.0.path().display()), "")
        }

        fn origin(&self, loaded: &Loaded, key: &str) -> String {
            let origin = loaded.origin(key).to_string();
            origin.replace(&format!("{}/", self.0.path().display()), "")
        }
    }

    #[test]
    fn without_any_file_the_defaults_hold() {
        let nowhere = Sources {
            file: None,
            directory: "/nonexistent/rolecall".into(),
            flags: Overrides::default(),
        };
        let loaded = Config::load(&nowhere).unwrap();
        assert_eq!(loaded.config, Config::default());
        assert_eq!(loaded.origin("scan.threads"), Origin::Default);
        assert_eq!(
            loaded.verdict(),
            "configuration is valid: no file, built-in defaults"
        );
    }

    #[test]
    fn later_layers_win_key_by_key_and_every_origin_is_kept() {
        let dir = Dir::new()
            .file(
                "config.toml",
                "[scan]\nthreads = 3\nmax_depth = 5\nroots = ['/a', '/b']\n",
            )
            .file(
                "config.d/20-b.toml",
                "[scan]\nthreads = 5\n[ship]\nregion = 'eu-west-1'\n",
            )
            .file(
                "config.d/10-a.toml",
                "[scan]\nthreads = 4\nroots = ['/c']\nexclude = ['x', 'y']\n",
            )
            .file("config.d/30-c.conf", "not read")
            .file("config.d/.40.toml", "not read");
        let flags = Overrides {
            region: Some("us-east-1".into()),
            exclude: vec!["z".into()],
            ..Overrides::default()
        };
        let loaded = dir.load(flags).unwrap();
        let Config { scan, ship, .. } = &loaded.config;
        assert_eq!((scan.threads, scan.max_depth), (5, 5));
        assert_eq!(scan.roots, [Path::new("/c")]);
        assert_eq!(scan.exclude.as_slice(), ["z"]);
        assert_eq!(ship.region.as_deref(), Some("us-east-1"));
        assert_eq!(scan.interval, Duration::from_hours(6));
        for (key, origin) in [
            ("scan.threads", "config.d/20-b.toml:2"),
            ("scan.max_depth", "config.toml:3"),
            ("scan.roots", "config.d/10-a.toml:3"),
            ("scan.exclude", "--exclude"),
            ("ship.region", "--region"),
            ("scan.interval", "default"),
        ] {
            assert_eq!(dir.origin(&loaded, key), origin, "{key}");
        }
        assert_eq!(loaded.files.len(), 3);
    }

    #[test]
    fn allow_entries_of_all_files_add_up() {
        let entry = |path: &str| format!("[[allow]]\npath = '{path}'\nreason = 'known'\n");
        let dir = Dir::new()
            .file("config.toml", entry("/a") + &entry("/b"))
            .file("config.d/1.toml", "\n".to_owned() + &entry("/c"));
        let loaded = dir.load(Overrides::default()).unwrap();
        let globs: Vec<&str> = loaded
            .config
            .allow
            .iter()
            .filter_map(|allow| Some(allow.path.as_ref()?.as_slice()[0].as_str()))
            .collect();
        assert_eq!(globs, ["/a", "/b", "/c"]);
        assert!(
            loaded.config.allow[2]
                .origin
                .to_string()
                .ends_with("/config.d/1.toml:2")
        );
        assert!(loaded.verdict().ends_with("; 3 allow entries"));
    }

    #[test]
    fn a_named_file_stands_in_for_the_whole_directory_and_must_be_there() {
        let dir = Dir::new()
            .file("config.toml", "scan.threads = 3")
            .file("config.d/1.toml", "scan.max_depth = 9")
            .file("other.toml", "posture.hop_limit = 2");
        let sources = |name| Sources {
            file: Some(dir.path(name)),
            directory: dir.0.path().into(),
            flags: Overrides::default(),
        };
        let config = Config::load(&sources("other.toml")).unwrap().config;
        assert_eq!(config.posture.hop_limit, 2);
        assert_eq!(config.scan, Config::default().scan);
        let error = Config::load(&sources("absent.toml"))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("cannot read configuration /"), "{error}");
    }

    #[test]
    fn every_flag_stands_above_its_key_and_is_checked() {
        let text = |text: &str| Some(text.to_owned());
        let flags = Overrides {
            state_dir: Some("/s".into()),
            runtime_dir: Some("/r".into()),
            threads: Some(1),
            exclude: vec!["x".into()],
            ship: Some(ShipMode::Never),
            imds_endpoint: text("http://imds"),
            logs_endpoint: text("http://logs"),
            log_group: text("g"),
            log_stream: text("s"),
            region: text("eu-west-1"),
        };
        let loaded = Dir::new().load(flags).unwrap();
        assert_eq!(loaded.origins.len(), 10);
        for (key, origin) in &loaded.origins {
            assert!(matches!(origin, Origin::Flag(_)), "{key}");
        }
        let wrong = Overrides {
            state_dir: Some("relative".into()),
            threads: Some(0),
            imds_endpoint: text("imds"),
            log_group: text("*"),
            ..Overrides::default()
        };
        let error = Dir::new().load(wrong).unwrap_err().to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines.len(), 4, "{error}");
        assert_eq!(lines[1], "--threads: 0 is not a whole number from 1 to 64");
    }

    #[test]
    fn errors_of_all_files_are_told_together() {
        let dir = Dir::new()
            .file("config.toml", "x = 1")
            .file("config.d/1.toml", "scan.threads = 0\n[ship]\nregoin = 'x'");
        let error = dir.error();
        let lines: Vec<&str> = error.lines().collect();
        assert!(lines[0].starts_with("config.toml:1:1: "), "{error}");
        assert!(lines[1].starts_with("config.d/1.toml:1:16: "), "{error}");
        assert!(lines[2].starts_with("config.d/1.toml:3:1: "), "{error}");
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_blocks_nobody() {
        let fifo = Dir::new();
        let mode = Mode::from_raw_mode(0o600);
        let fifo_type = rustix::fs::FileType::Fifo;
        let path = fifo.path("config.d/1.toml");
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo_type, mode, 0).unwrap();
        let directory = Dir::new();
        fs::create_dir(directory.path("config.d/1.toml")).unwrap();
        let device = Dir::new();
        std::os::unix::fs::symlink("/dev/zero", device.path("config.d/1.toml")).unwrap();
        for dir in [fifo, directory, device] {
            assert_eq!(
                dir.error(),
                "cannot read configuration config.d/1.toml: it is not a regular file"
            );
        }
    }

    #[test]
    fn the_null_device_is_an_empty_configuration() {
        let dir = Dir::new();
        std::os::unix::fs::symlink("/dev/null", dir.path("config.toml")).unwrap();
        let loaded = dir.load(Overrides::default()).unwrap();
        assert_eq!(loaded.config.scan.threads, Config::default().scan.threads);
    }

    #[test]
    fn a_huge_file_is_refused_and_one_at_the_limit_is_read() {
        let limit = usize::try_from(FILE_MAX).unwrap();
        let over = Dir::new().file("config.d/1.toml", "#".repeat(limit + 1));
        assert!(over.error().ends_with("1.toml: it is larger than 1 MiB"));
        let at = Dir::new().file("config.d/1.toml", "#".repeat(limit));
        assert!(at.load(Overrides::default()).is_ok());
    }

    #[test]
    fn a_link_to_nowhere_is_an_error_and_not_an_absent_file() {
        for name in ["config.toml", "config.d/1.toml"] {
            let dir = Dir::new();
            std::os::unix::fs::symlink("nowhere", dir.path(name)).unwrap();
            let error = dir.error();
            assert!(
                error.starts_with(&format!("cannot read configuration {name}: ")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_half_written_file_changes_nothing_and_is_told() {
        let dir = Dir::new().file("config.d/1.toml", "[scan]\nthreads = 3\nexclude = [\"/a");
        assert!(
            dir.error().starts_with("config.d/1.toml:3:"),
            "{}",
            dir.error()
        );
    }

    #[test]
    fn a_hostile_file_name_stays_in_its_line() {
        let dir = Dir::new().file("config.d/a\n\x1b[2J.toml", "scan.threads = 3");
        let loaded = dir.load(Overrides::default()).unwrap();
        assert_eq!(
            dir.origin(&loaded, "scan.threads"),
            "config.d/a\\n\\x1b[2J.toml:1"
        );
        assert!(!loaded.to_toml().contains('\x1b'));
        assert!(!loaded.verdict().contains('\n'));
    }
}

//! systemd units are put together as systemd itself does it: random trees of
//! unit files, read by both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use rolecall::host::unit::{Manager, Unit, Units};
use rolecall::host::{Omitted, Root, environment_file};

use crate::support::host::Host;

const TREES: u64 = 12;

/// Environment files.
const FILES: u64 = 100;

/// Those of the directories that both take by the same names.
const DIRECTORIES: [&str; 4] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
];

const UNITS: [&str; 8] = [
    "a.service",
    "a-b.service",
    "a-b-c.service",
    "t@.service",
    "t@one.service",
    "t-u@x\\x2dy-z.service",
    "t-u@.service",
    "s.socket",
];

const DROP_INS: [&str; 9] = [
    "service",
    "socket",
    "a.service",
    "a-.service",
    "a-b-.service",
    "t@.service",
    "t@one.service",
    "t-.service",
    "alias.service",
];

const LINES: [&str; 26] = [
    "Environment=A=1",
    "Environment=A=2 B=\"3 4\" 'C=5'",
    "Environment=\"D=%i %I %n %N %p %P %j %%\"",
    "Environment=E=x\\x41\\102\\s\\u00e4 F=\\\\",
    "Environment=",
    "Environment=G=1 \\\n# a comment\n  H=2\\\n\n",
    "Environment=bad 9=1 I-J=2 K=",
    "Environment=L=1 M='open",
    "Environment=N=1 O=\\q P=2",
    "  Environment = Q=1  ",
    "# Environment=R=1",
    "; Environment=S=1",
    "Environment=T=a=b=c U=\"x\"y'z'",
    "Environment=\"V=a'b\" 'W=a\"b'",
    "EnvironmentFile=/etc/x.env",
    "EnvironmentFile=-/etc/%p/%i.env",
    "EnvironmentFile=/etc/conf.d/*.env",
    "EnvironmentFile=relative.env",
    "EnvironmentFile=",
    "PassEnvironment=P Q",
    "PassEnvironment=",
    "User=daemon",
    "User=",
    "[Unit]\nEnvironment=X=1\n[Service]",
    "[Install]\nWantedBy=x\n[Service]",
    "Environment=Y=1\r",
];

/// A unit as both tell it.
#[derive(Debug, PartialEq, Eq, Default)]
struct Told {
    files: Vec<String>,
    environment: BTreeSet<String>,
    environment_files: Vec<String>,
    pass_environment: BTreeSet<String>,
    user: Option<String>,
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn units_are_put_together_as_systemd_does_it() {
    let manager = Path::new("/usr/lib/systemd/systemd");
    if !manager.exists() {
        eprintln!("skipped: systemd is not installed");
        return;
    }
    let mut seen = 0;
    for seed in 0..TREES {
        let host = Host::new();
        fs::set_permissions(host.root(), fs::Permissions::from_mode(0o755)).unwrap();
        plant(&host, &mut fastrand::Rng::with_seed(seed));
        let theirs = by_systemd(manager, &host);
        let ours = by_rolecall(&host);
        for (name, unit) in &theirs {
            assert_eq!(ours.get(name), Some(unit), "{name} of tree {seed}");
        }
        assert!(ours.keys().eq(theirs.keys()), "tree {seed}");
        seen += theirs.len();
    }
    assert!(seen > 40, "systemd told of {seen} units only");
}

fn plant(host: &Host, rng: &mut fastrand::Rng) {
    for directory in DIRECTORIES {
        for unit in UNITS {
            let path = format!("{directory}/{unit}");
            match rng.u8(0..8) {
                0 | 1 => drop(host.write(&path, settings(rng, unit))),
                2 if directory == DIRECTORIES[0] => {
                    link("/dev/null", &host.write(&path, ""));
                }
                _ => {}
            }
        }
        for unit in DROP_INS {
            for file in ["10-a.conf", "20-b.conf", "30-c.txt"] {
                let path = format!("{directory}/{unit}.d/{file}");
                match rng.u8(0..16) {
                    0..=2 => drop(host.write(&path, settings(rng, unit))),
                    3 => link("/dev/null", &host.write(&path, "")),
                    _ => {}
                }
            }
        }
    }
    let alias = host.write("etc/systemd/system/alias.service", "");
    link("../../../usr/lib/systemd/system/a.service", &alias);
}

fn settings(rng: &mut fastrand::Rng, unit: &str) -> String {
    let (section, needed) = if unit.ends_with("socket") {
        ("[Socket]", "ListenStream=/run/s")
    } else {
        ("[Service]", "Type=oneshot\nExecStart=/bin/true")
    };
    let mut text = format!("{section}\n{needed}\n");
    for _ in 0..rng.usize(0..6) {
        text += &LINES[rng.usize(0..LINES.len())].replace("[Service]", section);
        text += "\n";
    }
    text
}

/// Puts a link in the place of a file.
fn link(target: &str, path: &Path) {
    fs::remove_file(path).unwrap();
    symlink(target, path).unwrap();
}

/// What systemd makes of the tree, in its test mode. It will not run as root.
fn by_systemd(manager: &Path, host: &Host) -> BTreeMap<String, Told> {
    let root = host.root();
    let names = wanted();
    let basics = host.path("basics");
    for target in ["basic", "sysinit", "shutdown", "sockets"] {
        host.write(&format!("basics/{target}.target"), "[Unit]\n");
    }
    host.write(
        "basics/all.target",
        format!("[Unit]\nWants={}\n", names.join(" ")),
    );
    let path: Vec<_> = DIRECTORIES
        .iter()
        .map(|directory| root.join(directory).display().to_string())
        .chain([basics.display().to_string()])
        .collect();
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        command.arg(manager);
        command
    } else {
        Command::new(manager)
    };
    let output = command
        .args(["--test", "--system", "--unit=all.target"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("SYSTEMD_UNIT_PATH", path.join(":"))
        .output()
        .expect("systemd starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut units = BTreeMap::new();
    for block in text.split("-> Unit ").skip(1) {
        let (name, block) = block.split_once(":\n").unwrap_or((block, ""));
        let mut told = Told::default();
        let mut loaded = false;
        for line in block.lines() {
            let Some((key, value)) = line.trim_start().split_once(": ") else {
                continue;
            };
            let value = value.to_owned();
            match key {
                "Unit Load State" => loaded = value == "loaded",
                // It names drop-ins that are masked as well.
                "DropIn Path" if fs::read_link(&value).is_ok() => {}
                "Fragment Path" | "DropIn Path" => {
                    let path = Path::new(&value).strip_prefix(&root).unwrap();
                    told.files.push(format!("/{}", path.display()));
                }
                "Environment" => drop(told.environment.insert(value)),
                "EnvironmentFile" => told.environment_files.push(value),
                "PassEnvironment" => drop(told.pass_environment.insert(value)),
                "User" => told.user = Some(value),
                _ => {}
            }
        }
        if loaded && (name.ends_with(".service") || name.ends_with(".socket")) {
            units.insert(name.to_owned(), told);
        }
    }
    units
}

fn wanted() -> Vec<&'static str> {
    let mut names = UNITS.to_vec();
    names.retain(|name| !name.contains("@."));
    names.extend(["t@two.service", "t-u@i.service"]);
    names
}

fn by_rolecall(host: &Host) -> BTreeMap<String, Told> {
    let mut omitted = Omitted::default();
    let root = host.root();
    let root = Root {
        path: &root,
        avoid: &|_| None,
    };
    let units = Units::read(root, Manager::System, &mut omitted);
    let told = wanted()
        .into_iter()
        .filter_map(|name| units.unit(name, &mut omitted))
        .map(|unit| (unit.name.clone(), told(unit)))
        .collect();
    assert_eq!(omitted, Omitted::default());
    told
}

fn told(unit: Unit) -> Told {
    let environment = unit.environment.iter().map(|one| {
        let value = String::from_utf8_lossy(one.value.expose());
        format!("{}={value}", one.name)
    });
    let environment_files = unit.environment_files.iter().map(|file| {
        let dash = if file.optional { "-" } else { "" };
        format!("{dash}{}", file.pattern)
    });
    Told {
        environment: environment.collect(),
        environment_files: environment_files.collect(),
        pass_environment: unit.pass_environment.into_iter().collect(),
        user: unit.user,
        files: unit
            .files
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
    }
}

/// What systemd makes of an environment file, asked of the program that reads
/// `environment.d` with the same parser. It prints for a shell.
fn environment_by_systemd(generator: &Path, host: &Host) -> BTreeMap<String, String> {
    let output = Command::new(generator)
        .env_clear()
        .env("HOME", host.root())
        .output()
        .expect("the generator starts");
    let printed = host.write("printed", output.stdout);
    let output = Command::new("sh")
        .args(["-ac", ". \"$0\"; exec /usr/bin/env -0"])
        .arg(printed)
        .env_clear()
        .output()
        .expect("sh starts");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split('\0')
        .filter_map(|entry| entry.split_once('='))
        .filter(|(name, _)| name.len() == 1 && *name != "_")
        // No test has an `n` in its text: this is a line break.
        .map(|(name, value)| (name.to_owned(), value.replace("\\n", "\n")))
        .collect()
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn environment_files_are_read_as_systemd_reads_them() {
    const WORDS: [&str; 14] = [
        "\n", "\n", "A=", "B=", "C =", "1=", "b", "  ", "\"", "\"", "'", "\\", "=", "\n;x\n",
    ];
    let generator = Path::new(
        "/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator",
    );
    if !generator.exists() {
        eprintln!("skipped: systemd is not installed");
        return;
    }
    let mut rng = fastrand::Rng::with_seed(4);
    for _ in 0..FILES {
        let text: String = (0..rng.usize(0..24))
            .map(|_| WORDS[rng.usize(0..WORDS.len())])
            .collect();
        let host = Host::new();
        host.write(".config/environment.d/a.conf", &text);
        let ours: BTreeMap<_, _> = environment_file::parse(text.as_bytes(), Path::new("/a"))
            .into_iter()
            .filter(|one| one.name.len() == 1)
            .map(|one| (one.name, one.value.expose_str().unwrap().to_owned()))
            .collect();
        let theirs = environment_by_systemd(generator, &host);
        // The program passes over empty values, which a unit would be given.
        assert!(
            theirs.keys().all(|name| ours.contains_key(name)),
            "{text:?}"
        );
        for (name, value) in ours.iter().filter(|(_, value)| !value.is_empty()) {
            assert_eq!(theirs.get(name), Some(value), "{name} of {text:?}");
        }
    }
}

/// Text of what these syntaxes are made of.
fn scrap() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "[Service]",
        "\n",
        "Environment=",
        "EnvironmentFile=/e",
        "ExecStart=/x ",
        "A=",
        "b",
        "\\",
        "\"",
        "'",
        "%i",
        "%",
        "#",
        ";",
        " ",
        "\r",
        "=",
        "\\x4",
        "\\u00",
        "\u{e4}",
        "User=",
        "-",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn whatever_stands_in_units_is_read_with_its_line(unit in scrap(), file in scrap()) {
        let host = Host::new();
        host.write("etc/systemd/system/a@.service", &unit);
        host.write("e", &file);
        let root = host.root();
        let root = Root { path: &root, avoid: &|_| None };
        let mut omitted = Omitted::default();
        let units = Units::read(root, Manager::System, &mut omitted);
        let Some(read) = units.unit("a@\\x2.service", &mut omitted) else {
            prop_assert!(unit.is_empty());
            return Ok(());
        };
        for one in read.started_with(root, &mut omitted) {
            let text = if one.place.path == Path::new("/e") { &file } else { &unit };
            let line = text.split('\n').nth(usize::try_from(one.place.line - 1).unwrap());
            prop_assert!(line.is_some_and(|line| line.contains('=') || line.contains('\\')));
        }
    }
}

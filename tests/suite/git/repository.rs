//! Repositories made by git itself, apart from whatever this machine's git is
//! configured to do, and scans of them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;
use serde_json::Value;

use crate::support::corpus::Kind;

/// A credential made up on the spot.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) id: String,
    secret: String,
}

impl Key {
    /// One that no other is equal to, and the same set of them in every run.
    pub(super) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut rng = Rng::with_seed(COUNT.fetch_add(1, Ordering::Relaxed));
        Self {
            id: Kind::Id.generate(&mut rng, None, None),
            secret: Kind::Secret.generate(&mut rng, Some(b'a'), Some(b'z')),
        }
    }

    /// As it stands in a configuration file.
    pub(super) fn text(&self) -> String {
        let (id, secret) = (&self.id, &self.secret);
        format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n")
    }
}

/// A temporary folder with repositories in it.
#[derive(Debug)]
pub(super) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    pub(super) fn path(&self, inside: &str) -> PathBuf {
        let root = self.folder.path().canonicalize().expect("a real path");
        root.join(inside)
    }

    /// An empty repository.
    pub(super) fn init(&self, name: &str, options: &[&str]) -> Repository {
        let path = self.path(name);
        let mut arguments = vec!["init", "--quiet", "--initial-branch=main"];
        arguments.extend(options);
        let path_text = path.to_str().expect("UTF-8").to_owned();
        arguments.push(&path_text);
        git(&self.path(""), &arguments);
        Repository { path }
    }

    /// Runs git here.
    pub(super) fn git(&self, arguments: &[&str]) -> String {
        git(&self.path(""), arguments)
    }
}

#[derive(Debug)]
pub(super) struct Repository {
    pub(super) path: PathBuf,
}

impl Repository {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn git(&self, arguments: &[&str]) -> String {
        git(&self.path, arguments)
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.path.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Commits a file and tells the commit's id.
    pub(super) fn commit(&self, path: &str, text: &str) -> String {
        self.write(path, text);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "change"]);
        self.head()
    }

    pub(super) fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// The commit that all others come from.
    pub(super) fn first(&self) -> String {
        self.git(&["rev-list", "--max-parents=0", "HEAD"])
    }

    /// The only pack.
    pub(super) fn pack(&self) -> PathBuf {
        let objects = self.git(&["rev-parse", "--git-path", "objects/pack"]);
        let mut packs: Vec<PathBuf> = fs::read_dir(self.path.join(objects))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "pack")
            })
            .collect();
        assert_eq!(packs.len(), 1);
        packs.remove(0)
    }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").expect("a PATH"))
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_DATE", "2026-02-03T04:05:06Z")
        .envs(["AUTHOR", "COMMITTER"].into_iter().flat_map(|role| {
            [
                (format!("GIT_{role}_NAME"), "Somebody"),
                (format!("GIT_{role}_EMAIL"), "somebody@example.com"),
            ]
        }))
        .args(["-c", "protocol.file.allow=always"])
        .args(["-c", "uploadpack.allowFilter=true"])
        .args(["-c", "gc.auto=0"])
        .args(arguments)
        .output()
        .expect("git runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What a scan came to.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) status: i32,
    pub(super) findings: Vec<Value>,
    /// By source.
    pub(super) coverage: BTreeMap<String, Value>,
}

/// Scans `path` and asserts that the scan changes nothing in it.
pub(super) fn scan(path: &Path) -> Scan {
    scan_with(path, &[])
}

pub(super) fn scan_with(path: &Path, arguments: &[&str]) -> Scan {
    let before = state(path);
    let scan = run(path, arguments);
    assert!(state(path) == before, "the scan changed {}", path.display());
    scan
}

/// Scans `path`, in which somebody else changes things meanwhile.
pub(super) fn scan_while_changing(path: &Path) -> Scan {
    run(path, &[])
}

fn run(path: &Path, arguments: &[&str]) -> Scan {
    let output = Command::new(env!("CARGO_BIN_EXE_rolecall"))
        .args(["scan", "--format", "json"])
        .args(arguments)
        .arg(path)
        .output()
        .expect("the binary runs");
    let mut scan = Scan {
        status: output.status.code().expect("an exit status"),
        findings: Vec::new(),
        coverage: BTreeMap::new(),
    };
    for line in String::from_utf8(output.stdout).expect("UTF-8").lines() {
        let value: Value = serde_json::from_str(line).expect("one JSON object a line");
        match value["type"].as_str() {
            Some("finding") => scan.findings.push(value),
            Some("coverage") => {
                let source = value["source"].as_str().expect("a source").to_owned();
                scan.coverage.insert(source, value);
            }
            _ => {}
        }
    }
    scan
}

/// Every file with its content and the time it was written.
fn state(path: &Path) -> BTreeMap<PathBuf, (i64, i64, Vec<u8>)> {
    let mut state = BTreeMap::new();
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).expect("a file");
        let content = if meta.is_dir() {
            left.extend(
                fs::read_dir(&path)
                    .expect("a folder")
                    .map(|entry| entry.expect("an entry").path()),
            );
            Vec::new()
        } else if meta.is_file() {
            fs::read(&path).expect("a file")
        } else {
            Vec::new()
        };
        state.insert(path, (meta.mtime(), meta.mtime_nsec(), content));
    }
    state
}

/// What is told of a finding in git: its member, commit and state.
pub(super) type Told<'a> = (Option<&'a str>, Option<&'a str>, &'a str);

impl Scan {
    /// The places in git that hold `key`, with its secret.
    pub(super) fn told<'a>(&'a self, key: &'a Key) -> Vec<Told<'a>> {
        self.in_git(key)
            .map(|finding| {
                assert_eq!(finding["rule"], "aws.access-key-pair", "{finding}");
                let place = &finding["location"];
                (
                    place["member"].as_str(),
                    place["commit"].as_str(),
                    place["git_state"].as_str().unwrap_or("unknown"),
                )
            })
            .collect()
    }

    pub(super) fn in_git<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = &'a Value> {
        self.findings.iter().filter(|finding| {
            finding["location"]["source"] == "git" && finding["access_key_id"] == key.id.as_str()
        })
    }

    /// How often something was skipped for a reason.
    pub(super) fn skipped(&self, reason: &str) -> u64 {
        let skips = self.coverage["git"]["skipped"].as_array().expect("skips");
        skips
            .iter()
            .filter(|skip| skip["reason"] == reason)
            .filter_map(|skip| skip["count"].as_u64())
            .sum()
    }

    pub(super) fn objects(&self) -> u64 {
        self.coverage["git"]["scanned"].as_u64().expect("a count")
    }
}

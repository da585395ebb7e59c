//! A host to be scanned: a directory that stands for `/`, with keys in it.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::corpus::Kind;

/// A temporary directory and a stream of keys that differ.
pub(crate) struct Host {
    dir: tempfile::TempDir,
    seed: Cell<u64>,
}

/// A key that was made up for a test.
#[derive(Debug, Clone)]
pub(crate) struct KeyPair {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl KeyPair {
    /// The key as an environment file writes it.
    pub(crate) fn env(&self) -> String {
        format!(
            "AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\n",
            self.id, self.secret
        )
    }
}

impl Host {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            seed: Cell::new(1),
        }
    }

    /// A host of very many files, where they cost little.
    pub(crate) fn in_memory() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm");
        Self {
            dir: dir.or_else(|_| tempfile::tempdir()).unwrap(),
            seed: Cell::new(1),
        }
    }

    /// A host of files with keys that no process of another test holds. It has
    /// the processes of this machine where a run says so
    /// ([`with_processes`](super::rolecall::Rolecall::with_processes)).
    /// `None`, with the reason printed, where this user may not mount them.
    #[expect(clippy::print_stderr, reason = "a skipped test says why")]
    pub(crate) fn with_processes() -> Option<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root to mount the processes of this machine");
            return None;
        }
        let host = Self::new();
        fs::create_dir(host.path("proc")).unwrap();
        let own = COUNT.fetch_add(1, Ordering::SeqCst) << 16;
        host.seed.set(u64::from(std::process::id()) << 32 | own);
        Some(host)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn key_pair(&self) -> KeyPair {
        let seed = self.seed.replace(self.seed.get() + 1);
        let mut rng = fastrand::Rng::with_seed(seed);
        KeyPair {
            id: Kind::Id.generate(&mut rng, None, None),
            secret: Kind::Secret.generate(&mut rng, None, None),
        }
    }
}

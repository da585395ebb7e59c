//! Opening the ledger: the directory, the file and its connection.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::aside::{set_aside, set_strays_aside};
use super::format::{STEPS, migrate, other_version, version};
use super::{Error, Ledger, Limits};

/// The ledger, in the state directory.
pub const FILE_NAME: &str = "ledger.sqlite";

/// Of the file, beside the outbox.
const MAX_OTHER_BYTES: u64 = 512 * 1024 * 1024;
const PAGE_BYTES: u32 = 4096;
/// Memory for pages, in KiB.
const CACHE_KIB: i32 = 512;
const STATEMENTS: usize = 16;
/// Room that the journal keeps on disk: enough for what a delivery takes out.
const JOURNAL_BYTES: u64 = 256 * 1024;
/// A value or row larger than this was not written by a ledger.
const MAX_VALUE_BYTES: i32 = 8 * 1024 * 1024;
/// How long another process may keep the ledger locked.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Free pages that are worth giving back to the file system.
const SPARE_PAGES: u32 = 256;

/// What SQLite has beside the file.
pub(super) const JOURNAL: &str = "-journal";

/// What happened to the ledger while it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// There was none.
    Created,
    /// To the present version of the format.
    Migrated { from: u32, to: u32 },
    /// A change that was under way when the process or the machine stopped was
    /// taken back.
    Recovered,
    /// It could not be used: the findings in it are told anew by the next
    /// sweep, and the events that waited in it are lost.
    SetAside { to: PathBuf, why: String },
    /// A file beside it that SQLite would have taken for a part of it.
    Stray { to: PathBuf },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("a new ledger was begun"),
            Self::Migrated { from, to } => {
                write!(f, "the ledger was brought from format {from} to {to}")
            }
            Self::Recovered => f.write_str(
                "a change to the ledger that was not finished when the service stopped was \
                 taken back",
            ),
            Self::SetAside { to, why } => write!(
                f,
                "the ledger could not be used ({why}) and is now {}; a new one was begun: \
                 open findings will be told anew, events that waited are lost",
                to.display()
            ),
            Self::Stray { to } => write!(
                f,
                "a file beside the ledger that is no part of it is now {}",
                to.display()
            ),
        }
    }
}

impl Ledger {
    /// Opens the ledger in `state_dir`, and makes what is missing of both: the
    /// directory for its owner only (one that is there keeps its mode), the
    /// file too. Tells what happened on the way.
    ///
    /// A ledger that is corrupt, foreign or of a later format is set aside
    /// once; what fails then is an error, so that nothing goes in circles.
    pub fn open(
        state_dir: &Path,
        limits: Limits,
        now: Timestamp,
    ) -> Result<(Self, Vec<Notice>), Error> {
        let state_dir = directory(state_dir)?;
        let mut notices = Vec::new();
        set_strays_aside(&state_dir, now, &mut notices)?;
        let ledger = match Self::try_open(&state_dir, limits, &mut notices) {
            Err(Error::Corrupt(why)) => {
                let to = set_aside(&state_dir, FILE_NAME, now)?;
                notices.push(Notice::SetAside { to, why });
                Self::try_open(&state_dir, limits, &mut notices)
            }
            opened => opened,
        }?;
        Ok((ledger, notices))
    }

    /// Sets the ledger aside and begins a new one: for a caller who was told
    /// [`Error::Corrupt`] while using it.
    pub fn set_aside(self, why: &str, now: Timestamp) -> Result<(Self, Vec<Notice>), Error> {
        let Self {
            connection,
            state_dir,
            limits,
            ..
        } = self;
        drop(connection);
        let Some(state_dir) = state_dir else {
            return Ok((Self::in_memory(limits)?, Vec::new()));
        };
        let to = set_aside(&state_dir, FILE_NAME, now)?;
        let why = why.to_owned();
        let (ledger, mut notices) = Self::open(&state_dir, limits, now)?;
        notices.insert(0, Notice::SetAside { to, why });
        Ok((ledger, notices))
    }

    /// Opens the ledger of a service that may be running, to read from it;
    /// every other call fails with [`Error::ReadOnly`]. `None` where there is
    /// no ledger. After a crash it is first brought back to the last state
    /// that was committed, which needs leave to write.
    pub fn open_read_only(state_dir: &Path) -> Result<Option<Self>, Error> {
        let directory_error = |source| Error::Directory {
            path: state_dir.to_owned(),
            source,
        };
        let state_dir = match state_dir.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            canonical => canonical.map_err(directory_error)?,
        };
        match fs::symlink_metadata(state_dir.join(FILE_NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(directory_error(error)),
            Ok(metadata) if !metadata.is_file() => {
                return Err(Error::Corrupt("it is no regular file".into()));
            }
            Ok(_) => {}
        }
        let limits = Limits::default();
        let connection = connect(&state_dir, limits)?;
        connection.pragma_update(None, "query_only", true)?;
        match version(&connection)? {
            // Another process is about to make it.
            0 => return Ok(None),
            version if version as usize == STEPS.len() => {}
            version => return Err(other_version(version)),
        }
        Self::new(connection, Some(state_dir), limits).map(Some)
    }

    /// A ledger that is gone with the process: for when the state directory
    /// cannot be used.
    pub fn in_memory(limits: Limits) -> Result<Self, Error> {
        let mut connection = Connection::open_in_memory()?;
        migrate(&mut connection, STEPS)?;
        Self::new(connection, None, limits)
    }

    fn try_open(
        state_dir: &Path,
        limits: Limits,
        notices: &mut Vec<Notice>,
    ) -> Result<Self, Error> {
        make_file(state_dir)?;
        let unfinished = has_unfinished_change(state_dir);
        let mut connection = connect(state_dir, limits)?;
        if connection.is_readonly("main")? {
            return Err(Error::ReadOnly);
        }
        let from = version(&connection)?;
        if from == 0 {
            // Takes hold with the first table only.
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        }
        let to = migrate(&mut connection, STEPS)?;
        check(&connection)?;
        reserve_journal(&mut connection, state_dir)?;
        if unfinished {
            notices.push(Notice::Recovered);
        }
        if from == 0 {
            notices.push(Notice::Created);
        } else if from != to {
            notices.push(Notice::Migrated { from, to });
        }
        Self::new(connection, Some(state_dir.to_owned()), limits)
    }

    fn new(
        connection: Connection,
        state_dir: Option<PathBuf>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let scan_cache_key =
            connection.query_row("SELECT scan_cache_key FROM ledger", [], |row| row.get(0))?;
        Ok(Self {
            connection,
            state_dir,
            limits,
            unsettled: BTreeMap::new(),
            scan_cache_key,
        })
    }

    /// A transaction that will write: it waits for others now, not half-way.
    pub(super) fn write(&mut self) -> Result<Transaction<'_>, Error> {
        let behavior = TransactionBehavior::Immediate;
        Ok(self.connection.transaction_with_behavior(behavior)?)
    }

    /// Gives room that is free in the file back to the file system. What this
    /// is called after is committed: a failure here is met again by whatever
    /// comes next.
    pub(super) fn shrink(&self) {
        let _ = self.give_back();
    }

    fn give_back(&self) -> rusqlite::Result<()> {
        let free = self
            .connection
            .pragma_query_value(None, "freelist_count", |row| row.get::<_, u32>(0))?;
        if free > SPARE_PAGES {
            let mut vacuum = self.connection.prepare("PRAGMA incremental_vacuum")?;
            let mut pages = vacuum.query([])?;
            while pages.next()?.is_some() {}
        }
        Ok(())
    }
}

/// The state directory, canonical and there.
fn directory(path: &Path) -> Result<PathBuf, Error> {
    let error = |source: io::Error| Error::Directory {
        path: path.to_owned(),
        source,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(error)?;
    let path = path.canonicalize().map_err(error)?;
    let metadata = fs::metadata(&path).map_err(error)?;
    if metadata.mode() & 0o002 != 0 {
        return Err(Error::Exposed { path });
    }
    let uid = metadata.uid();
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        return Err(Error::Foreign { path, uid });
    }
    Ok(path)
}

/// Makes an empty file where there is none; SQLite would make it readable for
/// everyone. Its journal takes its mode.
fn make_file(state_dir: &Path) -> Result<(), Error> {
    let error = |source: io::Error| match source.kind() {
        io::ErrorKind::ReadOnlyFilesystem => Error::ReadOnly,
        io::ErrorKind::StorageFull => Error::Full,
        _ => Error::Directory {
            path: state_dir.to_owned(),
            source,
        },
    };
    let path = state_dir.join(FILE_NAME);
    match fs::symlink_metadata(&path) {
        Ok(metadata) if !metadata.is_file() => Err(Error::Corrupt("it is no regular file".into())),
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
            fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(error)
        }
        Ok(_) => Ok(()),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|_| File::open(state_dir)?.sync_all())
            .map_err(error),
        Err(source) => Err(error(source)),
    }
}

/// A journal whose header is not wiped holds what has to be put back.
fn has_unfinished_change(state_dir: &Path) -> bool {
    let mut magic = [0; 8];
    File::open(state_dir.join(format!("{FILE_NAME}{JOURNAL}")))
        .and_then(|mut journal| journal.read_exact(&mut magic))
        .is_ok_and(|()| magic != [0; 8])
}

fn connect(state_dir: &Path, limits: Limits) -> Result<Connection, Error> {
    // Without leave to write, SQLite opens it for reading.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(state_dir.join(FILE_NAME), flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)?;
    // What stands in the file does not run.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    let max_pages = limits
        .outbox_bytes
        .saturating_mul(2)
        .saturating_add(MAX_OTHER_BYTES)
        / u64::from(PAGE_BYTES);
    // No temporary files: they would be somewhere else.
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = PERSIST;
         PRAGMA journal_size_limit = {JOURNAL_BYTES};
         PRAGMA page_size = {PAGE_BYTES};
         PRAGMA max_page_count = {max_pages};
         PRAGMA cache_size = -{CACHE_KIB};
         PRAGMA cell_size_check = ON;
         PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA synchronous = FULL;"
    ))?;
    Ok(connection)
}

/// Reads the structure of all pages; the size of the file is bounded.
fn check(connection: &Connection) -> Result<(), Error> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        Ok(())
    } else {
        Err(Error::Corrupt(found))
    }
}

/// Makes the journal as large as it is kept, with zeros, which is what a
/// finished one begins with. On a full disk it stays as it is.
fn reserve_journal(connection: &mut Connection, state_dir: &Path) -> Result<(), Error> {
    // Nobody else writes meanwhile.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let reserved = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(state_dir.join(format!("{FILE_NAME}{JOURNAL}")))
        .and_then(|mut journal| {
            let missing = JOURNAL_BYTES.saturating_sub(journal.metadata()?.len());
            io::copy(&mut io::repeat(0).take(missing), &mut journal)
        });
    match reserved {
        Err(error) if error.kind() != io::ErrorKind::StorageFull => {
            Err(Error::Io(error.to_string()))
        }
        _ => Ok(transaction.commit()?),
    }
}

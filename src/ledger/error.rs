//! Why the ledger could not do what it was asked to.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_READONLY_DBMOVED;
use thiserror::Error;

/// None of these is a reason to stop: a daemon goes on without memory, says
/// so, and tries again.
#[derive(Debug, Error)]
pub enum Error {
    #[error("the state directory {path} cannot be used: {source}")]
    Directory { path: PathBuf, source: io::Error },
    /// Whoever can write there can put another ledger in its place.
    #[error("the state directory {path} can be written by everyone: chmod 0700 {path}")]
    Exposed { path: PathBuf },
    /// Likewise.
    #[error("the state directory {path} belongs to uid {uid}: chown it to the user of the service")]
    Foreign { path: PathBuf, uid: u32 },
    #[error("the ledger or its journal cannot be opened: {0}")]
    Open(String),
    #[error("the ledger cannot be written: the file system or the file is read-only")]
    ReadOnly,
    /// What is in use has no name any more, and goes when it is closed.
    #[error("the ledger was deleted or replaced while it was in use")]
    Moved,
    /// The state before the call holds.
    #[error("the ledger cannot be written: the disk, or the room that a ledger may take, is full")]
    Full,
    #[error("the ledger is in use by another process")]
    Busy,
    #[error("the ledger cannot be read or written: {0}")]
    Io(String),
    /// See [`super::Ledger::set_aside`].
    #[error("the ledger is corrupt: {0}")]
    Corrupt(String),
    #[error("the ledger failed: {0}")]
    Failed(String),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(failure, message) = &error else {
            return match error {
                // The tables are strict: a value of another type, or out of
                // its range, was not written by a ledger.
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::QueryReturnedNoRows
                | rusqlite::Error::Utf8Error(..) => Self::Corrupt(error.to_string()),
                _ => Self::Failed(error.to_string()),
            };
        };
        let said = message.clone().unwrap_or_else(|| failure.to_string());
        match failure.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Corrupt(said),
            ErrorCode::DiskFull => Self::Full,
            _ if failure.extended_code == SQLITE_READONLY_DBMOVED => Self::Moved,
            ErrorCode::ReadOnly => Self::ReadOnly,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
            ErrorCode::CannotOpen | ErrorCode::PermissionDenied => Self::Open(said),
            ErrorCode::SystemIoFailure => {
                Self::Io(format!("{said}, SQLite error {}", failure.extended_code))
            }
            // A table or column that the version promises is not there, or an
            // index tells of another row than its table.
            ErrorCode::Unknown | ErrorCode::ConstraintViolation => Self::Corrupt(said),
            _ => Self::Failed(said),
        }
    }
}

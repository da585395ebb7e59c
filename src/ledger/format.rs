//! The format of the ledger: how it is told from other databases, its version,
//! and the way from an earlier one.

use rusqlite::{Connection, TransactionBehavior};

use super::Error;

/// `rolc`: what tells a ledger from any other SQLite file.
const APPLICATION_ID: i32 = 0x726f_6c63;

/// The steps from an empty file to the present format: after the first `n`
/// of them a ledger is of version `n`. A step is never changed.
pub(super) const STEPS: &[&str] = &[include_str!("schema.sql")];

/// The version of the format; 0 is an empty file.
pub(super) fn version(connection: &Connection) -> Result<u32, Error> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let id = pragma("application_id")?;
    let version = pragma("user_version")?;
    let tables: u64 =
        connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (id, u32::try_from(version)) {
        (0, Ok(0)) if tables == 0 => Ok(0),
        (APPLICATION_ID, Ok(version)) if version > 0 => Ok(version),
        _ => Err(Error::Corrupt("it is a database of something else".into())),
    }
}

pub(super) fn other_version(version: u32) -> Error {
    Error::Corrupt(format!(
        "it is of format {version}, and this release knows {}",
        STEPS.len()
    ))
}

/// Brings the ledger to the version that `steps` make, each step and its
/// version in one transaction. Returns that version.
pub(super) fn migrate(connection: &mut Connection, steps: &[&str]) -> Result<u32, Error> {
    let from = version(connection)?;
    for (to, step) in (1u32..).zip(steps) {
        if to <= from {
            continue;
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have been here first.
        if version(&transaction)? < to {
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", to)?;
        }
        transaction.commit()?;
    }
    match version(connection)? {
        version if version as usize == steps.len() => Ok(version),
        version => Err(other_version(version)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jiff::Timestamp;

    use super::super::{FILE_NAME, Ledger, Limits, Notice};
    use super::*;

    const FORMAT_1: &str = include_str!("../../tests/ledger/format-1.sql");

    fn of_format_1(dir: &Path) -> Connection {
        let connection = Connection::open(dir.join(FILE_NAME)).expect("a file");
        connection.execute_batch(FORMAT_1).expect("SQL");
        connection
    }

    fn tables(connection: &Connection) -> Vec<String> {
        let mut select = connection
            .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
            .expect("SQL");
        let rows = select.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<Result<_, _>>().expect("text")
    }

    #[test]
    fn a_ledger_of_format_1_comes_to_the_present_one_with_all_that_is_in_it() {
        let old = tempfile::tempdir().expect("a directory");
        drop(of_format_1(old.path()));
        let (ledger, notices) =
            Ledger::open(old.path(), Limits::default(), Timestamp::UNIX_EPOCH).expect("a ledger");
        let migrated = Notice::Migrated {
            from: 1,
            to: u32::try_from(STEPS.len()).expect("few"),
        };
        assert_eq!(notices.contains(&migrated), STEPS.len() > 1);
        assert_eq!(ledger.open_findings().expect("findings").len(), 2);
        assert_eq!(ledger.pending(9, 9999).expect("events").len(), 2);
        assert_eq!(ledger.load_scan_cache("rules-1").expect("a cache"), [1, 2]);
        assert_eq!(ledger.scan_cache_key(), [7; 16]);

        let new = tempfile::tempdir().expect("a directory");
        let (fresh, _) =
            Ledger::open(new.path(), Limits::default(), Timestamp::UNIX_EPOCH).expect("a ledger");
        assert_eq!(tables(&ledger.connection), tables(&fresh.connection));
    }

    #[test]
    fn steps_are_taken_once_in_order_and_whole_or_not_at_all() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut connection = of_format_1(dir.path());
        let next = "ALTER TABLE finding ADD COLUMN owner TEXT; UPDATE finding SET owner = id;";
        let broken = "ALTER TABLE finding ADD COLUMN lost TEXT; SELECT * FROM nowhere;";
        assert!(migrate(&mut connection, &[FORMAT_1, next, broken]).is_err());
        assert_eq!(version(&connection).expect("a version"), 2);
        let count = |column: &str| {
            let sql = format!("SELECT COUNT({column}) FROM finding");
            connection.query_row(&sql, [], |row| row.get::<_, u64>(0))
        };
        assert_eq!(count("owner"), Ok(3));
        assert!(count("lost").is_err(), "the step that failed left nothing");
        assert_eq!(
            migrate(&mut connection, &[FORMAT_1, next]).expect("done"),
            2
        );
        assert!(
            migrate(&mut connection, &[FORMAT_1]).is_err(),
            "of a later format"
        );
    }
}

//! Databases as the real SQLite writes them: columns stand side by side there.

use std::path::Path;

use rolecall::finding::secret_fingerprint;
use rolecall::secret::Secret;
use rusqlite::Connection;
use serde_json::Value;

use crate::support::host::Host;
use crate::support::rolecall::Rolecall;

/// Rows of text, each with an ID and its secret, or the ID alone.
const ROWS: [&[&str]; 19] = [
    &["KEY", "ID", "SECRET", "ONE"],
    &["KEY", "ID", "SECRET", "2026-01-01"],
    &["KEY", "us-east-1", "ID", "Alice", "SECRET"],
    &["ID", "SECRET"],
    &["ID", "SECRET", "2026-01-01"],
    &["ID", "SECRET", "us-east-1"],
    &["us-east-1", "ID", "SECRET", "active"],
    &["CIUSER", "ID", "SECRET", "1"],
    &["SECRET", "ID"],
    &["ID", "arn:aws:iam::1:user/x", "SECRET"],
    &["ID", "us-east-1", "SECRET"],
    &["7", "ID", "Alice"],
    &["ID", "Alice"],
    &["KEY", "bob", "SECRET", "us-east-1", "ID", "x"],
    &["LONG", "ID", "SECRET"],
    &["LONG", "SECRET", "ID"],
    &["LONG", "SECRET", "x", "ID", "2026-01-01"],
    &["LONG", "ID", "x", "SECRET"],
    &["KEY", "LONG", "ID", "x"],
];

pub(super) const ENCODINGS: [&str; 3] = ["UTF-8", "UTF-16le", "UTF-16be"];

/// An empty database with texts in this encoding.
pub(super) fn create(path: &Path, encoding: &str) -> Connection {
    let database = Connection::open(path).expect("a database");
    let pragma = format!("pragma encoding = '{encoding}'");
    database.execute_batch(&pragma).expect("SQL");
    database
}

#[test]
fn a_key_in_a_row_of_sqlite_is_found_whatever_columns_are_beside_it() {
    for encoding in ENCODINGS {
        assert_found(encoding);
    }
}

fn assert_found(encoding: &str) {
    let host = Host::new();
    let path = host.path("keys.db");
    let database = create(&path, encoding);
    let mut expected = Vec::new();
    let mut random = fastrand::Rng::with_seed(5);
    for (number, columns) in ROWS.iter().enumerate() {
        let key = host.key_pair();
        let (id, secret) = (key.id.as_str(), key.secret.as_str());
        let long: String = (0..random.usize(1100..1700))
            .map(|_| random.alphabetic())
            .collect();
        let value = |column: &&str| match *column {
            // The number of the row, in place of which the record has NULL.
            "KEY" => "null".to_owned(),
            // Takes no room: the next row begins right behind.
            "ONE" => "1".to_owned(),
            "ID" => format!("'{id}'"),
            "SECRET" => format!("'{secret}'"),
            "LONG" => format!("'{long}'"),
            other => format!("'{other}'"),
        };
        let kind = |column: &str| match column {
            "KEY" => "integer primary key",
            "ONE" => "integer",
            _ => "text",
        };
        let values: Vec<String> = columns.iter().map(value).collect();
        let numbered = columns.iter().enumerate();
        let names: Vec<String> = numbered
            .map(|(at, column)| format!("c{at} {}", kind(column)))
            .collect();
        let (names, values) = (names.join(","), values.join(","));
        let sql =
            format!("create table t{number} ({names}); insert into t{number} values ({values})");
        database.execute_batch(&sql).expect("SQL");
        let is_whole = columns.contains(&"SECRET");
        let rule = if is_whole {
            "aws.access-key-pair"
        } else {
            "aws.access-key-id"
        };
        let fingerprint = is_whole.then(|| secret_fingerprint(&Secret::new(secret)));
        expected.push((id.to_owned(), rule.to_owned(), fingerprint));
    }
    drop(database);
    let scanned = Rolecall::new(["scan", "--format", "json"]).arg(&path).run();
    let text = |finding: &Value, name: &str| finding[name].as_str().map(ToOwned::to_owned);
    let mut found: Vec<_> = scanned
        .of_type("finding")
        .iter()
        .map(|finding| {
            let of = |name| text(finding, name);
            (
                of("access_key_id").unwrap_or_default(),
                of("rule").unwrap_or_default(),
                of("secret_fingerprint"),
            )
        })
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{encoding}");
}

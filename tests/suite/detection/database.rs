//! Databases as the real SQLite writes them: columns stand side by side there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rolecall::finding::secret_fingerprint;
use rolecall::secret::Secret;
use rusqlite::Connection;
use serde_json::Value;

use crate::support::host::{Host, KeyPair};
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

/// Tables of settings, and what is in a row of each.
const TABLES: [(&str, &[&str]); 5] = [
    ("(name text, value text)", &["NAME", "VALUE"]),
    (
        "(id integer primary key, name text, value text)",
        &["ROW", "NAME", "VALUE"],
    ),
    (
        "(id integer primary key, name text, value text, type text)",
        &["ROW", "NAME", "VALUE", "'string'"],
    ),
    (
        "(id integer primary key, grp text, name text, value text)",
        &["ROW", "'backup'", "NAME", "VALUE"],
    ),
    (
        "(key text primary key, value text) without rowid",
        &["NAME", "VALUE"],
    ),
];

/// What settings of an ID and of its secret are called.
const NAMES: [[&str; 2]; 7] = [
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
    ["aws_access_key_id", "aws_secret_access_key"],
    ["s3_access_key", "s3_secret_key"],
    ["accessKeyId", "secretAccessKey"],
    ["fs.s3a.access.key", "fs.s3a.secret.key"],
    ["storage.s3.key", "storage.s3.secret"],
    ["AWS_ACCESS_KEY_ID_PROD", "AWS_SECRET_ACCESS_KEY_PROD"],
];

#[test]
fn a_key_that_two_settings_of_a_table_hold_is_a_pair_whatever_they_are_called() {
    let host = Host::new();
    let mut random = fastrand::Rng::with_seed(8);
    let mut expected = Vec::new();
    for encoding in ENCODINGS {
        for (number, table) in TABLES.iter().enumerate() {
            for (named, [name_of_id, name_of_secret]) in NAMES.iter().enumerate() {
                let path = host.path(&format!("db/{encoding}-{number}-{named}.db"));
                let key = host.key_pair();
                let mut own = [
                    (*name_of_id, key.id.clone()),
                    (*name_of_secret, key.secret.clone()),
                ];
                random.shuffle(&mut own);
                write_settings(&path, encoding, *table, &own, &mut random);
                expected.push((path, vec![key]));
            }
        }
    }
    assert_pairs(&host, expected);
}

#[test]
fn names_of_settings_tell_whose_a_secret_is_in_any_order() {
    let host = Host::new();
    let mut random = fastrand::Rng::with_seed(9);
    let mut expected = Vec::new();
    for encoding in ENCODINGS {
        for (number, table) in TABLES.iter().enumerate() {
            for round in 0..4 {
                let path = host.path(&format!("db/{encoding}-{number}-{round}.db"));
                let keys = [host.key_pair(), host.key_pair()];
                let mut own = Vec::new();
                for (owner, key) in ["prod", "staging"].iter().zip(&keys) {
                    own.push((format!("{owner}_aws_access_key_id"), key.id.clone()));
                    own.push((format!("{owner}_aws_secret_access_key"), key.secret.clone()));
                }
                random.shuffle(&mut own);
                write_settings(&path, encoding, *table, &own, &mut random);
                expected.push((path, keys.to_vec()));
            }
        }
    }
    assert_pairs(&host, expected);
}

/// A table with these settings among ordinary ones.
fn write_settings(
    path: &Path,
    encoding: &str,
    (columns, row): (&str, &[&str]),
    own: &[(impl AsRef<str>, String)],
    random: &mut fastrand::Rng,
) {
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    let database = create(path, encoding);
    let mut settings = Vec::new();
    for number in 0..60 {
        let hex = |_| char::from_digit(random.u32(..16), 16).expect("a digit");
        let value = match number % 4 {
            0 => (0..40).map(hex).collect(),
            1 => format!("https://www.example.org/{number}/path/of/a/page"),
            2 => number.to_string(),
            _ => "Some words of a title".to_owned(),
        };
        settings.push((format!("option_{number}"), value));
    }
    let at = random.usize(..settings.len());
    let own = own.iter();
    let own = own.map(|(name, value)| (name.as_ref().to_owned(), value.clone()));
    settings.splice(at..at, own);
    let mut sql = format!("create table settings {columns}; begin;");
    for (number, (name, value)) in settings.iter().enumerate() {
        let column = |column: &&str| match *column {
            "ROW" => (number + 1).to_string(),
            "NAME" => format!("'{name}'"),
            "VALUE" => format!("'{value}'"),
            other => other.to_owned(),
        };
        let values: Vec<String> = row.iter().map(column).collect();
        write!(sql, "insert into settings values ({});", values.join(",")).expect("SQL");
    }
    sql += "commit";
    database.execute_batch(&sql).expect("SQL");
}

/// That in each file these pairs are found, and nothing else.
fn assert_pairs(host: &Host, expected: Vec<(PathBuf, Vec<KeyPair>)>) {
    let scanned = Rolecall::new(["scan", "--format", "json"])
        .arg(host.path("db"))
        .run();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for (path, keys) in expected {
        let here = |finding: &&Value| finding["location"]["path"] == path.to_str().expect("UTF-8");
        let findings = scanned.of_type("finding");
        let mut found: Vec<_> = findings
            .iter()
            .filter(here)
            .map(|finding| {
                [
                    text(&finding["access_key_id"]),
                    text(&finding["secret_fingerprint"]),
                ]
            })
            .collect();
        let fingerprint = |key: &KeyPair| secret_fingerprint(&Secret::new(key.secret.as_str()));
        let mut expected: Vec<_> = keys
            .iter()
            .map(|key| [key.id.clone(), fingerprint(key)])
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{}", path.display());
    }
}

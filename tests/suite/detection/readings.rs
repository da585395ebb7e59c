//! Secrets that begin with a character that may also be a separator, behind an
//! ID: of the ways to read the two, one is told.

use std::fs;

use rolecall::detect::Detector;
use rolecall::finding::AccessKeyId;
use rolecall::secret::Secret;

use super::database;
use crate::support::host::{Host, KeyPair};

/// What secrets begin with.
const FIRST: [&str; 4] = ["/", "+", "a", "Q"];

/// Columns before an ID and behind its secret.
const BEFORE: [&[&str]; 6] = [
    &[],
    &["x"],
    &["Q"],
    &["AKIA"],
    &["us-east-1", "AKIA"],
    &["x", "ASIA"],
];
const BEHIND: [&[&str]; 5] = [&[], &["x"], &["/"], &["active"], &["x", "2026-01-01"]];

/// What stands between an ID and its secret in text.
const SEPARATORS: [&str; 7] = ["/", "+", ":", ",", " ", "\t", ""];

fn key(host: &Host, first: &str) -> KeyPair {
    let mut key = host.key_pair();
    key.secret.replace_range(..1, first);
    key
}

/// The IDs that are told of these bytes, with their secrets.
fn told(bytes: &[u8]) -> Vec<(String, String)> {
    let matches = Detector::new(4).scan(bytes).matches;
    let mut told: Vec<_> = matches
        .iter()
        .map(|found| {
            let id = found.access_key_id.as_ref().map(AccessKeyId::as_str);
            let secret = found.secret.as_ref().and_then(Secret::expose_str);
            [id, secret].map(|text| text.unwrap_or_default().to_owned())
        })
        .map(|[id, secret]| (id, secret))
        .collect();
    told.sort();
    told
}

#[test]
fn in_rows_of_sqlite_a_secret_is_its_column_whatever_it_begins_with() {
    for encoding in database::ENCODINGS {
        // Both in one column only as text that is read as it is.
        let separators: &[&str] = match encoding {
            "UTF-8" => &["','", "/", "+"],
            _ => &["','"],
        };
        let host = Host::new();
        let path = host.path("keys.db");
        let database = database::create(&path, encoding);
        let mut expected = Vec::new();
        for first in FIRST {
            for (before, behind) in BEFORE.iter().flat_map(|before| {
                let behind = BEHIND.iter();
                behind.map(move |behind| (before, behind))
            }) {
                for separator in separators {
                    let key = key(&host, first);
                    let both = format!("{}{separator}{}", key.id, key.secret);
                    let values = [before, &[&*both][..], behind].concat().join("','");
                    let names: Vec<_> = (0..values.split(',').count())
                        .map(|at| format!("c{at}"))
                        .collect();
                    let (table, names) = (expected.len(), names.join(","));
                    let sql = format!(
                        "create table t{table} (id integer primary key,{names});
                         insert into t{table} values (5,'{values}')"
                    );
                    database.execute_batch(&sql).expect("SQL");
                    expected.push((key.id, key.secret));
                }
            }
        }
        drop(database);
        expected.sort();
        let bytes = fs::read(&path).expect("the database");
        assert_eq!(told(&bytes), expected, "{encoding}");
    }
}

#[test]
fn behind_a_binary_field_a_secret_begins_where_its_id_ends() {
    let host = Host::new();
    for first in FIRST {
        for before in [&b"\0\x01"[..], b"\0\x80\0\0\x05", b"\0\x1f\xff"] {
            for behind in ["", "x", "/", "active"] {
                let key = key(&host, first);
                let text = format!("{}{}{behind}", key.id, key.secret);
                let bytes = [before, text.as_bytes(), b"\0"].concat();
                let expected = [(key.id, key.secret)];
                assert_eq!(told(&bytes), expected, "{before:?} {behind}");
            }
        }
    }
}

#[test]
fn behind_text_a_secret_begins_where_its_separator_ends() {
    let host = Host::new();
    let ends: [(&str, &str); 6] = [
        ("LANG=C\0KEY=", "\0HOME=/\0"),
        ("LANG=C\0KEY=", "\0"),
        // As an argument.
        ("tool\0", "\0-v\0"),
        ("LANG=C\0clé", "\0"),
        ("key: ", "\n"),
        ("", "\n"),
    ];
    for first in FIRST {
        for (before, behind) in ends {
            for separator in SEPARATORS {
                let key = key(&host, first);
                let text = format!("{before}{}{separator}{}{behind}", key.id, key.secret);
                let expected = [(key.id, key.secret)];
                assert_eq!(told(text.as_bytes()), expected, "{before:?} {separator:?}");
            }
        }
    }
}

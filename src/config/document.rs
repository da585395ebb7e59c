//! One file laid over the configuration.
//!
//! All that is wrong with it is told at once. Only where it is not TOML the
//! syntax errors stand alone: what follows one is guesswork.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::Config;
use super::allow::{self, read_allow};
use super::error::{ConfigError, Invalid, Place, quote};
use super::key::{self, ALLOW, KEYS, Key, TABLES};
use super::lines::Lines;
use super::nearest::nearest;
use super::origin::{Origin, Origins};
use super::value::Raw;
use crate::sanitize;

/// More than this from one file help nobody.
const ERRORS_MAX: usize = 20;
/// One slip in the syntax makes several errors after it.
const SYNTAX_ERRORS_MAX: usize = 3;

/// Lays the text of `file`, a name safe to show, over `config`.
pub(super) fn apply(
    file: &str,
    bytes: &[u8],
    config: &mut Config,
    origins: &mut Origins,
) -> Vec<ConfigError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            return vec![ConfigError::Syntax {
                place: Lines::new(&valid).place(file, valid.len()),
                reason: "a byte that is not UTF-8 text".into(),
            }];
        }
    };
    let (document, syntax) = DeTable::parse_recoverable(text);
    let lines = Lines::new(text);
    if !syntax.is_empty() {
        let told = syntax.into_iter().take(SYNTAX_ERRORS_MAX);
        return told
            .map(|error| ConfigError::Syntax {
                place: lines.place(file, error.span().map_or(text.len(), |span| span.start)),
                reason: sanitize::line(error.message()).into_owned(),
            })
            .collect();
    }
    let mut layer = Layer {
        file,
        lines,
        config,
        origins,
        wrongs: Vec::new(),
    };
    layer.top(document.get_ref());
    let Layer {
        lines, mut wrongs, ..
    } = layer;
    wrongs.sort_by_key(|(offset, _)| *offset);
    wrongs.truncate(ERRORS_MAX);
    let told = wrongs.into_iter();
    told.map(|(offset, wrong)| wrong.told(lines.place(file, offset)))
        .collect()
}

/// What is wrong in a place. It is put into words only when it is told: a
/// hostile file can be wrong in more places than anyone will read.
enum Wrong {
    Key { table: &'static str, typed: String },
    Value { key: String, reason: String },
}

impl Wrong {
    fn told(self, place: Place) -> ConfigError {
        match self {
            Self::Key { table, typed } => ConfigError::UnknownKey {
                place,
                key: match table {
                    "" => quote(&typed),
                    ALLOW => format!("{} in [[{table}]]", quote(&typed)),
                    _ => format!("{} in [{table}]", quote(&typed)),
                },
                hint: hint(table, &typed),
            },
            Self::Value { key, reason } => ConfigError::Value { place, key, reason },
        }
    }
}

struct Layer<'a> {
    file: &'a str,
    lines: Lines<'a>,
    config: &'a mut Config,
    origins: &'a mut Origins,
    /// With their offsets, for tables are walked in the order of their keys.
    wrongs: Vec<(usize, Wrong)>,
}

impl Layer<'_> {
    fn top(&mut self, document: &DeTable<'_>) {
        for (name, value) in document {
            let known = name.get_ref().as_ref();
            if known == ALLOW {
                self.allow(value);
            } else if let Some((table, _)) =
                TABLES.iter().find(|(t, _)| !t.is_empty() && *t == known)
            {
                match value.get_ref() {
                    DeValue::Table(entries) => {
                        for (name, value) in entries {
                            self.entry(table, name, value);
                        }
                    }
                    _ => self.invalid(
                        table.to_string(),
                        &value.span(),
                        Raw::from_toml(value).expected("a table"),
                    ),
                }
            } else {
                self.entry("", name, value);
            }
        }
    }

    fn entry(
        &mut self,
        table: &'static str,
        name: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let Some(key) = key::find(table, name.get_ref()) else {
            self.unknown(table, name);
            return;
        };
        match (key.set)(self.config, &Raw::from_toml(value)) {
            Ok(()) => {
                let origin = self.origin(&name.span());
                self.origins.insert(key.dotted(), origin);
            }
            Err(invalid) => self.invalid(key.dotted(), &value.span(), invalid),
        }
    }

    fn allow(&mut self, value: &Spanned<DeValue<'_>>) {
        let DeValue::Array(entries) = value.get_ref() else {
            let what = "an array of tables, each under [[allow]]";
            self.invalid(
                ALLOW.into(),
                &value.span(),
                Raw::from_toml(value).expected(what),
            );
            return;
        };
        for entry in entries {
            let DeValue::Table(table) = entry.get_ref() else {
                let invalid = Raw::from_toml(entry).expected("a table");
                self.invalid(ALLOW.into(), &entry.span(), invalid);
                continue;
            };
            let mut known = true;
            for (name, _) in table {
                if !allow::NAMES.contains(&name.get_ref().as_ref()) {
                    self.unknown(ALLOW, name);
                    known = false;
                }
            }
            match read_allow(table, self.origin(&entry.span())) {
                Ok(allow) if known => self.config.allow.push(allow),
                Ok(_) => {}
                Err(errors) => {
                    for (name, invalid) in errors {
                        let key = name.map_or(ALLOW.into(), |name| format!("{ALLOW}.{name}"));
                        self.invalid(key, &entry.span(), invalid);
                    }
                }
            }
        }
    }

    fn unknown(&mut self, table: &'static str, name: &Spanned<DeString<'_>>) {
        let typed = name.get_ref().clone().into_owned();
        self.wrongs
            .push((name.span().start, Wrong::Key { table, typed }));
    }

    fn invalid(&mut self, key: String, span: &Range<usize>, invalid: Invalid) {
        let Invalid { span: part, reason } = invalid;
        let offset = part.as_ref().unwrap_or(span).start;
        self.wrongs.push((offset, Wrong::Value { key, reason }));
    }

    fn origin(&self, span: &Range<usize>) -> Origin {
        Origin::File {
            file: self.file.into(),
            line: self.lines.number(span.start),
        }
    }
}

/// What was probably meant: a key of this table, or the right table for a key
/// that has its place elsewhere.
fn hint(table: &str, typed: &str) -> String {
    let here = match table {
        ALLOW => nearest(typed, allow::NAMES),
        "" => {
            let tables = TABLES.iter().map(|(table, _)| *table).chain([ALLOW]);
            nearest(
                typed,
                key::names_in("").chain(tables.filter(|t| !t.is_empty())),
            )
        }
        _ => nearest(typed, key::names_in(table)),
    };
    let exactly = KEYS.iter().find(|key| key.name == typed);
    // A slip in the key and in its table as well is the last thing to think of.
    let elsewhere = exactly.or_else(|| {
        let name = nearest(typed, KEYS.iter().map(|key| key.name)).filter(|_| here.is_none())?;
        KEYS.iter().find(|key| key.name == name)
    });
    match (elsewhere, here) {
        (
            Some(Key {
                table: "", name, ..
            }),
            _,
        ) => {
            format!("; \"{name}\" belongs at the top, above the first table")
        }
        (Some(Key { table, name, .. }), _) => format!("; did you mean \"{name}\" in [{table}]?"),
        (None, Some(name)) => format!("; did you mean \"{name}\"?"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: impl AsRef<[u8]>) -> Vec<String> {
        let mut config = Config::default();
        let errors = apply("f.toml", text.as_ref(), &mut config, &mut Origins::new());
        errors.iter().map(ConfigError::to_string).collect()
    }

    #[test]
    fn an_unknown_key_is_told_with_its_place_and_what_was_meant() {
        for (text, message) in [
            (
                "\n[scan]\n  thread = 2",
                "f.toml:3:3: unknown key \"thread\" in [scan]; did you mean \"threads\"?",
            ),
            (
                "threads = 2",
                "f.toml:1:1: unknown key \"threads\"; did you mean \"threads\" in [scan]?",
            ),
            (
                "thread = 2",
                "f.toml:1:1: unknown key \"thread\"; did you mean \"threads\" in [scan]?",
            ),
            (
                "[shipp]\nregion = 'x'",
                "f.toml:1:2: unknown key \"shipp\"; did you mean \"ship\"?",
            ),
            (
                "[scan]\nstate_dir = '/x'",
                "f.toml:2:1: unknown key \"state_dir\" in [scan]; \"state_dir\" belongs at the top, above the first table",
            ),
            (
                "[ship]\nlog-group = 'x'",
                "f.toml:2:1: unknown key \"log-group\" in [ship]; did you mean \"log_group\"?",
            ),
            (
                "[[allow]]\npath = '/x'\nreasons = 'x'\nreason = 'x'",
                "f.toml:3:1: unknown key \"reasons\" in [[allow]]; did you mean \"reason\"?",
            ),
            (
                "\"ä\" = 1\n\"ö\\u001b[2J\" = 2",
                "f.toml:2:1: unknown key \"ö\\x1b[2J\"",
            ),
        ] {
            assert!(
                errors(text).contains(&message.to_owned()),
                "{:?}",
                errors(text)
            );
        }
    }

    #[test]
    fn a_wrong_value_is_told_with_its_place_and_its_key() {
        for (text, message) in [
            (
                "[scan]\nthreads = 0",
                "f.toml:2:11: scan.threads: 0 is not a whole number from 1 to 64",
            ),
            (
                "[scan]\nthreads = 0xffff_ffff_ffff_ffff",
                "f.toml:2:11: scan.threads: this is not a whole number from 1 to 64",
            ),
            (
                "[scan]\nthreads = '2'",
                "f.toml:2:11: scan.threads: expected a whole number from 1 to 64, found a string",
            ),
            (
                "[posture]\nhop_limit = 65",
                "f.toml:2:13: posture.hop_limit: 65 is not a whole number from 1 to 64",
            ),
            (
                "[scan]\nmax_depth = 17",
                "f.toml:2:13: scan.max_depth: 17 is not a whole number from 1 to 16",
            ),
            (
                "[scan]\ngit = 1",
                "f.toml:2:7: scan.git: expected true or false, found an integer",
            ),
            (
                "[scan]\ninterval = 10",
                "f.toml:2:12: scan.interval: expected a duration in quotes, such as \"10m\", found an integer",
            ),
            (
                "[scan]\ninterval = '0s'",
                "f.toml:2:12: scan.interval: \"0s\" is not from 1s to 8784h",
            ),
            (
                "[scan]\nroots = ['/', 'etc']",
                "f.toml:2:15: scan.roots: \"etc\" is not an absolute path",
            ),
            (
                "[scan]\nroots = ['/a/../b']",
                "f.toml:2:10: scan.roots: \"/a/../b\" has a .. in it",
            ),
            (
                "[scan]\nroots = []",
                "f.toml:2:9: scan.roots: expected at least one path",
            ),
            (
                "[scan]\nroots = '/'",
                "f.toml:2:9: scan.roots: expected an array of strings, found a string",
            ),
            (
                "[scan]\nexclude = ['ok', '/a/[']",
                "f.toml:2:18: scan.exclude: \"/a/[\" is not a path glob: unclosed character class; missing ']'",
            ),
            (
                "[ship]\nlog_group = 'a b'",
                "f.toml:2:13: ship.log_group: \"a b\" is not a log group's name: 1 to 512 of a-z A-Z 0-9 . _ / # -",
            ),
            (
                "[ship]\nlog_stream = 'a:b'",
                "f.toml:2:14: ship.log_stream: \"a:b\" is not a log stream's name: it must not have : or * or control characters",
            ),
            (
                "[ship]\nlog_stream = '{instance}'",
                "f.toml:2:14: ship.log_stream: \"{instance}\" is not a log stream's name: the only placeholder is {instance_id}",
            ),
            (
                "[ship]\nmode = 'allways'",
                "f.toml:2:8: ship.mode: \"allways\" is not one of \"auto\", \"always\" and \"never\"; did you mean \"always\"?",
            ),
            (
                "[ship]\nregion = '-5m'",
                "f.toml:2:10: ship.region: \"-5m\" is not a region such as \"eu-west-1\"",
            ),
            (
                "[ship]\nregion = 'Frankfurt'",
                "f.toml:2:10: ship.region: \"Frankfurt\" is not a region such as \"eu-west-1\"",
            ),
            (
                "[ship]\noutbox_max = '1KiB'",
                "f.toml:2:14: ship.outbox_max: \"1KiB\" is not from 64KiB to 4GiB",
            ),
            (
                "[ship]\noutbox_max = 'much'",
                "f.toml:2:14: ship.outbox_max: \"much\" is not a size such as \"16MiB\"",
            ),
            (
                "[imds]\nendpoint = ''",
                "f.toml:2:12: imds.endpoint: \"\" is not an http or https URL: it does not begin with http:// or https://",
            ),
            (
                "scan = 1",
                "f.toml:1:8: scan: expected a table, found an integer",
            ),
            (
                "[allow]\npath = '/x'",
                "f.toml:1:1: allow: expected an array of tables, each under [[allow]], found a table",
            ),
            (
                "allow = [1]",
                "f.toml:1:10: allow: expected a table, found an integer",
            ),
            (
                "\n[[allow]]\npath = '/x'",
                "f.toml:2:1: allow: has no reason, which is required",
            ),
            (
                "[[allow]]\npath = 1\nreason = ' '",
                "f.toml:2:8: allow.path: expected a string, found an integer",
            ),
        ] {
            assert!(
                errors(text).contains(&message.to_owned()),
                "{text}: {:?}",
                errors(text)
            );
        }
    }

    #[test]
    fn all_errors_are_told_in_the_order_of_the_file() {
        let found =
            errors("[ship]\nspread = 1\nzzz = 1\n[imds]\nendpoint = 2\n[[allow]]\nrule = 'x'\n");
        let lines: Vec<&str> = found
            .iter()
            .map(|error| &error[..error.len().min(9)])
            .collect();
        assert_eq!(
            lines,
            [
                "f.toml:2:",
                "f.toml:3:",
                "f.toml:5:",
                "f.toml:6:",
                "f.toml:7:"
            ]
        );
    }

    #[test]
    fn text_that_is_not_toml_is_told_with_its_place_and_not_repeated() {
        for (text, at) in [
            ("[scan]\nroots = [\"/\",", "f.toml:2:"),
            ("[scan\n", "f.toml:1:"),
            ("[scan]\nthreads = 2\nthreads = 3", "f.toml:3:1: "),
            ("ok = 1\nexport hunter2=hunter2hunter2", "f.toml:2:"),
            ("a = \"hunter2", "f.toml:1:"),
            ("\u{0}\u{1}", "f.toml:1:"),
        ] {
            let found = errors(text);
            assert!(found[0].starts_with(at), "{text}: {found:?}");
            assert!(!found.join("").contains("hunter2"), "{found:?}");
        }
        let binary = errors(b"# ok\n\xffELF");
        assert_eq!(
            binary,
            ["f.toml:2:1: not TOML: a byte that is not UTF-8 text"]
        );
    }

    #[test]
    fn windows_line_ends_and_a_byte_order_mark_do_no_harm() {
        assert_eq!(errors("\u{feff}[scan]\r\nthreads = 3\r\n"), [""; 0]);
    }

    #[test]
    fn deep_nesting_and_floods_of_errors_end_in_few_words() {
        let deep = [
            format!("a = {}", "[".repeat(200_000)),
            format!("a = {}", "{a=".repeat(100_000)),
            format!("a{} = 1", ".a".repeat(200_000)),
            format!("[a{}]", ".a".repeat(200_000)),
            "x = 1\n".repeat(100_000),
            (0..50_000).map(|n| format!("x{n} = 1\n")).collect(),
        ];
        for text in deep {
            let found = errors(&text);
            assert!((1..=ERRORS_MAX).contains(&found.len()), "{}", found.len());
            assert!(found.join("\n").len() < 4000);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_fail_without_a_place(
            text in "(\\[\\[?(scan|ship|allow|x)\\]?\\]?\\n|[a-z_]{1,9} ?= ?|[\"'ä\u{202e}\r\n\\[{}\\],=.#1-]|true|'10m'|2030-12-31){0,30}"
        ) {
            for error in errors(&text) {
                let place: Vec<&str> = error.splitn(4, ':').collect();
                let line: usize = place[1].parse().unwrap();
                proptest::prop_assert!((1..=text.matches('\n').count() + 1).contains(&line));
                proptest::prop_assert!(!error.contains(sanitize::is_unsafe), "{error:?}");
            }
        }
    }
}

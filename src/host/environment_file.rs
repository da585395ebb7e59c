//! The files that `EnvironmentFile=` names, read as systemd reads them: see
//! systemd.exec(5), and `parse_env_file_internal` in its `env-file.c`.

use std::path::Path;

use zeroize::Zeroizing;

use super::{Assignment, Place, assign, is_variable, keep_last};
use crate::secret::Secret;

/// Between double quotes, a backslash is dropped before these alone.
const ESCAPED: &[u8] = b"\"\\`$";

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    BeforeKey,
    Key,
    BeforeValue,
    Value,
    ValueEscape,
    SingleQuoted,
    DoubleQuoted,
    DoubleQuotedEscape,
    Comment,
}

/// The assignments of a file in its order; of two with one name the last.
pub fn parse(text: &[u8], path: &Path) -> Vec<Assignment> {
    let mut environment = Vec::new();
    let mut state = State::BeforeKey;
    let mut key = Vec::new();
    let mut key_line = 1;
    let mut line = 1;
    let mut value = Zeroizing::new(Vec::new());
    // Length of the value without blanks at its end.
    let mut trimmed = 0;
    let mut end = |key: &mut Vec<u8>, value: &mut Zeroizing<Vec<u8>>, line: u64| {
        let name = key.trim_ascii();
        if is_variable(name) {
            let assignment = Assignment {
                name: String::from_utf8_lossy(name).into_owned(),
                value: Secret::new(std::mem::take(&mut **value)),
                place: Place {
                    path: path.to_owned(),
                    line,
                },
            };
            assign(&mut environment, assignment);
        }
        key.clear();
        value.clear();
    };
    for &byte in text {
        let newline = byte == b'\n' || byte == b'\r';
        let blank = newline || byte == b' ' || byte == b'\t';
        state = match state {
            State::BeforeKey if byte == b'#' || byte == b';' => State::Comment,
            State::BeforeKey if blank => State::BeforeKey,
            State::BeforeKey => {
                key.push(byte);
                key_line = line;
                State::Key
            }
            State::Key if newline => {
                key.clear();
                State::BeforeKey
            }
            State::Key if byte == b'=' => {
                trimmed = 0;
                State::BeforeValue
            }
            State::Key => {
                key.push(byte);
                State::Key
            }
            State::BeforeValue | State::Value if newline => {
                value.truncate(trimmed);
                trimmed = 0;
                end(&mut key, &mut value, key_line);
                State::BeforeKey
            }
            State::BeforeValue if byte == b'\'' => State::SingleQuoted,
            State::BeforeValue if byte == b'"' => State::DoubleQuoted,
            State::BeforeValue | State::Value if byte == b'\\' => State::ValueEscape,
            State::BeforeValue if blank => State::BeforeValue,
            State::BeforeValue | State::Value => {
                value.push(byte);
                if !blank {
                    trimmed = value.len();
                }
                State::Value
            }
            State::ValueEscape => {
                if !newline {
                    value.push(byte);
                    trimmed = value.len();
                }
                State::Value
            }
            State::SingleQuoted if byte == b'\'' => State::BeforeValue,
            State::DoubleQuoted if byte == b'"' => State::BeforeValue,
            State::DoubleQuoted if byte == b'\\' => State::DoubleQuotedEscape,
            State::SingleQuoted | State::DoubleQuoted => {
                value.push(byte);
                trimmed = value.len();
                state
            }
            State::DoubleQuotedEscape => {
                if ESCAPED.contains(&byte) {
                    value.push(byte);
                } else if byte != b'\n' {
                    value.extend([b'\\', byte]);
                }
                trimmed = value.len();
                State::DoubleQuoted
            }
            State::Comment if newline => State::BeforeKey,
            State::Comment => State::Comment,
        };
        line += u64::from(byte == b'\n');
    }
    if !matches!(state, State::BeforeKey | State::Key | State::Comment) {
        value.truncate(trimmed);
        end(&mut key, &mut value, key_line);
    }
    keep_last(&mut environment);
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, String, u64)> {
        parse(text.as_bytes(), Path::new("/e"))
            .into_iter()
            .map(|one| {
                let value = one.value.expose_str().unwrap().to_owned();
                (one.name, value, one.place.line)
            })
            .collect()
    }

    fn one(text: &str) -> String {
        let [(_, value, _)] = parsed(text).try_into().unwrap();
        value
    }

    #[test]
    fn values_are_read_as_a_shell_would_nearly() {
        assert_eq!(one("A=b c  \n"), "b c");
        assert_eq!(one("A = 'b c ' \n"), "b c ");
        assert_eq!(one("A=\"b\\\"\\$\\n\"\n"), "b\"$\\n");
        assert_eq!(one("A=b\\\nc"), "bc");
        assert_eq!(one("A=\"b\\\nc\nd\""), "bc\nd");
        assert_eq!(one("A='b'\"c\""), "bc");
        assert_eq!(one("A='open"), "open");
        assert_eq!(one("A=b # c"), "b # c");
        assert_eq!(one("A=b\r\n"), "b");
        assert_eq!(one("A=\n"), "");
    }

    #[test]
    fn comments_and_what_is_no_variable_are_left_out() {
        assert_eq!(parsed("#A=1\n ;B=2\nexport C=3\n9=4\nD\n=5\n"), []);
    }

    #[test]
    fn the_last_of_two_counts_and_keeps_its_line() {
        assert_eq!(
            parsed("A=1\nB='x\ny'\nA=2\n"),
            [("B".into(), "x\ny".into(), 2), ("A".into(), "2".into(), 4)]
        );
    }
}

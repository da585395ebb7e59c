//! What can be wrong with a configuration, and the words for it.
//!
//! Messages end up on terminals and in journals, and a configuration file is
//! where someone pastes a secret by mistake. So nothing of a file is shown
//! but through [`quote`], and syntax errors name the place, never the text.

use std::fmt;
use std::io;
use std::ops::Range;

use crate::sanitize;

/// The most characters of a value that a message shows.
const QUOTED_MAX: usize = 40;

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read configuration {file}: {source}")]
    Read { file: String, source: io::Error },
    #[error("cannot read configuration {file}: {reason}")]
    Refused { file: String, reason: &'static str },
    #[error("{place}: not TOML: {reason}")]
    Syntax { place: Place, reason: String },
    #[error("{place}: unknown key {key}{hint}")]
    UnknownKey {
        place: Place,
        key: String,
        hint: String,
    },
    #[error("{place}: {key}: {reason}")]
    Value {
        place: Place,
        key: String,
        reason: String,
    },
    #[error("{flag}: {reason}")]
    Flag { flag: &'static str, reason: String },
    /// More than one, in the order of the layers; one a line.
    #[error("{}", lines(.0))]
    Several(Vec<ConfigError>),
}

impl ConfigError {
    /// `None` for no error at all.
    pub(super) fn from_all(mut errors: Vec<Self>) -> Option<Self> {
        match errors.len() {
            0 | 1 => errors.pop(),
            _ => Some(Self::Several(errors)),
        }
    }
}

/// A character in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's name, safe to show.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Why a value is refused, and which part of it where that is known.
#[derive(Debug)]
pub(super) struct Invalid {
    pub(super) span: Option<Range<usize>>,
    pub(super) reason: String,
}

impl Invalid {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self {
            span: None,
            reason: reason.into(),
        }
    }

    /// Points at `span` unless a smaller part is already known.
    pub(super) fn at(mut self, span: &Range<usize>) -> Self {
        self.span.get_or_insert_with(|| span.clone());
        self
    }
}

/// A stranger's text for a message: in quotes, escaped, cut, and only its
/// beginning where it could be a secret.
pub(super) fn quote(text: &str) -> String {
    let shown = if may_be_secret(text) { 4 } else { QUOTED_MAX };
    let cut: String = text.chars().take(shown).collect();
    let ellipsis = if cut.len() < text.len() { "…" } else { "" };
    format!("\"{}{ellipsis}\"", sanitize::line(&cut))
}

/// Secrets of every vendor are long runs of the base64 alphabet with several
/// kinds of characters in it; words and most paths are of one kind. Too many
/// hits only make messages terser.
fn may_be_secret(text: &str) -> bool {
    let in_alphabet = |c: char| c.is_ascii_alphanumeric() || "+/=_-".contains(c);
    text.split(|c| !in_alphabet(c)).any(|run| {
        let has = |kind: fn(&u8) -> bool| u8::from(run.as_bytes().iter().any(kind));
        let kinds =
            has(u8::is_ascii_lowercase) + has(u8::is_ascii_uppercase) + has(u8::is_ascii_digit);
        run.len() >= 20 && kinds >= 2
    })
}

fn lines(errors: &[ConfigError]) -> String {
    let lines: Vec<String> = errors.iter().map(ConfigError::to_string).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_not_shown_in_full() {
        let secret = "aB3".repeat(13) + "x";
        assert_eq!(quote(&secret), "\"aB3a…\"");
        assert_eq!(quote(&format!("key: {secret}")), "\"key:…\"");
        assert_eq!(
            quote("/var/lib/rolecall/state"),
            "\"/var/lib/rolecall/state\""
        );
    }

    #[test]
    fn long_values_are_cut_and_escaped() {
        assert_eq!(quote(&"x".repeat(41)), format!("\"{}…\"", "x".repeat(40)));
        assert_eq!(quote("a\x1b[2J\u{202e}"), r#""a\x1b[2J\u{202e}""#);
    }
}

//! Where a value came from.

use std::collections::BTreeMap;
use std::fmt;

/// The layer that had the last word on a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origin {
    #[default]
    Default,
    /// A file, its name safe to show, and the line of the key.
    File { file: String, line: usize },
    /// A flag, such as `--threads`.
    Flag(&'static str),
}

/// Origins by dotted key. What is not in it is a default.
pub(super) type Origins = BTreeMap<String, Origin>;

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

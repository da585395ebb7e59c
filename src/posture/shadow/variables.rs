//! The variables and Java system properties that chains ask for.

use std::collections::BTreeMap;

use crate::host::{Assignment, Place};
use crate::secret::Secret;

/// A value, and the line that sets it where a file does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) value: Secret,
    pub(super) place: Option<Place>,
}

/// Variables by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Variables(BTreeMap<String, Variable>);

/// Whether a chain, a tool, or the guess of either looks at a variable.
pub(super) fn is_wanted(name: &str) -> bool {
    const NAMES: [&str; 7] = [
        "HOME",
        "SECRET_ACCESS_KEY",
        "BOTO_CONFIG",
        "VIRTUAL_ENV",
        "JAVA_TOOL_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "_JAVA_OPTIONS",
    ];
    NAMES.contains(&name) || name.starts_with("AWS_") || name.starts_with("AMAZON_")
}

impl Variables {
    pub(super) fn get(&self, name: &str) -> Option<&Variable> {
        self.0.get(name)
    }

    /// `None` where it is not set, or no UTF-8 as no SDK takes it then.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.value.expose_str()
    }

    /// Whether it is set, and not to nothing.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|variable| !variable.value.expose().is_empty())
    }

    /// The options for a Java virtual machine that variables hold.
    pub(super) fn java_options(&self) -> impl Iterator<Item = &[u8]> {
        ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"]
            .into_iter()
            .filter_map(|name| self.get(name))
            .flat_map(|options| options.value.expose().split(u8::is_ascii_whitespace))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Sets a variable that is not set yet.
    pub(super) fn set(&mut self, name: &str, value: Secret, place: Option<Place>) {
        let variable = Variable { value, place };
        self.0.entry(name.to_owned()).or_insert(variable);
    }

    /// The Java system properties that options of the virtual machine set:
    /// each is `-Dname=value` or `-Dname`.
    pub(super) fn of_java<'o>(options: impl Iterator<Item = &'o [u8]>) -> Self {
        let mut properties = BTreeMap::new();
        for option in options {
            let Some(property) = option.strip_prefix(b"-D") else {
                continue;
            };
            let equals = property.iter().position(|byte| *byte == b'=');
            let (name, value) = match equals {
                Some(equals) => (&property[..equals], &property[equals + 1..]),
                None => (property, &b""[..]),
            };
            if let Ok(name) = std::str::from_utf8(name)
                && ["aws.", "com.amazonaws.", "user.home"]
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
            {
                let value = Secret::new(value);
                // Of two the last counts.
                properties.insert(name.to_owned(), Variable { value, place: None });
            }
        }
        Self(properties)
    }
}

impl FromIterator<(String, Secret)> for Variables {
    fn from_iter<I: IntoIterator<Item = (String, Secret)>>(variables: I) -> Self {
        let mut all = Self::default();
        for (name, value) in variables {
            all.set(&name, value, None);
        }
        all
    }
}

impl FromIterator<Assignment> for Variables {
    fn from_iter<I: IntoIterator<Item = Assignment>>(assignments: I) -> Self {
        let mut all = Self::default();
        for one in assignments {
            all.set(&one.name, one.value, Some(one.place));
        }
        all
    }
}

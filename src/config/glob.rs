//! Globs over paths of the host.
//!
//! `*` and `?` stay within one name, `**` crosses directories. A glob that
//! does not begin with `/` holds at any depth, and one that matches a
//! directory holds for everything beneath it, as in a `.gitignore`.

use std::fmt;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::error::{Invalid, quote};

/// A list of globs, built once for matching.
#[derive(Clone, Default)]
pub struct PathGlobs {
    globs: Vec<String>,
    set: GlobSet,
}

impl PathGlobs {
    pub(super) fn new(globs: Vec<String>) -> Result<Self, Invalid> {
        let mut builder = GlobSetBuilder::new();
        for glob in &globs {
            for form in forms(glob)? {
                let built = GlobBuilder::new(&form)
                    .literal_separator(true)
                    .backslash_escape(true)
                    .build();
                builder.add(built.map_err(|error| refused(glob, &error))?);
            }
        }
        let set = builder
            .build()
            .map_err(|error| Invalid::new(format!("the globs are too large: {}", error.kind())))?;
        Ok(Self { globs, set })
    }

    /// Whether a glob matches the absolute path, or a directory above it.
    pub fn is_match(&self, path: impl AsRef<Path>) -> bool {
        self.set.is_match(path)
    }

    /// The globs as written.
    pub fn as_slice(&self) -> &[String] {
        &self.globs
    }
}

/// The glob itself, and the same for everything beneath.
fn forms(glob: &str) -> Result<[String; 2], Invalid> {
    if glob.is_empty() {
        return Err(Invalid::new("a path glob must not be empty"));
    }
    let trimmed = glob.trim_end_matches('/');
    let anchored = if glob.starts_with('/') || glob.starts_with("**/") {
        trimmed.to_owned()
    } else {
        format!("**/{trimmed}")
    };
    let beneath = format!("{anchored}/**");
    // The glob `/` alone: there is no name before the separator.
    let itself = if anchored.is_empty() {
        "/".into()
    } else {
        anchored
    };
    Ok([itself, beneath])
}

fn refused(glob: &str, error: &globset::Error) -> Invalid {
    Invalid::new(format!(
        "{} is not a path glob: {}",
        quote(glob),
        error.kind()
    ))
}

impl PartialEq for PathGlobs {
    fn eq(&self, other: &Self) -> bool {
        self.globs == other.globs
    }
}

impl fmt::Debug for PathGlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.globs).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(glob: &str, path: &str) -> bool {
        PathGlobs::new(vec![glob.into()]).unwrap().is_match(path)
    }

    #[test]
    fn a_glob_holds_for_a_directory_and_all_beneath_it() {
        for (glob, path) in [
            ("/mnt/data", "/mnt/data"),
            ("/mnt/data/", "/mnt/data/a/b"),
            ("/home/*/.cache", "/home/me/.cache/x"),
            ("node_modules", "/srv/app/node_modules/aws/index.js"),
            ("*.log", "/var/log/deep/er.log"),
            ("**/*.log", "/er.log"),
            ("/", "/anything/at/all"),
            ("/srv/[ab]{1,2}", "/srv/a2"),
        ] {
            assert!(matches(glob, path), "{glob} {path}");
        }
    }

    #[test]
    fn a_star_does_not_cross_a_directory_and_names_match_whole() {
        for (glob, path) in [
            ("/home/*/.cache", "/home/me/too/.cache"),
            ("/mnt/data", "/mnt/database"),
            ("/mnt/data", "/srv/mnt/data"),
            ("data", "/srv/database"),
        ] {
            assert!(!matches(glob, path), "{glob} {path}");
        }
    }

    #[test]
    fn malformed_globs_are_refused() {
        for glob in ["", "/a/[", "/a/{b", "a/[z-a]"] {
            assert!(PathGlobs::new(vec![glob.into()]).is_err(), "{glob}");
        }
    }
}

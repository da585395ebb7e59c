//! Pools of php-fpm and the environment that they set. It is in no
//! `/proc/PID/environ`, as the workers take it from the master's memory.

use std::path::Path;

use super::{Assignment, Omitted, Place, Root, is_variable, keep_last};
use crate::sanitize;
use crate::secret::Secret;

/// Where packages of Amazon Linux, Red Hat, Debian and the images of Docker
/// have their pools.
const POOLS: [&str; 5] = [
    "/etc/php-fpm.conf",
    "/etc/php-fpm.d/*.conf",
    "/etc/opt/remi/*/php-fpm.d/*.conf",
    "/etc/php/*/fpm/pool.d/*.conf",
    "/usr/local/etc/php-fpm.d/*.conf",
];

/// Pools taken from a host.
const MAX_POOLS: usize = 1000;

/// A pool as its file says it.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Safe for a terminal.
    pub name: String,
    /// `user =`: a name or a number.
    pub user: Option<String>,
    /// `env[NAME] = value`.
    pub environment: Vec<Assignment>,
}

/// The pools of a host, running or not.
pub fn pools(root: Root<'_>, omitted: &mut Omitted) -> Vec<Pool> {
    let mut pools: Vec<Pool> = Vec::new();
    for pattern in POOLS {
        for path in root.glob(pattern, omitted) {
            match root.read(&path) {
                Ok(text) => pools.extend(parse(&text, &path)),
                Err(error) => omitted.add_error(&path, &error),
            }
        }
    }
    pools.truncate(MAX_POOLS);
    pools
}

fn parse(text: &[u8], path: &Path) -> Vec<Pool> {
    let mut pools: Vec<Pool> = Vec::new();
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
        let line = line.trim_ascii();
        if let Some(name) = line
            .strip_prefix(b"[")
            .and_then(|rest| rest.strip_suffix(b"]"))
        {
            let name = sanitize::bytes(name);
            pools.push(Pool {
                name: sanitize::line(&name).into_owned(),
                user: None,
                environment: Vec::new(),
            });
            continue;
        }
        let equals = line.iter().position(|byte| *byte == b'=');
        let (Some(pool), Some(equals)) = (pools.last_mut(), equals) else {
            continue;
        };
        let (key, value) = (line[..equals].trim_ascii(), unquoted(&line[equals + 1..]));
        let variable = key
            .strip_prefix(b"env[")
            .and_then(|rest| rest.strip_suffix(b"]"));
        if let Some(name) = variable.filter(|name| is_variable(name)) {
            pool.environment.push(Assignment {
                name: String::from_utf8_lossy(name).into_owned(),
                value: Secret::new(value),
                place: Place {
                    path: path.to_owned(),
                    line: number,
                },
            });
        } else if key == b"user" {
            pool.user = Some(String::from_utf8_lossy(value).into_owned());
        }
    }
    for pool in &mut pools {
        keep_last(&mut pool.environment);
    }
    pools.retain(|pool| pool.name != "global");
    pools
}

/// A value of an ini file, up to a comment.
fn unquoted(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    let (rest, ends): (_, &[u8]) = match value {
        [quote @ (b'"' | b'\''), rest @ ..] => (rest, std::slice::from_ref(quote)),
        _ => (value, b";"),
    };
    let end = rest.iter().position(|byte| ends.contains(byte));
    let value = &rest[..end.unwrap_or(rest.len())];
    if ends == b";" {
        value.trim_ascii()
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_are_told_with_their_users_and_environments() {
        let text = b"[global]\npid = x\n[www]\nuser = apache ; not root\n;env[A] = no\n\
            env[A] = 1\nenv[B] = \"x;y\"\nenv[A]=2\nenv[no good] = 3\n[shop]\n";
        let pools = parse(text, Path::new("/p"));
        let told: Vec<_> = pools
            .iter()
            .map(|pool| (pool.name.as_str(), pool.user.as_deref()))
            .collect();
        assert_eq!(told, [("www", Some("apache")), ("shop", None)]);
        let environment: Vec<_> = pools[0]
            .environment
            .iter()
            .map(|one| (one.name.as_str(), one.value.expose(), one.place.line))
            .collect();
        assert_eq!(environment, [("B", &b"x;y"[..], 7), ("A", b"2", 8)]);
    }
}

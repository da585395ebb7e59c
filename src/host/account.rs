//! The user accounts of a host, from its `/etc/passwd`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{Assignment, Omitted, Place, Root, is_variable};
use crate::sanitize;
use crate::secret::Secret;

/// Accounts taken from one file.
const MAX_ACCOUNTS: usize = 10_000;

/// Files below a home that shells read at a login or a start, the last to
/// have its way at the end.
const LOGIN_FILES: [&str; 7] = [
    ".profile",
    ".bash_profile",
    ".bash_login",
    ".bashrc",
    ".zshenv",
    ".zprofile",
    ".zshrc",
];

/// One line of passwd(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Safe for a terminal.
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: PathBuf,
    /// Whether somebody can log in: the shell is none that only says no.
    pub has_login: bool,
}

/// The accounts below `root` in their order; none where the host has no such
/// file. Those of a directory service are not there.
///
/// # Errors
///
/// Those of [`Root::read`], but for an absent file.
pub fn list(root: &Root<'_>) -> io::Result<Vec<Account>> {
    match root.read(Path::new("/etc/passwd")) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// What a login of the account puts into its environment, as far as it stands
/// there in so many words: `NAME=value` and `export NAME=value` in
/// `/etc/environment` and in the files that shells read at a login. What a
/// shell would have to work out is left out, and so is a file that cannot be
/// read: most of them are everybody's.
pub fn login_environment(root: &Root<'_>, account: &Account) -> Vec<Assignment> {
    if !account.has_login {
        return Vec::new();
    }
    // Of two with one name the last.
    let mut environment = BTreeMap::new();
    let scripts = Path::new("/etc/profile.d");
    let listed = root.list(scripts, &mut Omitted::default()).into_iter();
    let listed = listed
        .map(|name| scripts.join(name))
        .filter(|path| path.extension().is_some_and(|end| end == "sh"));
    let system = ["/etc/environment", "/etc/profile"].map(PathBuf::from);
    let own = LOGIN_FILES.map(|name| account.home.join(name));
    for path in system.into_iter().chain(listed).chain(own) {
        if let Ok(text) = root.read(&path) {
            for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
                for (name, value) in assignments(line) {
                    let place = Place {
                        path: path.clone(),
                        line: number,
                    };
                    environment.insert(name.clone(), Assignment { name, value, place });
                }
            }
        }
    }
    environment.into_values().collect()
}

/// The literal assignments in a line of shell.
fn assignments(line: &[u8]) -> Vec<(String, Secret)> {
    let mut found = Vec::new();
    let mut rest = line.trim_ascii();
    rest = rest.strip_prefix(b"export ").unwrap_or(rest);
    loop {
        rest = rest.trim_ascii_start();
        let Some(equals) = rest.iter().position(|byte| *byte == b'=') else {
            return found;
        };
        let (name, value) = (&rest[..equals], &rest[equals + 1..]);
        if !is_variable(name) {
            return found;
        }
        let quote = value.first().filter(|byte| matches!(byte, b'"' | b'\''));
        let ends = |byte: &u8| match quote {
            Some(quote) => byte == quote,
            None => byte.is_ascii_whitespace() || *byte == b';',
        };
        let value = if quote.is_some() { &value[1..] } else { value };
        let end = value.iter().position(ends).unwrap_or(value.len());
        let (value, tail) = value.split_at(end);
        let is_literal =
            quote == Some(&b'\'') || !value.iter().any(|byte| matches!(byte, b'$' | b'`' | b'\\'));
        if is_literal {
            let name = String::from_utf8_lossy(name).into_owned();
            found.push((name, Secret::new(value)));
        }
        rest = tail.get(1..).unwrap_or_default();
    }
}

fn parse(text: &[u8]) -> Vec<Account> {
    text.split(|byte| *byte == b'\n')
        .filter_map(account)
        .take(MAX_ACCOUNTS)
        .collect()
}

fn account(line: &[u8]) -> Option<Account> {
    let mut fields = line.split(|byte| *byte == b':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
    // The password's place parses as no number, and is none of our business.
    let _: Option<u32> = number();
    let (uid, gid) = (number()?, number()?);
    let home = fields.nth(1).filter(|home| home.starts_with(b"/"))?;
    let shell = fields.next().unwrap_or_default().trim_ascii_end();
    let refuses = [
        &b"/nologin"[..],
        b"/false",
        b"/sync",
        b"/shutdown",
        b"/halt",
    ];
    Some(Account {
        has_login: !refuses.iter().any(|refusal| shell.ends_with(refusal)),
        name: sanitize::line(&sanitize::bytes(name)).into_owned(),
        uid,
        gid,
        home: PathBuf::from(OsStr::from_bytes(home)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_account_are_left_out() {
        let text = b"root:x:0:0:root:/root:/bin/bash\n\n# no\n+::::::\nx:y\nbad:x:-1:0::/:/\n\
            nohome:x:5:5:::/bin/sh\ne\x1bl:x:7:8:a,b:/h \xff:/bin/sh\nlast:x:1:2::/l";
        let accounts = parse(text);
        let told: Vec<_> = accounts
            .iter()
            .map(|account| (account.name.as_str(), account.uid, account.gid))
            .collect();
        assert_eq!(told, [("root", 0, 0), ("e\\x1bl", 7, 8), ("last", 1, 2)]);
        assert!(accounts[0].has_login);
        assert_eq!(accounts[1].home.as_os_str().as_bytes(), b"/h \xff");
    }

    #[test]
    fn a_login_sets_what_its_files_say_in_so_many_words() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "etc/passwd",
            "a:x:1:1::/home/a:/bin/bash\nb:x:2:2::/home/a:/usr/sbin/nologin\n",
        );
        write("etc/environment", "A=1\nB=\"two words\"\n# C=3\n");
        write(
            "etc/profile.d/x.sh",
            "export D='$4' E=5; F=6\nif [ G=7 ]; then\n",
        );
        write("etc/profile.d/y.txt", "H=8\n");
        write(
            "home/a/.bashrc",
            "\n  export A=9 # why\nI=$HOME/x\nJ=`x`\nalias k='l=m'\n",
        );
        let root = Root {
            path: dir.path(),
            avoid: &|_| None,
        };
        let accounts = list(&root).unwrap();
        let told: Vec<_> = login_environment(&root, &accounts[0])
            .into_iter()
            .map(|one| {
                let value = one.value.expose_str().unwrap().to_owned();
                (one.name, value, one.place.line)
            })
            .collect();
        let expected = [
            ("A", "9", 2),
            ("B", "two words", 2),
            ("D", "$4", 1),
            ("E", "5", 1),
            ("F", "6", 1),
        ];
        assert_eq!(
            told,
            expected.map(|(name, value, line)| (name.into(), value.into(), line))
        );
        assert_eq!(login_environment(&root, &accounts[1]), []);
    }

    #[test]
    fn what_is_no_regular_file_is_told_as_that() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc/passwd")).unwrap();
        let root = Root {
            path: dir.path(),
            avoid: &|_| None,
        };
        let error = list(&root).unwrap_err();
        assert_eq!(error.to_string(), "not a regular file");
    }

    #[test]
    fn a_host_without_accounts_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root {
            path: dir.path(),
            avoid: &|_| None,
        };
        assert_eq!(list(&root).unwrap(), []);
    }
}

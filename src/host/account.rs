//! The user accounts of a host, from its `/etc/passwd`.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::Root;
use crate::sanitize;

/// Accounts taken from one file.
const MAX_ACCOUNTS: usize = 10_000;

/// One line of passwd(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Safe for a terminal.
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: PathBuf,
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
    Some(Account {
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
        assert_eq!(accounts[1].home.as_os_str().as_bytes(), b"/h \xff");
    }

    #[test]
    fn a_host_without_accounts_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root {
            path: dir.path(),
            avoid: &|_| false,
        };
        assert_eq!(list(&root).unwrap(), []);
    }
}

//! Whether a path is still there, asked of file systems that may have stopped
//! answering: on a thread that is left behind when it does not come back.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::hash::Hash;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::host::from_here;
use crate::scan;

/// How long one answer may take; what follows it is not told then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Those of `paths`, absolute on the host, that are links.
pub(super) fn links(root: &Path, paths: Vec<PathBuf>) -> HashSet<PathBuf> {
    let root = root.to_owned();
    ask(paths, move |path| from_here(&root, path).is_symlink())
}

/// Those of `paths`, as findings show them, that are no more.
pub(super) fn gone(root: &Path, paths: Vec<String>) -> HashSet<String> {
    let root = root.to_owned();
    ask(paths, move |path| {
        if scan::is_masked(path) {
            return !may_be_there(&root, path);
        }
        let meant = [path.clone().into(), unescaped(path)];
        meant
            .iter()
            .all(|path| is_gone(&from_here(&root, Path::new(path))))
    })
}

fn is_gone(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        )
    })
}

/// Whether anything is there that would be told so: of the name a secret was
/// taken out.
fn may_be_there(root: &Path, shown: &str) -> bool {
    let mut found = vec![root.to_owned()];
    for part in shown.split('/').filter(|part| !part.is_empty()) {
        if !scan::is_masked(part) {
            for path in &mut found {
                path.push(part);
            }
            continue;
        }
        let mut next = Vec::new();
        for folder in found {
            match fs::read_dir(&folder) {
                Ok(list) => {
                    let names = list.flatten().map(|entry| entry.file_name());
                    let alike = names.filter(|name| scan::may_be_named(part, name));
                    next.extend(alike.map(|name| folder.join(name)));
                }
                // Nobody can say that it is gone.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return true,
                Err(_) => {}
            }
        }
        found = next;
    }
    !found.iter().all(|path| is_gone(path))
}

/// A name whose bytes are no text is shown with `\xNN` in it, and so is one
/// that spells that out.
fn unescaped(shown: &str) -> OsString {
    let bytes = shown.as_bytes();
    let mut name = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code = bytes[at..]
            .strip_prefix(b"\\x")
            .and_then(|rest| rest.get(..2));
        let code = code.and_then(|code| u8::from_str_radix(str::from_utf8(code).ok()?, 16).ok());
        name.push(code.unwrap_or(*byte));
        at += if code.is_some() { 4 } else { 1 };
    }
    OsString::from_vec(name)
}

fn ask<T: Eq + Hash + Send + 'static>(
    items: Vec<T>,
    is_so: impl Fn(&T) -> bool + Send + 'static,
) -> HashSet<T> {
    let mut told = HashSet::new();
    if items.is_empty() {
        return told;
    }
    let (answers, heard) = mpsc::channel();
    let asking = thread::Builder::new().spawn(move || {
        for item in items {
            let answer = is_so(&item).then_some(item);
            if answers.send(answer).is_err() {
                return;
            }
        }
    });
    if asking.is_ok() {
        while let Ok(answer) = heard.recv_timeout(PATIENCE) {
            told.extend(answer);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;
    use crate::sanitize;

    #[test]
    fn a_name_that_is_no_text_is_there_as_long_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(OsStr::from_bytes(b"odd\xff")), "").unwrap();
        fs::write(root.path().join("spelled\\xff"), "").unwrap();
        let shown = |name: &[u8]| format!("/{}", sanitize::bytes(name));
        let there = [&b"odd\xff"[..], b"spelled\\xff"].map(shown);
        let gone_by_now = [&b"other\xff"[..], b"\\x4"].map(shown);
        let all = [there, gone_by_now.clone()].concat();
        assert_eq!(gone(root.path(), all), HashSet::from(gone_by_now));
    }

    #[test]
    fn a_name_with_bytes_that_are_no_text_is_read_back() {
        for name in [&b"a\xff/b\xc3(\x80"[..], "ü\\x".as_bytes(), b"\\", b""] {
            assert_eq!(unescaped(&sanitize::bytes(name)).as_bytes(), name);
        }
    }

    #[test]
    fn a_name_without_its_secret_is_gone_when_nothing_is_named_so() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("k=123.d")).unwrap();
        fs::write(root.path().join("k=123.d/x"), "").unwrap();
        let shown = [
            "/k=<secret>.d/x",
            "/k=<secret>.d/y",
            "/j=<secret>.d/x",
            "/z/<secret>",
        ];
        let gone = gone(root.path(), shown.map(str::to_owned).to_vec());
        assert_eq!(
            gone,
            shown[1..].iter().map(|&path| path.to_owned()).collect()
        );
    }

    #[test]
    fn links_are_told_from_what_they_lead_to() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("file", root.path().join("link")).unwrap();
        let paths = ["/file", "/link", "/nothing"].map(PathBuf::from);
        let links = links(root.path(), paths.to_vec());
        assert_eq!(links, HashSet::from(["/link".into()]));
    }
}

//! Tools that sign with keys of their own files before they ask any SDK.

use std::path::{Path, PathBuf};

use super::ini::{Entry, Ini};
use super::resolve::{Answer, Key, of_file};
use super::survey::{Holder, Shadow};
use super::view::View;
use crate::finding::{AccessKeyId, Confidence};
use crate::host::account::Account;
use crate::secret::Secret;

/// One tool, by its manual.
struct Tool {
    name: &'static str,
    /// Below the home, or absolute.
    files: &'static [&'static str],
    read: fn(&Path, &[u8]) -> Vec<Key>,
    /// What it needs to take the role; `None` where it does so by itself.
    option: Option<&'static str>,
}

const TOOLS: [Tool; 4] = [
    Tool {
        name: "s3cmd",
        files: &[".s3cfg"],
        read: s3cfg,
        option: None,
    },
    Tool {
        name: "s3fs",
        files: &[".passwd-s3fs", "/etc/passwd-s3fs"],
        read: passwd_s3fs,
        option: Some("mount with the option iam_role=auto"),
    },
    Tool {
        name: "rclone",
        files: &[".config/rclone/rclone.conf", ".rclone.conf"],
        read: rclone,
        option: Some("set env_auth = true in rclone.conf"),
    },
    Tool {
        name: "mc",
        files: &[".mc/config.json", ".mcli/config.json"],
        read: mc,
        option: Some("use a client that takes the role, as the AWS CLI does"),
    },
];

/// The static keys that tools of `account` sign with. A file of the whole
/// host is told with root.
pub(super) fn shadows(account: &Account, view: &View<'_>) -> Vec<Shadow> {
    let mut shadows = Vec::new();
    for tool in &TOOLS {
        for file in tool.files {
            if file.starts_with('/') && account.uid != 0 {
                continue;
            }
            let path: PathBuf = account.home.join(file);
            let Some(text) = view.read(&path) else {
                continue;
            };
            // Many of these files are for services that are not AWS's.
            let keys = (tool.read)(&path, &text).into_iter();
            shadows.extend(keys.filter(|key| key.id.is_some()).map(|key| Shadow {
                holder: Holder::Account {
                    name: account.name.clone(),
                    uid: account.uid,
                },
                key,
                pids: Vec::new(),
                orders: vec![tool.name],
                against: Vec::new(),
                evidence: "a tool that signs by itself",
                confidence: Confidence::Medium,
                off: None,
                option: tool.option,
            }));
        }
    }
    shadows
}

fn key(path: &Path, section: &str, id: &Entry, secret: &Entry) -> Option<Key> {
    match of_file(path, section, id, secret, false) {
        Answer::Static(key) => Some(key),
        _ => None,
    }
}

fn s3cfg(path: &Path, text: &[u8]) -> Vec<Key> {
    let ini = Ini::parse(text);
    let key = ini.section("default").and_then(|section| {
        let id = section.get("access_key")?;
        key(path, "default", id, section.get("secret_key")?)
    });
    key.into_iter().collect()
}

fn rclone(path: &Path, text: &[u8]) -> Vec<Key> {
    let ini = Ini::parse(text);
    ini.sections()
        .filter(|(_, section)| section.get("type").is_some_and(|kind| kind.text() == "s3"))
        .filter_map(|(name, section)| {
            let id = section.get("access_key_id")?;
            key(path, name, id, section.get("secret_access_key")?)
        })
        .collect()
}

/// `ID:SECRET` or `BUCKET:ID:SECRET`, one a line.
fn passwd_s3fs(path: &Path, text: &[u8]) -> Vec<Key> {
    let lines = text.split(|byte| *byte == b'\n').zip(1..);
    lines
        .filter_map(|(line, number)| {
            let mut parts = line.trim_ascii().rsplitn(3, |byte| *byte == b':');
            let (secret, id) = (parts.next()?, parts.next()?);
            let bucket = parts.next().unwrap_or_default();
            let entry = |value: &[u8]| Entry {
                value: Secret::new(value),
                line: number,
            };
            let bucket = String::from_utf8_lossy(bucket);
            key(path, &bucket, &entry(id), &entry(secret))
        })
        .collect()
}

/// `{"aliases": {"NAME": {"accessKey": …, "secretKey": …}}}`.
fn mc(path: &Path, text: &[u8]) -> Vec<Key> {
    #[derive(serde::Deserialize)]
    struct Config {
        #[serde(default)]
        aliases: std::collections::BTreeMap<String, Alias>,
    }

    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Alias {
        #[serde(default)]
        access_key: String,
        #[serde(default)]
        secret_key: String,
    }

    let Ok(config) = serde_json::from_slice::<Config>(text) else {
        return Vec::new();
    };
    config
        .aliases
        .into_iter()
        .filter_map(|(name, alias)| {
            AccessKeyId::parse(alias.access_key.as_bytes())?;
            let at = memchr::memmem::find(text, alias.access_key.as_bytes())?;
            let line = 1 + memchr::memchr_iter(b'\n', &text[..at]).count() as u64;
            let entry = |value: String| Entry {
                value: Secret::new(value),
                line,
            };
            key(
                path,
                &name,
                &entry(alias.access_key),
                &entry(alias.secret_key),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::resolve::Setting;
    use super::*;

    fn lines(read: fn(&Path, &[u8]) -> Vec<Key>, template: &str) -> Vec<(String, u64)> {
        let id = ["AKIA", "SP2TPHJSQH3FJRUX"].concat();
        let text = template
            .replace("ID", &id)
            .replace("SECRET", &"s".repeat(40));
        let keys = read(Path::new("/f"), text.as_bytes());
        let told = keys.into_iter().map(|key| {
            assert_eq!(key.id.unwrap().as_str(), id);
            assert!(key.secret_fingerprint.is_some());
            match key.setting {
                Setting::File { place, profile } => (profile, place.line),
                other => panic!("{other:?}"),
            }
        });
        told.collect()
    }

    #[test]
    fn each_tools_own_file_is_read() {
        let one = |section: &str, line| vec![(section.to_owned(), line)];
        assert_eq!(
            lines(s3cfg, "[default]\naccess_key = ID\nsecret_key = SECRET\n"),
            one("default", 2)
        );
        assert_eq!(
            lines(
                rclone,
                "[disk]\ntype = local\n[aws]\ntype = s3\nprovider = AWS\naccess_key_id = ID\n\
                 secret_access_key = SECRET\n"
            ),
            one("aws", 6)
        );
        assert_eq!(
            lines(passwd_s3fs, "# x\nID:SECRET\nbucket:ID:SECRET\n"),
            [(String::new(), 2), ("bucket".into(), 3)]
        );
        assert_eq!(
            lines(
                mc,
                "{\"version\": \"10\", \"aliases\": {\n\"s3\": {\"url\": \"https://s3.amazonaws.com\",\n\
                 \"accessKey\": \"ID\", \"secretKey\": \"SECRET\"}, \"play\": {}}}"
            ),
            one("s3", 3)
        );
    }

    #[test]
    fn garbage_holds_no_key() {
        for tool in &TOOLS {
            for text in [
                &b"\xff\x00[{:::"[..],
                b"",
                b":::\n:\n",
                b"[default]\naccess_key=\n",
            ] {
                assert!(
                    (tool.read)(Path::new("/f"), text)
                        .iter()
                        .all(|key| key.id.is_none())
                );
            }
        }
    }
}

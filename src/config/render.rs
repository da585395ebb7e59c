//! The configuration as TOML that documents itself: what `rolecall config`
//! prints, and the file that the packages install.

use super::key::{KEYS, Key, TABLES};
use super::{Config, Loaded};

const ALLOW_DOC: &str = "\
Findings that were looked at and accepted. Every entry names one or more of
access_key_id, secret_fingerprint, path (a glob) and rule, all of which must
match, and the reason. After its expires, a date or a date-time, it is void.
The entries of all files add up.";

const ALLOW_EXAMPLE: &str = "\
[[allow]]
path = \"/opt/legacy/**\"
rule = \"aws.access-key-pair\"
reason = \"moves to the role with the next release\"
expires = 2030-12-31";

const SHIPPED_HEADER: &str = "\
Configuration of rolecall. Every value below is the default; remove the # in
front of one to change it, or put a file of your own into config.d beside this
one: config.d/*.toml is read after this file, in the order of the names, and
flags have the last word. An array replaces the one before it.
`rolecall config` prints what holds, and from where; `rolecall config --check`
validates.";

impl Loaded {
    /// The effective configuration: valid TOML that reads back as the same,
    /// with every key's documentation and the origin of its value.
    pub fn to_toml(&self) -> String {
        let mut out =
            comment("The effective configuration of rolecall, and where each value comes from.");
        render(&mut out, |out, key| {
            out.push_str(&comment(key.doc));
            out.push_str(&comment(&self.origin(&key.dotted()).to_string()));
            out.push_str(&assignment(key, &self.config));
        });
        push_allow_doc(&mut out);
        for allow in &self.config.allow {
            out.push('\n');
            out.push_str(&comment(&allow.origin.to_string()));
            out.push_str("[[allow]]\n");
            out.push_str(&allow.show());
        }
        out
    }
}

/// The defaults with their documentation, every value commented out, so that
/// a new release's defaults reach a host whose administrator changed nothing.
pub fn documented_default() -> String {
    let config = Config::default();
    let mut out = comment(SHIPPED_HEADER);
    render(&mut out, |out, key| {
        out.push_str(&comment(key.doc));
        out.push('#');
        out.push_str(&assignment(key, &config));
    });
    push_allow_doc(&mut out);
    out
}

fn render(out: &mut String, mut push_key: impl FnMut(&mut String, &Key)) {
    for (table, doc) in TABLES {
        if !table.is_empty() {
            out.push('\n');
            out.push_str(&comment(doc));
            out.push_str(&["[", table, "]\n"].concat());
        }
        for key in KEYS.iter().filter(|key| key.table == *table) {
            out.push('\n');
            push_key(out, key);
        }
    }
}

fn push_allow_doc(out: &mut String) {
    out.push('\n');
    out.push_str(&comment(ALLOW_DOC));
    out.push_str("#\n");
    for line in ALLOW_EXAMPLE.lines() {
        out.push_str(&["#", line, "\n"].concat());
    }
}

fn assignment(key: &Key, config: &Config) -> String {
    format!("{} = {}\n", key.name, (key.show)(config))
}

fn comment(text: &str) -> String {
    text.lines().flat_map(|line| ["# ", line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Sources};

    #[test]
    fn the_shipped_file_is_the_documented_default() {
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/config.toml");
        if std::env::var_os("ROLECALL_BLESS").is_some() {
            std::fs::write(shipped, documented_default()).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(shipped).unwrap(),
            documented_default(),
            "write it anew with ROLECALL_BLESS=1"
        );
    }

    fn load(text: &str, flags: Overrides) -> Loaded {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(&Sources {
            file: Some(file),
            directory: directory.path().into(),
            flags,
        })
        .unwrap()
    }

    /// What two configurations share when they came from different files.
    fn values(loaded: &Loaded) -> Config {
        let mut config = loaded.config.clone();
        for allow in &mut config.allow {
            allow.origin = crate::config::Origin::Default;
        }
        config
    }

    /// Every key with another value than its default.
    const EVERYTHING: &str = r#"
        state_dir = "/a \"quoted\" # dir"
        runtime_dir = "/b\n[x]"
        redact_access_key_ids = true
        scan.roots = ["/x", "/y"]
        scan.exclude = ["*.log", '/a\[b']
        scan.interval = "1h30m"
        scan.threads = 64
        scan.max_depth = 16
        scan.network_filesystems = true
        scan.archives = false
        scan.git = false
        scan.processes = false
        scan.user_data = false
        [watch]
        enabled = false
        paths = ["/only"]
        [posture]
        interval = "61s"
        boot_wait = "0s"
        hop_limit = 2
        probe_v1 = false
        role_policies = true
        iam_endpoint = "https://iam"
        [imds]
        endpoint = "http://[fd00:ec2::254]"
        [ship]
        mode = "always"
        log_group = "a/b#c"
        log_stream = "x-{instance_id}"
        endpoint = "https://logs.example"
        sts_endpoint = "https://sts.example"
        region = "eu-west-1"
        fips = true
        dual_stack = true
        proxy = "http://proxy:3128"
        ca_bundle = "/etc/ssl/my.pem"
        spread = "1ms"
        outbox_max = "1025KiB"
        [[allow]]
        path = "/opt/**"
        rule = "aws.access-key-id"
        reason = "it's \"known\" \\ # here"
        expires = 2030-12-31
        [[allow]]
        secret_fingerprint = "sha256:0123456789abcdef"
        reason = "so"
        expires = "2030-12-31T18:00:00.5+02:00"
    "#;

    #[test]
    fn everything_differs_from_the_default() {
        let (everything, default) = (load(EVERYTHING, Overrides::default()), Config::default());
        for key in KEYS {
            let name = key.dotted();
            assert_ne!(
                (key.show)(&everything.config),
                (key.show)(&default),
                "{name}"
            );
            assert!(
                everything
                    .to_toml()
                    .contains(&assignment(key, &everything.config))
            );
        }
    }

    #[test]
    fn every_value_is_told_with_its_origin() {
        let flags = Overrides {
            threads: Some(8),
            ..Overrides::default()
        };
        let loaded = load("\n\nship.region = \"eu-west-1\"\n", flags);
        let text = loaded.to_toml();
        let file = loaded.files[0].display();
        for expected in [
            "# --threads\nthreads = 8\n".to_owned(),
            format!("# {file}:3\nregion = \"eu-west-1\"\n"),
            "# default\nmax_depth = 4\n".to_owned(),
        ] {
            assert!(text.contains(&expected), "{expected}\nin\n{text}");
        }
    }

    #[test]
    fn the_shipped_file_with_every_value_put_in_force_changes_nothing() {
        let in_force: String = documented_default()
            .lines()
            .take_while(|line| *line != "#[[allow]]")
            .map(|line| match line.strip_prefix('#') {
                Some(value) if !value.is_empty() && !value.starts_with(' ') => format!("{value}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let loaded = load(&in_force, Overrides::default());
        assert_eq!(loaded.config, Config::default());
        assert!(
            KEYS.iter()
                .all(|key| loaded.origin(&key.dotted()) != crate::config::Origin::Default)
        );
        assert_eq!(
            load(&documented_default(), Overrides::default()).config,
            Config::default()
        );
    }

    #[test]
    fn the_example_of_an_allow_entry_is_valid() {
        assert_eq!(
            load(ALLOW_EXAMPLE, Overrides::default()).config.allow.len(),
            1
        );
    }

    #[test]
    fn the_output_fed_back_is_the_same_configuration() {
        for text in ["", EVERYTHING] {
            let first = load(text, Overrides::default());
            let again = load(&first.to_toml(), Overrides::default());
            assert_eq!(values(&again), values(&first));
        }
    }
}

//! Who runs what stands in a crontab: see crontab(5) and cron(8).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Where lines name their user: a file, and a directory of such files.
const WITH_USER: &str = "/etc/crontab";
const WITH_USER_IN: &str = "/etc/cron.d";

/// Root's, without such names.
const OF_ROOT: &str = "/etc/anacrontab";

/// Directories of crontabs that are named for their user: Debian's, SUSE's
/// and that of the others.
const OF_USERS: &[&str] = &[
    "/var/spool/cron/crontabs",
    "/var/spool/cron/tabs",
    "/var/spool/cron",
];

/// Scripts that root runs.
const SCRIPTS: &[&str] = &[
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
    "/etc/cron.yearly",
];

/// What cron does with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Crontab {
    /// Each line names its user; see [`Users`].
    System,
    /// All of it is run as this user.
    Of(String),
}

impl Crontab {
    /// `None` for a file that cron does not run.
    pub fn at(path: &Path) -> Option<Self> {
        let parent = path.parent()?;
        let name = path.file_name()?.to_str()?;
        let among = |places: &[&str]| places.iter().any(|place| parent == Path::new(place));
        if path == Path::new(OF_ROOT) || among(SCRIPTS) {
            Some(Self::Of("root".into()))
        } else if path == Path::new(WITH_USER) || parent == Path::new(WITH_USER_IN) {
            Some(Self::System)
        } else if among(OF_USERS) {
            Some(Self::Of(name.to_owned()))
        } else {
            None
        }
    }
}

/// The users that the lines of a system crontab are for.
#[derive(Debug, Default)]
pub struct Users {
    /// Of commands, by line.
    commands: BTreeMap<u64, Arc<str>>,
    /// Each with its last command.
    last: BTreeMap<Arc<str>, u64>,
}

impl Users {
    pub fn of(text: &[u8]) -> Self {
        let mut users = Self::default();
        for (text, line) in text.split(|byte| *byte == b'\n').zip(1..) {
            if let Some(user) = user(text) {
                let user: Arc<str> = user.into();
                users.commands.insert(line, Arc::clone(&user));
                users.last.insert(user, line);
            }
        }
        users
    }

    /// Those of one line, from 1: that of its command or, for a variable, those
    /// of the commands below.
    pub fn of_line(&self, line: u64) -> Vec<&str> {
        if let Some(user) = self.commands.get(&line) {
            return vec![user];
        }
        let below = self.last.iter().filter(|(_, last)| **last >= line);
        below.map(|(user, _)| &**user).collect()
    }
}

/// The user of a command; `None` for a line that is none.
fn user(line: &[u8]) -> Option<String> {
    let line = String::from_utf8_lossy(line.trim_ascii());
    let mut fields = line.split_ascii_whitespace();
    let first = fields.next()?;
    let user = if first.starts_with('@') {
        fields.next()
    } else if first.starts_with(|c: char| c.is_ascii_digit() || "*-~".contains(c)) {
        fields.nth(4)
    } else {
        None
    };
    user.filter(|user| is_name(user)).map(ToOwned::to_owned)
}

/// Whether an account may be called so, as useradd(8) would have it. Where the
/// column is left out by mistake a part of the command stands there, which may be
/// a secret.
fn is_name(word: &str) -> bool {
    const LONGEST: usize = 32;
    let is_part = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    let begins = word.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    begins && word.len() <= LONGEST && word.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_for_the_commands_below_and_a_command_for_its_user() {
        let text = b"# 1 2 3 4 5 nobody\n\
            A=1\n\
            */5 * * * * alice run\n\
            B=2\n\
            @reboot bob run\n\
            ~ 4 1 1 mon root x\n";
        let users = Users::of(text);
        let of = |line| users.of_line(line);
        assert_eq!(of(2), ["alice", "bob", "root"]);
        assert_eq!(of(3), ["alice"]);
        assert_eq!(of(4), ["bob", "root"]);
        assert!(of(9).is_empty());
    }

    #[test]
    fn what_stands_where_a_user_was_left_out_is_no_user() {
        let text = "@daily AWS_SECRET_ACCESS_KEY=x run\n\
            0 5 * * * ssssssssssssssssssssssssssssssssssssssss run\n\
            @hourly alice run\n\
            A=1\n\
            @daily AbCdEf run\n";
        let users = Users::of(text.as_bytes());
        assert_eq!(users.of_line(3), ["alice"]);
        for line in [1, 2] {
            assert_eq!(users.of_line(line), ["alice"], "as of what is no command");
        }
        assert!(users.of_line(4).is_empty());
    }

    #[test]
    fn a_crontab_is_known_by_its_place() {
        let at = |path: &str| Crontab::at(Path::new(path));
        let of = |user: &str| Some(Crontab::Of(user.into()));
        assert_eq!(at("/etc/cron.d/backup"), Some(Crontab::System));
        assert_eq!(at("/var/spool/cron/crontabs/alice"), of("alice"));
        assert_eq!(at("/var/spool/cron/ec2-user"), of("ec2-user"));
        assert_eq!(at("/etc/cron.daily/backup"), of("root"));
        assert_eq!(at("/etc/cron.d/x/y"), None);
    }
}

//! Where a finding was made.

use std::sync::Arc;

use serde::Serialize;

/// The kind of place that bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    File,
    Archive,
    Git,
    Process,
    UserData,
    /// A posture check of this instance rather than a place in it.
    Posture,
}

impl SourceKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Archive => "archive",
            Self::Git => "git",
            Self::Process => "process",
            Self::UserData => "user-data",
            Self::Posture => "posture",
        }
    }
}

/// Where a repository still has what one of its objects holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GitState {
    /// In a file that is checked out, or in the tree that HEAD names.
    InWorkingTree,
    /// Reached from a branch, a tag, a stash or a note, and not checked out.
    InHistoryOnly,
    /// Neither committed nor as the file is now: in the index alone.
    InIndexOnly,
    /// Reached from nowhere: left over from an amended or dropped commit.
    Unreachable,
}

impl GitState {
    /// Where the repository has one of two versions of a file that hold the same;
    /// `None` where it is not known of one, which may be more at hand.
    pub fn of_either(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let at_hand = |state| match state {
            Some(Self::InWorkingTree) => 4,
            Some(Self::InHistoryOnly) => 3,
            None => 2,
            Some(Self::InIndexOnly) => 1,
            Some(Self::Unreachable) => 0,
        };
        std::cmp::max_by_key(one, other, |state| at_hand(*state))
    }

    /// As it is said in a sentence.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::InWorkingTree => "still in the working tree",
            Self::InHistoryOnly => "in git history only",
            Self::InIndexOnly => "in the git index only",
            Self::Unreachable => "in a git object that nothing refers to",
        }
    }
}

/// The place, as exactly as it is known. Names are as on disk, with bytes
/// that are not UTF-8 written as `\xNN`; the exporters escape the rest.
#[derive(Debug, Clone, Serialize)]
pub struct Location {
    pub source: SourceKind,
    pub path: Option<Arc<str>>,
    /// Path inside an archive; `!` separates the archives on the way.
    pub member: Option<Arc<str>>,
    /// From 1; of the text that holds the credential, encoded or not.
    pub line: Option<u64>,
    /// From 1, in bytes.
    pub column: Option<u64>,
    /// The same in characters, for formats that count so.
    #[serde(skip)]
    pub character: Option<u64>,
    /// Encodings around the credential, outermost first.
    pub encoding: Vec<&'static str>,
    pub commit: Option<Arc<str>>,
    /// RFC 3339; when the commit was authored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author_date: Option<Arc<str>>,
    /// Where a repository still has it: the remedy differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_state: Option<GitState>,
    pub pid: Option<u32>,
    pub exe: Option<Arc<str>>,
    pub uid: Option<u32>,
    pub unit: Option<Arc<str>>,
    pub container: Option<Arc<str>>,
}

impl Location {
    /// A place of which only the kind is known yet.
    pub const fn new(source: SourceKind) -> Self {
        Self {
            source,
            path: None,
            member: None,
            line: None,
            column: None,
            character: None,
            encoding: Vec::new(),
            commit: None,
            author_date: None,
            git_state: None,
            pid: None,
            exe: None,
            uid: None,
            unit: None,
            container: None,
        }
    }

    /// Bytes of all that names the place.
    pub fn names(&self) -> usize {
        [
            &self.path,
            &self.member,
            &self.exe,
            &self.unit,
            &self.container,
        ]
        .into_iter()
        .flatten()
        .map(|name| name.len())
        .sum()
    }
}

/// What the file system says of the file that holds the credential.
#[derive(Debug, Clone, Serialize)]
pub struct FileFacts {
    pub uid: u32,
    /// Four octal digits, such as `0644`.
    pub mode: String,
    /// RFC 3339, UTC.
    pub modified: Option<String>,
    /// RFC 3339, UTC; `None` where the file system does not record it.
    pub born: Option<String>,
    /// Whether the file was there before the instance first started: the fix
    /// is then in the image, else in the deployment. `None` if not known.
    pub baked_into_image: Option<bool>,
}

impl FileFacts {
    /// Whether every account of the host may read the file.
    pub fn world_readable(&self) -> bool {
        u32::from_str_radix(&self.mode, 8).is_ok_and(|mode| mode & 0o004 != 0)
    }
}

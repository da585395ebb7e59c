//! User-data: what a launch template hands to every instance, and what
//! cloud-init keeps of it on disk.
//!
//! A text is looked at as it is and, besides, part by part, where that tells
//! more of the place or shows what the transfer encoding hides: the parts of
//! MIME multipart messages and of archives, and the files of `write_files`.
//! Nothing that it includes by URL is fetched.

mod cloud_config;
mod mime;

use std::borrow::Cow;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::files::{Files, lock, open_regular, reason};
use super::{Blob, Origin, Visitor, archive};
use crate::finding::{Coverage, FileFacts, Location, SkipReason, SourceKind};
use crate::sanitize;
use crate::secret::Secret;
use crate::sparing::Sparing;
use cloud_config::Kind;

/// The path that findings in the user-data of this instance have.
pub const PATH: &str = "user-data";

/// Where cloud-init keeps what it was given, in its original and in every
/// form that it brought it into.
const COPIES: [&str; 4] = [
    "/var/lib/cloud/instance/",
    "/var/lib/cloud/instances/",
    "/var/lib/cloud/seed/",
    "/run/cloud-init/",
];

/// Bytes of a text that is taken apart; AWS gives at most 16 KiB, compressed.
const MAX_TEXT: u64 = 4 * 1024 * 1024;

/// Compressed or multipart texts in one another.
const MAX_NESTING: usize = 4;

/// Copies that are remembered in a run.
const MAX_COPIES: usize = 20_000;

/// What the metadata service says.
#[derive(Debug, Clone, Default)]
pub enum Answer {
    /// Only the copies on disk are of interest.
    #[default]
    NotAsked,
    Given(Secret),
    /// There is none, or it is not known; with the reason.
    Without(SkipReason, String),
}

/// Whether cloud-init writes what it was given to `path`, as the host knows it.
pub fn is_copy(path: &str) -> bool {
    COPIES.iter().any(|folder| path.starts_with(folder))
}

/// The copies that the walk of the files comes across.
#[derive(Debug, Default)]
pub struct Copies(Mutex<Vec<PathBuf>>);

impl Copies {
    /// Remembers a file if it is a copy: `on_host` as the host knows it.
    pub(super) fn note(&self, path: &Path, on_host: &Path) {
        let is_copy = on_host.to_str().is_some_and(is_copy);
        if is_copy {
            let mut copies = lock(&self.0);
            // Beyond the bound they are read as the files that they are.
            if copies.len() < MAX_COPIES {
                copies.push(path.to_owned());
            }
        }
    }
}

/// Visits the user-data of this instance, and the parts of each copy; `None`
/// where nobody asked and there is no copy.
pub fn read(
    answer: &Answer,
    copies: &Copies,
    files: &Files<'_>,
    visitor: &mut dyn Visitor,
) -> Option<Coverage> {
    let mut reader = Reader {
        archives: files.archives,
        visitor,
        coverage: Coverage::new(SourceKind::UserData),
    };
    let mut copies = std::mem::take(&mut *lock(&copies.0));
    copies.sort_unstable();
    match answer {
        Answer::NotAsked if copies.is_empty() => return None,
        Answer::NotAsked => {}
        // Half of it would tell a key without the name of its part.
        Answer::Given(_) if reader.visitor.is_over() => {
            reader.coverage.skip(SkipReason::TimeLimit, PATH);
        }
        Answer::Given(text) => reader.instance(text.expose()),
        Answer::Without(reason, why) => reader.coverage.skip(*reason, sanitize::line(why)),
    }
    if let Some(memory) = files.memory
        && !matches!(answer, Answer::NotAsked)
        && reader.coverage.is_complete()
    {
        memory.looked_through(Path::new(PATH));
    }
    for path in copies {
        reader.visitor.enters(Some(&path));
        if reader.visitor.is_over() {
            reader.skip(SkipReason::TimeLimit, &path, files);
            break;
        }
        if let Err(error) = reader.copy(&path, files) {
            reader.skip(reason(&error), &path, files);
        }
    }
    Some(reader.coverage)
}

struct Reader<'a> {
    archives: Option<archive::Settings>,
    visitor: &'a mut dyn Visitor,
    coverage: Coverage,
}

impl Reader<'_> {
    fn skip(&mut self, reason: SkipReason, path: &Path, files: &Files<'_>) {
        self.coverage.skip(reason, files.show(path));
    }

    fn instance(&mut self, text: &[u8]) {
        let scanned = self.coverage.scanned;
        let outcome = self
            .whole(text, &Instance)
            .and_then(|()| self.parts(text, None, &Instance, 0));
        match outcome {
            // One text, however many parts it has.
            Ok(()) => self.coverage.scanned = scanned + 1,
            Err(error) => self.coverage.skip(reason(&error), PATH),
        }
    }

    /// The parts of a copy, which is read as a file already.
    fn copy(&mut self, path: &Path, files: &Files<'_>) -> io::Result<()> {
        let Some((file, state)) = open_regular(path)? else {
            return Ok(());
        };
        let mut text = Vec::new();
        Sparing::new(&file, state.size).read_to(MAX_TEXT, &mut text)?;
        let origin = files.origin(path, &file);
        let scanned = self.coverage.scanned;
        self.parts(&text, None, &origin, 0)?;
        if self.coverage.scanned > scanned {
            self.coverage.scanned = scanned + 1;
        }
        Ok(())
    }

    /// A text as it is, or what is in it where it is an archive.
    fn whole(&mut self, text: &[u8], origin: &dyn Origin) -> io::Result<()> {
        let outcome = match self.archives {
            Some(settings) if archive::at_start(text) => {
                archive::read_bytes(text, origin, settings, self.visitor, &mut self.coverage)?
            }
            _ => archive::Outcome::ScanAsFile,
        };
        if outcome == archive::Outcome::ScanAsFile {
            let blob = Blob {
                content: &mut &text[..],
                origin,
            };
            self.visitor.visit(blob, &mut self.coverage)?;
        }
        Ok(())
    }

    /// What a text is made of, each with its name; of its type, if somebody
    /// `declared` one.
    fn parts(
        &mut self,
        text: &[u8],
        declared: Option<&str>,
        origin: &dyn Origin,
        nesting: usize,
    ) -> io::Result<()> {
        let text = inflate(text);
        if mime::is_multipart(&text) {
            let parts = mime::parts(&text);
            if parts.is_cut || nesting == MAX_NESTING || text.len() as u64 == MAX_TEXT {
                let place = show(&origin.location());
                self.coverage.skip(SkipReason::ArchiveLimit, place);
            }
            if nesting == MAX_NESTING {
                return Ok(());
            }
            for part in parts.parts {
                let origin = Part::new(origin, &part.name);
                self.whole(&part.content, &origin)?;
                let declared = part.declared.as_deref();
                self.parts(&part.content, declared, &origin, nesting + 1)?;
            }
        } else if let Ok(text) = std::str::from_utf8(&text) {
            self.named(text, declared, origin, nesting)?;
        }
        Ok(())
    }

    /// What a text for cloud-init names.
    fn named(
        &mut self,
        text: &str,
        declared: Option<&str>,
        origin: &dyn Origin,
        nesting: usize,
    ) -> io::Result<()> {
        match Kind::of(text, declared) {
            Kind::Archive => {
                let parts = cloud_config::parts(text);
                if !parts.is_empty() && nesting == MAX_NESTING {
                    let place = show(&origin.location());
                    self.coverage.skip(SkipReason::ArchiveLimit, place);
                    return Ok(());
                }
                for part in parts {
                    let (content, origin) =
                        (part.content.as_bytes(), Part::new(origin, &part.name));
                    self.whole(content, &origin)?;
                    let declared = part.declared.as_deref();
                    self.parts(content, declared, &origin, nesting + 1)?;
                }
            }
            Kind::Config => {
                for file in cloud_config::files(text) {
                    if !file.content.is_empty() {
                        self.whole(file.content.as_bytes(), &Part::new(origin, &file.name()))?;
                    }
                    if let Some(uri) = file.uri {
                        self.coverage.skip(SkipReason::NotFetched, uri);
                    }
                }
            }
            Kind::Include => {
                for url in cloud_config::includes(text) {
                    self.coverage.skip(SkipReason::NotFetched, url);
                }
            }
            Kind::Other => {}
        }
        Ok(())
    }
}

/// What gzip holds, up to the bound: damage is told where the text is read as
/// an archive.
fn inflate(text: &[u8]) -> Cow<'_, [u8]> {
    if !archive::is_gzip(text) {
        return text.into();
    }
    let mut inflated = Vec::new();
    let _ = flate2::read::MultiGzDecoder::new(text)
        .take(MAX_TEXT)
        .read_to_end(&mut inflated);
    inflated.into()
}

/// As an example of what was left out.
fn show(location: &Location) -> String {
    let path = location.path.as_deref().unwrap_or(PATH);
    match &location.member {
        Some(member) => format!("{path}!{member}"),
        None => path.to_owned(),
    }
}

/// The user-data that the metadata service gives.
struct Instance;

impl Origin for Instance {
    fn location(&self) -> Location {
        Location {
            path: Some(PATH.into()),
            ..Location::new(SourceKind::UserData)
        }
    }
}

/// A named part of a text.
struct Part<'a> {
    whole: &'a dyn Origin,
    name: String,
}

impl<'a> Part<'a> {
    fn new(whole: &'a dyn Origin, name: &str) -> Self {
        let name = sanitize::bytes(name.as_bytes());
        Self { whole, name }
    }
}

impl Origin for Part<'_> {
    fn location(&self) -> Location {
        let whole = self.whole.location();
        let member = match &whole.member {
            Some(outer) => format!("{outer}!{}", self.name).into(),
            None => self.name.as_str().into(),
        };
        Location {
            member: Some(member),
            ..whole
        }
    }

    fn facts(&self) -> Option<FileFacts> {
        self.whole.facts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_told_by_their_folder() {
        for path in [
            "/var/lib/cloud/instances/i-1/user-data.txt.i",
            "/run/cloud-init/instance-data-sensitive.json",
            "/var/lib/cloud/seed/nocloud/user-data",
        ] {
            assert!(is_copy(path), "{path}");
        }
        for path in [
            "/var/lib/cloud/scripts/per-boot/run.sh",
            "/srv/var/lib/cloud/instance/user-data.txt",
            "/run/cloud-initial",
        ] {
            assert!(!is_copy(path), "{path}");
        }
    }

    #[test]
    fn no_damage_makes_a_parser_panic() {
        let seeds = [
            "Content-Type: multipart/mixed; boundary=\"b\"\nMIME-Version: 1.0\n\n--b\n\
             Content-Type: text/x-sh; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\
             Content-Disposition: attachment; filename*=utf-8''a%20b\n\na=3D=\nb\n--b\n\
             Content-Type: message/rfc822\n\nFrom: a\n\nb\n--b\n\
             Content-Transfer-Encoding: base64\n\nQUJD\nREVG\n--b--\n",
            "#cloud-config\nwrite_files:\n- &a {path: /a, content: 'b'}\n- *a\n\
             - path: >-\n    c\n    d\n  content: !!binary |\n    QUJD\n? [x, y]\n: \"\\x41\\u00e9\"\n...\n---\n%TAG\n",
        ];
        let mut rng = fastrand::Rng::with_seed(7);
        for round in 0..10_000 {
            let mut text = seeds[round % 2].as_bytes().to_vec();
            for _ in 0..rng.usize(1..6) {
                let at = rng.usize(..text.len());
                match rng.u8(..4) {
                    0 => text[at] = rng.u8(..),
                    1 => text.truncate(at + 1),
                    2 if at > 0 => drop(text.remove(at)),
                    _ => {
                        let from = rng.usize(..text.len());
                        let piece = text[from..text.len().min(from + 40)].to_vec();
                        text.splice(at..at, piece);
                    }
                }
            }
            mime::parts(&text);
            let text = String::from_utf8_lossy(&text);
            cloud_config::files(&text);
            cloud_config::parts(&text.replacen("#cloud-config\n", "#cloud-config-archive\n", 1));
        }
    }
}

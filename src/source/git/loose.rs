//! The files of an object store, told apart by what is in them: packs, loose
//! objects, and everything else, which is read as the plain file that it is.

use std::fs::{self, FileType};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gix_hash::ObjectId;
use gix_object::Kind;

use super::inflate::{Inflating, invalid};
use super::traverse::{ALONE, MAX_HELD, MAX_STREAMED};
use super::worker::Worker;
use super::{seen, stored};
use crate::finding::SkipReason;
use crate::source::Content;
use crate::source::files::{Files, lock, open_regular, reason, show};
use crate::source::repositories::is_pack;
use crate::sparing::Sparing;

/// Folders below one store; git makes 256 and a few.
const MAX_FOLDERS: usize = 10_000;

/// Bytes that tell what a file is, and all of most objects: a page.
const BEGINNING: usize = 4096;

/// The longest head of a loose object, such as `commit 123`.
const HEAD: usize = 32;

/// The folders of one object store, which threads take one by one.
pub(super) struct Store<'a> {
    files: &'a Files<'a>,
    /// It, and what is in it.
    folders: Vec<PathBuf>,
    next: AtomicUsize,
    /// The packs that were found.
    pub(super) packs: Mutex<Vec<PathBuf>>,
    /// Whether something was gone when it was come to.
    pub(super) is_changing: AtomicBool,
    /// Held while a large object is in memory.
    large: Mutex<()>,
}

impl<'a> Store<'a> {
    /// Lists the folders, without following a link or entering a skipped
    /// mount.
    pub(super) fn open(files: &'a Files<'a>, objects: &Path, worker: &mut Worker<'_>) -> Self {
        let mut folders = vec![objects.to_owned()];
        let mut listed = 0;
        while let Some(folder) = folders.get(listed).cloned() {
            listed += 1;
            // What cannot be listed is told when its files are asked for.
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let place = || show(&files.on_host(&path));
                let kind = entry.file_type();
                if kind.as_ref().is_ok_and(FileType::is_symlink) {
                    // Git would follow it; a walk goes where it leads, if at all.
                    worker.coverage.skip(SkipReason::GitLimit, place());
                }
                if !kind.is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                if let Some(reason) = files.mounts.skip(&path) {
                    worker.coverage.skip(reason, place());
                    let beneath = files.mounts.beneath(&path).filter(|path| path.is_dir());
                    folders.extend(beneath.map(Path::to_owned));
                } else if files.is_excluded(&path) {
                    worker.coverage.skip(SkipReason::Excluded, place());
                } else if folders.len() < MAX_FOLDERS {
                    folders.push(path);
                } else {
                    worker.coverage.skip(SkipReason::GitLimit, place());
                }
            }
        }
        Self {
            files,
            folders,
            next: AtomicUsize::new(0),
            packs: Mutex::default(),
            is_changing: AtomicBool::new(false),
            large: Mutex::default(),
        }
    }

    /// Reads the files of folders that no other thread has taken.
    pub(super) fn work(&self, worker: &mut Worker<'_>) {
        while let Some(folder) = self.folders.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let entries = match fs::read_dir(folder) {
                Ok(entries) => entries,
                Err(error) => {
                    let place = show(&self.files.on_host(folder));
                    worker.coverage.skip(reason(&error), place);
                    continue;
                }
            };
            for entry in entries.flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                    continue;
                }
                let path = entry.path();
                let place = || show(&self.files.on_host(&path));
                if worker.visitor.is_over() {
                    worker.coverage.skip(SkipReason::TimeLimit, place());
                    return;
                }
                let mounts = self.files.mounts;
                let skipped = mounts
                    .skips_in(folder)
                    .then(|| mounts.skip(&path))
                    .flatten();
                if let Some(reason) = skipped {
                    worker.coverage.skip(reason, place());
                } else if self.files.is_excluded(&path) {
                    worker.coverage.skip(SkipReason::Excluded, place());
                } else if let Err(error) = self.file(worker, &path) {
                    let is_gone = error.kind() == io::ErrorKind::NotFound;
                    self.is_changing.fetch_or(is_gone, Ordering::Relaxed);
                    worker.coverage.skip(reason(&error), place());
                }
            }
        }
    }

    fn file(&self, worker: &mut Worker<'_>, path: &Path) -> io::Result<()> {
        let Some((file, state)) = open_regular(path)? else {
            return Ok(());
        };
        let size = state.size;
        let sparing = Sparing::in_pieces(&file);
        let mut head = [0; BEGINNING];
        let count = sparing.read_at(&mut head, 0)?;
        let head = &head[..count];
        if is_pack(head) {
            lock(&self.packs).push(path.to_owned());
            return Ok(());
        }
        let named = named_id(path);
        // A zlib stream begins with a multiple of 31.
        let zlib = |first, second| {
            first & 0x0f == 8 && u16::from_be_bytes([first, second]).is_multiple_of(31)
        };
        if let [first, second, _, ..] = *head
            && zlib(first, second)
        {
            let content = || head.chain(sparing.reader(count as u64));
            let outcome = object(worker, content, size, named, &self.large);
            let store = self.folders.first().map(PathBuf::as_path);
            worker.stored_in(|| stored::facts(self.files, &file, store));
            match outcome {
                Ok(()) => return Ok(()),
                Err(error) => match error.kind() {
                    io::ErrorKind::FileTooLarge => {
                        let place = show(&self.files.on_host(path));
                        worker.coverage.skip(SkipReason::GitLimit, place);
                        return Ok(());
                    }
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {}
                    _ => return Err(error),
                },
            }
        }
        // By its name it should have been one of git's own.
        let is_named = |kind| path.extension().is_some_and(|extension| extension == kind);
        // Git takes the index away before the pack.
        let is_lost = || is_gone(&path.with_extension("pack")) && !is_gone(path);
        let is_of_pack = is_named("pack") || (is_named("idx") && is_lost());
        if named.is_some() || (is_of_pack && !is_unfinished(path)) {
            let place = show(&self.files.on_host(path));
            worker.coverage.skip(SkipReason::GitCorrupt, place);
        }
        self.files
            .visit(path, &file, size, &mut *worker.visitor, &mut worker.plain)
    }
}

/// Whether a pack is one that git has not finished writing, or left behind like
/// that: what it lacks is nowhere.
pub(super) fn is_unfinished(pack: &Path) -> bool {
    let name = pack.file_name().unwrap_or_default().as_encoded_bytes();
    name.starts_with(b"tmp_pack_") || name.starts_with(b".tmp-")
}

/// The packs in a folder of objects, as they are by now.
pub(super) fn packs(objects: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(objects.join("pack")).into_iter().flatten();
    let files = entries.flatten().filter(|entry| {
        let kind = entry.file_type();
        kind.is_ok_and(|kind| kind.is_file())
    });
    let paths = files.map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|kind| kind == "pack"))
}

fn is_gone(path: &Path) -> bool {
    let found = path.symlink_metadata();
    found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Reads one loose object; fails on what is none or has something behind it.
fn object<R: Read>(
    worker: &mut Worker<'_>,
    file: impl Fn() -> R,
    length: u64,
    named: Option<ObjectId>,
    large: &Mutex<()>,
) -> io::Result<()> {
    let hash = named.map_or(gix_hash::Kind::Sha1, |id| id.kind());
    let state = worker.buffers.stream.take().unwrap_or_default();
    let mut stream = Inflating::with(file(), state);
    let (kind, size) = head(&mut stream)?;
    if size > MAX_HELD as u64 {
        if size > MAX_STREAMED {
            return Err(super::inflate::too_large());
        }
        let content = stream.by_ref().take(size + 1);
        worker.stream(kind, size, content, hash, || {
            let mut stream = Inflating::new(file());
            head(&mut stream)?;
            Ok(stream.take(size + 1))
        })?;
    } else {
        let _alone = (size > ALONE as u64).then(|| lock(large));
        // Grows with what comes, not with what the head claims.
        let mut bytes = std::mem::take(&mut worker.buffers.object);
        bytes.clear();
        let read = stream.by_ref().take(size + 1).read_to_end(&mut bytes);
        // Also what there is of an object that was cut short.
        worker.object(kind, Content::Bytes(&bytes), hash, None);
        if read.is_ok() {
            let id = gix_object::compute_hash(hash, kind, &bytes).ok();
            if id.is_some() && id == named {
                worker.loose.extend(id.map(|id| seen::short(&id)));
            }
            if kind == Kind::Commit
                && let Some(id) = id
            {
                worker.commits.add_loose(id, &bytes);
            }
        }
        let whole = bytes.len() as u64 == size;
        worker.buffers.object = bytes;
        worker.buffers.shrink();
        read?;
        if !whole {
            return Err(invalid("the object has another size than it says"));
        }
    }
    stream.drain(0)?;
    let consumed = stream.consumed();
    worker.buffers.stream = Some(stream.into_state());
    if consumed < length {
        return Err(invalid("there is something behind the object"));
    }
    Ok(())
}

/// The kind and size that a loose object begins with.
pub(super) fn head<R: Read>(stream: &mut Inflating<R>) -> io::Result<(Kind, u64)> {
    let mut head = [0; HEAD];
    for at in 0..HEAD {
        stream.read_exact(&mut head[at..=at])?;
        if head[at] == 0 {
            let (kind, size, _) = gix_object::decode::loose_header(&head[..=at])
                .map_err(|error| invalid(error.to_string()))?;
            return Ok((kind, size));
        }
    }
    Err(invalid("not a loose object"))
}

/// The id that the names of a loose object and its folder make.
fn named_id(path: &Path) -> Option<ObjectId> {
    let name = path.file_name()?.to_str()?;
    let folder = path.parent()?.file_name()?.to_str()?;
    if folder.len() != 2 {
        return None;
    }
    ObjectId::from_hex(format!("{folder}{name}").as_bytes()).ok()
}

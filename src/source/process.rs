//! The environments and command lines of running processes, from a `/proc`.
//!
//! A process that ends meanwhile is no error. One that may not be looked into
//! (another user's, without `CAP_SYS_PTRACE`) is counted.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::thread::CapabilitySet;

use super::files::lock;
use super::mounts::Mounts;
use super::{Blob, Origin, Visitor};
use crate::finding::{Coverage, Location, SkipReason, SourceKind};
use crate::host::process::{self, FIRST_NAMESPACE, MAX_BYTES, Process};
use crate::sanitize;

/// Times that what turns out empty is read, and how long apart: for a moment it
/// is, where a process goes on to another program.
const ATTEMPTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(2);

/// The processes that a `/proc` shows. Any number of threads may visit them; one
/// that is stuck with one of them leaves the others to the next thread.
#[derive(Debug)]
pub struct Processes {
    proc: PathBuf,
    /// Last those that wait for the kernel: they may keep whoever asks.
    listed: Vec<Process>,
    /// How many of them do not.
    ready: usize,
    next: AtomicUsize,
    coverage: Mutex<Coverage>,
}

impl Processes {
    /// Lists them.
    pub fn list(proc: &Path, mounts: Option<&Mounts>) -> Self {
        let mut coverage = Coverage::new(SourceKind::Process);
        let listed = match process::list(proc) {
            Ok(listed) => {
                tell_unlisted(proc, mounts, &listed, &mut coverage);
                listed
            }
            Err(error) => {
                let reason = match error.kind() {
                    io::ErrorKind::NotFound if proc == Path::new("/proc") => SkipReason::NotFound,
                    io::ErrorKind::NotFound => SkipReason::Absent,
                    _ => reason(&error),
                };
                coverage.skip(reason, sanitize::bytes(proc.as_os_str().as_encoded_bytes()));
                Vec::new()
            }
        };
        let (mut listed, waiting): (Vec<_>, Vec<_>) = listed
            .into_iter()
            .partition(|process| !process.waits_for_kernel());
        let ready = listed.len();
        listed.extend(waiting);
        Self {
            proc: proc.to_owned(),
            listed,
            ready,
            next: AtomicUsize::new(0),
            coverage: Mutex::new(coverage),
        }
    }

    /// How many of them wait for the kernel.
    pub fn waiting(&self) -> usize {
        self.listed.len() - self.ready
    }

    /// Visits those that no thread has visited, but for those whose directories
    /// are `silent`: whoever asked them still waits for an answer. Those that
    /// wait for the kernel only `with_waiting`.
    pub fn work(&self, with_waiting: bool, silent: &[PathBuf], visitor: &mut dyn Visitor) {
        let end = if with_waiting {
            self.listed.len()
        } else {
            self.ready
        };
        loop {
            if visitor.is_given_up() {
                return;
            }
            let next = |at: usize| (at < end).then_some(at + 1);
            let (order, same) = (Ordering::Relaxed, Ordering::Relaxed);
            let Ok(at) = self.next.fetch_update(order, same, next) else {
                return;
            };
            let process = &self.listed[at];
            let mut coverage = Coverage::new(SourceKind::Process);
            let shown = format!("process {}", process.pid());
            if visitor.is_over() {
                self.next.store(self.listed.len(), Ordering::Relaxed);
                let left = (self.listed.len() - at) as u64;
                coverage.skip_many(SkipReason::TimeLimit, left, shown);
            } else {
                self.visit(process, silent, visitor, &mut coverage, shown);
            }
            // It was told when it was given up.
            let mut all = lock(&self.coverage);
            if visitor.is_given_up() {
                return;
            }
            all.merge(coverage);
        }
    }

    fn visit(
        &self,
        process: &Process,
        silent: &[PathBuf],
        visitor: &mut dyn Visitor,
        coverage: &mut Coverage,
        shown: String,
    ) {
        let place = self.proc.join(process.pid().to_string());
        if silent.contains(&place) {
            coverage.skip(SkipReason::Hung, shown);
            return;
        }
        visitor.enters(Some(&place));
        if let Some(process) = process.in_memory()
            && let Err(error) = visit(&process, visitor, coverage)
            && process.in_memory().is_some()
        {
            coverage.skip(reason(&error), shown);
        }
    }

    /// Tells `place`, where a thread is stuck, if that is given up.
    pub fn tell_hung(&self, place: &Path, give_up: impl FnOnce() -> bool) -> bool {
        let mut coverage = lock(&self.coverage);
        let is_given_up = give_up();
        if is_given_up {
            let pid = place.file_name().unwrap_or_default();
            coverage.skip(SkipReason::Hung, format!("process {}", pid.display()));
        }
        is_given_up
    }

    /// What was visited, once no thread goes on. What is left then was behind
    /// more that does not answer than anybody waits for.
    pub fn coverage(&self) -> Coverage {
        let empty = Coverage::new(SourceKind::Process);
        let mut coverage = std::mem::replace(&mut *lock(&self.coverage), empty);
        let next = self.next.load(Ordering::Relaxed);
        if let Some(left @ [first, ..]) = self.listed.get(next..) {
            let shown = format!("process {}", first.pid());
            coverage.skip_many(SkipReason::Hung, left.len() as u64, shown);
        }
        coverage
    }
}

/// Tells what is not even listed.
fn tell_unlisted(
    proc: &Path,
    mounts: Option<&Mounts>,
    listed: &[Process],
    coverage: &mut Coverage,
) {
    if hides_processes(proc, mounts, listed) {
        coverage.skip(
            SkipReason::PermissionDenied,
            "processes of other users (/proc is mounted with hidepid)",
        );
    }
    if process::namespace(proc).is_some_and(|namespace| namespace != Path::new(FIRST_NAMESPACE)) {
        coverage.skip(
            SkipReason::OtherNamespace,
            "processes outside of this PID namespace",
        );
    }
}

/// Whether there may be processes that `proc` does not even list for us.
fn hides_processes(proc: &Path, mounts: Option<&Mounts>, processes: &[Process]) -> bool {
    let Ok(proc) = proc.canonicalize() else {
        return false;
    };
    let Some(group) = mounts.and_then(|mounts| mounts.group_that_sees(&proc)) else {
        return false;
    };
    // Who has all rights in a user namespace has none over what is outside.
    if processes.first().is_none_or(|first| first.pid() != 1) {
        return true;
    }
    let may_trace = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_PTRACE));
    let of_group = || {
        let groups = rustix::process::getgroups().unwrap_or_default();
        let own = rustix::process::getegid();
        groups.iter().chain([&own]).any(|one| one.as_raw() == group)
    };
    !may_trace && !of_group()
}

fn visit(process: &Process, visitor: &mut dyn Visitor, coverage: &mut Coverage) -> io::Result<()> {
    let scanned = coverage.scanned;
    // Everybody may read the command line.
    let outcomes = ["environ", "cmdline"].map(|part| read(process, part, visitor, coverage));
    coverage.scanned = scanned;
    outcomes.into_iter().collect::<io::Result<()>>()?;
    // One process, not two blobs.
    coverage.scanned += 1;
    Ok(())
}

fn read(
    process: &Process,
    part: &'static str,
    visitor: &mut dyn Visitor,
    coverage: &mut Coverage,
) -> io::Result<()> {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            thread::sleep(PAUSE);
        }
        let bytes = coverage.bytes;
        let origin = ProcessOrigin { process, part };
        let mut content = Lines(process.open(part)?.take(MAX_BYTES));
        let blob = Blob {
            content: &mut content,
            origin: &origin,
        };
        visitor.visit(blob, coverage)?;
        let Lines(content) = content;
        if content.limit() == 0 && content.into_inner().read(&mut [0])? > 0 {
            let place = format!("process {}, {part} from byte {MAX_BYTES} on", process.pid());
            coverage.skip(SkipReason::IoError, place);
        }
        if coverage.bytes > bytes {
            break;
        }
    }
    Ok(())
}

fn reason(error: &io::Error) -> SkipReason {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::NotFound, _) => SkipReason::Vanished,
        (io::ErrorKind::PermissionDenied, _) => SkipReason::PermissionDenied,
        (io::ErrorKind::TimedOut, None) => SkipReason::TimeLimit,
        // ESRCH: it ended between the opening and the reading.
        (_, Some(errno)) if errno == rustix::io::Errno::SRCH.raw_os_error() => SkipReason::Vanished,
        _ => SkipReason::IoError,
    }
}

/// Entries end in NUL; as lines they have numbers.
struct Lines<R>(R);

impl<R: io::Read> io::Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        for byte in &mut buffer[..count] {
            if *byte == 0 {
                *byte = b'\n';
            }
        }
        Ok(count)
    }
}

struct ProcessOrigin<'a> {
    process: &'a Process,
    part: &'static str,
}

impl Origin for ProcessOrigin<'_> {
    fn location(&self) -> Location {
        let identity = self.process.identity();
        Location {
            path: Some(self.part.into()),
            pid: Some(self.process.pid()),
            exe: identity.exe.map(Into::into),
            uid: identity.uid,
            unit: identity.unit.map(Into::into),
            container: identity.container.map(Into::into),
            ..Location::new(SourceKind::Process)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Keeps what it is given, by the place; `then` is done after each.
    struct Kept<F>(Vec<(Option<String>, Vec<u8>)>, F);

    impl<F: FnMut() + Send> Visitor for Kept<F> {
        fn visit(&mut self, blob: Blob<'_>, coverage: &mut Coverage) -> io::Result<()> {
            let mut bytes = Vec::new();
            blob.content.read_to_end(&mut bytes)?;
            coverage.bytes += bytes.len() as u64;
            coverage.scanned += 1;
            self.0.push((
                blob.origin.location().path.map(|path| path.to_string()),
                bytes,
            ));
            self.1();
            Ok(())
        }

        fn found(&self) -> u64 {
            0
        }

        fn is_over(&self) -> bool {
            false
        }
    }

    fn walk(proc: &Path, visitor: &mut dyn Visitor) -> Coverage {
        let processes = Processes::list(proc, None);
        processes.work(false, &[], visitor);
        processes.work(true, &[], visitor);
        processes.coverage()
    }

    #[test]
    fn an_environment_that_comes_late_is_waited_for() {
        let proc = tempfile::tempdir().unwrap();
        let directory = proc.path().join("42");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("cmdline"), "app\0").unwrap();
        let environ = directory.join("environ");
        fs::write(&environ, "").unwrap();
        let mut kept = Kept(Vec::new(), || fs::write(&environ, "A=1\0B=2\0").unwrap());
        let coverage = walk(proc.path(), &mut kept);
        let read = |part: &str, bytes: &[u8]| (Some(part.to_owned()), bytes.to_vec());
        assert_eq!(
            kept.0,
            [
                read("environ", b""),
                read("environ", b"A=1\nB=2\n"),
                read("cmdline", b"app\n")
            ]
        );
        assert_eq!((coverage.scanned, coverage.skipped()), (1, 0));
    }

    #[test]
    fn of_an_environment_beyond_all_bounds_the_rest_is_told() {
        let proc = tempfile::tempdir().unwrap();
        let directory = proc.path().join("42");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("cmdline"), "app\0").unwrap();
        for (more, told) in [(0, 0), (1, 1)] {
            let size = usize::try_from(MAX_BYTES).unwrap() + more;
            fs::write(directory.join("environ"), vec![b'a'; size]).unwrap();
            let coverage = walk(proc.path(), &mut Kept(Vec::new(), || ()));
            assert_eq!(coverage.skipped(), told);
            assert_eq!(coverage.is_complete(), told == 0);
        }
    }
}

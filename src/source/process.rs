//! The environments and command lines of running processes, from a `/proc`.
//!
//! A process that ends meanwhile is no error. One that may not be looked into
//! (another user's, without `CAP_SYS_PTRACE`) is counted.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use super::{Blob, Origin, Visitor};
use crate::finding::{Coverage, Location, SkipReason, SourceKind};
use crate::sanitize;

/// Bytes read of one environment or command line; Linux allows 6 MiB for both
/// together by default.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// Visits every process that `proc` shows.
pub fn walk(proc: &Path, visitor: &mut dyn Visitor) -> Coverage {
    let mut coverage = Coverage::new(SourceKind::Process);
    let entries = match fs::read_dir(proc) {
        Ok(entries) => entries,
        Err(error) => {
            let reason = match error.kind() {
                io::ErrorKind::NotFound if proc == Path::new("/proc") => SkipReason::NotFound,
                io::ErrorKind::NotFound => SkipReason::Absent,
                _ => reason(&error),
            };
            coverage.skip(reason, sanitize::bytes(proc.as_os_str().as_encoded_bytes()));
            return coverage;
        }
    };
    for entry in entries.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        if visitor.is_over() {
            coverage.skip(SkipReason::TimeLimit, format!("process {pid}"));
            break;
        }
        visitor.enters(Some(&entry.path()));
        if let Err(error) = process(&entry.path(), pid, visitor, &mut coverage)
            && !is_kernel_thread(&entry.path())
        {
            coverage.skip(reason(&error), format!("process {pid}"));
        }
    }
    coverage
}

fn process(
    directory: &Path,
    pid: u32,
    visitor: &mut dyn Visitor,
    coverage: &mut Coverage,
) -> io::Result<()> {
    let scanned = coverage.scanned;
    for part in ["environ", "cmdline"] {
        let content = fs::File::open(directory.join(part))?;
        let origin = ProcessOrigin {
            directory,
            pid,
            part,
        };
        let mut content = Lines(content.take(MAX_BYTES));
        let blob = Blob {
            content: &mut content,
            origin: &origin,
        };
        visitor.visit(blob, coverage)?;
    }
    // One process, not two blobs.
    coverage.scanned = scanned + 1;
    Ok(())
}

/// Whether the process is there and never had an environment: a kernel thread
/// has an empty command line and no executable.
fn is_kernel_thread(directory: &Path) -> bool {
    let no_exe = fs::read_link(directory.join("exe"))
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    no_exe && fs::read(directory.join("cmdline")).is_ok_and(|line| line.is_empty())
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
    directory: &'a Path,
    pid: u32,
    part: &'static str,
}

impl Origin for ProcessOrigin<'_> {
    fn location(&self) -> Location {
        use std::os::unix::fs::MetadataExt as _;

        let exe = fs::read_link(self.directory.join("exe"))
            .ok()
            .map(|exe| sanitize::bytes(exe.as_os_str().as_encoded_bytes()));
        let cgroup = fs::read_to_string(self.directory.join("cgroup")).unwrap_or_default();
        Location {
            path: Some(self.part.into()),
            pid: Some(self.pid),
            exe,
            uid: fs::metadata(self.directory).ok().map(|stat| stat.uid()),
            unit: unit(&cgroup),
            container: container(&cgroup),
            ..Location::new(SourceKind::Process)
        }
    }
}

/// The systemd unit in a cgroup path: its last component that is a service,
/// else a scope.
fn unit(cgroup: &str) -> Option<String> {
    let components = || cgroup.lines().flat_map(|line| line.rsplit('/'));
    [".service", ".scope"]
        .iter()
        .find_map(|suffix| components().find(|part| part.ends_with(suffix)))
        .map(|unit| sanitize::line(unit).into_owned())
}

/// The container in a cgroup path: the 64 hex digits that docker, containerd
/// and podman name their groups by, cut to the usual 12.
fn container(cgroup: &str) -> Option<String> {
    cgroup
        .split(|c: char| !c.is_ascii_alphanumeric())
        .find(|part| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .map(|id| id[..12].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_containers_are_read_from_the_cgroup() {
        let id = "0123456789abcdef".repeat(4);
        let docker = format!("0::/system.slice/docker-{id}.scope\n");
        assert_eq!(container(&docker).as_deref(), Some("0123456789ab"));
        assert_eq!(
            unit("0::/system.slice/nginx.service\n").as_deref(),
            Some("nginx.service")
        );
        assert_eq!(unit(&docker), Some(format!("docker-{id}.scope")));
        assert_eq!(unit("0::/\n"), None);
        assert_eq!(container("0::/user.slice/session-1.scope\n"), None);
    }
}

//! The processes of a host and what can be told of each, from a `/proc`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::sanitize;
use crate::secret::Secret;

/// Bytes read of one environment or command line; Linux allows 6 MiB for both
/// together by default.
pub const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// Bytes read of what the kernel says of a process: `status`, `cgroup`, `maps`.
const MAX_FACTS: u64 = 1024 * 1024;

/// Open files looked at.
const MAX_OPEN_FILES: usize = 4096;

/// The PID namespace that a machine boots with, which has all others below it:
/// `PROC_PID_INIT_INO` of Linux.
pub const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// One process. Nothing is read of it before it is asked for, and it may end
/// at any time: every answer is an error or `None` from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    directory: PathBuf,
    pid: u32,
}

/// Who a process is, safe for a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    pub exe: Option<String>,
    /// The effective user ID.
    pub uid: Option<u32>,
    /// The systemd unit.
    pub unit: Option<String>,
    /// The first 12 hexadecimal digits of the container's ID.
    pub container: Option<String>,
}

/// What a process may open files as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The user ID for the file system.
    pub uid: u32,
    /// The group ID for the file system and the supplementary groups.
    pub gids: Vec<u32>,
}

/// The processes that `proc` shows, by their ID.
///
/// # Errors
///
/// Those of reading the directory. A link is as good as absent: an image that
/// has one has no processes, and what it leads to from here are ours.
pub fn list(proc: &Path) -> io::Result<Vec<Process>> {
    if fs::symlink_metadata(proc)?.is_symlink() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut processes: Vec<Process> = fs::read_dir(proc)?
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let directory = entry.path();
            Some(Process { directory, pid })
        })
        .collect();
    processes.sort_unstable_by_key(|process| process.pid);
    Ok(processes)
}

/// The system's processes of a program: root's, and in no container. One that
/// waits for the kernel is left out, since it may not answer.
pub fn of_system(proc: &Path, program: &str) -> Vec<Process> {
    let mut processes = list(proc).unwrap_or_default();
    processes.retain(|process| process.text("comm").trim_end() == program);
    processes.retain(|process| {
        let identity = process.identity();
        let is_systems = identity.uid == Some(0) && identity.container.is_none();
        is_systems && !process.waits_for_kernel()
    });
    processes
}

/// The process that reads, as `proc` numbers it; `None` where it does not
/// show it.
pub fn own_pid(proc: &Path) -> Option<u32> {
    fs::read_link(proc.join("self"))
        .ok()?
        .to_str()?
        .parse()
        .ok()
}

/// Device and inode of the program that reads, which `proc` shows as `self`.
pub fn own_program(proc: &Path) -> Option<(u64, u64)> {
    program(&proc.join("self"))
}

/// The PID namespace that `proc` numbers. Where the first process may not be
/// asked, this one is, if it is of the same.
pub fn namespace(proc: &Path) -> Option<PathBuf> {
    let own = || {
        let status = fs::read_to_string(proc.join("self/status")).ok()?;
        // One number for each namespace, from that of `proc` inwards.
        let is_same = ids(&status, "NSpid:").count() == 1;
        is_same.then(|| fs::read_link(proc.join("self/ns/pid")).ok())?
    };
    fs::read_link(proc.join("1/ns/pid")).ok().or_else(own)
}

/// The unit of the system that a process is in: not one of a user's or of a
/// container's, which may have the same name.
pub fn system_unit(proc: &Path, pid: u32) -> Option<String> {
    let cgroup = Process::at(proc, pid).text("cgroup");
    if container(&cgroup).is_some() {
        return None;
    }
    let of_user = |line: &str| line.contains("/user.slice/") || line.contains("/user@");
    let lines = cgroup.lines().filter(|line| !of_user(line));
    lines.into_iter().find_map(unit)
}

/// The control groups of a process, as `proc` tells them: paths from the root,
/// one for each hierarchy.
pub fn cgroups(proc: &Path, pid: u32) -> Vec<String> {
    let cgroup = Process::at(proc, pid).text("cgroup");
    let paths = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.map(str::to_owned).collect()
}

/// Whether process 1 of `proc` is the init of a machine, and not the
/// application of a container.
pub fn has_init(proc: &Path) -> bool {
    fs::read_link(proc.join("self/ns/pid")).is_ok_and(|link| link == Path::new(FIRST_NAMESPACE))
}

/// The state of a process or thread with this directory, as proc(5) has it.
pub fn state(directory: &Path) -> Option<char> {
    let stat = text(&directory.join("stat"));
    // It follows the name, which may hold anything.
    let (_, behind) = stat.rsplit_once(") ")?;
    behind.chars().next()
}

/// A file of the kernel's own words; empty where it cannot be read.
fn text(path: &Path) -> String {
    let mut bytes = Vec::new();
    let file = File::open(path);
    let read = file.and_then(|file| file.take(MAX_FACTS).read_to_end(&mut bytes));
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => String::new(),
    }
}

fn program(directory: &Path) -> Option<(u64, u64)> {
    let program = fs::metadata(directory.join("exe")).ok()?;
    Some((program.dev(), program.ino()))
}

impl Process {
    fn at(proc: &Path, pid: u32) -> Self {
        let directory = proc.join(pid.to_string());
        Self { directory, pid }
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// `environ`, `cmdline`, or another file of the process.
    ///
    /// # Errors
    ///
    /// Those of `open(2)`.
    pub fn open(&self, part: &str) -> io::Result<File> {
        File::open(self.directory.join(part))
    }

    /// The root of the process, to be read through: a container has its own.
    pub fn root(&self) -> PathBuf {
        self.directory.join("root")
    }

    /// What tells two views of the file system apart: the mount namespace and
    /// the root in it. Asking takes the same rights as the environment.
    ///
    /// # Errors
    ///
    /// Those of reading the links.
    pub fn view(&self) -> io::Result<(PathBuf, u64, u64)> {
        let namespace = fs::read_link(self.directory.join("ns/mnt"))?;
        let root = fs::metadata(self.root())?;
        Ok((namespace, root.dev(), root.ino()))
    }

    /// Device and inode of the program that runs.
    pub fn program(&self) -> Option<(u64, u64)> {
        program(&self.directory)
    }

    /// A link of the process: `exe` or `cwd`.
    pub fn link(&self, name: &str) -> Option<PathBuf> {
        fs::read_link(self.directory.join(name)).ok()
    }

    /// The process, or a thread of it that runs on where the first one has
    /// ended: of that nothing can be read any more. `None` where nobody has
    /// memory: of a kernel thread, or where all have ended and are not reaped.
    pub fn in_memory(&self) -> Option<Cow<'_, Self>> {
        if self.has_memory() {
            return Some(Cow::Borrowed(self));
        }
        let threads = fs::read_dir(self.directory.join("task")).ok()?;
        let threads = threads.flatten().map(|thread| Self {
            directory: thread.path(),
            pid: self.pid,
        });
        threads.into_iter().find(Self::has_memory).map(Cow::Owned)
    }

    /// Whether it waits for a disk or a server, and cannot be interrupted. What
    /// it was started with may not be read as long as it is in the midst of
    /// mapping a file.
    pub fn waits_for_kernel(&self) -> bool {
        state(&self.directory) == Some('D')
    }

    /// Whether it has pages, which everybody may ask; where it is not said,
    /// the reading of them tells.
    fn has_memory(&self) -> bool {
        fs::read(self.directory.join("statm")).map_or(true, |size| !size.starts_with(b"0 "))
    }

    pub fn identity(&self) -> Identity {
        let exe = self.link("exe");
        let cgroup = self.text("cgroup");
        Identity {
            exe: exe.map(|exe| sanitize::bytes(exe.as_os_str().as_encoded_bytes())),
            uid: ids(&self.text("status"), "Uid:").nth(1),
            unit: unit(&cgroup),
            container: container(&cgroup),
        }
    }

    /// `None` where the process is gone.
    pub fn credentials(&self) -> Option<Credentials> {
        let status = self.text("status");
        Some(Credentials {
            uid: ids(&status, "Uid:").nth(3)?,
            gids: ids(&status, "Gid:")
                .nth(3)
                .into_iter()
                .chain(ids(&status, "Groups:"))
                .collect(),
        })
    }

    /// The variables that `wanted` takes, as they were when the process
    /// started; of two with one name the first, as getenv(3) has it.
    ///
    /// # Errors
    ///
    /// Those of opening and reading.
    pub fn environment(&self, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<(String, Secret)>> {
        let whole = self.whole("environ")?;
        let mut variables: Vec<(String, Secret)> = Vec::new();
        for entry in whole.expose().split(|byte| *byte == 0) {
            let Some(equals) = entry.iter().position(|byte| *byte == b'=') else {
                continue;
            };
            let Ok(name) = std::str::from_utf8(&entry[..equals]) else {
                continue;
            };
            if wanted(name) && !variables.iter().any(|(known, _)| known == name) {
                variables.push((name.to_owned(), Secret::new(&entry[equals + 1..])));
            }
        }
        Ok(variables)
    }

    /// The command line; any of its arguments may hold a key.
    ///
    /// # Errors
    ///
    /// Those of opening and reading.
    pub fn arguments(&self) -> io::Result<Vec<Secret>> {
        let whole = self.whole("cmdline")?;
        let line = whole.expose();
        let line = line.strip_suffix(b"\0").unwrap_or(line);
        Ok(line.split(|byte| *byte == 0).map(Secret::new).collect())
    }

    /// The paths of the files that it has open or mapped, each once.
    pub fn files_in_use(&self) -> BTreeSet<PathBuf> {
        let open = fs::read_dir(self.directory.join("fd"))
            .into_iter()
            .flat_map(|entries| entries.flatten().take(MAX_OPEN_FILES))
            .filter_map(|entry| fs::read_link(entry.path()).ok());
        let maps = self.text("maps");
        let mapped = maps
            .lines()
            .filter_map(|line| Some(PathBuf::from(&line[line.find('/')?..])));
        open.chain(mapped)
            .filter(|path| path.is_absolute())
            .collect()
    }

    fn whole(&self, part: &str) -> io::Result<Secret> {
        let mut bytes = zeroize::Zeroizing::new(Vec::new());
        self.open(part)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(Secret::new(std::mem::take(&mut *bytes)))
    }

    fn text(&self, part: &str) -> String {
        text(&self.directory.join(part))
    }
}

/// The numbers in the line of `status` that begins with `name`: for `Uid:`
/// and `Gid:` real, effective, saved, file system.
fn ids<'t>(status: &'t str, name: &str) -> impl Iterator<Item = u32> + use<'t> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|id| id.parse().ok())
}

/// The systemd unit in a cgroup path: the outermost, since what is further in
/// is the unit's own affair; that of a user's manager has its own units. Those
/// below a group of LXC are of a system of its own, and may have the same names.
fn unit(cgroup: &str) -> Option<String> {
    let of_host = cgroup.lines().filter(|line| !is_of_lxc(line));
    of_host.into_iter().find_map(|line| {
        let mut units = line.split('/').filter(|part| is_unit(part));
        let unit = units.next()?;
        let of_user = units.next().filter(|_| unit.starts_with("user@"));
        let unit = of_user.filter(|unit| *unit != "init.scope").unwrap_or(unit);
        Some(sanitize::line(unit).into_owned())
    })
}

/// Whether a line is of what runs in a container of LXC: below `/lxc/NAME`, or
/// from its version 4 on `/lxc.payload.NAME`.
fn is_of_lxc(line: &str) -> bool {
    let path = line.splitn(3, ':').nth(2).unwrap_or_default();
    path.starts_with("/lxc/") || path.starts_with("/lxc.payload")
}

/// Whether it is the name of a unit that has processes.
fn is_unit(name: &str) -> bool {
    let kinds = ["service", "scope", "socket", "mount", "swap"];
    name.rsplit_once('.')
        .is_some_and(|(name, kind)| !name.is_empty() && kinds.contains(&kind))
}

/// The container in a cgroup path: the 64 hex digits that docker, containerd
/// and podman name their groups by, cut to the usual 12.
fn container(cgroup: &str) -> Option<String> {
    cgroup
        .split(|c: char| !c.is_ascii_alphanumeric())
        .find(|part| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .map(|id| id[..12].to_owned())
}

/// Bytes of an argument as a path.
pub fn as_path(argument: &Secret) -> &Path {
    Path::new(OsStr::from_bytes(argument.expose()))
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
        let of_user = |rest: &str| {
            unit(&format!(
                "0::/user.slice/user-1.slice/user@1.service/{rest}\n"
            ))
            .unwrap()
        };
        assert_eq!(of_user("app.slice/a.service/inner"), "a.service");
        assert_eq!(of_user("app.slice/a-1.scope"), "a-1.scope");
        assert_eq!(of_user("init.scope"), "user@1.service");
        let within = "3:cpu:/\n0::/system.slice/ci.service/box/system.slice/job.service\n";
        assert_eq!(unit(within).as_deref(), Some("ci.service"));
        assert_eq!(container("0::/user.slice/session-1.scope\n"), None);
        let of_lxc = [
            "0::/lxc.payload.web1/system.slice/nginx.service\n",
            "1:name=systemd:/lxc/web1/system.slice/nginx.service\n0::/lxc/web1\n",
        ];
        assert_eq!(of_lxc.map(unit), [None, None]);
        let of_host = "0::/system.slice/lxc.service/x\n";
        assert_eq!(unit(of_host).as_deref(), Some("lxc.service"));
    }

    #[test]
    fn a_process_is_who_it_runs_as_now() {
        let proc = tempfile::tempdir().unwrap();
        let directory = proc.path().join("42");
        fs::create_dir(&directory).unwrap();
        fs::write(
            directory.join("status"),
            "Name:\tx\nUid:\t0\t1000\t0\t1001\nGid:\t5\t6\t7\t8\nGroups:\t8 9 \n",
        )
        .unwrap();
        fs::write(directory.join("environ"), b"A=1\0B\0A=2\0=x\0C=\xff\0").unwrap();
        fs::create_dir(proc.path().join("sys")).unwrap();
        let processes = list(proc.path()).unwrap();
        let [process] = &processes[..] else {
            panic!("{processes:?}")
        };
        assert_eq!(process.identity().uid, Some(1000));
        assert_eq!(
            process.credentials(),
            Some(Credentials {
                uid: 1001,
                gids: vec![8, 8, 9]
            })
        );
        let variables = process.environment(|name| name != "B").unwrap();
        let names: Vec<_> = variables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["A", "", "C"]);
        assert_eq!(variables[0].1.expose(), b"1");
    }

    #[test]
    fn what_has_no_memory_is_asked_through_a_thread_that_has() {
        let proc = tempfile::tempdir().unwrap();
        let size = |directory: &str, size: &str| {
            let directory = proc.path().join(directory);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("statm"), size).unwrap();
        };
        size("2", "0 0 0 0 0 0 0\n");
        size("2/task/2", "0 0 0 0 0 0 0\n");
        size("5", "0 0 0 0 0 0 0\n");
        size("5/task/5", "0 0 0 0 0 0 0\n");
        size("5/task/6", "120 1 1 1 0 1 0\n");
        size("7", "120 1 1 1 0 1 0\n");
        fs::create_dir(proc.path().join("8")).unwrap();
        let asked: Vec<_> = list(proc.path())
            .unwrap()
            .iter()
            .map(|process| {
                let asked = process.in_memory()?.into_owned();
                let directory = asked
                    .directory
                    .strip_prefix(proc.path())
                    .unwrap()
                    .to_owned();
                Some((asked.pid(), directory))
            })
            .collect();
        let at = |pid: u32, directory: &str| Some((pid, directory.into()));
        assert_eq!(asked, [None, at(5, "5/task/6"), at(7, "7"), at(8, "8")]);
    }
}

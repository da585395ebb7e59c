//! A file system in this process that stops answering where a test says so,
//! as a dead disk or server does: a request is taken and never answered.
//!
//! It speaks the kernel's FUSE protocol, version 7.31, as far as reading a
//! folder of files takes; see `include/uapi/linux/fuse.h`.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::OFlags;

/// What is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hang {
    Nowhere,
    /// The attributes of its root, and every look-up in it.
    Stat,
    /// What is in its root.
    ReadDir,
    /// Its second file is opened.
    Open,
    /// Its second file is read.
    Read,
    /// Any but its first file is read.
    ReadMany,
}

/// The connection to the kernel. When it is dropped, what still waits for an
/// answer fails.
pub(crate) struct Fuse {
    device: File,
    stopping: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Fuse {
    /// Serves `files`, each with its name and content; `None`, with the
    /// reason printed, where that is not possible.
    #[expect(clippy::print_stderr, reason = "a skipped test says why")]
    pub(crate) fn new(hang: Hang, files: &[(&str, String)]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: mounting a file system needs root");
            return None;
        }
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open("/dev/fuse")
            .inspect_err(|error| eprintln!("skipped: /dev/fuse: {error}"))
            .ok()?;
        let files: Vec<(String, String)> = files
            .iter()
            .map(|(name, content)| ((*name).to_owned(), content.clone()))
            .collect();
        let stopping = Arc::new(AtomicBool::new(false));
        let (mut handle, stop) = (device.try_clone().unwrap(), Arc::clone(&stopping));
        let server = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            while !stop.load(Ordering::SeqCst) {
                match handle.read(&mut buffer) {
                    Ok(len) => {
                        if let Some(answer) = answer(&buffer[..len], hang, &files) {
                            // Whoever asked may be gone.
                            let _ = handle.write_all(&answer);
                        }
                    }
                    // Nothing is asked, or it is not mounted.
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Some(Self {
            device,
            stopping,
            server: Some(server),
        })
    }

    /// Mounts it at `place` as the type `kind`, where only the process `pid`
    /// sees it, which has a mount namespace of its own.
    pub(crate) fn mount_before(&self, pid: u32, kind: &str, place: &Path) {
        let mut mount = Command::new("nsenter");
        mount.args(["-t", &pid.to_string(), "-m", "mount", "-i", "-t", kind]);
        mount.args([
            "-o",
            "fd=0,rootmode=40000,user_id=0,group_id=0,allow_other",
            "double",
        ]);
        let device = Stdio::from(self.device.try_clone().unwrap());
        assert!(mount.arg(place).stdin(device).status().unwrap().success());
    }

    /// A command that mounts it at `place` as the type `kind`, where only
    /// itself sees it, and then runs `program`.
    pub(crate) fn command(&self, kind: &str, place: &Path, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        let script = "mount -i -t \"$1\" -o fd=0,rootmode=40000,user_id=0,group_id=0,allow_other \
                      double \"$2\" && shift 2 && exec \"$@\" </dev/null";
        command
            .args(["-m", "sh", "-c", script, "sh", kind])
            .args([place, program])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::from(self.device.try_clone().unwrap()));
        command
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = self.server.take().map(JoinHandle::join);
    }
}

const ROOT: u64 = 1;
/// Seconds since 1970.
const TIME: u64 = 1_700_000_000;

fn number(request: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(request[at..at + 8].try_into().unwrap())
}

fn answer(request: &[u8], hang: Hang, files: &[(String, String)]) -> Option<Vec<u8>> {
    let opcode = u32::from_ne_bytes(request[4..8].try_into().unwrap());
    let (unique, node) = (number(request, 8), number(request, 16));
    let body = &request[40..];
    let size = |node: u64| files[usize::try_from(node).unwrap() - 2].1.len() as u64;
    let hangs = match hang {
        Hang::Nowhere => false,
        Hang::Stat => [1, 3].contains(&opcode) && node == ROOT,
        Hang::ReadDir => opcode == 28,
        Hang::Open => opcode == 14 && node == 3,
        Hang::Read => opcode == 15 && node == 3,
        Hang::ReadMany => opcode == 15 && node >= 3,
    };
    if hangs {
        return None;
    }
    let attributes = |node: u64| {
        let (mode, size) = match node {
            ROOT => (0o040_755_u32, 0),
            node => (0o100_644, size(node)),
        };
        let mut out = Vec::new();
        for value in [node, size, size.div_ceil(512), TIME, TIME, TIME] {
            out.extend(value.to_ne_bytes());
        }
        for value in [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0_u32] {
            out.extend(value.to_ne_bytes());
        }
        out
    };
    let found: Result<Vec<u8>, i32> = match opcode {
        // LOOKUP: the answer is not to be remembered.
        1 => {
            let name = body.split(|byte| *byte == 0).next().unwrap();
            match files.iter().position(|file| file.0.as_bytes() == name) {
                Some(index) => {
                    let node = index as u64 + 2;
                    let mut out = [node, 0, 0, 0, 0].map(u64::to_ne_bytes).concat();
                    out.extend(attributes(node));
                    Ok(out)
                }
                None => Err(-2),
            }
        }
        // GETATTR
        3 => {
            let mut out = vec![0; 16];
            out.extend(attributes(node));
            Ok(out)
        }
        // OPEN, OPENDIR
        14 | 27 => Ok(vec![0; 16]),
        // READ
        15 => {
            let content = files[usize::try_from(node).unwrap() - 2].1.as_bytes();
            let at = usize::try_from(number(body, 8)).unwrap().min(content.len());
            Ok(content[at..].to_vec())
        }
        // INIT
        26 => {
            let mut out = [7, 31, 65536, 0, 0, 65536, 1_u32]
                .map(u32::to_ne_bytes)
                .concat();
            out.resize(64, 0);
            Ok(out)
        }
        // READDIR
        28 => {
            let mut out = Vec::new();
            let from = usize::try_from(number(body, 8)).unwrap();
            for (index, (name, _)) in files.iter().enumerate().skip(from) {
                out.extend((index as u64 + 2).to_ne_bytes());
                out.extend((index as u64 + 1).to_ne_bytes());
                out.extend(u32::try_from(name.len()).unwrap().to_ne_bytes());
                out.extend(8_u32.to_ne_bytes());
                out.extend(name.as_bytes());
                out.resize(out.len().next_multiple_of(8), 0);
            }
            Ok(out)
        }
        // RELEASE, FLUSH, RELEASEDIR
        18 | 25 | 29 => Ok(Vec::new()),
        // FORGET, INTERRUPT, BATCH_FORGET: never answered.
        2 | 36 | 42 => return None,
        _ => Err(-38),
    };
    let (error, out) = match found {
        Ok(out) => (0, out),
        Err(error) => (error, Vec::new()),
    };
    let len = u32::try_from(16 + out.len()).unwrap();
    let mut answer = len.to_ne_bytes().to_vec();
    answer.extend(i32::to_ne_bytes(error));
    answer.extend(unique.to_ne_bytes());
    answer.extend(out);
    Some(answer)
}

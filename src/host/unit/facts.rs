//! What the specifiers of systemd.unit(5) say of the host, as far as its files
//! tell it.

use std::io::Read as _;
use std::path::Path;

use crate::host::{Omitted, Root, environment_file, from_here, open_regular, resolve};

/// The name that the host has now, and the one that it boots with.
const HOSTNAME_NOW: &str = "/proc/sys/kernel/hostname";
const HOSTNAME: &str = "/etc/hostname";

/// Bytes of a name; the kernel's has 64 at most.
const MAX_NAME: u64 = 256;

const MACHINE_ID: &str = "/etc/machine-id";

/// The first that is there counts: os-release(5).
const RELEASES: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];

#[derive(Debug, Default)]
pub(super) struct Facts {
    hostname: Option<String>,
    machine_id: Option<String>,
    /// Names and values of os-release.
    release: Option<Vec<(String, String)>>,
}

impl Facts {
    pub(super) fn read(root: Root<'_>, omitted: &mut Omitted) -> Self {
        let mut text = |path: &str| match root.read(Path::new(path)) {
            Ok(text) => Some(text),
            Err(error) => {
                omitted.add_error(Path::new(path), &error);
                None
            }
        };
        let line = |text: &[u8]| {
            let line = std::str::from_utf8(text).ok()?.lines().next()?.trim();
            (!line.is_empty()).then(|| line.to_owned())
        };
        let release = RELEASES.iter().find_map(|path| {
            let read = environment_file::parse(&text(path)?, Path::new(path));
            let pairs = read.into_iter().filter_map(|one| {
                let value = one.value.expose_str()?.to_owned();
                Some((one.name, value))
            });
            Some(pairs.collect())
        });
        let now = hostname_now(root.path);
        Self {
            hostname: now
                .and_then(|now| line(&now))
                .or_else(|| line(&text(HOSTNAME)?)),
            machine_id: text(MACHINE_ID).and_then(|id| line(&id)),
            release,
        }
    }

    pub(super) fn value(&self, specifier: u8) -> Option<String> {
        let hostname = self.hostname.as_deref();
        match specifier {
            b'H' => hostname.map(ToOwned::to_owned),
            b'l' => Some(hostname?.split('.').next()?.to_owned()),
            b'm' => self.machine_id.clone(),
            b'o' => self.release("ID"),
            b'w' => self.release("VERSION_ID"),
            b'W' => self.release("VARIANT_ID"),
            b'B' => self.release("BUILD_ID"),
            b'M' => self.release("IMAGE_ID"),
            b'A' => self.release("IMAGE_VERSION"),
            _ => None,
        }
    }

    /// Nothing, where the file has no such name.
    fn release(&self, name: &str) -> Option<String> {
        let known = self.release.as_ref()?.iter();
        let mut values = known.filter(|(known, _)| known == name);
        Some(
            values
                .next()
                .map_or_else(String::new, |(_, value)| value.clone()),
        )
    }
}

/// What the kernel says; in an image anything may stand there.
fn hostname_now(root: &Path) -> Option<Vec<u8>> {
    let path = resolve(root, Path::new(HOSTNAME_NOW), &mut |_| None).ok()?;
    let file = open_regular(&from_here(root, &path)).ok()?;
    let mut name = Vec::new();
    file.take(MAX_NAME).read_to_end(&mut name).ok()?;
    Some(name)
}

//! Roots of a distribution with the package in them, as a bake makes them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The distribution.
const SUITE: &str = "bookworm";

/// What the distribution's root holds beside its essential packages.
const CONTAINER: &str = "systemd,systemd-sysv,ca-certificates,rpm";
/// With what an instance has: a kernel, cloud-init and its DHCP client. The
/// guest agent runs the test's commands.
const INSTANCE: &str = "systemd,systemd-sysv,ca-certificates,dbus,iproute2,isc-dhcp-client,\
    linux-image-cloud-amd64,cloud-init,qemu-guest-agent";

/// A root of the distribution, made once and kept in the target directory,
/// and the packages.
pub(crate) struct Image {
    base: PathBuf,
    packages: PathBuf,
}

/// A root of its own; taken away when dropped.
pub(crate) struct Root(tempfile::TempDir);

fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}

pub(super) fn succeeds(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Whether this user may make machines and has the tools; prints what lacks.
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn can_be_made(tools: &[&str]) -> bool {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: a machine boots for root only");
        return false;
    }
    let absent = tools
        .iter()
        .find(|tool| Command::new(tool).arg("--version").output().is_err());
    if let Some(tool) = absent {
        eprintln!("skipped: there is no {tool}");
    }
    absent.is_none()
}

impl Image {
    /// With packages of the program that the tests run; made once for all tests.
    /// `None`, with the reason printed, where it cannot be made.
    pub(crate) fn of_container() -> Option<&'static Self> {
        static IMAGE: OnceLock<Option<Image>> = OnceLock::new();
        let made = IMAGE.get_or_init(|| {
            let tools = ["mmdebstrap", "systemd-nspawn", "dpkg-deb", "rpmbuild"];
            can_be_made(&tools).then(|| Self {
                base: base("container", CONTAINER),
                packages: packages("dev"),
            })
        });
        made.as_ref()
    }

    /// With packages as they are released. `None`, with the reason printed,
    /// where it cannot be made.
    pub(crate) fn of_instance() -> Option<Self> {
        let tools = [
            "mmdebstrap",
            "rpmbuild",
            "mke2fs",
            "dnsmasq",
            "qemu-system-x86_64",
        ];
        can_be_made(&tools).then(|| Self {
            base: base("instance", INSTANCE),
            packages: packages("release"),
        })
    }

    pub(crate) fn deb(&self) -> PathBuf {
        let name = format!("rolecall_{}-1_amd64.deb", env!("CARGO_PKG_VERSION"));
        self.packages.join(name)
    }

    pub(crate) fn rpm(&self) -> PathBuf {
        let name = format!("rolecall-{}-1.x86_64.rpm", env!("CARGO_PKG_VERSION"));
        self.packages.join(name)
    }

    /// A root without the package.
    pub(crate) fn unpack(&self) -> Root {
        let root = Root(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
        let path = root.path();
        succeeds(
            Command::new("tar")
                .arg("-xf")
                .arg(&self.base)
                .arg("-C")
                .arg(path),
        );
        root
    }

    /// A root with the package, as a bake makes it: nothing runs there.
    pub(crate) fn install(&self) -> Root {
        let root = self.unpack();
        root.install(&self.deb(), "dpkg --install");
        root
    }

    /// The same package with another version.
    pub(crate) fn upgrade(&self, version: &str) -> PathBuf {
        let directory = self.packages.join(version);
        let _ = fs::remove_dir_all(&directory);
        succeeds(
            Command::new("dpkg-deb")
                .arg("-R")
                .args([&self.deb(), &directory]),
        );
        let control = directory.join("DEBIAN/control");
        let text = fs::read_to_string(&control).unwrap();
        let old = format!("Version: {}-1", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&old));
        fs::write(control, text.replace(&old, &format!("Version: {version}"))).unwrap();
        let package = self.packages.join(format!("{version}.deb"));
        succeeds(
            Command::new("dpkg-deb")
                .args(["-Znone", "--build"])
                .args([&directory, &package]),
        );
        fs::remove_dir_all(directory).unwrap();
        package
    }
}

impl Root {
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs `command` on a package where no systemd runs.
    pub(crate) fn install(&self, package: &Path, command: &str) {
        let inside = self.path().join("package");
        fs::copy(package, &inside).unwrap();
        self.succeeds(&format!("{command} /package"));
        fs::remove_file(inside).unwrap();
    }

    /// Runs a script in it, where no systemd runs.
    pub(crate) fn succeeds(&self, script: &str) {
        let mut command = Command::new("chroot");
        succeeds(command.arg(self.path()).args(["sh", "-c", script]));
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Only root may read it.
    pub(crate) fn write_private(&self, name: &str, text: &str) {
        self.write(name, text);
        let path = self.path().join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// Makes packages; where they are. Not in `dist`, which is to be published.
fn packages(profile: &str) -> PathBuf {
    let packages = target().join("boot").join(profile);
    succeeds(
        Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/build"))
            .args(["--profile", profile, "--architecture", "x86_64", "--dist"])
            .arg(&packages)
            .arg("packages")
            .env("CARGO_TARGET_DIR", target()),
    );
    packages
}

/// A root of the distribution, as an archive.
fn base(name: &str, include: &str) -> PathBuf {
    let base = target().join(format!("boot/{name}.tar"));
    if !base.exists() {
        fs::create_dir_all(base.parent().unwrap()).unwrap();
        let unfinished = base.with_extension("tmp");
        succeeds(
            Command::new("mmdebstrap")
                .args(["--quiet", "--variant=minbase", "--format=tar"])
                .arg(format!("--include={include}"))
                .arg(SUITE)
                .arg(&unfinished),
        );
        fs::rename(unfinished, &base).unwrap();
    }
    base
}

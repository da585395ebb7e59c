//! A private certificate authority, by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Files in PEM form, below the directory that was given.
pub(crate) struct Authority {
    /// What a client has to trust.
    pub(crate) bundle: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) private_key: PathBuf,
}

impl Authority {
    /// An authority, and a certificate of it for `host`.
    pub(crate) fn create(directory: &Path, host: &str) -> Self {
        let path = |name: &str| directory.join(name);
        let extensions = path("extensions");
        std::fs::write(&extensions, format!("subjectAltName=DNS:{host}\n"))
            .expect("a file of extensions");
        let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
        openssl(|command| {
            command
                .args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=test"])
                .args(new_key)
                .arg("-keyout")
                .arg(path("authority.key"))
                .arg("-out")
                .arg(path("authority.pem"))
        });
        openssl(|command| {
            command
                .args(["req", "-new", "-nodes", "-subj", "/CN=logs"])
                .args(new_key)
                .arg("-keyout")
                .arg(path("server.key"))
                .arg("-out")
                .arg(path("server.csr"))
        });
        openssl(|command| {
            command
                .args(["x509", "-req", "-days", "2", "-CAcreateserial"])
                .arg("-in")
                .arg(path("server.csr"))
                .arg("-CA")
                .arg(path("authority.pem"))
                .arg("-CAkey")
                .arg(path("authority.key"))
                .arg("-extfile")
                .arg(&extensions)
                .arg("-out")
                .arg(path("server.pem"))
        });
        Self {
            bundle: path("authority.pem"),
            certificate: path("server.pem"),
            private_key: path("server.key"),
        }
    }
}

fn openssl(arguments: impl FnOnce(&mut Command) -> &mut Command) {
    let mut command = Command::new("openssl");
    let output = arguments(&mut command)
        .output()
        .expect("openssl is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

//! The Distributor package: what its script makes of packages, and what its
//! scripts do on an instance.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::path::{Programs, assert_shell_is_clean, stderr};
use crate::support::python::{assert_follows, python};
use crate::support::validators::repository;

const PACKAGES: [&str; 4] = [
    "rolecall_0.1.0-1_amd64.deb",
    "rolecall_0.1.0-1_arm64.deb",
    "rolecall-0.1.0-1.x86_64.rpm",
    "rolecall-0.1.0-1.aarch64.rpm",
];

fn distributor(dist: &Path) -> Output {
    let script = repository("packaging/ssm/distributor");
    Command::new(script).arg(dist).output().unwrap()
}

fn dist(packages: &[&str]) -> tempfile::TempDir {
    let dist = tempfile::tempdir().unwrap();
    for package in packages {
        fs::write(dist.path().join(package), format!("bytes of {package}")).unwrap();
    }
    dist
}

fn manifest(dist: &Path) -> Value {
    let text = fs::read_to_string(dist.join("distributor/manifest.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Unpacks as the agent does, with the modes that the zip holds.
fn unpack(archive: &Path, target: &Path) -> Vec<String> {
    const PROGRAM: &str = "
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    for info in archive.infolist():
        os.chmod(archive.extract(info, sys.argv[2]), info.external_attr >> 16)
        print(info.filename)
";
    let names = python(PROGRAM, &[archive, target]);
    names.lines().map(Into::into).collect()
}

#[test]
fn there_is_a_zip_for_each_package_and_the_manifest_knows_its_digest() {
    let dist = dist(&PACKAGES);
    let output = distributor(dist.path());
    assert!(output.status.success(), "{}", stderr(&output));
    let manifest = manifest(dist.path());
    assert_follows(&manifest, "manifest.schema.json");
    assert_eq!(manifest["version"], "0.1.0");
    let files = manifest["files"].as_object().unwrap();
    assert_eq!(files.len(), PACKAGES.len());
    for (name, file) in files {
        let bytes = fs::read(dist.path().join("distributor").join(name)).unwrap();
        let digest: String = Sha256::digest(bytes)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(file["checksums"]["sha256"], digest);
    }
    for (platform, arch, package) in [
        ("amazon", "arm64", PACKAGES[3]),
        ("amazon", "x86_64", PACKAGES[2]),
        ("ubuntu", "arm64", PACKAGES[1]),
        ("debian", "x86_64", PACKAGES[0]),
    ] {
        let name = manifest["packages"][platform]["_any"][arch]["file"]
            .as_str()
            .unwrap();
        assert!(files.contains_key(name));
        let target = tempfile::tempdir().unwrap();
        let members = unpack(&dist.path().join("distributor").join(name), target.path());
        assert_eq!(
            members,
            ["install.sh", "update.sh", "uninstall.sh", package]
        );
        let content = fs::read_to_string(target.path().join(package)).unwrap();
        assert_eq!(content, format!("bytes of {package}"));
    }
}

#[test]
fn the_same_packages_make_the_same_bytes() {
    let (one, other) = (dist(&PACKAGES), dist(&PACKAGES));
    for dist in [&one, &other] {
        assert!(distributor(dist.path()).status.success());
    }
    assert_eq!(manifest(one.path()), manifest(other.path()));
}

#[test]
fn packages_that_do_not_belong_together_are_refused() {
    for (packages, complaint) in [
        (&[][..], "no .deb and no .rpm"),
        (
            &["rolecall_0.1.0_amd64.deb", "rolecall-0.2.0-1.x86_64.rpm"],
            "several versions",
        ),
        (
            &["rolecall_0.1.0-1_amd64.deb", "rolecall_0.1.0-2_amd64.deb"],
            "a second package",
        ),
        (&["other_0.1.0_amd64.deb"], "neither"),
        (&["rolecall_0.1.0_riscv64.deb"], "neither"),
    ] {
        let dist = dist(packages);
        let output = distributor(dist.path());
        assert!(!output.status.success());
        assert!(stderr(&output).contains(complaint), "{}", stderr(&output));
        assert!(!dist.path().join("distributor/manifest.json").exists());
    }
}

#[test]
fn the_scripts_call_the_package_manager_that_the_package_is_for() {
    let scripts =
        ["install.sh", "uninstall.sh"].map(|name| repository("packaging/ssm/package").join(name));
    assert_shell_is_clean("sh", &[&scripts[0], &scripts[1]]);
    let dist = dist(&PACKAGES);
    assert!(distributor(dist.path()).status.success());
    for (archive, manager, installed, removed) in [
        (
            "rolecall-deb-x86_64.zip",
            "dpkg",
            "--install --force-confdef --force-confold ./rolecall_0.1.0-1_amd64.deb",
            "--remove rolecall",
        ),
        (
            "rolecall-rpm-arm64.zip",
            "rpm",
            "--upgrade --replacepkgs --oldpackage ./rolecall-0.1.0-1.aarch64.rpm",
            "--query rolecall --erase rolecall",
        ),
    ] {
        let unpacked = tempfile::tempdir().unwrap();
        unpack(
            &dist.path().join("distributor").join(archive),
            unpacked.path(),
        );
        let programs = |configuration: i32, enabled: i32| {
            Programs::new()
                .recording("systemctl", enabled)
                .recording("dpkg", 0)
                .recording("dpkg-query", i32::from(manager != "dpkg"))
                .recording("rpm", 0)
                .recording("rolecall", configuration)
        };
        for script in ["install.sh", "update.sh"] {
            let programs = programs(0, 0);
            let output = programs.run(&mut Command::new(unpacked.path().join(script)));
            assert!(output.status.success(), "{}", stderr(&output));
            assert_eq!(programs.recorded(manager).join(" "), installed);
            assert_eq!(programs.recorded("rolecall"), ["config", "--check"]);
            let started = ["start", "rolecall.service"];
            assert!(
                programs
                    .recorded("systemctl")
                    .ends_with(&started.map(Into::into))
            );
        }
        let disabled = programs(0, 1);
        let output = disabled.run(&mut Command::new(unpacked.path().join("install.sh")));
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(!disabled.recorded("systemctl").contains(&"start".into()));
        let removing = programs(0, 0);
        let output = removing.run(&mut Command::new(unpacked.path().join("uninstall.sh")));
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(removing.recorded(manager).join(" "), removed);

        // A configuration that is wrong shows where one looks: in the status.
        let wrong = programs(64, 0);
        let output = wrong.run(&mut Command::new(unpacked.path().join("install.sh")));
        assert_eq!(output.status.code(), Some(64));
        assert!(wrong.recorded("systemctl").is_empty());
    }
}

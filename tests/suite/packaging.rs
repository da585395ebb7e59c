//! The units as they are written; how they work is in `boot`.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Settings of the two units that have a reason to differ.
const OWN: [&str; 16] = [
    "Type",
    "ExecStart",
    "ExecReload",
    "StandardOutput",
    "StandardError",
    "Restart",
    "RestartSec",
    "RestartPreventExitStatus",
    "RemainAfterExit",
    "WatchdogSec",
    "TimeoutStartSec",
    "TimeoutStopSec",
    "StateDirectory",
    "StateDirectoryMode",
    "RuntimeDirectory",
    "RuntimeDirectoryMode",
];

/// Tenths, of 100.
const EXPOSURE: &str = "--threshold=15";

fn unit(name: &str) -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    fs::read_to_string(directory.join(name)).unwrap()
}

fn sandbox(name: &str) -> Vec<String> {
    let unit = unit(name);
    let service = unit.split("[Service]\n").nth(1).unwrap();
    let service = service.split("[Install]").next().unwrap();
    let mut settings: Vec<String> = service
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some((line.split_once('=')?.0, line)))
        .filter(|(name, _)| !OWN.contains(name))
        .map(|(_, line)| line.to_owned())
        .collect();
    settings.sort();
    settings
}

#[test]
fn both_units_have_one_sandbox() {
    let service = sandbox("rolecall.service");
    assert!(service.len() > 30, "{service:?}");
    assert_eq!(service, sandbox("rolecall-check.service"));
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn systemd_understands_the_units_and_finds_them_hard() {
    let analyze = |arguments: &[&str], file: &Path| {
        Command::new("systemd-analyze")
            .args(arguments)
            .arg(file)
            .output()
    };
    let directory = tempfile::tempdir().unwrap();
    for name in ["rolecall.service", "rolecall-check.service"] {
        let file = directory.path().join(name);
        // Its program has to be there.
        let text = unit(name).replace("/usr/bin/rolecall", env!("CARGO_BIN_EXE_rolecall"));
        fs::write(&file, text).unwrap();
        let Ok(security) = analyze(
            &["security", "--no-pager", "--offline=true", EXPOSURE],
            &file,
        ) else {
            eprintln!("skipped: there is no systemd-analyze");
            return;
        };
        let said = String::from_utf8_lossy(&security.stdout);
        assert!(security.status.success(), "{said}");
        let verify = analyze(&["verify", "--man=no", "--recursive-errors=no"], &file).unwrap();
        // It exits 0 on settings that it does not know.
        let said = String::from_utf8_lossy(&verify.stderr);
        assert!(verify.status.success() && said.is_empty(), "{said}");
    }
}

//! The bake: the Image Builder component carried out step by step, Packer's
//! scripts, and what a bake leaves in its image.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use regex::Regex;
use serde_json::Value;

use super::path::{Programs, assert_shell_is_clean, has, stderr, stdout};
use crate::support::host::Host;
use crate::support::imds_double::ImdsDouble;
use crate::support::python::{assert_follows, yaml};
use crate::support::rolecall::Rolecall;
use crate::support::validators::repository;

const COMPONENT: &str = "packaging/imagebuilder/component.yml";
const PACKER: &str = "packaging/packer/rolecall.pkr.hcl";
const SCRIPTS: [&str; 4] = ["install.sh", "scan.sh", "judge.sh", "test.sh"];
/// Where the scripts put things, moved below a directory of the test.
const PLACES: [&str; 2] = ["/var/tmp/rolecall-", "/var/lib/rolecall"];

fn steps<'a>(component: &'a Value, phase: &str) -> &'a [Value] {
    let phases = component["phases"].as_array().unwrap();
    let phase = phases.iter().find(|found| found["name"] == phase).unwrap();
    phase["steps"].as_array().unwrap()
}

fn commands(step: &Value) -> String {
    let commands = step["inputs"]["commands"].as_array().unwrap();
    let commands: Vec<_> = commands.iter().map(|line| line.as_str().unwrap()).collect();
    commands.join("\n")
}

fn script(name: &str) -> String {
    fs::read_to_string(repository("packaging/packer").join(name)).unwrap()
}

/// A machine on which an image is made: below a directory what the scripts
/// write, and two buckets.
struct Builder {
    directory: tempfile::TempDir,
    programs: Programs,
}

impl Builder {
    fn new(image: &Host) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bucket = directory.path().join("packages");
        fs::create_dir(&bucket).unwrap();
        fs::create_dir(directory.path().join("reports")).unwrap();
        for name in ["rolecall_0.1.0-1_amd64.deb", "rolecall_0.1.0-1_arm64.deb"] {
            fs::write(bucket.join(name), "a package").unwrap();
        }
        let programs = Programs::new()
            .recording("dpkg", 0)
            .recording("systemctl", 0)
            // The one command that takes no --root is asked of the real one.
            .with(
                "rolecall",
                &format!(
                    "case $1 in config) exec '{0}' \"$@\" ;; esac\nexec '{0}' \"$@\" --root '{1}'",
                    env!("CARGO_BIN_EXE_rolecall"),
                    image.root().display()
                ),
            );
        Self {
            directory,
            programs,
        }
    }

    /// The text with its places below the directory.
    fn placed(&self, text: &str) -> String {
        PLACES.iter().fold(text.to_owned(), |text, place| {
            let here = self.directory.path().join(&place[1..]);
            text.replace(place, here.to_str().unwrap())
        })
    }

    fn shell(&self, text: &str) -> std::process::Output {
        let file = self.directory.path().join("step.sh");
        fs::write(&file, self.placed(text)).unwrap();
        self.programs.run(Command::new("bash").arg(file))
    }

    /// Carries a phase out; the output of the step that failed it.
    fn phase(&self, component: &Value, phase: &str) -> Result<(), (i32, String)> {
        for step in steps(component, phase) {
            match step["action"].as_str().unwrap() {
                "ExecuteBash" => {
                    let output = self.shell(&commands(step));
                    let status = output.status.code().unwrap();
                    if status != 0 {
                        return Err((status, stdout(&output) + &stderr(&output)));
                    }
                }
                _ => self.copy(&step["inputs"][0]),
            }
        }
        Ok(())
    }

    /// What S3 gives and takes.
    fn copy(&self, input: &Value) {
        let local = |text: &str| {
            let text = text
                .replace("{{ Packages }}", "/packages")
                .replace("{{ Reports }}", "/reports");
            self.directory.path().join(&text[1..])
        };
        let source = local(input["source"].as_str().unwrap());
        let target = local(input["destination"].as_str().unwrap());
        fs::create_dir_all(&target).unwrap();
        let pattern = source
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .replace('*', "");
        for entry in fs::read_dir(source.parent().unwrap()).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_str().unwrap().ends_with(&pattern) {
                fs::copy(entry.path(), target.join(entry.file_name())).unwrap();
            }
        }
    }

    fn reports(&self) -> Vec<Value> {
        let reports = fs::read_dir(self.directory.path().join("reports")).unwrap();
        reports
            .map(|entry| serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap())
            .collect()
    }

    fn left(&self) -> Vec<String> {
        let var = self.directory.path().join("var/tmp");
        let left = fs::read_dir(var).into_iter().flatten().flatten();
        left.map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }
}

#[test]
fn the_component_follows_the_schema_and_names_what_it_declares() {
    let component = yaml(COMPONENT);
    assert_follows(&component, "component.schema.json");
    let phases: Vec<_> = component["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| &phase["name"])
        .collect();
    assert_eq!(phases, ["build", "validate", "test"]);
    for phase in ["build", "validate", "test"] {
        let names: BTreeSet<_> = steps(&component, phase)
            .iter()
            .map(|step| step["name"].to_string())
            .collect();
        assert_eq!(names.len(), steps(&component, phase).len());
    }
    let declared: BTreeSet<String> = component["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|parameter| parameter.as_object().unwrap().keys().cloned())
        .collect();
    let text = component.to_string();
    let used: BTreeSet<String> = Regex::new(r"\{\{ *([^ }]+) *\}\}")
        .unwrap()
        .captures_iter(&text)
        .map(|found| found[1].to_owned())
        .collect();
    assert_eq!(used, declared);
}

#[test]
fn image_builder_and_packer_run_the_same_scripts() {
    let component = yaml(COMPONENT);
    let of = |phase: &str, name: &str| {
        let step = steps(&component, phase)
            .iter()
            .find(|step| step["name"] == name);
        commands(step.unwrap())
    };
    assert_eq!(of("build", "Install"), script("install.sh"));
    assert_eq!(of("validate", "Scan"), script("scan.sh"));
    assert_eq!(of("validate", "Judge"), script("judge.sh"));
    assert_eq!(of("test", "SelfTest"), script("test.sh"));
    let scripts = SCRIPTS.map(|name| repository("packaging/packer").join(name));
    assert_shell_is_clean("sh", &scripts.each_ref().map(std::path::PathBuf::as_path));

    let template = fs::read_to_string(repository(PACKER)).unwrap();
    let at = |part: &str| template.find(part).unwrap_or_else(|| panic!("no {part}"));
    assert!(at("/install.sh") < at("/scan.sh"));
    assert!(at("/scan.sh") < at("\"download\"") && at("\"download\"") < at("/judge.sh"));
}

#[test]
fn packer_takes_the_template() {
    if !has("packer") {
        return;
    }
    let dist = tempfile::tempdir().unwrap();
    let output = Command::new("packer")
        .args(["validate", "-var", "region=eu-central-1", "-var"])
        .arg(format!("dist={}", dist.path().display()))
        .arg(repository(PACKER))
        .env("CHECKPOINT_DISABLE", "1")
        .env("PACKER_CONFIG_DIR", dist.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
}

#[test]
fn a_clean_image_is_made_and_nothing_of_the_bake_stays_in_it() {
    let component = yaml(COMPONENT);
    let image = Host::new();
    image.write("etc/motd", "welcome\n");
    let builder = Builder::new(&image);
    fs::create_dir_all(builder.directory.path().join("var/lib/rolecall")).unwrap();
    let ledger = builder.directory.path().join("var/lib/rolecall/ledger.db");
    fs::write(&ledger, "of the builder").unwrap();
    builder.phase(&component, "build").unwrap();
    let installed = builder.programs.recorded("dpkg").join(" ");
    let arch = if cfg!(target_arch = "x86_64") {
        "amd64"
    } else {
        "arm64"
    };
    assert_eq!(
        installed,
        format!("--install ./rolecall_0.1.0-1_{arch}.deb")
    );
    builder.phase(&component, "validate").unwrap();
    assert!(!ledger.exists(), "the image remembers its builder");
    assert!(builder.left().is_empty(), "{:?}", builder.left());
    let reports = builder.reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0]["version"], "2.1.0");
    assert_eq!(
        reports[0]["runs"][0]["results"].as_array().unwrap().len(),
        0
    );
}

#[test]
fn a_key_fails_the_bake_with_its_report_already_kept() {
    let component = yaml(COMPONENT);
    let image = Host::new();
    let pair = image.key_pair();
    image.write("opt/app/config/application.properties", pair.env());
    let builder = Builder::new(&image);
    builder.phase(&component, "build").unwrap();
    let (status, said) = builder.phase(&component, "validate").unwrap_err();
    assert_eq!(status, 1);
    assert!(
        said.contains("holds a key") && said.contains(&pair.id),
        "{said}"
    );
    assert!(!said.contains(&pair.secret));
    let reports = builder.reports();
    let results = reports[0]["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 1, "{results:?}");
    assert_eq!(results[0]["ruleId"], "aws.access-key-pair");
    assert!(builder.left().is_empty(), "{:?}", builder.left());
}

#[test]
fn a_gap_is_told_and_fails_the_bake_where_that_is_wanted() {
    let component = yaml(COMPONENT);
    let image = Host::new();
    // Not an archive that anything could look into.
    image.write(
        "opt/vendor.7z",
        b"7z\xbc\xaf\x27\x1c\x00\x04rest".repeat(20),
    );
    let builder = Builder::new(&image);
    builder.phase(&component, "validate").unwrap();
    builder.shell(&script("scan.sh"));
    let strict = script("judge.sh").replace("GAPS=report", "GAPS=fail");
    let output = builder.shell(&strict);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("not everything"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_scan_that_did_not_happen_makes_no_image() {
    let image = Host::new();
    let builder = Builder::new(&image);
    let output = builder.shell(&script("judge.sh"));
    assert_eq!(output.status.code(), Some(64));
    let component = yaml(COMPONENT);
    let missing = Builder {
        programs: Programs::new().recording("systemctl", 1),
        ..builder
    };
    let (status, _) = missing.phase(&component, "validate").unwrap_err();
    assert_eq!(status, 127);
}

#[test]
fn an_instance_of_the_image_is_tested_for_the_service_and_its_posture() {
    let component = yaml(COMPONENT);
    let image = Host::new();
    let test = |imds: &ImdsDouble, systemctl: i32| {
        let mut builder = Builder::new(&image);
        builder.programs = Programs::new()
            .recording("systemctl", systemctl)
            .with("rolecall", &format!(
                "case $1 in config) exec '{0}' \"$@\" ;; esac\nexec '{0}' \"$@\" --root '{1}' --imds-endpoint {2} --console /dev/null",
                env!("CARGO_BIN_EXE_rolecall"),
                image.root().display(),
                imds.endpoint(),
            ));
        builder.phase(&component, "test")
    };
    let healthy = ImdsDouble::builder().role("web").start();
    test(&healthy, 0).unwrap();
    assert!(test(&healthy, 1).is_err(), "the service is not enabled");
    let disabled = ImdsDouble::builder().disabled().start();
    let (status, said) = test(&disabled, 0).unwrap_err();
    assert_eq!(status, 1, "{said}");
}

/// What people and tools leave in an image while they make it. A report names
/// a path below the image's own root.
fn residue(image: &Host) -> Vec<(&'static str, String)> {
    let mut planted = Vec::new();
    let mut plant = |path: &'static str, text: &dyn Fn(&str, &str) -> String| {
        let pair = image.key_pair();
        image.write(path, text(&pair.id, &pair.secret));
        planted.push((path, pair.id));
    };
    plant("root/.bash_history", &|id, secret| {
        format!(
            "ls\nexport AWS_ACCESS_KEY_ID={id}\nexport AWS_SECRET_ACCESS_KEY={secret}\naws s3 ls\n"
        )
    });
    plant("home/ec2-user/.zsh_history", &|id, secret| {
        format!(": 1700000000:0;AWS_ACCESS_KEY_ID={id} AWS_SECRET_ACCESS_KEY={secret} make\n")
    });
    plant("home/ec2-user/.aws/credentials", &|id, secret| {
        format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n")
    });
    plant("home/ec2-user/.ssh/authorized_keys", &|id, secret| {
        format!(
            "environment=\"AWS_ACCESS_KEY_ID={id}\",environment=\"AWS_SECRET_ACCESS_KEY={secret}\" ssh-ed25519 AAAAC3Nz builder\n"
        )
    });
    plant("home/ec2-user/.ssh/environment", &|id, secret| {
        format!("AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={secret}\n")
    });
    plant(
        "var/lib/cloud/instances/i-0build/user-data.txt",
        &|id, secret| {
            format!(
                "#!/bin/sh\nexport AWS_ACCESS_KEY_ID={id}\nexport AWS_SECRET_ACCESS_KEY={secret}\n"
            )
        },
    );
    plant("var/log/cloud-init-output.log", &|id, secret| {
        format!("+ export AWS_ACCESS_KEY_ID={id}\n+ export AWS_SECRET_ACCESS_KEY={secret}\n")
    });
    plant("tmp/script_4711.sh", &|id, secret| {
        format!("AWS_ACCESS_KEY_ID='{id}' AWS_SECRET_ACCESS_KEY='{secret}' /opt/build\n")
    });
    plant("root/.docker-build.env.swp", &|id, secret| {
        format!("b0VIM 8.2\u{0}\u{0}AWS_ACCESS_KEY_ID={id}\u{0}AWS_SECRET_ACCESS_KEY={secret}\u{0}")
    });
    planted
}

#[test]
fn what_a_bake_leaves_behind_is_found_and_after_cleaning_it_is_gone() {
    let image = Host::new();
    let planted = residue(&image);
    let scan = || {
        Rolecall::new(["scan", "--format", "json", "--root"])
            .arg(image.root())
            .run()
    };
    let ran = scan();
    assert_eq!(ran.status, 1);
    let found = ran.of_type("finding");
    for (path, id) in &planted {
        let here = |finding: &&Value| {
            finding["location"]["path"] == format!("/{path}")
                && finding["access_key_id"] == id.as_str()
        };
        assert!(
            found.iter().any(|finding| here(&finding)),
            "{path}: {}",
            ran.stdout
        );
    }
    clean(&image.root());
    let ran = scan();
    assert_eq!(ran.status, 0, "{}", ran.stdout);
}

/// The commands of docs/ami.md, below a root.
fn clean(root: &Path) {
    let page = fs::read_to_string(repository("docs/ami.md")).unwrap();
    let block = page
        .split("<!-- clean -->\n```sh\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("the page has the commands");
    let script = block.replace(" /", &format!(" {}/", root.display()));
    let programs = Programs::new().recording("cloud-init", 0);
    let output = programs.run(Command::new("sh").arg("-ec").arg(script));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        programs.recorded("cloud-init"),
        ["clean", "--logs", "--seed"]
    );
    // What the real one takes away.
    let _ = fs::remove_dir_all(root.join("var/lib/cloud"));
    let _ = fs::remove_file(root.join("var/log/cloud-init-output.log"));
}

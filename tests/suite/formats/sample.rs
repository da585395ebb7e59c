//! Real output of every kind: a bad host, looked at by each command and told
//! in each format, and what the Logs double received from it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::cgroup::Process;
use crate::support::corpus::Kind;
use crate::support::daemon::{Home, wait};
use crate::support::host::{Host, KeyPair};
use crate::support::imds_double::{Builder, ImdsDouble};
use crate::support::logs_double::{LogsDouble, Stored};
use crate::support::rolecall::{Ran, Rolecall};

const GROUP: &str = "/rolecall";
const INSTANCE: &str = "i-0123456789abcdef0";
const NOWHERE: &str = "http://127.0.0.1:1";
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Everything that was written and sent, one JSON object a line where that is
/// what the format has.
pub(super) struct Sample {
    pub(super) reports: String,
    pub(super) events: String,
    pub(super) statuses: String,
    pub(super) sarif: Vec<String>,
    pub(super) ocsf: String,
    /// That stood on the host.
    pub(super) secrets: Vec<String>,
}

/// Made once: it takes a service and half a dozen runs.
pub(super) fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(Sample::make)
}

pub(super) fn objects(lines: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap();
    lines.lines().map(parse).collect()
}

/// An instance with a role, and with everything else wrong that a check sees.
fn imds() -> Builder {
    ImdsDouble::builder()
        .role("web")
        .auto_scaling_group("web-asg")
        .tokens_optional()
        .hop_limit(3)
}

impl Sample {
    fn make() -> Self {
        let (bad, secrets) = BadHost::new();
        let mut sample = Self {
            reports: String::new(),
            events: String::new(),
            statuses: String::new(),
            sarif: Vec::new(),
            ocsf: String::new(),
            secrets,
        };
        sample.look_at(&bad);
        sample.serve(&bad.host);
        sample
    }

    fn look_at(&mut self, bad: &BadHost) {
        let root = bad.host.root();
        let imds = imds().user_data(bad.user_data.as_str()).start();
        let logs = LogsDouble::builder().group(GROUP).start();
        // Takes nothing of what is made now before it is stamped anew.
        let late = LogsDouble::builder()
            .group(GROUP)
            .clock_ahead_ms(20 * DAY_MS)
            .start();
        let config = bad.config.root().join("c.toml");
        let run = |arguments: &[&str], imds: &str, logs: &str| {
            let ran = Rolecall::new(arguments)
                .args(&["--imds-endpoint", imds, "--logs-endpoint", logs, "--root"])
                .arg(&root)
                .run();
            assert!([1, 2].contains(&ran.status), "{}", ran.stderr);
            ran
        };
        for format in ["json", "sarif", "ocsf"] {
            let (here, logs) = (imds.endpoint(), logs.url());
            let config = config.to_str().unwrap();
            let told = [
                run(&["check", "--format", format], &here, &logs),
                run(&["check", "--format", format], &here, &late.url()),
                run(&["posture", "--format", format], NOWHERE, NOWHERE),
                run(
                    &["scan", "--verify", "--config", config, "--format", format],
                    NOWHERE,
                    NOWHERE,
                ),
            ];
            self.keep(format, &told);
        }
        self.receive(&logs);
        self.receive(&late);
    }

    fn keep(&mut self, format: &str, told: &[Ran]) {
        let texts = told.iter().map(|ran| ran.stdout.as_str());
        match format {
            "json" => self.reports.extend(texts),
            "ocsf" => self.ocsf.extend(texts),
            _ => self.sarif.extend(texts.map(str::to_owned)),
        }
    }

    fn receive(&mut self, logs: &LogsDouble) {
        let received = logs.events(GROUP, INSTANCE);
        assert!(!received.is_empty());
        for event in received {
            self.events.push_str(&event.message);
            self.events.push('\n');
        }
    }

    /// A finding comes, changes, goes and comes again under the eyes of the
    /// service.
    fn serve(&mut self, host: &Host) {
        let imds = imds().start();
        let logs = LogsDouble::builder().group(GROUP).start();
        let home = Home::new();
        self.statuses.push_str(&stopped(&home));
        home.configure(&format!(
            "[scan]\ninterval = \"1s\"\nprocesses = false\n[imds]\nendpoint = \"{}\"\n\
             [ship]\nspread = \"0s\"\nendpoint = \"{}\"\n",
            imds.endpoint(),
            logs.url()
        ));
        let daemon = home.start(&host.root());
        let pair = host.key_pair();
        self.secrets.push(pair.secret.clone());
        let told = |event: &str, count: usize| {
            wait(event, || {
                let received = logs.events(GROUP, INSTANCE);
                let of_key = received.iter().filter(|stored| {
                    let message: Value = serde_json::from_str(&stored.message).unwrap();
                    message["event"] == event && message["access_key_id"] == pair.id.as_str()
                });
                (of_key.count() >= count).then_some(())
            });
        };
        let file = host.write("srv/comes-and-goes.env", pair.env());
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        told("opened", 1);
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        told("changed", 1);
        fs::remove_file(&file).unwrap();
        told("resolved", 1);
        let says = |word: &str| {
            wait(word, || {
                let received = logs.events(GROUP, INSTANCE);
                let has = |stored: &Stored| stored.message.contains(word);
                received.iter().any(has).then_some(())
            });
        };
        // A sign of life knows how long a finding was open that is not open again.
        says("\"TimeToResolve\":");
        host.write("srv/comes-and-goes.env", pair.env());
        told("opened", 2);
        self.statuses.push_str(&home.status(&[]).stdout);
        // Another sweep has something to leave out, and knows of files from the
        // one before.
        run(Command::new("mkfifo").arg(host.path("srv/fifo")));
        says("\"unchanged\":");
        assert_eq!(daemon.stop(), Some(0));
        self.statuses.push_str(&stopped(&home));
        self.receive(&logs);
    }
}

/// What is known without a service; nothing where none ever ran.
fn stopped(home: &Home) -> String {
    home.status(&[]).stdout
}

/// A host with a finding of every rule that a scan knows, and of most places.
struct BadHost {
    host: Host,
    config: Host,
    user_data: String,
    _holder: Process,
}

impl BadHost {
    fn new() -> (Self, Vec<String>) {
        let host = Host::new();
        let mut rng = fastrand::Rng::with_seed(7);
        let mut make = |kind: Kind| kind.generate(&mut rng, None, None);
        let mut secrets = Vec::new();
        let mut pair = || {
            let pair = host.key_pair();
            secrets.push(pair.secret.clone());
            pair
        };
        let (held, committed) = (pair(), pair());
        host.write("srv/app.env", held.env());
        host.write(
            "srv/we ird/#?%\u{e4}\u{202e}[x](1).env",
            format!("\u{e4} {}", pair().env()),
        );
        host.write("srv/canary.txt", make(Kind::Canary));
        host.write("srv/escaped.txt", hexadecimal(&pair().env()));
        host.write("etc/systemd/system/app.service", unit(&pair()));
        host.write("etc/passwd", "alice:x:1000:1000::/home/alice:/bin/sh\n");
        host.write(
            "etc/cron.d/x",
            format!("{}0 4 * * * alice x\n", pair().env()),
        );
        container(&host, &pair());
        let token = make(Kind::Token);
        let temporary = format!(
            "AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\nAWS_SESSION_TOKEN={token}\n",
            make(Kind::Asia),
            pair().secret
        );
        host.write("srv/temporary.env", temporary);
        let (bedrock, smtp) = (make(Kind::Bedrock), make(Kind::Smtp));
        host.write(
            "srv/bedrock.env",
            format!("AWS_BEARER_TOKEN_BEDROCK={bedrock}\n"),
        );
        host.write(
            "srv/mail.env",
            format!("SMTP_USERNAME={}\nSMTP_PASSWORD={smtp}\n", make(Kind::Id)),
        );
        host.write(
            "srv/secret.env",
            format!("AWS_SECRET_ACCESS_KEY={}\n", pair().secret),
        );
        archive(&host, &pair());
        repository(&host, &committed);
        // Cut short, so that something was not checked.
        host.write("srv/cut.gz", [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1]);
        // Its copy in the image is told with it.
        let user_data = format!("#!/bin/sh\n{}", pair().env());
        host.write(
            "var/lib/cloud/instances/i-0123456789abcdef0/user-data.txt",
            &user_data,
        );
        let holder = Process::with([
            ("AWS_ACCESS_KEY_ID", held.id.as_str()),
            ("AWS_SECRET_ACCESS_KEY", held.secret.as_str()),
        ]);
        fs::create_dir(host.path("proc")).unwrap();
        for shown in [1, holder.pid()] {
            let link = host.path(&format!("proc/{shown}"));
            symlink(format!("/proc/{}", holder.pid()), link).unwrap();
        }
        let config = Host::new();
        config.write("c.toml", format!("[ship]\nsts_endpoint = \"{NOWHERE}\"\n"));
        secrets.extend([token, bedrock, smtp]);
        let bad = Self {
            host,
            config,
            user_data,
            _holder: holder,
        };
        (bad, secrets)
    }
}

fn hexadecimal(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn unit(pair: &KeyPair) -> String {
    let (id, secret) = (&pair.id, &pair.secret);
    format!(
        "[Service]\nEnvironment=AWS_ACCESS_KEY_ID={id} AWS_SECRET_ACCESS_KEY={secret}\n\
         ExecStart=/bin/true\n"
    )
}

fn container(host: &Host, pair: &KeyPair) {
    let id = "0123456789abcdef".repeat(4);
    let environment = [
        format!("AWS_ACCESS_KEY_ID={}", pair.id),
        format!("AWS_SECRET_ACCESS_KEY={}", pair.secret),
    ];
    let config = json!({"ID": id, "Name": "/web", "State": {"Running": false},
        "Config": {"Image": "shop:3", "Env": environment}});
    host.write(
        &format!("var/lib/docker/containers/{id}/config.v2.json"),
        config.to_string(),
    );
}

fn archive(host: &Host, pair: &KeyPair) {
    host.write("srv/in/app/settings.env", pair.env());
    run(Command::new("tar")
        .args(["-C", "in", "-cf", "app.tar", "app"])
        .current_dir(host.path("srv")));
    fs::remove_dir_all(host.path("srv/in")).unwrap();
}

fn repository(host: &Host, pair: &KeyPair) {
    host.write("srv/shop/lib/key.env", pair.env());
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@localhost"];
        run(Command::new("git")
            .args(identity)
            .args(arguments)
            .env("HOME", "/nonexistent")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .current_dir(host.path("srv/shop")));
    };
    git(&["init", "--quiet"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "add"]);
    git(&["rm", "--quiet", "lib/key.env"]);
    git(&["commit", "--quiet", "--message", "remove"]);
}

fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).status();
    assert!(status.unwrap().success(), "{command:?}");
}

//! `role.shadowed` and `imds.endpoint-override`: the binary on hosts made of
//! real processes of real users, with real environments and homes.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::host::{Host, KeyPair};
use crate::support::imds_double::{Builder, ImdsDouble};
use crate::support::rolecall::{Ran, Rolecall};

const ALICE: u32 = 61001;
const BOB: u32 = 61002;

/// A host whose `/proc` shows only the processes that a test started, the
/// first of them as process 1, and whose accounts have their homes where the
/// processes see them too.
struct Shadows {
    host: Host,
    processes: RefCell<Vec<Child>>,
}

impl Drop for Shadows {
    fn drop(&mut self) {
        for process in self.processes.borrow_mut().iter_mut() {
            process.kill().and_then(|()| process.wait()).ok();
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn needs_root() -> bool {
    if !is_root() {
        eprintln!("skipped: processes of several users need root");
    }
    !is_root()
}

/// In another process: a file that is open for writing cannot be run, and what
/// is open here is so in whatever another test starts meanwhile, too.
fn copy_program(from: &str, to: &Path) {
    assert!(
        Command::new("cp")
            .arg(from)
            .arg(to)
            .status()
            .unwrap()
            .success()
    );
}

fn aws(id: &str, secret: &str) -> String {
    format!("aws_access_key_id = {id}\naws_secret_access_key = {secret}\n")
}

impl Shadows {
    fn new() -> Self {
        let host = Host::new();
        fs::set_permissions(host.root(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(host.path("proc")).unwrap();
        let shadows = Self {
            host,
            processes: RefCell::default(),
        };
        // What is always there and holds nothing.
        shadows.start(0, "sleep", &[]);
        shadows
    }

    /// Runs a copy of sleep(1) as a program of this name.
    fn start(&self, uid: u32, name: &str, environment: &[(&str, &str)]) -> u32 {
        let program = self.host.path(&format!("bin/{name}"));
        fs::create_dir_all(self.host.path("bin")).unwrap();
        if !program.exists() {
            copy_program("/bin/sleep", &program);
        }
        self.run(uid, &program, &["1000"], environment)
    }

    fn run(&self, uid: u32, program: &Path, args: &[&str], environment: &[(&str, &str)]) -> u32 {
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .envs(environment.iter().copied())
            .current_dir(self.host.root())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if is_root() {
            command.uid(uid).gid(uid);
        }
        // Returns when the program has its own environment.
        let process = command.spawn().unwrap();
        let pid = process.id();
        let shown = if self.processes.borrow().is_empty() {
            1
        } else {
            pid
        };
        let link = self.host.path(&format!("proc/{shown}"));
        symlink(format!("/proc/{pid}"), link).unwrap();
        self.processes.borrow_mut().push(process);
        pid
    }

    /// An account whose home is on this host and seen by its processes.
    fn account(&self, name: &str, uid: u32) -> PathBuf {
        let passwd = self.host.path("etc/passwd");
        let known = fs::read_to_string(&passwd).unwrap_or_default();
        let line = format!("{name}:x:{uid}:{uid}::/home/{name}:/bin/sh\n");
        self.host.write("etc/passwd", known + &line);
        let home = self.host.path(&format!("home/{name}"));
        fs::create_dir_all(&home).unwrap();
        home
    }

    /// A file of an account, for its eyes only.
    fn private(&self, uid: u32, path: &str, text: &str) -> PathBuf {
        let path = self.host.write(path, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        if is_root() {
            chown(&path, Some(uid), Some(uid)).unwrap();
        }
        path
    }

    fn posture(&self, imds: &ImdsDouble) -> Rolecall {
        Rolecall::new(["posture", "--format", "json", "--imds-endpoint"])
            .arg(imds.endpoint())
            .arg("--root")
            .arg(self.host.root())
    }
}

fn role() -> Builder {
    ImdsDouble::builder().role("web")
}

fn check(ran: &Ran, name: &str) -> Value {
    let mut checks = ran.of_type("posture");
    checks.retain(|check| check["check"] == name);
    assert_eq!(checks.len(), 1, "{}", ran.stdout);
    checks.remove(0)
}

fn shadows(ran: &Ran) -> Vec<Value> {
    let mut findings = ran.of_type("finding");
    findings.retain(|finding| finding["rule"] == "role.shadowed");
    findings
}

/// The one shadowing of a process.
fn of_process(ran: &Ran, pid: u32) -> Value {
    let mut findings = shadows(ran);
    findings.retain(|finding| finding["location"]["pid"] == pid);
    assert_eq!(findings.len(), 1, "{}", ran.stdout);
    findings.remove(0)
}

fn environment(pair: &KeyPair) -> [(&str, &str); 2] {
    [
        ("AWS_ACCESS_KEY_ID", &pair.id),
        ("AWS_SECRET_ACCESS_KEY", &pair.secret),
    ]
}

#[test]
fn a_key_in_an_environment_is_told_with_its_holder_to_the_letter() {
    let host = Shadows::new();
    let pair = host.host.key_pair();
    let pid = host.start(0, "payroll", &environment(&pair));
    let ran = host.posture(&role().start()).run();
    assert_eq!(ran.status, 1, "{}", ran.stderr);

    let uid = rustix::process::geteuid().as_raw();
    let finding = of_process(&ran, pid);
    let account = finding["account_id"].as_str().unwrap();
    let who = format!("payroll (pid {pid}, uid {uid}");
    let reason = check(&ran, "role.shadowed")["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        reason.starts_with(&format!("in the place of the role web, {who}")),
        "{reason}"
    );
    let ends = format!(
        ") takes {} of the foreign account {account} from its environment (AWS_ACCESS_KEY_ID)",
        pair.id
    );
    assert!(reason.ends_with(&ends), "{reason}");
    assert_eq!(
        check(&ran, "role.shadowed"),
        json!({
            "schema": 1,
            "type": "posture",
            "check": "role.shadowed",
            "verdict": "fail",
            "observed": "1 static key in use by 1 holder",
            "expected": "the role web",
            "reason": reason,
            "controls": finding["controls"],
        })
    );
    let title = finding["title"].as_str().unwrap().to_owned();
    assert!(
        title.starts_with(&format!(
            "a static key is used in place of the instance's role web: {who}"
        )),
        "{title}"
    );
    assert!(
        title.ends_with(
            ") takes it from its environment (AWS_ACCESS_KEY_ID), by the order of every SDK (its \
             SDK is not known); it belongs to a FOREIGN account"
        ),
        "{title}"
    );
    let remediation = format!(
        "remove the key from its environment (AWS_ACCESS_KEY_ID): the role web takes over at the \
         next start of the process; then, when `aws iam get-access-key-last-used --access-key-id \
         {id}` shows no more use: aws iam update-access-key --access-key-id {id} --status \
         Inactive --user-name <user>",
        id = pair.id
    );
    assert_eq!(
        finding,
        json!({
            "schema": 1,
            "type": "finding",
            "id": finding["id"],
            "rule": "role.shadowed",
            "severity": "critical",
            "confidence": "medium",
            "title": title,
            "access_key_id": pair.id,
            "account_id": account,
            "same_account": false,
            "canary": false,
            "secret_fingerprint": finding["secret_fingerprint"],
            "location": {
                "source": "process", "path": "environ", "member": null, "line": null,
                "column": null, "encoding": [], "commit": null, "pid": pid,
                "exe": host.host.path("bin/payroll"), "uid": uid,
                "unit": finding["location"]["unit"],
                "container": finding["location"]["container"],
            },
            "occurrences": 1,
            "file": null,
            "controls": finding["controls"],
            "remediation": remediation,
        })
    );
    assert!(!ran.stdout.contains(&pair.secret) && !ran.stderr.contains(&pair.secret));
    // Nothing else is wrong.
    let failed = ran
        .of_type("posture")
        .iter()
        .filter(|check| check["verdict"] != "pass")
        .count();
    assert_eq!(failed, 1, "{}", ran.stdout);
}

#[test]
fn a_host_that_uses_its_role_passes_and_one_without_a_role_has_none_to_shadow() {
    let host = Shadows::new();
    host.account("alice", ALICE);
    host.start(ALICE, "app", &[("AWS_REGION", "eu-central-1")]);
    let ran = host.posture(&role().start()).run();
    assert_eq!(ran.status, 0, "{}", ran.stdout);
    let shadowed = check(&ran, "role.shadowed");
    assert_eq!(
        shadowed,
        json!({
            "schema": 1, "type": "posture", "check": "role.shadowed", "verdict": "pass",
            "observed": "no static key", "expected": "the role web",
            "reason": "of 2 processes, 0 units and 1 accounts none comes to a static key before \
                       the role web",
            "controls": shadowed["controls"],
        })
    );
    assert_eq!(
        check(&ran, "imds.endpoint-override"),
        json!({
            "schema": 1, "type": "posture", "check": "imds.endpoint-override", "verdict": "pass",
            "observed": "none", "expected": "none",
            "reason": "of 2 processes, 0 units and 1 accounts none is led away from IMDS",
            "controls": [],
        })
    );

    let pair = host.host.key_pair();
    host.start(ALICE, "held", &environment(&pair));
    let ran = host.posture(&ImdsDouble::builder().start()).run();
    let shadowed = check(&ran, "role.shadowed");
    assert_eq!(shadowed["verdict"], "not-applicable");
    assert_eq!(
        shadowed["reason"],
        "no role is attached, so that nothing is shadowed"
    );
    assert_eq!(shadows(&ran), Vec::<Value>::new());
}

#[test]
fn each_user_comes_to_what_its_own_environment_and_home_say() {
    if needs_root() {
        return;
    }
    let host = Shadows::new();
    let (alice, bob) = (host.account("alice", ALICE), host.account("bob", BOB));
    let pairs: Vec<KeyPair> = (0..5).map(|_| host.host.key_pair()).collect();
    let file = format!(
        "[default]\n{}[admin]\nrole_arn = arn\nsource_profile = base\n[base]\n{}",
        aws(&pairs[0].id, &pairs[0].secret),
        aws(&pairs[1].id, &pairs[1].secret)
    );
    let path = host.private(ALICE, "home/alice/.aws/credentials", &file);
    let elsewhere = host.private(
        BOB,
        "srv/keys",
        &format!("[default]\n{}", aws(&pairs[2].id, &pairs[2].secret)),
    );
    let (alice, bob) = (alice.to_str().unwrap(), bob.to_str().unwrap());
    let of_home = host.start(ALICE, "app", &[("HOME", alice)]);
    let of_role = host.start(ALICE, "app", &[("HOME", alice), ("AWS_PROFILE", "admin")]);
    let of_file = host.start(
        BOB,
        "app",
        &[
            ("HOME", bob),
            ("AWS_SHARED_CREDENTIALS_FILE", elsewhere.to_str().unwrap()),
        ],
    );
    // Bob may not read what is Alice's, wherever his HOME leads.
    let of_nobody = host.start(BOB, "app", &[("HOME", alice)]);
    let asks_the_role = host.start(BOB, "app", &[("HOME", bob)]);
    let temporary = pairs[3].id.replacen("AKIA", "ASIA", 1);
    let expires = host.start(
        BOB,
        "app",
        &[
            ("AWS_ACCESS_KEY_ID", &temporary),
            ("AWS_SECRET_ACCESS_KEY", &pairs[3].secret),
            ("AWS_SESSION_TOKEN", "token"),
        ],
    );
    let ran = host.posture(&role().start()).run();

    let told = |pid, pair: &KeyPair, path: &Path, line: u64, uid: u32| {
        let finding = of_process(&ran, pid);
        let place = &finding["location"];
        assert_eq!(finding["access_key_id"], pair.id.as_str());
        assert_eq!(place["path"], path.to_str().unwrap());
        assert_eq!((&place["line"], &place["uid"]), (&json!(line), &json!(uid)));
        finding
    };
    told(of_home, &pairs[0], &path, 2, ALICE);
    let of_role = told(of_role, &pairs[1], &path, 8, ALICE);
    assert!(
        of_role["title"].as_str().unwrap().contains("not of"),
        "the C++ SDK assumes no role: {of_role}"
    );
    told(of_file, &pairs[2], &elsewhere, 2, BOB);
    let pids: Vec<&Value> = shadows_pids(&ran);
    for pid in [of_nobody, asks_the_role, expires] {
        assert!(!pids.contains(&&json!(pid)), "{pid}: {}", ran.stdout);
    }
    // The account's own way to the file, for what is started later.
    let of_account: Vec<Value> = shadows(&ran)
        .into_iter()
        .filter(|finding| finding["location"]["source"] == "file")
        .collect();
    assert_eq!(of_account.len(), 1, "{}", ran.stdout);
    assert_eq!(
        of_account[0]["location"]["path"],
        "/home/alice/.aws/credentials"
    );
    assert_eq!(of_account[0]["location"]["uid"], ALICE);
    for pair in &pairs {
        assert!(!ran.stdout.contains(&pair.secret));
    }
}

fn shadows_pids(ran: &Ran) -> Vec<&'static Value> {
    shadows(ran)
        .into_iter()
        .map(|finding| &*Box::leak(Box::new(finding["location"]["pid"].clone())))
        .collect()
}

#[test]
fn the_sdk_that_a_process_uses_decides() {
    let host = Shadows::new();
    let (of_file, of_variable) = (host.host.key_pair(), host.host.key_pair());
    let home = host.host.path("srv/app");
    host.host.write(
        "srv/app/.aws/credentials",
        format!("[p]\n{}", aws(&of_file.id, &of_file.secret)),
    );
    host.host.write("srv/app/node_modules/@aws-sdk/x", "");
    host.host
        .write("srv/app/index.js", "setInterval(() => {}, 1e6)");
    let home = home.to_str().unwrap();
    let mut variables = environment(&of_variable).to_vec();
    variables.extend([("HOME", home), ("AWS_PROFILE", "p")]);

    let script = host.host.path("srv/app/index.js");
    let script = script.to_str().unwrap();
    let program = host.host.path("bin/node");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    // A program that waits whatever its arguments are.
    copy_program("/bin/sh", &program);
    let wait = format!("{script}.sh");
    fs::write(&wait, "while :; do sleep 1000; done").unwrap();
    let node = host.run(0, &program, &[&wait], &variables);
    let unknown = host.start(0, "app", &variables);
    let ran = host.posture(&role().start()).run();

    let told = of_process(&ran, node);
    assert_eq!(told["access_key_id"], of_file.id.as_str());
    assert!(
        told["title"].as_str().unwrap().contains(
            "by the order of JavaScript SDK 3 (Node.js with the SDK 3 in its node_modules)"
        ),
        "{told}"
    );
    // Nothing tells of the other: the SDKs come to two keys.
    let mut both: Vec<Value> = shadows(&ran);
    both.retain(|finding| finding["location"]["pid"] == unknown);
    let ids: Vec<&Value> = both.iter().map(|told| &told["access_key_id"]).collect();
    assert_eq!(ids.len(), 2, "{both:?}");
    assert!(ids.contains(&&json!(of_file.id)) && ids.contains(&&json!(of_variable.id)));
    for told in &both {
        assert_eq!(told["confidence"], "low");
        assert!(told["title"].as_str().unwrap().contains(", not of "));
    }
}

#[test]
fn what_may_not_be_looked_into_leaves_the_answer_open_and_is_counted() {
    if needs_root() {
        return;
    }
    let host = Shadows::new();
    let binary = host.host.path("bin/rolecall");
    fs::create_dir_all(binary.parent().unwrap()).unwrap();
    copy_program(env!("CARGO_BIN_EXE_rolecall"), &binary);
    host.start(ALICE, "app", &[]);
    let nobody = |host: &Shadows| {
        let imds = role().start();
        host.posture(&imds).run_by(BOB, &binary).run()
    };
    let ran = nobody(&host);
    assert_eq!(ran.status, 2, "{}", ran.stdout);
    let shadowed = check(&ran, "role.shadowed");
    assert_eq!(
        shadowed,
        json!({
            "schema": 1, "type": "posture", "check": "role.shadowed", "verdict": "unknown",
            "observed": null, "expected": "the role web",
            "reason": "no static key was seen in the place of the role web, but 2 of 2 processes \
                       could not be read (run as root, or with CAP_SYS_PTRACE)",
            "controls": shadowed["controls"],
        })
    );
    assert_eq!(check(&ran, "imds.endpoint-override")["verdict"], "unknown");

    let pair = host.host.key_pair();
    let own = host.start(BOB, "app", &environment(&pair));
    let ran = nobody(&host);
    assert_eq!(ran.status, 1, "{}", ran.stdout);
    of_process(&ran, own);
    let reason = check(&ran, "role.shadowed")["reason"].to_string();
    assert!(
        reason.contains("; 2 of 3 processes could not be read"),
        "{reason}"
    );
}

#[test]
fn a_container_is_read_through_its_own_root() {
    if needs_root() {
        return;
    }
    let host = Shadows::new();
    let pair = host.host.key_pair();
    let inside = host.host.path("container");
    for name in ["bin", "lib", "lib64", "usr"] {
        fs::create_dir_all(inside.join(name)).unwrap();
    }
    host.host.write(
        "container/root/.aws/credentials",
        format!("[default]\n{}", aws(&pair.id, &pair.secret)),
    );
    host.host
        .write("container/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    // Leads out of the container, if it is not its own root that counts.
    symlink("/etc/passwd", inside.join("root/.boto")).unwrap();
    let script = format!(
        "for d in bin lib lib64 usr; do [ -d /$d ] && mount --rbind /$d {inside}/$d; done; \
         exec chroot {inside} /bin/sleep 1000",
        inside = inside.display()
    );
    let unshare = Path::new("/usr/bin/unshare");
    let pid = host.run(0, unshare, &["-m", "sh", "-c", &script], &[]);
    // Until it is in its root.
    let root = format!("/proc/{pid}/root");
    while fs::read_link(&root).unwrap() != inside
        || !fs::read(format!("/proc/{pid}/cmdline"))
            .unwrap()
            .starts_with(b"/bin/sleep")
    {
        std::thread::yield_now();
    }
    let ran = host.posture(&role().start()).run();
    let told = of_process(&ran, pid);
    assert_eq!(told["location"]["path"], "/root/.aws/credentials");
    assert_eq!(told["access_key_id"], pair.id.as_str());
}

#[test]
fn units_and_tools_hold_keys_too() {
    let host = Shadows::new();
    let (of_unit, of_tool) = (host.host.key_pair(), host.host.key_pair());
    let of_login = host.host.key_pair();
    host.account("root", 0);
    host.host.write(
        "home/root/.bashrc",
        format!(
            "export AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY='{}'\n",
            of_login.id, of_login.secret
        ),
    );
    host.host.write(
        "etc/systemd/system/backup.service",
        "[Service]\nExecStart=/bin/true\nEnvironmentFile=/etc/backup.env\n",
    );
    host.host.write("etc/backup.env", of_unit.env());
    host.host.write(
        "home/root/.s3cfg",
        format!(
            "[default]\naccess_key = {}\nsecret_key = {}\n",
            of_tool.id, of_tool.secret
        ),
    );
    let ran = host.posture(&role().start()).run();
    let findings = shadows(&ran);
    let find = |pair: &KeyPair| {
        findings
            .iter()
            .find(|finding| finding["access_key_id"] == pair.id.as_str())
            .unwrap_or_else(|| panic!("{}", ran.stdout))
    };
    let unit = find(&of_unit);
    assert_eq!(unit["location"]["unit"], "backup.service");
    assert_eq!(unit["location"]["path"], "/etc/backup.env");
    assert_eq!(unit["location"]["line"], 1);
    assert_eq!(unit["severity"], "critical");
    let login = find(&of_login);
    assert_eq!(login["location"]["path"], "/home/root/.bashrc");
    assert_eq!(login["location"]["line"], 1);
    assert_eq!(login["location"]["uid"], 0);
    let tool = find(&of_tool);
    assert_eq!(tool["location"]["path"], "/home/root/.s3cfg");
    assert!(
        tool["title"]
            .as_str()
            .unwrap()
            .contains("by the order of s3cmd")
    );
}

#[test]
fn what_a_service_manager_hands_to_all_that_it_starts_is_told_once() {
    let host = Shadows::new();
    let (of_all, of_pool) = (host.host.key_pair(), host.host.key_pair());
    host.account("apache", 48);
    for unit in ["a", "b"] {
        let path = format!("etc/systemd/system/{unit}.service");
        host.host.write(&path, "[Service]\nExecStart=/bin/true\n");
    }
    host.host.write(
        "etc/systemd/system.conf.d/aws.conf",
        format!(
            "[Manager]\nDefaultEnvironment=AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}\n",
            of_all.id, of_all.secret
        ),
    );
    host.host.write(
        "etc/php-fpm.d/www.conf",
        format!(
            "[www]\nuser = apache\nenv[AWS_ACCESS_KEY_ID] = {}\n\
             env[AWS_SECRET_ACCESS_KEY] = \"{}\"\n",
            of_pool.id, of_pool.secret
        ),
    );
    let ran = host.posture(&role().start()).run();
    let told: Vec<_> = shadows(&ran)
        .iter()
        .map(|finding| {
            let place = &finding["location"];
            let part = |name: &str| place[name].as_str().unwrap_or_default().to_owned();
            let id = finding["access_key_id"].as_str().unwrap().to_owned();
            (id, part("unit"), part("path"))
        })
        .collect();
    let all = (
        of_all.id,
        "(every unit)",
        "/etc/systemd/system.conf.d/aws.conf",
    );
    let pool = (of_pool.id, "php-fpm pool www", "/etc/php-fpm.d/www.conf");
    let expected = [all, pool].map(|(id, unit, path)| (id, unit.to_owned(), path.to_owned()));
    assert_eq!(told, expected, "{}", ran.stdout);
}

#[test]
fn holders_that_are_alike_are_told_once_and_ids_can_be_masked() {
    let host = Shadows::new();
    let pair = host.host.key_pair();
    let first = host.start(0, "worker", &environment(&pair));
    for _ in 0..3 {
        host.start(0, "worker", &environment(&pair));
    }
    let config = host
        .host
        .write("rolecall.toml", "redact_access_key_ids = true\n");
    let ran = host
        .posture(&role().start())
        .arg("--config")
        .arg(&config)
        .run();
    let findings = shadows(&ran);
    assert_eq!(findings.len(), 1, "{}", ran.stdout);
    assert_eq!(findings[0]["occurrences"], 4);
    let lowest = findings[0]["location"]["pid"].as_u64().unwrap();
    assert!(lowest >= u64::from(first) || lowest > 1);
    assert!(!ran.stdout.contains(&pair.id), "{}", ran.stdout);
    let masked = format!("{}********{}", &pair.id[..8], &pair.id[16..]);
    assert_eq!(findings[0]["access_key_id"], masked.as_str());
    for text in [
        &findings[0]["remediation"],
        &check(&ran, "role.shadowed")["reason"],
    ] {
        assert!(text.as_str().unwrap().contains(&masked), "{text}");
    }
}

#[test]
fn an_accepted_key_is_set_aside() {
    let host = Shadows::new();
    let pair = host.host.key_pair();
    host.start(0, "vendor", &environment(&pair));
    let config = host.host.write(
        "rolecall.toml",
        format!(
            "[[allow]]\naccess_key_id = \"{}\"\nreason = \"the vendor's own account\"\n",
            pair.id
        ),
    );
    let ran = host
        .posture(&role().start())
        .arg("--config")
        .arg(&config)
        .run();
    assert_eq!(ran.status, 0, "{}", ran.stdout);
    assert_eq!(shadows(&ran), Vec::<Value>::new());
    assert_eq!(ran.summary()["allowed"], 1);
    assert_eq!(check(&ran, "role.shadowed")["verdict"], "fail");
}

#[test]
fn whoever_is_led_away_from_imds_is_named_with_the_setting() {
    let host = Shadows::new();
    host.account("root", 0);
    host.host.write(
        "home/root/.aws/config",
        "[profile x]\nec2_metadata_service_endpoint = http://10.0.0.1/\n",
    );
    let pid = host.start(
        0,
        "agent",
        &[
            (
                "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                "http://user:hunter2@127.0.0.1:1338/latest",
            ),
            ("AWS_EC2_METADATA_V1_DISABLED", "true"),
        ],
    );
    host.start(
        0,
        "harmless",
        &[
            (
                "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                "http://169.254.169.254/",
            ),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv4"),
            ("AWS_EC2_METADATA_DISABLED", "false"),
        ],
    );
    let off = host.start(0, "off", &[("AWS_EC2_METADATA_DISABLED", "true")]);
    let ran = host.posture(&role().start()).run();
    let told = check(&ran, "imds.endpoint-override");
    assert_eq!(told["verdict"], "fail");
    assert_eq!(
        told["observed"],
        "ec2_metadata_service_endpoint=http://10.0.0.1 and 2 more"
    );
    let reason = told["reason"].as_str().unwrap();
    for part in [
        "ec2_metadata_service_endpoint=http://10.0.0.1 in /home/root/.aws/config:2 holds for \
         account root (uid 0)"
            .to_owned(),
        format!(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1338 holds for agent (pid {pid},"
        ),
        format!("AWS_EC2_METADATA_DISABLED=true holds for off (pid {off},"),
    ] {
        assert!(reason.contains(&part), "{reason}");
    }
    assert!(!ran.stdout.contains("hunter2"));
    assert!(!reason.contains("harmless"));
    let findings = ran.of_type("finding");
    assert_eq!(findings.len(), 1, "{}", ran.stdout);
    assert_eq!(findings[0]["rule"], "imds.endpoint-override");
    // Switched off, the role could not be taken.
    let pair = host.host.key_pair();
    let mut both = environment(&pair).to_vec();
    both.push(("AWS_EC2_METADATA_DISABLED", "true"));
    let held = host.start(0, "both", &both);
    let ran = host.posture(&role().start()).run();
    let remediation = of_process(&ran, held)["remediation"].to_string();
    assert!(
        remediation.contains("AWS_EC2_METADATA_DISABLED too: it keeps the role web out of reach"),
        "{remediation}"
    );
}

#[test]
fn the_text_tells_one_credential_with_its_places_and_who_uses_it() {
    let host = Shadows::new();
    let pair = host.host.key_pair();
    let pid = host.start(0, "payroll", &environment(&pair));
    host.host.write("srv/app.env", pair.env());
    let imds = role().start();
    let ran = Rolecall::new(["check", "--ship", "never", "--imds-endpoint"])
        .arg(imds.endpoint())
        .arg("--root")
        .arg(host.host.root())
        .run();
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let head: Vec<&str> = ran.stdout.lines().take(3).collect();
    assert!(head[0].contains("(1 credential in 2 places)"), "{head:?}");
    assert!(head[1].starts_with("posture: role.shadowed fail (1 static key in use by 1 holder)"));
    assert!(
        head[2].contains(&format!("{} SHADOWS THE ROLE, in 2 places", pair.id)),
        "{head:?}"
    );
    assert!(head[2].contains(&format!("payroll (pid {pid}")), "{head:?}");
    assert!(
        ran.stdout
            .contains("SHADOWS THE ROLE: used in its place by 1 holder:"),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains(&pair.secret));
}

#[test]
fn hostile_files_are_no_hindrance() {
    let host = Shadows::new();
    let home = host.account("root", 0);
    fs::create_dir_all(home.join(".aws")).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        home.join(".aws/credentials"),
        rustix::fs::Mode::RWXU,
    )
    .unwrap();
    symlink("config", home.join(".aws/config")).unwrap();
    host.host.write("home/root/.boto", vec![0xff; 70_000]);
    host.start(0, "a\u{1b}[31mb", &[("HOME", home.to_str().unwrap())]);
    let ran = host.posture(&role().start()).run();
    let told = check(&ran, "role.shadowed");
    assert_eq!(told["verdict"], "unknown", "{told}");
    assert!(
        told["reason"]
            .as_str()
            .unwrap()
            .contains("/home/root/.aws/credentials is no regular file"),
        "{told}"
    );
    assert!(!ran.stdout.contains('\u{1b}'));
}

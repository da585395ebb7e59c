//! File systems that stop answering: what waits for them is left behind and
//! told, the rest of the scan goes on, and the run ends; and the service lives
//! with it.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{SELDOM, healthy, home, logs, told as told_of};
use crate::support::daemon::{Daemon, Manager, wait};
use crate::support::fuse::{Fuse, Hang};
use crate::support::host::{Host, KeyPair};
use crate::support::imds_double::ImdsDouble;
use crate::support::rolecall::Ran;
use crate::support::side_by_side::side_by_side;

/// A type that counts as a local disk, although a program is behind it.
const LOCAL: &str = "fuse.ntfs-3g";

/// Longer than anything here takes; a run that hangs would take forever.
const LIMIT: Duration = Duration::from_mins(2);

/// Runs the binary where `fuse` is mounted at `place`.
fn run(fuse: &Fuse, kind: &str, place: &Path, arguments: &[&str]) -> Ran {
    let mut child = fuse
        .command(kind, place, Path::new(env!("CARGO_BIN_EXE_rolecall")))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("unshare runs");
    let started = Instant::now();
    while child.try_wait().expect("its state").is_none() {
        assert!(started.elapsed() < LIMIT, "it does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
    // What was left behind holds neither end of a pipe.
    let output = child.wait_with_output().unwrap();
    Ran {
        status: output.status.code().expect("an exit status"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// What was told of silence, and the access key IDs that were found.
fn told(ran: &Ran) -> (Vec<Value>, Vec<String>) {
    let hung = ran
        .of_type("coverage")
        .iter()
        .flat_map(|coverage| coverage["skipped"].as_array().cloned().unwrap_or_default())
        .filter(|skip| skip["reason"] == "hung")
        .flat_map(|skip| skip["examples"].as_array().cloned().unwrap())
        .collect();
    let mut keys: Vec<String> = ran
        .of_type("finding")
        .iter()
        .map(|finding| finding["access_key_id"].as_str().unwrap().to_owned())
        .collect();
    keys.sort();
    (hung, keys)
}

/// A host with a key beside a mount point, and one file behind that.
struct Scene {
    host: Host,
    beside: String,
    behind: [(&'static str, String); 3],
    first: String,
}

impl Scene {
    fn new() -> Self {
        let host = Host::new();
        std::fs::create_dir(host.path("mnt")).unwrap();
        let (beside, first) = (host.key_pair(), host.key_pair());
        host.write("a/app.env", beside.env());
        host.write("z/more.env", beside.env());
        Self {
            host,
            behind: [
                ("a.env", first.env()),
                ("b.env", "nothing\n".into()),
                ("c.env", "nothing\n".into()),
            ],
            beside: beside.id,
            first: first.id,
        }
    }
}

#[test]
fn a_mount_that_stops_answering_is_left_behind_and_told() {
    let cases = [
        (Hang::Stat, "mnt"),
        (Hang::ReadDir, "mnt"),
        (Hang::Open, "mnt/b.env"),
        (Hang::Read, "mnt/b.env"),
    ];
    let cases = cases.iter().flat_map(|case| [(case, 1), (case, 2)]);
    side_by_side(cases, |((hang, silent_at), threads)| {
        let scene = Scene::new();
        let Some(fuse) = Fuse::new(*hang, &scene.behind) else {
            return;
        };
        let config = format!("[scan]\nthreads = {threads}\n");
        let config = scene.host.write("rolecall.toml", config);
        let root = scene.host.root();
        let arguments = ["scan", "--format", "json", "--config"];
        let paths = [config.to_str().unwrap(), root.to_str().unwrap()];
        let arguments = [&arguments[..], &paths].concat();
        let ran = run(&fuse, LOCAL, &scene.host.path("mnt"), &arguments);
        let case = format!(
            "{hang:?} with {threads} threads: {} {}",
            ran.stdout, ran.stderr
        );
        let (hung, keys) = told(&ran);
        let silent_at = scene.host.path(silent_at);
        assert_eq!(hung, [silent_at.to_str().unwrap()], "{case}");
        let beside = keys.iter().filter(|key| **key == scene.beside);
        assert_eq!(beside.count(), 2, "{case}");
        // Of one file that does not answer its neighbours know nothing.
        let is_file = silent_at != scene.host.path("mnt");
        assert_eq!(keys.contains(&scene.first), is_file, "{case}");
        let complete = &ran.summary()["complete"];
        assert_eq!((ran.status, complete), (1, &false.into()), "{case}");
    });
}

#[test]
fn who_uses_a_key_is_told_although_the_time_is_over() {
    let scene = Scene::new();
    let Some(fuse) = Fuse::new(Hang::Read, &scene.behind) else {
        return;
    };
    let unit = "[Service]\nEnvironmentFile=/a/app.env\n";
    scene.host.write("etc/systemd/system/app.service", unit);
    let root = scene.host.root();
    let arguments = ["scan", "--format", "json", "--timeout", "2s", "--root"];
    let arguments = [&arguments[..], &[root.to_str().unwrap()]].concat();
    let ran = run(&fuse, LOCAL, &scene.host.path("mnt"), &arguments);
    let findings = ran.of_type("finding");
    let path = |finding: &&Value| finding["location"]["path"] == "/a/app.env";
    let found = findings.iter().find(path).expect("it was read");
    assert_eq!(found["location"]["unit"], "app.service", "{}", ran.stderr);
    assert_eq!(ran.summary()["complete"], false);
}

#[test]
fn a_mount_is_left_from_the_second_file_on_that_does_not_answer() {
    let scene = Scene::new();
    let Some(fuse) = Fuse::new(Hang::ReadMany, &scene.behind) else {
        return;
    };
    let config = scene.host.write("rolecall.toml", "[scan]\nthreads = 1\n");
    let root = scene.host.root();
    let arguments = ["scan", "--format", "json", "--config"];
    let paths = [config.to_str().unwrap(), root.to_str().unwrap()];
    let arguments = [&arguments[..], &paths].concat();
    let ran = run(&fuse, LOCAL, &scene.host.path("mnt"), &arguments);
    let (hung, keys) = told(&ran);
    let at = |path: &str| Value::from(scene.host.path(path).to_str().unwrap());
    // What comes last in a directory is read first: nobody came to the first.
    assert_eq!(hung, [at("mnt/c.env"), at("mnt/b.env"), at("mnt")]);
    assert_eq!(ran.skipped("file", "hung"), 3);
    assert!(!keys.contains(&scene.first) && keys.contains(&scene.beside));
}

/// Makes a repository with a key in it.
fn commit(host: &Host, path: &str) -> KeyPair {
    let pair = host.key_pair();
    host.write(&format!("{path}/app.env"), pair.env());
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "app.env"],
        &["commit", "--quiet", "--message", "a"],
    ] {
        let mut git = std::process::Command::new("git");
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b.example"];
        git.arg("-C").arg(host.path(path)).args(identity);
        assert!(git.args(arguments).status().unwrap().success());
    }
    pair
}

#[test]
fn a_repository_that_does_not_answer_costs_no_other_one() {
    let host = Host::new();
    let pairs = ["a", "b", "c", "d"].map(|name| commit(&host, name));
    host.write(
        "a/.git/objects/info/alternates",
        "../../../b/.git/objects\n",
    );
    let silent = host.path("b/.git/objects/pack");
    let files = [("pack-1.idx", "x".to_owned()), ("pack-1.pack", "x".into())];
    let Some(fuse) = Fuse::new(Hang::Read, &files) else {
        return;
    };
    let root = host.root();
    let arguments = ["scan", "--format", "json", root.to_str().unwrap()];
    let ran = run(&fuse, LOCAL, &silent, &arguments);
    let found = ran.of_type("finding");
    let in_git = |pair: &&KeyPair| {
        found.iter().any(|finding| {
            finding["access_key_id"] == pair.id.as_str() && finding["location"]["source"] == "git"
        })
    };
    assert_eq!(pairs.iter().filter(in_git).count(), 3, "{}", ran.stdout);
    let told = [silent.parent().unwrap().to_str().unwrap()];
    assert_eq!(self::told(&ran).0, told, "{}", ran.stdout);
    assert_eq!(ran.skipped("git", "hung"), 1);
}

/// What a working tree has in place of its git directory, in a mount.
const ASTRAY: &str = "gitdir: ../../mnt/r.git/worktrees/wt\n";

#[test]
fn a_repository_that_leads_into_silence_costs_no_other_one() {
    let scene = Scene::new();
    let (host, root) = (&scene.host, scene.host.root());
    let committed = commit(host, "a/r");
    host.write("a/wt/.git", ASTRAY);
    let alternates = "a/r/.git/objects/info/alternates";
    host.write(alternates, "../../../../mnt/objects\n");
    host.write("a/linked/x", "");
    symlink("/mnt/y/.git", host.path("a/linked/.git")).unwrap();
    let is_committed = |finding: &Value| {
        finding["access_key_id"] == committed.id.as_str() && finding["location"]["source"] == "git"
    };
    for (exclude, reason, silences) in [("", "hung", 1), ("/mnt", "excluded", 0)] {
        let Some(fuse) = Fuse::new(Hang::Stat, &scene.behind) else {
            return;
        };
        let exclude = format!("[scan]\nexclude = [\"{exclude}\"]\n");
        let config = exclude.replace("[\"\"]", "[]");
        let config = host.write("rolecall.toml", config);
        let arguments = ["scan", "--format", "json", "--config"];
        let paths = [config.to_str().unwrap(), "--root", root.to_str().unwrap()];
        let arguments = [&arguments[..], &paths].concat();
        let ran = run(&fuse, LOCAL, &host.path("mnt"), &arguments);
        assert!(ran.of_type("finding").iter().any(is_committed), "{reason}");
        assert_eq!(ran.skipped("git", reason), 3, "{}", ran.stdout);
        assert_eq!(ran.skipped("file", "hung"), silences, "{}", ran.stdout);
    }
}

#[test]
fn the_service_goes_on_after_a_repository_that_leads_into_silence() {
    let scene = Scene::new();
    scene.host.write("a/wt/.git", ASTRAY);
    let (imds, logs) = (healthy(), logs());
    let config = "[scan]\ninterval = \"5m\"\nprocesses = false\nroots = [\"/a\"]\n\
                  [watch]\nenabled = false\n";
    let home = home(config, &imds, &logs);
    let manager = Manager {
        starts_by: ["unshare", "-m", "--"].map(str::to_owned).to_vec(),
        environment: Vec::new(),
    };
    let mut daemon = home.start_by(&manager, &scene.host.root());
    let Some(fuse) = Fuse::new(Hang::Stat, &scene.behind) else {
        return;
    };
    let status = daemon.status_when("the key", |status| status["open"]["critical"] == 1);
    let first = status["sweeps"].as_u64().unwrap();
    fuse.mount_before(daemon.pid(), LOCAL, &scene.host.path("mnt"));
    for n in 1..=3 {
        let written = scene.host.key_pair();
        scene.host.write(&format!("a/late-{n}.env"), written.env());
        daemon.signal(Signal::HUP);
        let status = daemon.status_when("a sweep", |status| status["sweeps"] == first + n);
        assert_eq!(status["open"]["critical"], 1 + n, "{status}");
        assert_eq!(status["last_sweep"]["complete"], false, "{status}");
        assert!(status["coverage"].to_string().contains("\"hung\""));
    }
    drop(fuse);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_process_that_cannot_be_read_costs_no_other_one() {
    let host = Host::new();
    let config = "[scan]\nroots = [\"/empty\"]\n";
    let config = host.write("rolecall.toml", config);
    for folder in ["empty", "proc/43"] {
        std::fs::create_dir_all(host.path(folder)).unwrap();
    }
    let others = [42, 44, 45].map(|pid| {
        let key = host.key_pair();
        let environment = key.env().replace('\n', "\0");
        host.write(&format!("proc/{pid}/environ"), environment);
        host.write(&format!("proc/{pid}/cmdline"), "app\0");
        key.id
    });
    let files = [("cmdline", "app\0".to_owned()), ("environ", "A=1\0".into())];
    let Some(fuse) = Fuse::new(Hang::Open, &files) else {
        return;
    };
    let (root, config) = (host.root(), config.to_str().unwrap().to_owned());
    let arguments = ["scan", "--format", "json", "--config", &config, "--root"];
    let arguments = [&arguments[..], &[root.to_str().unwrap()]].concat();
    let ran = run(&fuse, LOCAL, &host.path("proc/43"), &arguments);
    let (hung, keys) = told(&ran);
    assert_eq!(hung, ["process 43"], "{}", ran.stdout);
    let mut others = others.to_vec();
    others.sort();
    assert_eq!((keys, ran.status), (others, 1), "{}", ran.stdout);
    let processes = ran.of_type("coverage").into_iter();
    let mut processes = processes.filter(|coverage| coverage["source"] == "process");
    assert_eq!(processes.next().unwrap()["scanned"], 3);
}

#[test]
fn a_mount_that_answers_is_read() {
    let scene = Scene::new();
    let Some(fuse) = Fuse::new(Hang::Nowhere, &scene.behind) else {
        return;
    };
    let root = scene.host.root();
    let arguments = ["scan", "--format", "json", root.to_str().unwrap()];
    let ran = run(&fuse, LOCAL, &scene.host.path("mnt"), &arguments);
    let (hung, keys) = told(&ran);
    assert_eq!(hung, [""; 0]);
    assert!(keys.contains(&scene.first), "{}", ran.stdout);
    assert_eq!((keys.len(), &ran.summary()["complete"]), (3, &true.into()));
}

#[test]
fn a_root_that_does_not_answer_ends_with_the_time_given() {
    let scene = Scene::new();
    let mount = scene.host.path("mnt");
    for hang in [Hang::Stat, Hang::ReadDir, Hang::Read] {
        let Some(fuse) = Fuse::new(hang, &scene.behind) else {
            return;
        };
        let arguments = [
            "scan",
            "--format",
            "json",
            "--timeout",
            "2s",
            mount.to_str().unwrap(),
        ];
        let ran = run(&fuse, "fuse.sshfs", &mount, &arguments);
        let (hung, _) = told(&ran);
        assert_eq!(hung.len(), 1, "{hang:?}: {} {}", ran.stdout, ran.stderr);
        assert_eq!(
            ran.status,
            if hang == Hang::Read { 1 } else { 2 },
            "{hang:?}"
        );
        let took = ran.summary()["duration_ms"].as_u64().unwrap();
        assert!(took < 8_000, "the time given was 2 s, not {took} ms");
    }
}

#[test]
fn another_root_that_does_not_answer_is_an_error() {
    let scene = Scene::new();
    let mount = scene.host.path("mnt");
    let Some(fuse) = Fuse::new(Hang::Stat, &scene.behind) else {
        return;
    };
    let below = mount.join("etc");
    let ran = run(
        &fuse,
        LOCAL,
        &mount,
        &["scan", "--root", below.to_str().unwrap()],
    );
    assert_eq!(ran.status, 64, "{} {}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("timed out"), "{}", ran.stderr);
}

#[test]
fn a_mount_of_a_skipped_type_is_not_touched() {
    let scene = Scene::new();
    let root = scene.host.root();
    // Nor where a repository says that its objects are.
    for (path, text) in [
        ("HEAD", "ref: refs/heads/main\n"),
        ("refs/heads/.keep", ""),
        ("objects/info/alternates", "../../../mnt/objects\n"),
    ] {
        scene.host.write(&format!("r/.git/{path}"), text);
    }
    scene.host.write("way/x", "");
    symlink("../mnt", scene.host.path("way/in")).unwrap();
    scene.host.write("linked/x", "");
    symlink("../way/in/y", scene.host.path("linked/.git")).unwrap();
    for hang in [Hang::Stat, Hang::ReadDir] {
        let Some(fuse) = Fuse::new(hang, &scene.behind) else {
            return;
        };
        let arguments = [
            "scan",
            "--format",
            "json",
            "--fail-on",
            "never",
            root.to_str().unwrap(),
        ];
        let ran = run(&fuse, "fuse.sshfs", &scene.host.path("mnt"), &arguments);
        assert_eq!(told(&ran).0, [""; 0], "{}", ran.stdout);
        assert_eq!(ran.skipped("file", "network-filesystem"), 1);
        assert_eq!(ran.skipped("git", "network-filesystem"), 2);
        assert_eq!(ran.status, 0, "{}", ran.stdout);
    }
}

#[test]
fn what_is_mounted_beneath_a_network_is_told_and_not_gone_to() {
    let scene = Scene::new();
    let Some(fuse) = Fuse::new(Hang::Nowhere, &scene.behind) else {
        return;
    };
    let (host, root) = (&scene.host, scene.host.root());
    let script = "mount --bind $0 $1; shift; exec \"$@\"";
    let ran = fuse
        .command("fuse.sshfs", &host.path("mnt"), Path::new("sh"))
        .args(["-ec", script])
        .args([host.path("a/app.env"), host.path("mnt/b.env")])
        .arg(env!("CARGO_BIN_EXE_rolecall"))
        .args(["scan", "--format", "json"])
        .arg(&root)
        .output()
        .unwrap();
    let ran = Ran {
        status: ran.status.code().expect("an exit status"),
        stdout: String::from_utf8(ran.stdout).unwrap(),
        stderr: String::from_utf8(ran.stderr).unwrap(),
    };
    assert_eq!(ran.skipped("file", "network-filesystem"), 1);
    assert_eq!(ran.skipped("file", "behind-network"), 1, "{}", ran.stdout);
    assert_eq!(ran.summary()["complete"], false);
}

#[test]
fn a_home_that_does_not_answer_leaves_the_look_for_shadows_open_and_ends() {
    let scene = Scene::new();
    let Some(fuse) = Fuse::new(Hang::Stat, &scene.behind) else {
        return;
    };
    let pair = scene.host.key_pair();
    scene
        .host
        .write("etc/passwd", "far:x:1000:1000::/mnt:/bin/sh\n");
    let unit = "[Service]\nExecStart=/bin/true\nEnvironmentFile=/etc/unit.env\n";
    scene.host.write("etc/systemd/system/near.service", unit);
    scene.host.write("etc/unit.env", pair.env());
    let imds = ImdsDouble::builder().role("web").start();
    let root = scene.host.root();
    let endpoint = imds.endpoint();
    let arguments = ["posture", "--format", "json", "--imds-endpoint"];
    let values = [&endpoint, "--root", root.to_str().unwrap()];
    let arguments = [&arguments[..], &values].concat();
    let ran = run(&fuse, "fuse.sshfs", &scene.host.path("mnt"), &arguments);
    let told = ran.of_type("posture");
    let shadowed = told.iter().find(|check| check["check"] == "role.shadowed");
    let shadowed = shadowed.expect("the check is told");
    assert_eq!(shadowed["verdict"], "fail", "{shadowed}");
    let reason = shadowed["reason"].as_str().unwrap();
    assert!(reason.contains("took too long"), "{shadowed}");
    let found: Vec<_> = ran.of_type("finding");
    assert_eq!(found.len(), 1, "{}", ran.stdout);
    assert_eq!(found[0]["location"]["unit"], "near.service");
}

fn threads(daemon: &Daemon) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid()));
    tasks.unwrap().count()
}

#[test]
fn a_mount_that_comes_and_does_not_answer_holds_up_nothing_of_the_service_beside_it() {
    let scene = Scene::new();
    let (imds, logs) = (healthy(), logs());
    let config = format!("{SELDOM}[watch]\npaths = [\"/mnt\", \"/z\"]\n");
    let home = home(&config, &imds, &logs);
    let manager = Manager {
        starts_by: ["unshare", "-m", "--"].map(str::to_owned).to_vec(),
        environment: vec![("WATCHDOG_USEC", "2000000".to_owned())],
    };
    let mut daemon = home.start_by(&manager, &scene.host.root());
    // Goes first, whatever happens: until then the service does not end.
    let Some(fuse) = Fuse::new(Hang::ReadDir, &scene.behind) else {
        return;
    };
    let status = daemon.status_when("the keys", |status| status["open"]["critical"] == 2);
    assert_eq!(status["watch"]["complete"], true, "{status}");
    fuse.mount_before(daemon.pid(), LOCAL, &scene.host.path("mnt"));
    let silent = "/mnt does not answer: it is not watched, only swept";
    let is_told = |status: &Value| status["problems"].to_string().contains(silent);
    let is_swept = |status: &Value| {
        status["activity"] == "idle" && status["coverage"].to_string().contains("\"hung\"")
    };
    daemon.status_when("the silence", is_told);
    let status = daemon.status_when("a sweep", |status| is_told(status) && is_swept(status));
    assert_eq!(status["watch"]["complete"], false, "{status}");
    assert_eq!(status["last_sweep"]["complete"], false, "{status}");
    assert_eq!(home.log().matches(silent).count(), 1, "{}", home.log());

    // What is beside it is watched and swept as ever, and no thread is added.
    let waiting = threads(&daemon);
    let sweeps = daemon.status_when("a status", |_| true)["sweeps"].clone();
    std::fs::remove_file(scene.host.path("z/more.env")).unwrap();
    wait("the end of a key", || told_of(&logs, "resolved").pop());
    let written = scene.host.key_pair();
    scene.host.write("z/late.env", written.env());
    wait("the key", || {
        let mut opened = told_of(&logs, "opened").into_iter();
        opened.find(|told| told["access_key_id"] == written.id.as_str())
    });
    let status = daemon.status_when("a status", |_| true);
    assert_eq!(status["sweeps"], sweeps, "it was the watching");
    daemon.forget();
    let sweeps = sweeps.as_u64().unwrap();
    for n in 1..=3 {
        daemon.signal(Signal::HUP);
        let status = daemon.status_when("a sweep", |status| status["sweeps"] == sweeps + n);
        assert!(is_told(&status) && is_swept(&status), "{status}");
        daemon.hears("WATCHDOG=1");
    }
    // Some idle ones end a little later.
    let no_more = || (threads(&daemon) <= waiting).then_some(());
    wait("as few threads as before", no_more);

    drop(fuse);
    wait("the threads", || (threads(&daemon) < waiting).then_some(()));
    daemon.signal(Signal::HUP);
    daemon.status_when("an end of the silence", |status| !is_told(status));
    assert_eq!(daemon.stop(), Some(0));
}

//! What the walk reads, what it leaves out, and that it says so.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use serde_json::Value;

use crate::support::host::{Host, KeyPair};
use crate::support::rolecall::{Ran, Rolecall};

fn scan(path: &Path) -> Ran {
    Rolecall::new(["scan", "--format", "json"]).arg(path).run()
}

/// A scan where a shell has mounted something first, which goes with the scan.
/// `script` gets `places` as `$0` and on, and ends with `exec "$@"`.
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn scan_after(script: &str, places: &[&Path], root: &Path) -> Option<Ran> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: mounting needs root");
        return None;
    }
    let shell = ["--mount", "sh", "-ec", script];
    let places = places.iter().map(|place| place.to_str().unwrap());
    let arguments: Vec<&str> = shell.into_iter().chain(places).collect();
    let scan = Rolecall::new(["scan", "--format", "json"]).arg(root);
    Some(scan.wrapped("unshare", &arguments).run())
}

fn paths(ran: &Ran) -> Vec<String> {
    let mut paths: Vec<String> = ran
        .of_type("finding")
        .iter()
        .map(|finding| finding["location"]["path"].as_str().unwrap().to_owned())
        .collect();
    paths.sort();
    paths
}

fn coverage(ran: &Ran, source: &str) -> Value {
    let mut coverage = ran.of_type("coverage");
    coverage.retain(|coverage| coverage["source"] == source);
    coverage.pop().expect("the source's coverage")
}

#[test]
fn hidden_and_git_ignored_files_are_read() {
    let host = Host::new();
    let hidden = host.write(".config/.secret.env", host.key_pair().env());
    host.write(".gitignore", "*\n");
    host.write(".ignore", "*\n");
    let ignored = host.write("build/out.env", host.key_pair().env());
    let ran = scan(&host.root());
    assert_eq!(ran.status, 1);
    assert_eq!(
        paths(&ran),
        [hidden.display().to_string(), ignored.display().to_string()]
    );
}

/// As `ip netns` and container runtimes keep network namespaces.
#[test]
fn a_file_that_the_kernel_makes_up_is_no_gap() {
    let host = Host::new();
    host.write("run/a.env", host.key_pair().env());
    let namespace = host.write("run/netns/blue", "");
    let script = "mount --bind /proc/self/ns/net \"$0\" && exec \"$@\"";
    let Some(ran) = scan_after(script, &[&namespace], &host.root()) else {
        return;
    };
    assert_eq!(paths(&ran).len(), 1);
    assert_eq!(ran.skipped("file", "pseudo-filesystem"), 1);
    assert_eq!(ran.skipped("file", "io-error"), 0, "{}", ran.stdout);
}

#[test]
fn a_disk_in_memory_beneath_what_the_kernel_makes_up_is_read() {
    let host = Host::new();
    let key = host.write("key", host.key_pair().env());
    let dev = host.write("dev/README", "").parent().unwrap().to_owned();
    let script = "mount -t devtmpfs devtmpfs \"$0\" && mkdir -p \"$0/shm\" &&
        mount -t tmpfs tmpfs \"$0/shm\" && mv \"$1\" \"$0/shm/key\" && shift && exec \"$@\"";
    let Some(ran) = scan_after(script, &[&dev, &key], &host.root()) else {
        return;
    };
    let expected = dev.join("shm/key");
    assert_eq!(paths(&ran), [expected.to_str().unwrap()]);
    assert_eq!(ran.skipped("file", "pseudo-filesystem"), 1);
}

#[test]
fn what_is_mounted_over_a_skipped_file_system_is_read() {
    let host = Host::new();
    let key = host.write("key", host.key_pair().env());
    let data = host.write("data/far/README", "");
    let data = data.ancestors().nth(2).unwrap().to_owned();
    let script = "mount -t mqueue none \"$0/far\" && mount -t tmpfs none \"$0\" &&
        mkdir \"$0/far\" && mv \"$1\" \"$0/far/key\" && shift && exec \"$@\"";
    let Some(ran) = scan_after(script, &[&data, &key], &host.root()) else {
        return;
    };
    let expected = data.join("far/key");
    assert_eq!(paths(&ran), [expected.to_str().unwrap()]);
    assert_eq!(ran.skipped("file", "pseudo-filesystem"), 0);
}

#[test]
fn an_overlay_is_walked_where_its_files_are_seen_nowhere_else() {
    let host = Host::new();
    let keys = [(); 5].map(|()| host.key_pair());
    host.write("opt/covered.env", keys[0].env());
    host.write("upper/above.env", keys[1].env());
    host.write("elsewhere/below.env", keys[2].env());
    host.write("inner.env", keys[3].env());
    host.write("under/hidden.env", keys[4].env());
    for folder in ["work", "merged", "mem", "work2", "up3", "work3", "seen"] {
        fs::create_dir(host.path(folder)).unwrap();
    }
    // One covers its own directory, another one's is covered. Those of the third
    // can be walked; only what is mounted in it cannot.
    let script = "mount -t overlay o -o lowerdir=$0/opt,upperdir=$0/upper,workdir=$0/work $0/opt
        mount -t overlay o \
            -o lowerdir=$0/elsewhere,upperdir=$0/mem,workdir=$0/work2 $0/merged
        mount -t overlay o -o lowerdir=$0/under,upperdir=$0/up3,workdir=$0/work3 $0/seen
        mount -t tmpfs t $0/under
        mkdir $0/merged/in && mount -t tmpfs t $0/merged/in && mv $0/inner.env $0/merged/in
        exec \"$@\"";
    let Some(ran) = scan_after(script, &[&host.root()], &host.root()) else {
        return;
    };
    let found: std::collections::BTreeSet<String> = paths(&ran).into_iter().collect();
    for path in [
        "opt/covered.env",
        "upper/above.env",
        "elsewhere/below.env",
        "merged/in/inner.env",
        "seen/hidden.env",
    ] {
        let path = host.path(path);
        assert!(
            found.contains(path.to_str().unwrap()),
            "{path:?} in {found:?}"
        );
    }
    let merged = host.path("merged/below.env");
    assert!(!found.contains(merged.to_str().unwrap()), "{found:?}");
    assert_eq!(ran.skipped("file", "overlay-filesystem"), 1);
}

#[test]
fn nothing_but_regular_files_is_opened() {
    let host = Host::new();
    host.write("a.env", "nothing");
    let fifo = std::process::Command::new("mkfifo")
        .arg(host.path("fifo"))
        .status();
    assert!(fifo.expect("mkfifo runs").success());
    let _socket = UnixListener::bind(host.path("socket")).unwrap();
    symlink("/dev/zero", host.path("zero")).unwrap();
    symlink(host.root(), host.path("loop")).unwrap();
    let ran = scan(&host.root());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(ran.skipped("file", "special-file"), 2);
    assert_eq!(coverage(&ran, "file")["scanned"], 1);
    assert_eq!(ran.summary()["complete"], true);
}

#[test]
fn a_link_is_not_followed_but_a_named_one_is() {
    let outside = Host::new();
    outside.write("key.env", outside.key_pair().env());
    let host = Host::new();
    symlink(outside.root(), host.path("link")).unwrap();
    assert_eq!(scan(&host.root()).status, 0);
    assert_eq!(scan(&host.path("link")).status, 1);
}

#[test]
#[allow(clippy::print_stderr, reason = "a skip has to be seen")]
fn what_may_not_be_read_is_counted_and_leaves_the_scan_incomplete() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root to become another user");
        return;
    }
    let host = Host::new();
    fs::set_permissions(host.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let key = host.write("open.env", host.key_pair().env());
    let denied = host.write("closed.env", host.key_pair().env());
    fs::set_permissions(&denied, fs::Permissions::from_mode(0o600)).unwrap();
    host.write("dir/below.env", host.key_pair().env());
    fs::set_permissions(host.path("dir"), fs::Permissions::from_mode(0o700)).unwrap();
    // The binary itself may lie where that user may not look.
    let binary = host.path("rolecall");
    fs::copy(env!("CARGO_BIN_EXE_rolecall"), &binary).unwrap();
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&binary)
        .args([
            "scan",
            "--format",
            "json",
            "--fail-on",
            "never",
            "--exclude",
            "/**/rolecall",
        ])
        .arg(host.root())
        .output()
        .expect("setpriv runs");
    let ran = Ran {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert_eq!(paths(&ran), [key.display().to_string()]);
    assert_eq!(
        ran.skipped("file", "permission-denied"),
        2,
        "{}",
        ran.stdout
    );
    assert_eq!(
        (ran.status, &ran.summary()["complete"]),
        (2, &Value::Bool(false))
    );
}

#[test]
fn a_root_that_is_not_there_is_no_clean_scan() {
    let ran = scan(Path::new("/nonexistent/rolecall"));
    assert_eq!(ran.status, 2);
    assert_eq!(ran.skipped("file", "not-found"), 1);
}

#[test]
fn of_what_the_kernel_makes_up_nothing_is_read_though_it_is_named() {
    let host = Host::new();
    let pair = host.key_pair();
    std::os::unix::fs::symlink("/proc/self", host.path("link")).unwrap();
    let linked = host.path("link/environ");
    let linked = linked.to_str().unwrap();
    for named in ["/proc/self/environ", "/proc/self", "/proc", "/sys", linked] {
        let ran = Rolecall::new(["scan", "--format", "json", named])
            .env("AWS_ACCESS_KEY_ID", &pair.id)
            .env("AWS_SECRET_ACCESS_KEY", &pair.secret)
            .run();
        assert_eq!(ran.status, 2, "{named}: {}", ran.stdout);
        assert_eq!(ran.of_type("finding"), [Value::Null; 0]);
        let files = coverage(&ran, "file");
        assert_eq!(files["scanned"], 0, "{named}: {files}");
        let skip = files["skipped"].as_array().unwrap().iter();
        let mut skip = skip.filter(|skip| skip["reason"] == "named-pseudo-filesystem");
        assert_eq!(skip.next().unwrap()["examples"][0], named);
    }
}

#[test]
fn of_a_file_with_holes_its_data_are_read() {
    const FAR: u64 = 1 << 38;
    let host = Host::new();
    let keys = [host.key_pair(), host.key_pair()];
    let file = fs::File::create(host.path("sparse")).unwrap();
    for (number, key) in keys.iter().enumerate() {
        let at = FAR * (number as u64 + 1) + 1000;
        file.write_all_at(key.env().as_bytes(), at).unwrap();
    }
    file.set_len(FAR * 3).unwrap();
    let ran = scan(&host.root());
    let found = ran.of_type("finding");
    let mut found: Vec<_> = found
        .iter()
        .map(|finding| finding["access_key_id"].as_str().unwrap())
        .collect();
    found.sort_unstable();
    let mut expected = [keys[0].id.as_str(), keys[1].id.as_str()];
    expected.sort_unstable();
    assert_eq!(found, expected);
    for finding in ran.of_type("finding") {
        assert_eq!(finding["location"]["line"], Value::Null, "{finding}");
        assert_eq!(finding["location"]["column"], Value::Null, "{finding}");
    }
    let read = coverage(&ran, "file")["bytes"].as_u64().unwrap();
    assert!(read < 16 << 20, "{read} bytes were read");
    assert_eq!(ran.summary()["complete"], true);
}

#[test]
fn behind_a_hole_the_next_line_has_its_number_again() {
    let host = Host::new();
    let file = fs::File::create(host.path("log")).unwrap();
    let (in_line, next) = (host.key_pair(), host.key_pair());
    let head = "a line\n".repeat(1000);
    file.write_all_at(head.as_bytes(), 0).unwrap();
    let text = format!("{}{}", in_line.env(), next.env());
    file.write_all_at(text.as_bytes(), 1 << 30).unwrap();
    let ran = scan(&host.root());
    let line = |pair: &KeyPair| {
        let findings = ran.of_type("finding");
        let id = |one: &&Value| one["access_key_id"] == pair.id.as_str();
        let found = findings.iter().find(id).expect("a finding");
        let place = &found["location"];
        (place["line"].as_u64(), place["column"].as_u64())
    };
    assert_eq!(line(&in_line), (None, None));
    assert_eq!(line(&next), (Some(1003), Some(19)));
}

#[test]
fn hostile_names_are_told_and_escaped() {
    let host = Host::new();
    for name in [
        &b"new\nline"[..],
        b"\x1b[31mred\x1b[0m",
        b"not\xffutf8",
        "\u{202e}gnp.exe".as_bytes(),
        b"-rf",
        b" ",
    ] {
        fs::write(
            host.root().join(OsStr::from_bytes(name)),
            host.key_pair().env(),
        )
        .unwrap();
    }
    for format in ["json", "text"] {
        let ran = Rolecall::new(["scan", "--format", format])
            .arg(host.root())
            .run();
        assert_eq!(ran.status, 1);
        let bare =
            |c: char| c != '\n' && (c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
        assert!(!ran.stdout.contains(bare), "{}", ran.stdout);
    }
    let ran = scan(&host.root());
    let names: Vec<String> = paths(&ran)
        .into_iter()
        .map(|path| path.rsplit('/').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            " ",
            "-rf",
            "\u{1b}[31mred\u{1b}[0m",
            "new\nline",
            "not\\xffutf8",
            "\u{202e}gnp.exe"
        ]
        .map(String::from)
        .into_iter()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
    );
}

#[test]
fn excluded_paths_are_counted() {
    let host = Host::new();
    host.write("vendor/key.env", host.key_pair().env());
    let ran = Rolecall::new(["scan", "--format", "json", "--exclude", "**/vendor"])
        .arg(host.root())
        .run();
    assert_eq!((ran.status, ran.skipped("file", "excluded")), (0, 1));
}

#[test]
fn another_root_is_reported_as_its_host_knows_it() {
    let host = Host::new();
    host.write("etc/app.env", host.key_pair().env());
    let ran = Rolecall::new(["scan", "--format", "json", "--root"])
        .arg(host.root())
        .run();
    assert_eq!(paths(&ran), ["/etc/app.env"]);
    let ran = Rolecall::new(["scan", "--format", "json", "--root"])
        .arg(host.root())
        .arg("etc")
        .run();
    assert_eq!(paths(&ran), ["/etc/app.env"]);
}

#[test]
fn a_link_in_another_root_leads_nowhere_out_of_it() {
    let outside = Host::new();
    outside.write("key.env", outside.key_pair().env());
    let host = Host::new();
    symlink(outside.root(), host.path("srv")).unwrap();
    let ran = Rolecall::new(["scan", "--format", "json", "--root"])
        .arg(host.root())
        .arg("/srv")
        .run();
    assert_eq!((ran.status, ran.of_type("finding").len()), (2, 0));
}

#[test]
fn time_that_runs_out_is_said() {
    let ran = Rolecall::new(["scan", "--format", "json", "--timeout", "1ms", "/usr"]).run();
    assert_eq!(ran.status, 2);
    assert!(ran.skipped("file", "time-limit") > 0);
    assert_eq!(ran.summary()["complete"], false);
}

#[test]
fn a_key_over_any_offset_of_a_buffers_edge_is_found_whole() {
    // Reads are of 128 KiB; the window slides where a mebibyte is full, less
    // what is kept for the text behind a hit.
    const EDGES: [usize; 3] = [128 * 1024, 1024 * 1024 - 64 * 1024, 1024 * 1024];
    let host = Host::new();
    let pair = host.key_pair();
    let text = format!("k={} s={}\n", pair.id, pair.secret);
    for edge in EDGES {
        for before in (0..=text.len()).rev() {
            let mut content = vec![b'.'; edge - before];
            content[edge - before - 1] = b'\n';
            content.extend(text.as_bytes());
            content.resize(content.len() + 200_000, b'.');
            host.write(&format!("{edge}-{before}"), content);
        }
    }
    let ran = scan(&host.root());
    let findings = ran.of_type("finding");
    assert_eq!(findings.len(), EDGES.len() * (text.len() + 1));
    for finding in findings {
        assert_eq!(finding["rule"], "aws.access-key-pair", "{finding}");
        assert_eq!(finding["access_key_id"], pair.id.as_str());
        assert_eq!(
            (&finding["location"]["line"], &finding["location"]["column"]),
            (&Value::from(2), &Value::from(3))
        );
    }
}

#[test]
fn this_repository_trips_no_scanner_and_not_this_one() {
    let host = Host::new();
    // What else lies in somebody's clone is none of this test's business.
    let config = host.write("no-git.toml", "[scan]\ngit = false\n");
    let ran = Rolecall::new(["scan", "--format", "json", "--fail-on", "low", "--config"])
        .arg(config)
        .arg("--exclude")
        .arg("**/target")
        .arg(env!("CARGO_MANIFEST_DIR"))
        .run();
    let findings = ran.of_type("finding");
    assert_eq!((ran.status, findings.len()), (0, 0), "{}", ran.stdout);
}

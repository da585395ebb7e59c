//! The watcher on real directories, file systems and limits of the kernel.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rolecall::config::{Config, Overrides, PathGlobs, Sources};
use rolecall::daemon::watch::{Error, MAX_WATCHES, Notice, Settings, Watch};
use tokio::runtime::Runtime;

use crate::support::rolecall::Rolecall;

/// Long enough for a machine that does other things as well.
const PATIENCE: Duration = Duration::from_mins(1);

/// A host whose `/srv` is watched.
struct Watched {
    dir: tempfile::TempDir,
    runtime: Runtime,
    watch: Watch,
    /// All that was told.
    notices: Vec<Notice>,
    sentinels: usize,
}

fn settings(root: &Path) -> Settings {
    Settings {
        root: root.to_owned(),
        proc: "/proc".into(),
        paths: vec!["/srv".into()],
        exclude: PathGlobs::default(),
        left_alone: Vec::new(),
        network_filesystems: false,
        max_watches: MAX_WATCHES,
        steps: Arc::default(),
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

impl Watched {
    /// Watches after `prepare` has filled the host's root.
    fn new(prepare: impl FnOnce(&Path)) -> Self {
        Self::with(prepare, |_| {})
    }

    fn with(prepare: impl FnOnce(&Path), set: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("srv")).unwrap();
        prepare(dir.path());
        let mut settings = settings(&dir.path().canonicalize().unwrap());
        set(&mut settings);
        let runtime = runtime();
        let (watch, notices) = runtime.block_on(async { Watch::start(settings) }).unwrap();
        Self {
            dir,
            runtime,
            watch,
            notices,
            sentinels: 0,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Waits until it was told that `path` changed, or what it is in.
    fn told(&mut self, path: &str) {
        let path = Path::new(path);
        self.until(|notice| matches!(notice, Notice::Changed(told) if path.starts_with(told)));
    }

    fn told_removed(&mut self, path: &str) {
        self.until(|notice| *notice == Notice::Removed(path.into()));
    }

    fn until(&mut self, wanted: impl Fn(&Notice) -> bool) {
        while !self.notices.iter().any(&wanted) {
            let next = async { tokio::time::timeout(PATIENCE, self.watch.next()).await };
            match self.runtime.block_on(next) {
                Ok(notices) => self.notices.extend(notices),
                Err(late) => panic!("not told, {late}; {:?}", self.notices),
            }
        }
    }

    /// All that was told up to now, by way of a file whose change comes last.
    fn all(&mut self) -> Vec<Notice> {
        self.sentinels += 1;
        let name = format!("srv/sentinel-{}", self.sentinels);
        self.write(&name, "");
        let told = format!("/{name}");
        self.until(|notice| *notice == Notice::Changed(told.clone().into()));
        std::mem::take(&mut self.notices)
            .into_iter()
            .filter(|notice| match notice {
                Notice::Changed(path) => !path.to_string_lossy().contains("sentinel"),
                _ => true,
            })
            .collect()
    }
}

fn changed(path: &str) -> Notice {
    Notice::Changed(path.into())
}

fn removed(path: &str) -> Notice {
    Notice::Removed(path.into())
}

#[test]
fn files_are_told_however_an_editor_writes_them() {
    let mut host = Watched::new(|root| {
        fs::create_dir_all(root.join("srv/.hidden/dir")).unwrap();
        fs::write(root.join("srv/.hidden/dir/old"), "").unwrap();
    });
    assert_eq!(host.all(), [], "what is there at the start is not told");
    host.write("srv/.hidden/dir/old", "in place");
    assert_eq!(host.all(), [changed("/srv/.hidden/dir/old")]);

    host.write("srv/.key.swp", "text");
    fs::rename(host.path("srv/.key.swp"), host.path("srv/key")).unwrap();
    let told = host.all();
    assert!(told.contains(&removed("/srv/.key.swp")), "{told:?}");
    assert_eq!(told.last(), Some(&changed("/srv/key")));

    let mut open = File::options()
        .append(true)
        .open(host.path("srv/key"))
        .unwrap();
    open.write_all(b"more").unwrap();
    assert_eq!(host.all(), [changed("/srv/key")], "it is still open");

    fs::hard_link(host.path("srv/key"), host.path("srv/same")).unwrap();
    host.told("/srv/same");
}

#[test]
fn a_file_that_is_opened_to_others_is_told() {
    let mut host = Watched::new(|root| fs::write(root.join("srv/key"), "").unwrap());
    let mode = fs::Permissions::from_mode(0o644);
    fs::set_permissions(host.path("srv/key"), mode.clone()).unwrap();
    fs::set_permissions(host.path("srv/key"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(host.path("srv/key"), mode).unwrap();
    assert_eq!(host.all(), [changed("/srv/key")]);
}

#[test]
fn what_is_gone_at_once_was_told_and_is_told_to_be_gone() {
    let mut host = Watched::new(|_| {});
    host.write("srv/brief", "text");
    fs::remove_file(host.path("srv/brief")).unwrap();
    fs::create_dir(host.path("srv/dir")).unwrap();
    fs::remove_dir(host.path("srv/dir")).unwrap();
    let told = host.all();
    assert!(told.contains(&removed("/srv/brief")), "{told:?}");
    assert!(told.contains(&removed("/srv/dir")), "{told:?}");
    assert_eq!(host.watch.watched(), 2, "the root and /srv");
}

#[test]
fn a_tree_made_at_once_is_told_and_watched_to_its_depth() {
    const TREES: usize = 300;
    let mut host = Watched::new(|_| {});
    let root = host.dir.path().to_owned();
    // Beside the watcher, so that each step meets it at another moment.
    let maker = std::thread::spawn(move || {
        for n in 0..TREES {
            let deep = root.join(format!("srv/{n}/a/b/c"));
            fs::create_dir_all(&deep).unwrap();
            fs::write(deep.join("key"), "text").unwrap();
        }
    });
    for n in 0..TREES {
        host.told(&format!("/srv/{n}/a/b/c/key"));
    }
    maker.join().unwrap();
    host.all();
    assert_eq!(host.watch.watched(), 2 + 4 * TREES);
    for n in 0..TREES {
        host.write(&format!("srv/{n}/a/b/c/key"), "again");
    }
    let told = host.all();
    for n in 0..TREES {
        let path = format!("/srv/{n}/a/b/c/key");
        assert!(told.contains(&changed(&path)), "{path} is not watched");
    }
    fs::remove_dir_all(host.path("srv")).unwrap();
    host.told_removed("/srv");
    assert_eq!(host.watch.watched(), 1);
}

#[test]
fn moved_directories_are_watched_where_they_are() {
    let mut host = Watched::new(|root| {
        fs::create_dir_all(root.join("srv/within/deep")).unwrap();
        fs::create_dir_all(root.join("srv/out/deep")).unwrap();
        fs::create_dir_all(root.join("in/deep")).unwrap();
        fs::create_dir(root.join("srv/replaced")).unwrap();
    });
    let watched = host.watch.watched();
    for (from, to) in [
        ("in", "srv/in"),
        ("srv/within", "srv/moved"),
        ("srv/out", "out"),
        ("srv/moved", "srv/replaced"),
    ] {
        fs::rename(host.path(from), host.path(to)).unwrap();
    }
    let told = host.all();
    for notice in [
        changed("/srv/in"),
        removed("/srv/within"),
        removed("/srv/out"),
        changed("/srv/replaced"),
    ] {
        assert!(told.contains(&notice), "{notice}: {told:?}");
    }
    // In came two, out went two, one was replaced.
    assert_eq!(host.watch.watched(), watched - 1);
    for name in ["srv/in/deep/key", "out/deep/key", "srv/replaced/deep/key"] {
        host.write(name, "text");
    }
    let told = host.all();
    assert_eq!(
        told,
        [
            changed("/srv/in/deep/key"),
            changed("/srv/replaced/deep/key")
        ]
    );
}

#[test]
fn a_watched_path_may_appear_later_go_and_come_back() {
    let mut host = Watched::with(
        |root| fs::remove_dir(root.join("srv")).unwrap(),
        |settings| settings.paths = vec!["/srv/app/data".into(), "/etc/one.conf".into()],
    );
    assert_eq!(host.watch.watched(), 1);
    for round in 0..3 {
        let other = format!("other-{round}");
        fs::create_dir_all(host.path(&other).join("app/data/deep")).unwrap();
        fs::create_dir_all(host.path(&other).join("app/beside")).unwrap();
        fs::rename(host.path(&other), host.path("srv")).unwrap();
        host.told("/srv/app/data");
        assert_eq!(host.watch.watched(), 5, "not what is beside");
        host.notices.clear();
        host.write("srv/app/beside/key", "text");
        host.write("srv/app/data/deep/key", "text");
        host.told("/srv/app/data/deep/key");
        assert_eq!(
            host.notices.last(),
            Some(&changed("/srv/app/data/deep/key"))
        );
        assert!(!host.notices.contains(&changed("/srv/app/beside/key")));
        fs::rename(host.path("srv"), host.path(&format!("gone-{round}"))).unwrap();
        host.told_removed("/srv");
        assert_eq!(host.watch.watched(), 1);
        host.notices.clear();
    }
    fs::create_dir(host.path("etc")).unwrap();
    host.write("etc/one.conf", "text");
    host.told("/etc/one.conf");
    host.notices.clear();
    host.write("etc/two.conf", "text");
    host.write("etc/one.conf", "more");
    host.told("/etc/one.conf");
    assert!(!host.notices.contains(&changed("/etc/two.conf")));
}

#[test]
fn a_link_to_a_watched_path_is_followed_to_where_it_leads_by_now() {
    let mut host = Watched::new(|root| {
        fs::create_dir_all(root.join("releases/1")).unwrap();
        fs::create_dir_all(root.join("releases/2")).unwrap();
        fs::remove_dir(root.join("srv")).unwrap();
        symlink("releases/1", root.join("srv")).unwrap();
    });
    host.write("releases/1/key", "text");
    host.told("/releases/1/key");
    symlink("/releases/2", host.path("new")).unwrap();
    fs::rename(host.path("new"), host.path("srv")).unwrap();
    host.told("/releases/2");
    host.notices.clear();
    host.write("releases/1/key", "text");
    host.write("releases/2/key", "text");
    host.told("/releases/2/key");
    assert!(!host.notices.contains(&changed("/releases/1/key")));
}

#[test]
fn links_below_a_watched_path_lead_nowhere() {
    let mut host = Watched::new(|root| {
        fs::create_dir(root.join("outside")).unwrap();
        symlink("../outside", root.join("srv/link")).unwrap();
        symlink(".", root.join("srv/circle")).unwrap();
    });
    assert_eq!(host.watch.watched(), 2);
    symlink("../outside", host.path("srv/later")).unwrap();
    host.write("outside/key", "text");
    assert_eq!(host.all(), [changed("/srv/later")]);
    assert_eq!(host.watch.watched(), 2);
}

#[test]
fn what_is_excluded_is_neither_watched_nor_told() {
    let mut host = Watched::with(
        |root| {
            fs::create_dir_all(root.join("srv/cache/deep")).unwrap();
            let config = "scan.exclude = [\"/srv/cache\", \"*.log\"]\n";
            fs::write(root.join("config.toml"), config).unwrap();
        },
        |settings| {
            let sources = Sources {
                file: None,
                directory: settings.root.clone(),
                flags: Overrides::default(),
            };
            settings.exclude = Config::load(&sources).unwrap().config.scan.exclude;
        },
    );
    host.write("srv/cache/deep/key", "text");
    host.write("srv/a.log", "text");
    fs::create_dir(host.path("srv/cache/new")).unwrap();
    assert_eq!(host.all(), []);
    assert_eq!(host.watch.watched(), 2);
}

#[test]
fn our_own_directory_is_not_watched() {
    let mut host = Watched::with(
        |root| fs::create_dir_all(root.join("srv/state/deep")).unwrap(),
        |settings| settings.left_alone = vec!["/srv/state".into()],
    );
    host.write("srv/state/ledger", "text");
    host.write("srv/state/deep/ledger", "text");
    fs::create_dir(host.path("srv/state/new")).unwrap();
    assert_eq!(host.all(), []);
    assert_eq!(host.watch.watched(), 2);
}

#[test]
fn a_scan_of_what_is_watched_causes_no_notice() {
    let mut host = Watched::new(|root| {
        for n in 0..50 {
            let dir = root.join(format!("srv/{n}"));
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("file"), "text ".repeat(n * 1000)).unwrap();
        }
    });
    let scan = Rolecall::new(["scan", "--format", "json"]);
    let ran = scan.arg(host.path("srv")).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(host.all(), []);
}

#[test]
fn after_an_overflow_everything_is_watched_again_and_it_is_told_once() {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    let mut host = Watched::new(|_| {});
    for n in 0..limit {
        File::create(host.path(&format!("srv/{n}"))).unwrap();
    }
    fs::create_dir_all(host.path("srv/dir/deep")).unwrap();
    host.until(|notice| *notice == Notice::Overflow);
    host.write("srv/dir/deep/key", "text");
    host.told("/srv/dir/deep/key");
    let told = host.notices.iter();
    assert_eq!(told.filter(|n| **n == Notice::Overflow).count(), 1);
    assert_eq!(host.watch.watched(), 4);
}

#[test]
fn our_own_limit_is_told_once_with_what_it_would_take() {
    let mut host = Watched::with(
        |root| {
            for n in 0..30 {
                fs::create_dir_all(root.join(format!("srv/{n}/deep"))).unwrap();
            }
        },
        |settings| settings.max_watches = 20,
    );
    assert!(
        matches!(
            host.notices[..],
            [Notice::LimitReached {
                watched: 20,
                needed: 62,
                max_user_watches: None,
                ..
            }]
        ),
        "{:?}",
        host.notices
    );
    host.notices.clear();
    // What is told of a directory is not only what is watched.
    fs::create_dir(host.path("srv/later")).unwrap();
    assert_eq!(host.all(), [changed("/srv/later")]);
}

/// Runs an ignored test of this file in namespaces of its own, as root there,
/// after a line of shell.
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn in_namespaces(namespaces: &[&str], prepare: &str, test: &str) {
    let unshare = |command: &mut Command| {
        command.args(namespaces).args(["--", "sh", "-c"]);
        command.arg(format!("{prepare} && exec \"$@\"")).arg("sh");
    };
    let mut allowed = Command::new("unshare");
    unshare(&mut allowed);
    let output = allowed.arg("true").output().expect("unshare (util-linux)");
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        eprintln!("skipped: unshare {namespaces:?}: {why}");
        return;
    }
    let mut command = Command::new("unshare");
    unshare(&mut command);
    let name = format!("watching::{test}");
    let output = command
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", &name])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaint}");
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn the_limits_of_the_kernel_are_told_with_the_sysctl() {
    let user = ["--user", "--map-root-user"];
    in_namespaces(
        &user,
        "echo 20 > /proc/sys/user/max_inotify_watches",
        "with_twenty_watches",
    );
    in_namespaces(
        &user,
        "echo 0 > /proc/sys/user/max_inotify_instances",
        "with_no_instance",
    );
}

#[test]
#[ignore = "the_limits_of_the_kernel_are_told_with_the_sysctl runs it in a user namespace"]
fn with_twenty_watches() {
    let mut host = Watched::new(|root| {
        for n in 0..30 {
            fs::create_dir_all(root.join(format!("srv/{n}/deep"))).unwrap();
        }
    });
    let [notice] = &host.notices[..] else {
        panic!("{:?}", host.notices);
    };
    let Notice::LimitReached {
        watched: 20,
        needed: 62,
        max_user_watches: Some(20),
        ..
    } = notice
    else {
        panic!("{notice:?}");
    };
    let text = notice.to_string();
    assert!(text.contains("fs.inotify.max_user_watches (20)"), "{text}");
    host.notices.clear();
    fs::create_dir(host.path("srv/later")).unwrap();
    assert_eq!(host.all(), [changed("/srv/later")], "it is told once");
}

#[test]
#[ignore = "the_limits_of_the_kernel_are_told_with_the_sysctl runs it in a user namespace"]
fn with_no_instance() {
    let dir = tempfile::tempdir().unwrap();
    let error = runtime()
        .block_on(async { Watch::start(settings(dir.path())) })
        .unwrap_err();
    assert!(matches!(error, Error::TooManyInstances(_)), "{error}");
    assert!(error.to_string().contains("max_user_instances"), "{error}");
}

#[test]
fn mounts_come_and_go_below_a_watched_path() {
    in_namespaces(
        &["--user", "--map-root-user", "--mount"],
        "true",
        "with_mounts",
    );
}

fn mount(arguments: &[&str], place: &Path) {
    let output = Command::new("mount").args(arguments).arg(place).output();
    let output = output.expect("mount (util-linux)");
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "mount {arguments:?}: {why}");
}

fn unmount(place: &Path) {
    let status = Command::new("umount").arg(place).status();
    assert!(status.expect("umount (util-linux)").success());
}

#[test]
#[ignore = "mounts_come_and_go_below_a_watched_path runs it in a mount namespace"]
fn with_mounts() {
    let mut host = Watched::new(|root| {
        fs::create_dir_all(root.join("srv/place/beneath")).unwrap();
        fs::create_dir_all(root.join("elsewhere/deep")).unwrap();
    });
    let place = host.path("srv/place");
    assert_eq!(host.watch.watched(), 4);

    mount(&["-t", "tmpfs", "tmpfs"], &place);
    host.told("/srv/place");
    assert_eq!(host.watch.watched(), 3, "what is covered is not watched");
    host.notices.clear();
    fs::create_dir(place.join("dir")).unwrap();
    host.told("/srv/place/dir");
    host.write("srv/place/dir/key", "text");
    host.told("/srv/place/dir/key");
    host.notices.clear();

    unmount(&place);
    host.told("/srv/place");
    host.all();
    assert_eq!(host.watch.watched(), 4, "what was covered is watched again");
    host.write("srv/place/beneath/key", "text");
    assert_eq!(host.all(), [changed("/srv/place/beneath/key")]);

    let bind = host.path("elsewhere").display().to_string();
    mount(&["--bind", &bind], &place);
    host.told("/srv/place");
    host.notices.clear();
    host.write("elsewhere/deep/key", "text");
    host.told("/srv/place/deep/key");
    unmount(&place);
    host.told("/srv/place");
    host.all();

    // A directory that is seen at two places is told of at one of them.
    let own = host.path("srv").display().to_string();
    mount(&["--bind", &own], &place);
    host.told("/srv/place");
    host.all();
    host.write("srv/key", "text");
    assert_eq!(host.all(), [changed("/srv/key")]);
    unmount(&place);
    host.told("/srv/place");
    host.all();

    // An overlay is seen through its directories; a watched one would hold
    // the watch of /srv/place/beneath.
    let layers = format!(
        "lowerdir={0}/elsewhere,upperdir={0}/upper,workdir={0}/work",
        host.dir.path().display()
    );
    fs::create_dir(host.path("upper")).unwrap();
    fs::create_dir(host.path("work")).unwrap();
    mount(&["-t", "overlay", "overlay", "-o", &layers], &place);
    let deadline = Instant::now() + PATIENCE;
    while host.watch.watched() != 2 {
        assert!(Instant::now() < deadline, "the overlay is watched");
        host.all();
    }
    host.write("srv/place/deep/key", "text");
    assert_eq!(host.all(), []);
    unmount(&place);
    host.told("/srv/place");

    // The watched path itself.
    let srv = host.path("srv");
    mount(&["-t", "tmpfs", "tmpfs"], &srv);
    host.until(|notice| *notice == changed("/srv"));
    assert_eq!(host.watch.watched(), 2);
    host.write("srv/key", "text");
    host.told("/srv/key");
    host.notices.clear();
    unmount(&srv);
    host.until(|notice| *notice == changed("/srv"));
    host.write("srv/place/beneath/key", "more");
    host.told("/srv/place/beneath/key");
}

#[test]
fn an_idle_watch_says_nothing_and_dropping_the_wait_loses_nothing() {
    let mut host = Watched::new(|_| {});
    for n in 0..20 {
        host.write(&format!("srv/{n}"), "text");
        // Polled once and dropped, again and again.
        for _ in 0..5 {
            let next = async { tokio::time::timeout(Duration::ZERO, host.watch.next()).await };
            if let Ok(notices) = host.runtime.block_on(next) {
                host.notices.extend(notices);
            }
        }
    }
    let told = host.all();
    for n in 0..20 {
        assert!(
            told.contains(&changed(&format!("/srv/{n}"))),
            "{n}: {told:?}"
        );
    }
}

//! Who uses a file with a key, and who holds the key: units, containers,
//! crontabs and real processes, in one statement.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::cgroup::{Cgroup, Process};
use crate::support::corpus::Kind;
use crate::support::host::{Host, KeyPair};
use crate::support::imds_double::ImdsDouble;
use crate::support::role::Key;
use crate::support::rolecall::{Ran, Rolecall};

fn holding(pair: &KeyPair) -> Process {
    Process::with([
        ("AWS_ACCESS_KEY_ID", pair.id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", pair.secret.as_str()),
    ])
}

fn check(host: &Host, format: &str) -> Ran {
    let check = Rolecall::new(["check", "--format", format, "--root"]).arg(host.root());
    if host.path("proc").is_dir() {
        check.with_processes(host).run()
    } else {
        check.run()
    }
}

/// The findings of a key, by the source that made them.
fn of(ran: &Ran, pair: &KeyPair, source: &str) -> Vec<Value> {
    let mut findings = ran.of_type("finding");
    findings.retain(|finding| {
        finding["access_key_id"] == pair.id.as_str() && finding["location"]["source"] == source
    });
    findings
}

fn one(ran: &Ran, pair: &KeyPair) -> Value {
    let found: [Value; 1] = of(ran, pair, "file").try_into().expect("one finding");
    let [finding] = found;
    finding
}

#[test]
fn an_instance_that_only_runs_is_a_unit_too() {
    let (Some(mut group), Some(host)) = (
        Cgroup::new("system.slice/runs@7.service"),
        Host::with_processes(),
    ) else {
        return;
    };
    let pair = host.key_pair();
    host.write("etc/runs/7.env", pair.env());
    let unit = "[Service]\nEnvironmentFile=/etc/runs/%i.env\nExecStart=/bin/true\n";
    host.write("etc/systemd/system/runs@.service", unit);
    let pid = group.add(holding(&pair));
    let finding = one(&check(&host, "json"), &pair);
    assert_eq!(finding["used_by"], json!([{"unit": "runs@7.service"}]));
    assert_eq!(finding["held_by"][0]["pid"], pid);
}

#[test]
fn an_environment_file_is_told_with_its_units_and_the_processes_that_hold_its_key() {
    let (Some(mut group), Some(host)) = (
        Cgroup::new("system.slice/api.service"),
        Host::with_processes(),
    ) else {
        return;
    };
    let pair = host.key_pair();
    host.write("etc/app/app.env", pair.env());
    let unit = "[Service]\nEnvironmentFile=-/etc/app/*.env\nExecStart=/bin/true\n";
    host.write("usr/lib/systemd/system/api.service", unit);
    host.write("etc/systemd/system/worker@.service", unit);
    host.write("etc/systemd/system/worker@1.service.d/x.conf", "[Unit]\n");
    let elsewhere = holding(&pair);
    let mut pids = [(); 3].map(|()| group.add(holding(&pair)));
    pids.sort_unstable();

    let ran = check(&host, "json");
    let finding = one(&ran, &pair);
    assert_eq!(finding["place_kind"], "environment-file");
    assert_eq!(finding["location"]["unit"], "api.service");
    assert_eq!(
        finding["used_by"],
        json!([{"unit": "api.service"}, {"unit": "worker@1.service"}])
    );
    assert_eq!(finding["held_by_total"], 4);
    let holders = finding["held_by"].as_array().unwrap();
    let told: Vec<_> = holders
        .iter()
        .map(|holder| holder["pid"].as_u64())
        .collect();
    // Those of the unit come first.
    let wanted = [pids[0], pids[1], pids[2], elsewhere.pid()];
    assert_eq!(told, wanted.map(|pid| Some(u64::from(pid))));
    assert_eq!(holders[0]["unit"], "api.service");
    assert!(holders[0]["exe"].as_str().unwrap().contains("sleep"));

    // Each process is told too, for whoever looks for it by its number.
    let mut seen: Vec<_> = of(&ran, &pair, "process")
        .iter()
        .map(|finding| finding["location"]["pid"].as_u64().unwrap())
        .collect();
    seen.sort_unstable();
    let mut wanted = wanted.map(u64::from);
    wanted.sort_unstable();
    assert_eq!(seen, wanted);
}

#[test]
fn twelve_workers_are_one_credential_with_twelve_holders() {
    let (Some(mut group), Some(host)) = (
        Cgroup::new("system.slice/web.service"),
        Host::with_processes(),
    ) else {
        return;
    };
    let pair = host.key_pair();
    host.write(
        "etc/systemd/system/web.service.d/key.conf",
        format!(
            "[Service]\nEnvironment=AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}\n",
            pair.id, pair.secret
        ),
    );
    host.write(
        "etc/systemd/system/web.service",
        "[Service]\nExecStart=/bin/true\n",
    );
    for _ in 0..12 {
        group.add(holding(&pair));
    }
    let ran = check(&host, "text");
    let block = ran
        .stdout
        .split("\n\n")
        .find(|block| block.starts_with("CRITICAL") && block.contains(&pair.id))
        .unwrap_or_else(|| panic!("{}", ran.stdout));
    assert!(block.contains("13 places, held by 12 processes"), "{block}");
    assert!(block.contains("systemd drop-in of web.service"), "{block}");
    assert!(block.contains("and 11 more: "), "{block}");
    let lines = block.lines().filter(|line| line.contains("environ"));
    assert_eq!(lines.count(), 1, "{block}");
}

#[test]
fn a_unit_that_does_not_run_is_named_all_the_same() {
    let host = Host::new();
    let pairs: Vec<KeyPair> = (0..11).map(|_| host.key_pair()).collect();
    let environment = |pair: &KeyPair| {
        format!(
            "[Service]\nEnvironment=\"AWS_ACCESS_KEY_ID={}\" \"AWS_SECRET_ACCESS_KEY={}\"\n",
            pair.id, pair.secret
        )
    };
    host.write("etc/systemd/system/a.service", environment(&pairs[0]));
    host.write(
        "etc/systemd/system/service.d/all.conf",
        environment(&pairs[1]),
    );
    host.write(
        "etc/systemd/system/b.service",
        "[Service]\nExecStart=/opt/run.sh --config=/opt/link.conf\n",
    );
    host.write(
        "etc/systemd/system/c.service",
        "[Service]\nLoadCredential=old:/opt/old.key\nLoadCredential=\n\
         LoadCredential=aws:/opt/%p.key\nLoadCredential=passed-on\n",
    );
    host.write(
        "etc/systemd/system/e.service",
        "[Service]\nImportCredential=old.*\nImportCredential=\n\
         ImportCredential=imp.*:as.\nImportCredential=one\nLoadCredential=\n",
    );
    host.write("etc/credstore/old.key", pairs[8].env());
    host.write("etc/credstore/imp.key", pairs[9].env());
    host.write("usr/lib/credstore/one", pairs[10].env());
    host.write("opt/c.key", pairs[5].env());
    host.write("run/credentials/d.service/key", pairs[7].env());
    host.write("opt/old.key", pairs[6].env());
    host.write("opt/run.sh", pairs[2].env());
    host.write("opt/real.conf", pairs[3].env());
    symlink("real.conf", host.path("opt/link.conf")).unwrap();
    host.write("etc/passwd", "alice:x:1000:1000::/home/alice:/bin/sh\n");
    host.write(
        "home/alice/.config/systemd/user/mine.service",
        environment(&pairs[4]),
    );
    let ran = check(&host, "json");
    let told: Vec<_> = pairs
        .iter()
        .map(|pair| {
            let finding = one(&ran, pair);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (
                text(&finding["place_kind"]),
                text(&finding["location"]["unit"]),
                finding["used_by_total"].as_u64().unwrap_or(0),
            )
        })
        .collect();
    let told: Vec<_> = told
        .iter()
        .map(|(kind, unit, total)| (kind.as_str(), unit.as_str(), *total))
        .collect();
    assert_eq!(
        told,
        [
            ("systemd-unit", "a.service", 1),
            ("systemd-drop-in", "a.service", 4),
            ("unit-command-file", "b.service", 1),
            ("unit-command-file", "b.service", 1),
            ("systemd-unit", "mine.service", 1),
            ("unit-credential", "c.service", 1),
            ("", "", 0),
            ("unit-credential", "d.service", 1),
            ("", "", 0),
            ("unit-credential", "e.service", 1),
            ("unit-credential", "e.service", 1),
        ]
    );
}

#[test]
fn units_of_every_user_are_known_where_nobody_has_one_of_his_own() {
    let host = Host::new();
    let (of_all, of_one) = (host.key_pair(), host.key_pair());
    let unit = |file: &str| format!("[Service]\nEnvironmentFile={file}\n");
    host.write("etc/xdg/systemd/user/all.service", unit("/srv/all.env"));
    host.write("srv/all.env", of_all.env());
    let ran = check(&host, "json");
    assert_eq!(one(&ran, &of_all)["location"]["unit"], "all.service");

    host.write("etc/passwd", "bob:x:1001:1001::/home/bob:/bin/sh\n");
    host.write(
        "home/bob/.local/share/systemd/user/bobs.service",
        unit("/srv/%u.env"),
    );
    host.write("srv/bob.env", of_one.env());
    let ran = check(&host, "json");
    for (pair, name) in [(&of_all, "all.service"), (&of_one, "bobs.service")] {
        let finding = one(&ran, pair);
        assert_eq!(finding["used_by"], json!([{ "unit": name }]));
        assert_eq!(finding["place_kind"], "environment-file");
    }
}

#[test]
fn a_container_is_told_with_its_configuration_its_layer_and_its_processes() {
    let id = "0123456789abcdef".repeat(4);
    let (Some(mut group), Some(host)) =
        (Cgroup::new(&format!("docker/{id}")), Host::with_processes())
    else {
        return;
    };
    let (pair, baked, of_image) = (host.key_pair(), host.key_pair(), host.key_pair());
    host.write("etc/docker/daemon.json", "{\"data-root\": \"/data\"}");
    let environment = [
        format!("AWS_ACCESS_KEY_ID={}", pair.id),
        format!("AWS_SECRET_ACCESS_KEY={}", pair.secret),
    ];
    let config = json!({"ID": id, "Name": "/web", "State": {"Running": true},
        "Driver": "overlay2", "Image": format!("sha256:{id}"),
        "Config": {"Image": "shop:3", "Env": environment, "Labels":
            {"com.docker.compose.project.environment_file": "/srv/shop/.env"}}});
    host.write(
        &format!("data/containers/{id}/config.v2.json"),
        config.to_string(),
    );
    host.write(
        &format!("data/image/overlay2/layerdb/mounts/{id}/mount-id"),
        "layer",
    );
    host.write("data/overlay2/layer/diff/app/settings.py", baked.env());
    let variables = [
        format!("AWS_ACCESS_KEY_ID={}", of_image.id),
        format!("AWS_SECRET_ACCESS_KEY={}", of_image.secret),
    ];
    host.write(
        &format!("data/image/overlay2/imagedb/content/sha256/{id}"),
        json!({"config": {"Env": variables}}).to_string(),
    );
    host.write("srv/shop/.env", pair.env());
    let pid = group.add(holding(&pair));

    let ran = check(&host, "json");
    let user = json!([{"container": &id[..12], "name": "web", "image": "shop:3"}]);
    let told = of(&ran, &pair, "file");
    let mut kinds: Vec<_> = told
        .iter()
        .map(|one| one["place_kind"].to_string())
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["\"container-configuration\"", "\"container-file\""]);
    let of_image = one(&ran, &of_image);
    assert_eq!(of_image["place_kind"], "container-image");
    for finding in told.iter().chain([&one(&ran, &baked), &of_image]) {
        assert_eq!(finding["used_by"], user, "{finding}");
        assert_eq!(finding["location"]["container"], id[..12]);
    }
    for finding in &told {
        assert_eq!(finding["held_by"][0]["pid"], pid);
        assert_eq!(finding["held_by"][0]["container"], id[..12]);
    }
    assert_eq!(one(&ran, &baked)["place_kind"], "container-storage");
    assert_eq!(of(&ran, &pair, "process")[0]["used_by"], user);
}

#[test]
fn a_directory_that_is_mounted_into_a_container_has_it_and_the_hosts_root_has_not() {
    let host = Host::new();
    let id = "0123456789abcdef".repeat(4);
    let mount = |source: &str| json!({"Type": "bind", "Source": source});
    let configure = |id: &str, name: &str, mounts: &Value| {
        host.write(
            &format!("var/lib/docker/containers/{id}/config.v2.json"),
            json!({"Name": name, "MountPoints": mounts}).to_string(),
        );
    };
    let mounts = json!({"/root/.aws": mount("/home/deploy/.aws"), "/unit": mount("/etc/shop"),
        "/home": mount("/home/shop")});
    configure(&id, "/shop", &mounts);
    let agent = json!({"/host": mount("/"), "/containers": mount("/var/lib/docker/containers"),
        "/home": mount("/home")});
    configure(&id.replace('0', "f"), "/agent", &agent);
    let unit = "[Service]\nEnvironmentFile=/etc/shop/unit.env\nExecStart=/bin/true\n";
    host.write("etc/systemd/system/shop.service", unit);
    let [below, profile, of_unit, elsewhere] = [
        "home/deploy/.aws/sso/key.env",
        "home/shop/.bashrc",
        "etc/shop/unit.env",
        "home/deploy/key.env",
    ]
    .map(|path| {
        let pair = host.key_pair();
        host.write(path, pair.env());
        pair
    });

    let ran = check(&host, "json");
    let user = json!([{"container": &id[..12], "name": "shop", "image": null}]);
    for (pair, kind) in [(&below, "container-file"), (&profile, "shell-profile")] {
        let finding = one(&ran, pair);
        assert_eq!(finding["place_kind"], kind);
        assert_eq!(finding["used_by"], user);
        assert_eq!(finding["location"]["container"], id[..12]);
    }
    assert_eq!(one(&ran, &of_unit)["place_kind"], "environment-file");
    let nobodys = one(&ran, &elsewhere);
    assert_eq!(nobodys.get("used_by"), None, "{nobodys}");
    assert_eq!(nobodys.get("place_kind"), None);
}

#[test]
fn an_env_file_of_a_compose_file_has_the_containers_of_its_service() {
    let host = Host::new();
    let (pair, beside) = (host.key_pair(), host.key_pair());
    host.write("srv/shop/keys/aws.env", pair.env());
    host.write("srv/shop/.env", beside.env());
    let compose = "services:\n  web:\n    image: shop:3\n    env_file:\n\
        \x20     - path: keys/aws.env\n        required: false\n  db:\n    image: db\n";
    host.write("srv/shop/compose.yml", compose);
    for service in ["web", "db"] {
        let config = json!({"Name": service, "Config": {"Labels": {
            "com.docker.compose.project.config_files": "/srv/shop/compose.yml",
            "com.docker.compose.project.working_dir": "/srv/shop",
            "com.docker.compose.service": service}}});
        host.write(
            &format!("var/lib/docker/containers/{service}/config.v2.json"),
            config.to_string(),
        );
    }
    let ran = check(&host, "json");
    let users = |pair: &KeyPair| {
        let finding = one(&ran, pair);
        assert_eq!(finding["place_kind"], "container-file");
        let users = finding["used_by"].as_array().unwrap().iter();
        users
            .map(|user| user["name"].to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(users(&pair), ["\"web\""]);
    assert_eq!(users(&beside), ["\"db\"", "\"web\""]);
}

#[test]
fn a_data_directory_that_the_unit_of_docker_names_has_its_containers() {
    let host = Host::new();
    let pair = host.key_pair();
    let unit = "[Service]\nExecStart=/usr/bin/dockerd --data-root /old -H fd://\n";
    host.write("usr/lib/systemd/system/docker.service", unit);
    let drop_in = "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd:// --data-root=/new\n";
    host.write("etc/systemd/system/docker.service.d/data.conf", drop_in);
    for (data, name) in [("old", "before"), ("new", "now")] {
        let path = format!("{data}/containers/{name}/config.v2.json");
        host.write(&path, json!({ "Name": name }).to_string());
    }
    host.write("new/containers/now/now-json.log", pair.env());
    let ran = check(&host, "json");
    let finding = one(&ran, &pair);
    assert_eq!(finding["place_kind"], "container-storage");
    assert_eq!(finding["used_by"][0]["name"], "now");
}

#[test]
fn a_container_with_a_name_in_place_of_an_id_is_known_by_its_control_group() {
    let (Some(mut group), Some(host)) = (
        Cgroup::new("named-containers/my-redis"),
        Host::with_processes(),
    ) else {
        return;
    };
    let (pair, other) = (host.key_pair(), host.key_pair());
    let bundle = |name: &str, config: &Value| {
        let tasks = "run/containerd/io.containerd.runtime.v2.task/default";
        host.write(&format!("{tasks}/{name}/config.json"), config.to_string());
    };
    let environment = [
        format!("AWS_ACCESS_KEY_ID={}", pair.id),
        format!("AWS_SECRET_ACCESS_KEY={}", pair.secret),
    ];
    bundle(
        "my-redis",
        &json!({"process": {"env": environment},
            "linux": {"cgroupsPath": group.path()}}),
    );
    let beginning = group.path().replace("-redis", "");
    bundle("my", &json!({"linux": {"cgroupsPath": beginning}}));
    let pid = group.add(holding(&pair));
    let alone = group.add(holding(&other));

    let ran = check(&host, "json");
    let user = json!([{"container": "my-redis", "name": null, "image": null}]);
    let finding = one(&ran, &pair);
    assert_eq!(finding["used_by"], user);
    let holder = &finding["held_by"][0];
    assert_eq!(holder["pid"], pid);
    assert_eq!(holder["container"], "my-redis");
    for (pair, pid) in [(&pair, pid), (&other, alone)] {
        let process = &of(&ran, pair, "process")[0];
        assert_eq!(process["location"]["pid"], pid);
        assert_eq!(process["location"]["container"], "my-redis");
        assert_eq!(process["used_by"], user);
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn a_layer_is_found_through_what_is_mounted_for_a_running_container() {
    let host = Host::new();
    let (written, shipped) = (host.key_pair(), host.key_pair());
    let id = "fedcba9876543210".repeat(4);
    let bundle = format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{id}");
    let annotations = json!({"io.kubernetes.cri.container-name": "api"});
    host.write(
        &format!("{bundle}/config.json"),
        json!({ "annotations": annotations }).to_string(),
    );
    host.write("snapshots/1/fs/app/settings.py", shipped.env());
    host.write("snapshots/2/fs/root/.env", written.env());
    for directory in [format!("{bundle}/rootfs"), "snapshots/2/work".into()] {
        fs::create_dir_all(host.path(&directory)).unwrap();
    }
    let script = format!(
        "cd \"$1\" && mount -t overlay -o \
         \"lowerdir=$1/snapshots/1/fs,upperdir=$1/snapshots/2/fs,workdir=$1/snapshots/2/work\" \
         overlay {bundle}/rootfs || exit 99; exec \"$0\" check --format json --root \"$1\""
    );
    let Some(ran) = in_namespaces(&["--mount"], &script, &host.root()) else {
        eprintln!("skipped: mounting an overlay needs root");
        return;
    };
    for (pair, kind) in [
        (&written, "container-storage"),
        (&shipped, "container-image"),
    ] {
        let finding = one(&ran, pair);
        assert_eq!(finding["place_kind"], kind, "{finding}");
        assert_eq!(finding["location"]["container"], id[..12]);
        assert_eq!(finding["used_by"][0]["name"], "api");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn an_environment_file_in_memory_has_its_unit() {
    let host = Host::new();
    let pair = host.key_pair();
    host.write("key", pair.env());
    host.write("dev/README", "");
    let unit = "[Service]\nEnvironmentFile=/dev/shm/app.env\n";
    host.write("etc/systemd/system/app.service", unit);
    let script = "cd \"$1\" && mount -t devtmpfs none dev && mkdir -p dev/shm &&
        mount -t tmpfs none dev/shm && mv key dev/shm/app.env || exit 99
        exec \"$0\" check --format json --root \"$1\"";
    let Some(ran) = in_namespaces(&["--mount"], script, &host.root()) else {
        eprintln!("skipped: mounting needs root");
        return;
    };
    let finding = one(&ran, &pair);
    assert_eq!(finding["location"]["unit"], "app.service", "{finding}");
    assert_eq!(finding["place_kind"], "environment-file");
}

/// Runs a script as root of new namespaces: `$0` is the binary, `$1` the
/// argument. `None` where it may not.
fn in_namespaces(namespaces: &[&str], script: &str, argument: &Path) -> Option<Ran> {
    // The binary itself may lie where another user may not look.
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = dir.path().join("rolecall");
    fs::copy(env!("CARGO_BIN_EXE_rolecall"), &binary).unwrap();
    let output = Command::new("unshare")
        .args(namespaces)
        .args(["sh", "-c", script])
        .args([&binary, argument])
        .output()
        .expect("unshare runs");
    (!output.stdout.is_empty()).then(|| Ran {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    })
}

#[test]
fn a_crontab_is_told_with_the_users_that_run_it() {
    let host = Host::new();
    let pairs: Vec<KeyPair> = (0..3).map(|_| host.key_pair()).collect();
    let inline = format!(
        "5 * * * * bob AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={} run\n",
        pairs[1].id, pairs[1].secret
    );
    host.write("etc/passwd", "alice:x:1000:1000::/home/alice:/bin/sh\n");
    host.write(
        "etc/cron.d/backup",
        format!("{}0 4 * * * alice backup\n{inline}", pairs[0].env()),
    );
    host.write("var/spool/cron/alice", pairs[2].env());
    let ran = check(&host, "json");
    let (alice, bob) = (
        json!({"user": "alice", "uid": 1000}),
        json!({"user": "bob", "uid": null}),
    );
    let wanted = [json!([alice, bob]), json!([bob]), json!([alice])];
    for (pair, users) in pairs.iter().zip(wanted) {
        let finding = one(&ran, pair);
        assert_eq!(finding["place_kind"], "crontab");
        assert_eq!(finding["used_by"], users);
    }
}

#[test]
fn places_that_every_session_reads_are_named() {
    let host = Host::new();
    let places = [
        ("etc/environment", "login-environment"),
        ("etc/profile.d/aws.sh", "shell-profile"),
        ("home/a/.bashrc", "shell-profile"),
        ("home/a/.config/fish/config.fish", "shell-profile"),
        ("etc/zshenv", "shell-profile"),
        ("etc/default/shop", "service-defaults"),
        ("etc/kubernetes/manifests/x.yaml", "static-pod"),
        ("etc/systemd/system.conf", "service-manager"),
        ("etc/systemd/system.conf.d/aws.conf", "service-manager"),
        ("etc/php-fpm.d/www.conf", "php-fpm-pool"),
        ("etc/php/8.3/fpm/pool.d/www.conf", "php-fpm-pool"),
        ("etc/supervisor/conf.d/worker.conf", "supervised-program"),
        ("etc/ecs/ecs.config", "ecs-agent"),
    ];
    let pairs: Vec<KeyPair> = places
        .iter()
        .map(|(path, _)| {
            let pair = host.key_pair();
            host.write(path, pair.env());
            pair
        })
        .collect();
    let ran = check(&host, "json");
    for (pair, (path, kind)) in pairs.iter().zip(places) {
        assert_eq!(one(&ran, pair)["place_kind"], kind, "{path}");
    }
}

#[test]
fn an_id_does_not_depend_on_who_uses_the_file() {
    let host = Host::new();
    let pair = host.key_pair();
    host.write("etc/app.env", pair.env());
    let before = one(&check(&host, "json"), &pair);
    host.write(
        "etc/systemd/system/app.service",
        "[Service]\nEnvironmentFile=/etc/app.env\n",
    );
    let after = one(&check(&host, "json"), &pair);
    assert_eq!(after["location"]["unit"], "app.service");
    assert_eq!(before["id"], after["id"]);
}

#[test]
fn what_says_who_uses_a_key_does_no_harm() {
    let host = Host::new();
    symlink("/proc", host.path("linked")).unwrap();
    let pair = host.key_pair();
    host.write("etc/app.env", pair.env());
    host.write("outside/key.env", pair.env());
    for (name, file) in [
        ("up", "/../../../../etc/app.env"),
        ("many", "/*/*/*/*/*/*"),
        ("odd", "/etc/[.env"),
        ("proc", "/linked/self/environ"),
        ("loop", "/loop/x"),
    ] {
        host.write(
            &format!("etc/systemd/system/{name}.service"),
            format!("[Service]\nEnvironmentFile={file}\n"),
        );
    }
    symlink("loop", host.path("loop")).unwrap();
    let many: String = (0..100_000).map(|n| format!(" A{n}=")).collect();
    host.write(
        "etc/systemd/system/large.service",
        format!("[Service]\nEnvironment={many}\n"),
    );
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    host.write("var/lib/docker/containers/x/config.v2.json", &deep);
    host.write("etc/docker/daemon.json", "{\"data-root\": \"relative\"}");
    let name = "\u{1b}[31m\u{202e}";
    let config = json!({"Name": name, "Config": {"Image": name}});
    host.write(
        "var/lib/docker/containers/y/config.v2.json",
        config.to_string(),
    );
    let key = host.write("var/lib/docker/containers/y/y-json.log", pair.env());
    assert!(key.exists());
    for format in ["json", "text"] {
        let ran = check(&host, format);
        assert_eq!(ran.status, 1, "{}", ran.stderr);
        assert!(!ran.stdout.contains(['\u{1b}', '\u{202e}']));
        assert!(ran.stderr.contains("config.v2.json"), "{}", ran.stderr);
        assert!(!(ran.stdout + &ran.stderr).contains(&pair.secret));
    }
    let told = of(&check(&host, "json"), &pair, "file");
    let unit = |path: &str| {
        let finding = told.iter().find(|one| one["location"]["path"] == path);
        finding.unwrap()["location"]["unit"].clone()
    };
    assert_eq!(unit("/etc/app.env"), "up.service");
    assert_eq!(unit("/outside/key.env"), Value::Null);
}

#[test]
fn the_roles_own_keys_and_rolecalls_own_environment_are_recognised() {
    let Some(host) = Host::with_processes() else {
        return;
    };
    let own = host.key_pair();
    let mut rng = fastrand::Rng::with_seed(u64::from(std::process::id()));
    let key = Key {
        access_key_id: Kind::Asia.generate(&mut rng, None, None),
        secret_access_key: Kind::Secret.generate(&mut rng, None, None),
        session_token: Kind::Token.generate(&mut rng, None, None),
    };
    let role = KeyPair {
        id: key.access_key_id.clone(),
        secret: key.secret_access_key.clone(),
    };
    let token = key.session_token.clone();
    let sdk = Process::with([
        ("AWS_ACCESS_KEY_ID", role.id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", role.secret.as_str()),
        ("AWS_SESSION_TOKEN", token.as_str()),
    ]);
    let other = Kind::Token.generate(&mut rng, None, None);
    let with_token = |token: &str| Process::with([("AWS_SESSION_TOKEN", token)]);
    let [without_key, of_another] = [&token, &other].map(|token| with_token(token));
    let imds = ImdsDouble::builder().credentials(key).role("web").start();
    let ran = Rolecall::new(["check", "--format", "json", "--ship", "never", "--root"])
        .arg(host.root())
        .arg("--imds-endpoint")
        .arg(imds.endpoint())
        .with_processes(&host)
        .env("AWS_ACCESS_KEY_ID", &own.id)
        .env("AWS_SECRET_ACCESS_KEY", &own.secret)
        .run();
    let of_role = of(&ran, &role, "process");
    assert_eq!(of_role.len(), 1, "{}", ran.stdout);
    assert_eq!(of_role[0]["location"]["pid"], sdk.pid());
    assert_eq!(of_role[0]["severity"], "info");
    let severity = |process: &Process| {
        let findings = ran.of_type("finding");
        let pid = |one: &&Value| one["location"]["pid"] == process.pid();
        findings.iter().find(pid).map(|one| one["severity"].clone())
    };
    assert_eq!(severity(&without_key), Some("info".into()));
    assert_eq!(severity(&of_another), Some("high".into()));
    let own = of(&ran, &own, "process");
    assert_eq!(own.len(), 1);
    let title = own[0]["title"].as_str().unwrap();
    assert!(title.ends_with("rolecall's own"), "{title}");
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn processes_that_proc_does_not_show_are_told_as_not_seen() {
    let run_in = |namespaces: &[&str], options: &str, user: &str| {
        let script = format!(
            "mount -t proc -o {options} proc /proc || exit 99; \
             exec {user} \"$0\" check --format json --exclude '/**'"
        );
        in_namespaces(namespaces, &script, Path::new("/"))
    };
    let run = |options: &str, user: &str| run_in(&["--mount", "--pid", "--fork"], options, user);
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups --";
    let (Some(hidden), Some(contained)) = (run("hidepid=invisible", nobody), run("rw", "")) else {
        eprintln!("skipped: mounting a /proc needs root");
        return;
    };
    // All that a container can see of itself is no gap.
    assert_eq!(contained.status, 0, "{}", contained.stdout);
    assert_eq!(contained.skipped("process", "other-namespace"), 1);

    // Neither the group, nor being root of a user namespace lets one see all.
    let of_group = "setpriv --reuid=65534 --regid=27 --clear-groups --";
    let of_users = format!("{nobody} unshare --user --map-root-user");
    let hidden = [
        hidden,
        run("hidepid=ptraceable,gid=27", of_group).unwrap(),
        run_in(&["--mount"], "hidepid=invisible", &of_users).unwrap(),
    ];
    for hidden in hidden {
        assert_eq!(hidden.status, 2, "{}", hidden.stderr);
        assert!(hidden.stdout.contains("hidepid"), "{}", hidden.stdout);
        assert_eq!(hidden.skipped("process", "permission-denied"), 1);
    }
    // Where the first process may not be asked, too.
    let unasked = run("rw", nobody).unwrap();
    assert_eq!(unasked.skipped("process", "other-namespace"), 1);
}

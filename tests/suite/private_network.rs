//! Delivery where CloudWatch Logs is behind a proxy and a private authority.

use std::fs::Permissions;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rolecall::aws::Network;
use rolecall::finding::{Instance, PostureCheck, Rule, Verdict};
use rolecall::secret::Secret;
use rolecall::ship::{self, Delivery, Event, Settings};

use crate::daemon::healthy;
use crate::support::authority::Authority;
use crate::support::daemon::{Home, wait};
use crate::support::host::Host;
use crate::support::logs_double::now_ms;
use crate::support::moto::{Moto, REGION};
use crate::support::proxy::ConnectProxy;
use crate::support::role::{Key, RoleService};
use crate::support::rolecall::Rolecall;
use crate::support::side_by_side::side_by_side;

/// A name that only the proxy knows.
const HOST: &str = "logs.private.invalid";

fn deliver(settings: &Settings) -> Delivery {
    let check = PostureCheck::new(Rule::RoleMissing, Verdict::Pass, "it is there");
    let event = Event::posture(&check, &Instance::default(), now_ms());
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(ship::deliver(settings, &[event], Duration::from_secs(20)))
}

#[test]
fn a_proxy_and_a_private_authority_are_taken_from_the_settings() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::create(directory.path(), HOST);
    let moto = Moto::start_with_tls(&authority.certificate, &authority.private_key);
    let proxy = ConnectProxy::start(moto.address(), "user", "pass-word");
    let role = RoleService::start(vec![Key::temporary(0)]);
    let network = Network {
        proxy: Some(Secret::new(format!(
            "http://user:pass-word@{}",
            proxy.address()
        ))),
        ca_bundle: Some(authority.bundle),
        ..Network::default()
    };
    let settings = Settings {
        log_group: "/rolecall".into(),
        log_stream: "i-0".into(),
        region: Some(REGION.into()),
        endpoint: Some(format!("https://{HOST}")),
        imds_endpoint: role.url(),
        network: network.clone(),
    };

    let delivery = deliver(&settings);
    assert_eq!(delivery.accepted(), 1, "{delivery:?}");
    let tunnels = proxy.tunnels();
    let through = format!("{HOST}:443");
    assert!(tunnels.iter().all(|host| *host == through), "{tunnels:?}");
    assert!(!tunnels.is_empty());

    let untrusting = Settings {
        network: Network {
            ca_bundle: None,
            ..network.clone()
        },
        ..settings.clone()
    };
    let problems = deliver(&untrusting).problems;
    assert!(problems[0].contains("ship.ca_bundle"), "{problems:?}");

    let unknown = Settings {
        network: Network {
            proxy: Some(Secret::new(format!(
                "http://user:other-word@{}",
                proxy.address()
            ))),
            ..network
        },
        ..settings.clone()
    };
    let problems = deliver(&unknown).problems;
    assert!(problems[0].contains("ship.proxy"), "{problems:?}");
    assert!(!problems[0].contains("other-word"), "{problems:?}");

    // The certificate is for another name.
    let elsewhere = Settings {
        endpoint: Some("https://other.private.invalid".into()),
        ..settings
    };
    let problems = deliver(&elsewhere).problems;
    assert!(problems[0].contains("cannot be trusted"), "{problems:?}");
}

/// The host that is asked to take events, as a proxy is told that then refuses.
fn asked(region: &str, fips: bool, dual_stack: bool, endpoint: Option<&str>) -> String {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    let proxy = ConnectProxy::start(nowhere, "user", "pass-word");
    let role = RoleService::start(vec![Key::temporary(0)]);
    let delivery = deliver(&Settings {
        log_group: "/rolecall".into(),
        log_stream: "i-0".into(),
        region: Some(region.into()),
        endpoint: endpoint.map(Into::into),
        imds_endpoint: role.url(),
        network: Network {
            proxy: Some(Secret::new(format!("http://{}", proxy.address()))),
            fips,
            dual_stack,
            ..Network::default()
        },
    });
    match proxy.asked().as_slice() {
        [host] => host.trim_end_matches(":443").to_owned(),
        _ => delivery.problems[0].clone(),
    }
}

/// By the rules of the SDK, without a network.
#[test]
fn the_endpoint_follows_partition_fips_and_dual_stack_unless_it_is_set() {
    let vpc = Some("https://vpce-0-logs-fips.us-east-1.vpce.amazonaws.com");
    let rows = [
        (
            "eu-central-1",
            false,
            false,
            None,
            "logs.eu-central-1.amazonaws.com",
        ),
        (
            "us-east-1",
            true,
            false,
            None,
            "logs-fips.us-east-1.amazonaws.com",
        ),
        ("us-east-1", false, true, None, "logs.us-east-1.api.aws"),
        ("us-east-1", true, true, None, "logs-fips.us-east-1.api.aws"),
        (
            "us-gov-west-1",
            false,
            false,
            None,
            "logs.us-gov-west-1.amazonaws.com",
        ),
        (
            "us-gov-west-1",
            true,
            false,
            None,
            "logs.us-gov-west-1.amazonaws.com",
        ),
        (
            "us-gov-east-1",
            false,
            true,
            None,
            "logs.us-gov-east-1.api.aws",
        ),
        (
            "cn-north-1",
            false,
            false,
            None,
            "logs.cn-north-1.amazonaws.com.cn",
        ),
        (
            "cn-northwest-1",
            false,
            true,
            None,
            "logs.cn-northwest-1.api.amazonwebservices.com.cn",
        ),
        (
            "us-iso-east-1",
            false,
            false,
            None,
            "logs.us-iso-east-1.c2s.ic.gov",
        ),
        (
            "us-isob-east-1",
            false,
            false,
            None,
            "logs.us-isob-east-1.sc2s.sgov.gov",
        ),
        (
            "eusc-de-east-1",
            false,
            false,
            None,
            "logs.eusc-de-east-1.amazonaws.eu",
        ),
        (
            "us-east-1",
            true,
            true,
            vpc,
            "vpce-0-logs-fips.us-east-1.vpce.amazonaws.com",
        ),
    ];
    side_by_side(rows, |(region, fips, dual_stack, endpoint, host)| {
        assert_eq!(asked(region, fips, dual_stack, endpoint), host);
    });
}

#[test]
fn an_endpoint_that_aws_does_not_have_is_said_to_be_one_that_not_every_region_has() {
    let role = RoleService::start(vec![Key::temporary(0)]);
    let problems = deliver(&Settings {
        log_group: "/rolecall".into(),
        log_stream: "i-0".into(),
        region: Some("cn-north-1".into()),
        endpoint: None,
        imds_endpoint: role.url(),
        network: Network {
            fips: true,
            ..Network::default()
        },
    })
    .problems;
    assert!(
        problems[0].contains("ship.fips") && problems[0].contains("not every region has"),
        "{problems:?}"
    );
}

/// The real program, which wants a password and opens tunnels to one port.
struct Tinyproxy {
    process: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Tinyproxy {
    fn start(directory: &Path, password: &str, tunnels_to: u16) -> Self {
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let log = directory.join("tinyproxy.log");
        let configuration = directory.join("tinyproxy.conf");
        let text = format!(
            "Listen 127.0.0.1\nPort {}\nAllow 127.0.0.1\nBasicAuth user {password}\n\
             ConnectPort {tunnels_to}\nLogFile \"{}\"\n",
            address.port(),
            log.display()
        );
        std::fs::write(&configuration, text).unwrap();
        let process = Command::new("tinyproxy")
            .arg("-d")
            .arg("-c")
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait("tinyproxy", || TcpStream::connect(address).ok());
        Self {
            process,
            address,
            log,
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Tinyproxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn the_way_leads_through_a_real_proxy_whose_password_nobody_is_told() {
    if Command::new("tinyproxy").arg("-v").output().is_err() {
        eprintln!("skipped: tinyproxy is not installed");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::create(directory.path(), "localhost");
    let moto = Moto::start_with_tls(&authority.certificate, &authority.private_key);
    let password = "pass-word.1";
    let port = moto.address().port();
    let proxy = Tinyproxy::start(directory.path(), password, port);
    let imds = healthy();
    let (host, home) = (Host::new(), Home::new());
    host.write("srv/README", "nothing");
    let file = home.path("etc/config.toml");
    let configure = |user_info: &str| {
        let text = format!(
            "[scan]\nprocesses = false\n[imds]\nendpoint = \"{}\"\n[ship]\nregion = \"{REGION}\"\n\
             endpoint = \"https://localhost:{port}\"\nsts_endpoint = \"https://localhost:{port}\"\n\
             ca_bundle = \"{}\"\nspread = \"0s\"\nproxy = \"http://{user_info}{}\"\n",
            imds.endpoint(),
            authority.bundle.display(),
            proxy.address
        );
        home.configure(&text);
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    };
    let run = |command: &[&str]| {
        let ran = Rolecall::new(command).arg("--config").arg(&file).run();
        let said = ran.stdout.clone() + &ran.stderr;
        assert!(
            !said.contains("pass%2Dword") && !said.contains("pass-word"),
            "{said}"
        );
        (ran, said)
    };
    let root = host.root();
    let check = [
        "check",
        "--timeout",
        "20s",
        "--ship",
        "always",
        "--format",
        "json",
        "--root",
        root.to_str().unwrap(),
    ];

    configure("user:pass%2Dword.1@");
    let (ran, said) = run(&check);
    assert_ne!(ran.status, 3, "{said}");
    assert_eq!(ran.summary()["undelivered"], 0, "{said}");
    let log = proxy.log();
    assert!(log.contains(&format!("CONNECT localhost:{port}")), "{log}");
    // STS as well, which alone is asked by this.
    run(&["posture", "--root", root.to_str().unwrap()]);
    assert!(
        proxy.log().matches("CONNECT localhost").count() > log.matches("CONNECT localhost").count()
    );
    assert!(!log.contains(&imds.address().port().to_string()), "{log}");
    let (_, shown) = run(&["config"]);
    assert!(
        shown.contains("proxy = \"http://user:***@127.0.0.1:"),
        "{shown}"
    );
    let mut daemon = home.start(&root);
    daemon.status_when("a sweep that was told", |status| {
        status["sweeps"] == 1 && status["outbox"]["events"] == 0
    });
    daemon.stop();
    assert!(!home.log().contains("pass%2Dword"));

    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let (_, said) = run(&["config", "--check"]);
    assert!(said.contains("everybody can read it"), "{said}");

    configure("user:other@");
    let (ran, said) = run(&check);
    assert_eq!(ran.status, 3, "{said}");
    assert!(said.contains("the proxy opens no tunnel"), "{said}");
    configure("");
    let (ran, said) = run(&check);
    assert_eq!(ran.status, 3, "{said}");
    assert!(said.contains("the proxy wants credentials"), "{said}");
}

//! What an idle, clean instance costs a day: the service itself, its day of
//! sweeps pressed into seconds, and what CloudWatch Logs would bill for it.

use rolecall::config::Config;
use serde_json::Value;

use crate::support::daemon::Home;
use crate::support::host::Host;
use crate::support::imds_double::ImdsDouble;
use crate::support::logs_double::LogsDouble;

const GROUP: &str = "/rolecall";
const INSTANCE: &str = "i-0123456789abcdef0";

/// What is billed for each event beside its text.
const OVERHEAD: u64 = 26;
/// Of a day, at most, with a heartbeat after each.
const SWEEPS: u64 = 5;
const MAX_BYTES: u64 = 20_000;

#[derive(Default)]
struct Bill {
    events: u64,
    bytes: u64,
}

impl Bill {
    fn of<'a>(events: impl Iterator<Item = &'a Value>) -> Self {
        let mut bill = Self::default();
        for event in events {
            bill.events += 1;
            bill.bytes += event.to_string().len() as u64 + OVERHEAD;
        }
        bill
    }
}

/// As an image is: some files, an archive, a repository, and what is skipped.
fn image() -> Host {
    let host = Host::new();
    for n in 0..50 {
        host.write(&format!("usr/share/doc/{n}"), "nothing");
        host.write(&format!("etc/{n}.conf"), "key = value\n");
    }
    host.write("var/lib/cloud/instance/user-data.txt", "#cloud-config\n");
    host
}

/// Posture is checked as often as a sweep is made, which is what a day comes
/// to: what has not changed is not told again.
#[test]
#[expect(clippy::print_stderr, reason = "the bill is read by people")]
fn an_idle_clean_instance_stays_within_its_daily_bounds() {
    // The first comes at once, and an interval is shorter by a tenth at most.
    let shortest = Config::default().scan.interval.mul_f64(0.9).as_secs();
    assert_eq!(1 + 24 * 3600 / shortest, SWEEPS);

    let host = image();
    let imds = ImdsDouble::builder()
        .role("web")
        .auto_scaling_group("web")
        .user_data("#cloud-config\n")
        .start();
    let logs = LogsDouble::builder().group(GROUP).start();
    let home = Home::new();
    home.configure(&format!(
        "[scan]\ninterval = \"1s\"\n[posture]\ninterval = \"1s\"\n[imds]\nendpoint = \"{}\"\n\
         [ship]\nspread = \"0s\"\nendpoint = \"{}\"\n",
        imds.endpoint(),
        logs.url()
    ));
    let mut daemon = home.start(&host.root());
    daemon.status_when("a day", |status| {
        status["sweeps"].as_u64() >= Some(SWEEPS + 1)
    });
    assert_eq!(daemon.stop(), Some(0));

    let mut told: Vec<Value> = logs
        .events(GROUP, INSTANCE)
        .iter()
        .map(|event| serde_json::from_str(&event.message).unwrap())
        .collect();
    let is_beat = |event: &&Value| event["event"] == "heartbeat";
    // The first put finds no stream; the posture is told, then each sweep.
    let calls = 3 + told.iter().filter(is_beat).count();
    assert!(logs.requests().len() <= calls);

    let mut beats = 0;
    told.retain(|event| {
        beats += u64::from(is_beat(&event));
        beats < SWEEPS || (beats == SWEEPS && is_beat(&event))
    });
    for kind in ["posture", "coverage", "heartbeat"] {
        let bill = Bill::of(told.iter().filter(|event| event["event"] == kind));
        eprintln!("{kind}: {} events, {} bytes", bill.events, bill.bytes);
    }
    let day = Bill::of(told.iter());
    eprintln!(
        "a day: {} events, {} bytes, {} calls and 2 for a new stream",
        day.events,
        day.bytes,
        1 + SWEEPS
    );
    assert!(day.bytes <= MAX_BYTES, "{} bytes", day.bytes);
}

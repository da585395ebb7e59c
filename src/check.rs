//! One pass from end to end: posture and scan, the report, delivery.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::alarm;
use crate::config::{Config, Loaded, ShipMode};
use crate::deadline::Deadline;
use crate::finding::{
    AccessKeyId, Coverage, Finding, PostureCheck, RoleKey, Rule, Severity, Summary, Verdict,
};
use crate::outcome::Outcome;
use crate::posture::{self, Posture};
use crate::report::{self, Report};
use crate::scan::{self, AllowList, Progress, UserData};
use crate::secret::Credentials;
use crate::settings;
use crate::ship::{self, Delivery, Event, Metrics};
use crate::verify;

/// Time that delivery may take where the run has no limit of its own: a new
/// stream, a throttled account and a few retries fit.
pub const SHIP_TIME: Duration = Duration::from_mins(1);

/// Time that AWS may be asked about pairs.
const VERIFY_TIME: Duration = Duration::from_secs(30);

/// Of a limited run, the part that the scan leaves for delivery.
const SHIP_SHARE: u32 = 4;

/// A run as the command line asks for it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The host's `/` as seen from here.
    pub root: &'a Path,
    pub timeout: Option<Duration>,
    pub fail_on: Option<Severity>,
    pub scan: bool,
    pub posture: bool,
    pub ship: bool,
    /// Ask AWS about the pairs that are found.
    pub verify: bool,
    /// Wait for the metadata service and the role, as `posture.boot_wait` says,
    /// and tell this console where nothing can be shipped.
    pub boot: Option<&'a Path>,
}

/// What the metadata service gives to scan with.
#[derive(Default)]
struct Imds {
    role_key: Option<RoleKey>,
    user_data: UserData,
}

/// Runs what is asked for. `paths` replace the configured roots, and are
/// scanned alone, without the processes, where there are any.
pub fn run(
    request: &Request<'_>,
    loaded: &Loaded,
    paths: &[PathBuf],
    progress: &Arc<Progress>,
) -> anyhow::Result<(Report, Outcome)> {
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let config = &loaded.config;
    let allow = Arc::new(AllowList::new(&config.allow, Timestamp::now()));
    let mut report = Report::default();
    let mut role_usable = false;
    let mut imds = Imds::default();

    if request.posture {
        // Nobody wants to wait for a machine that has long booted.
        let wait = if request.boot.is_some() {
            config.posture.boot_wait
        } else {
            Duration::ZERO
        };
        let settings = posture::Settings {
            user_data: request.scan && config.scan.user_data,
            limit: request
                .timeout
                .map(|limit| posture_share(limit, request.scan)),
            ..settings::posture(loaded, wait)
        };
        let assess = posture::assess(&settings, request.root);
        let posture = runtime.block_on(within(request.timeout, assess));
        role_usable = posture.role_usable;
        imds = Imds {
            role_key: posture.role_key,
            user_data: settings::user_data(posture.user_data),
        };
        report.instance = posture.instance;
        report.posture = posture.checks;
        (report.findings, report.summary.allowed) =
            allow.told(posture.findings, config.redact_access_key_ids);
        if !role_usable && let Some(cause) = alarm::cause(&report.posture, &report.instance) {
            alarm::raise(&cause, request.boot);
        }
    }
    if request.scan {
        let mut settings = settings::scan(config, request.root, &report.instance, &allow);
        settings.user_data = config.scan.user_data.then_some(imds.user_data);
        settings.role_key = imds.role_key;
        settings.deadline = scan_deadline(request, started);
        settings.keep_pairs = request.verify;
        if !paths.is_empty() {
            settings.roots = paths.to_vec();
            settings.processes = false;
        }
        let limit = settings.deadline.clone();
        let scan = scan::run(settings, progress);
        report.findings.extend(scan.findings);
        report.coverage = scan.coverage;
        report.summary.allowed += scan.allowed;
        runtime.block_on(ask_about(
            scan.pairs,
            &settings::verify(config, &report.instance),
            limit.remaining(VERIFY_TIME),
            &mut report.findings,
        ));
    }
    let failed = report
        .posture
        .iter()
        .filter_map(|check| Finding::of_check(check, &report.instance));
    report.findings.extend(failed);
    report
        .findings
        .sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    summarize(&mut report, started);

    let mut delivery = None;
    if request.ship && config.ship.mode != ShipMode::Never {
        let wanted = role_usable || config.ship.mode == ShipMode::Always;
        if wanted {
            let limit = Deadline::after(started, request.timeout).remaining(SHIP_TIME);
            let events = events(&report);
            let given = events.len() as u64;
            let settings = settings::ship(config, &report.instance);
            let told = runtime.block_on(ship::deliver(&settings, &events, limit));
            report.summary.shipped = told.accepted();
            report.summary.undelivered = given - told.accepted();
            report.summary.lost = told.rejected().total();
            report.notes.extend(told.problems.iter().cloned());
            delivery = Some(told);
        }
    }
    // What was not delivered comes first.
    if request.scan {
        report.notes.extend(allow.unused());
    }
    // A look-up of a name cannot be cancelled, and must not hold up the exit.
    runtime.shutdown_background();
    report.summary.duration_ms = millis(started.elapsed());
    let outcome = outcome(request, config, &report, delivery.as_ref());
    Ok((report, outcome))
}

/// Of a limited run, a metadata service that does not answer leaves half to the
/// scan, and what was known by then is told.
fn posture_share(limit: Duration, and_scan: bool) -> Duration {
    limit.mul_f32(if and_scan { 0.5 } else { 0.75 })
}

/// The checks end by themselves; this is for what blocks them.
async fn within(timeout: Option<Duration>, assess: impl Future<Output = Posture>) -> Posture {
    let Some(limit) = timeout else {
        return assess.await;
    };
    match tokio::time::timeout(limit, assess).await {
        Ok(posture) => posture,
        Err(_) => Posture::cut_short("the time given to the run was over"),
    }
}

/// What STS says of the found `pairs` weighs the findings of each.
async fn ask_about(
    pairs: HashMap<(String, String), Credentials>,
    settings: &verify::Settings,
    limit: Duration,
    findings: &mut [Finding],
) {
    let verified = verify::run(settings, pairs, limit).await;
    for finding in findings {
        let (id, fingerprint) = finding.credential();
        let credential = (id.to_owned(), fingerprint.to_owned());
        if let Some(told) = verified.get(&credential) {
            finding.severity = told.weigh(finding.severity);
            finding.verified = Some(*told);
        }
    }
}

/// Of a limited run, delivery gets its share.
fn scan_deadline(request: &Request<'_>, started: Instant) -> Deadline {
    let share = |timeout: Duration| timeout.saturating_sub(timeout / SHIP_SHARE);
    let timeout = if request.ship {
        request.timeout.map(share)
    } else {
        request.timeout
    };
    Deadline::after(started, timeout)
}

/// What is told to CloudWatch Logs: each finding and posture check, what was
/// left out, and the summary.
fn events(report: &Report) -> Vec<Event> {
    let now = Timestamp::now().as_millisecond();
    let instance = &report.instance;
    let metrics = metrics(report);
    let posture = report
        .posture
        .iter()
        .map(|check| Event::posture(check, instance, now));
    let findings = report
        .findings
        .iter()
        .map(|finding| Event::opened(finding, instance, now));
    let coverage = report
        .coverage
        .iter()
        .map(|part| Event::coverage(part, instance, now));
    let heartbeat = Event::heartbeat(&report.summary, &metrics, instance, now);
    posture
        .chain(findings)
        .chain(coverage)
        .chain([heartbeat])
        .collect()
}

/// What the summary does not count.
fn metrics(report: &Report) -> Metrics {
    let verdict = |rule: Rule| {
        let check = report.posture.iter().find(|check| check.check == rule);
        match check.map(|check| check.verdict) {
            Some(Verdict::Pass) => Some(true),
            Some(Verdict::Fail) => Some(false),
            _ => None,
        }
    };
    let long_term = report::credentials(&report.findings)
        .iter()
        .filter(|credential| {
            let id = |finding: &&Finding| {
                // Below are IDs that are spoken of, or that AWS did not issue.
                let id = finding.access_key_id.as_ref();
                finding.severity >= Severity::Medium && id.is_some_and(AccessKeyId::is_long_term)
            };
            credential.findings.iter().any(id)
        })
        .count();
    Metrics {
        static_credentials: long_term as u64,
        role_present: verdict(Rule::RoleMissing),
        imds_v1_enabled: verdict(Rule::ImdsV1Enabled).map(|passed| !passed),
        imds_hop_limit_exceeded: verdict(Rule::ImdsHopLimit).map(|passed| !passed),
        ..Metrics::default()
    }
}

fn summarize(report: &mut Report, started: Instant) {
    let unknown = |check: &&PostureCheck| check.verdict == Verdict::Unknown;
    let unknown = report.posture.iter().filter(unknown).count() as u64;
    report.summary = Summary {
        instance_id: report.instance.instance_id.clone(),
        allowed: report.summary.allowed,
        unknown,
        duration_ms: millis(started.elapsed()),
        complete: unknown == 0 && report.coverage.iter().all(Coverage::is_complete),
        ..report::count(&report.findings)
    };
}

fn outcome(
    request: &Request<'_>,
    config: &Config,
    report: &Report,
    delivery: Option<&Delivery>,
) -> Outcome {
    let failing = |finding: &Finding| {
        request
            .fail_on
            .is_some_and(|least| finding.severity >= least)
    };
    let mut outcome = Outcome::Clean;
    if report.findings.iter().any(failing) {
        outcome = outcome.merge(Outcome::Finding);
    }
    if !report.summary.complete {
        outcome = outcome.merge(Outcome::Incomplete);
    }
    let accepted = delivery.is_some_and(Delivery::is_complete);
    if request.ship && config.ship.mode == ShipMode::Always && !accepted {
        outcome = outcome.merge(Outcome::Undelivered);
    }
    outcome
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

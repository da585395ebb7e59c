//! Is the instance's own role there and usable, and can nobody else reach it?
//!
//! Each check passes, fails, is unknown (with why), or does not apply. What
//! one cause explains is told once: the checks that it makes untellable are
//! unknown and name it.

mod caller;
mod hop_limit;
mod identity;
mod platform;
mod policy;
mod privilege;
mod reach;
mod role;
mod shadow;
mod wait;

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::aws::Network;
use crate::finding::{Finding, Instance, PostureCheck, RoleKey, Rule, Verdict};
use crate::imds::{Client, Error, HopLimit, Timeouts};
use crate::secret::Secret;
use caller::Hearing;
use platform::Platform;
use role::Role;
use wait::{Backoff, Clock};

pub use shadow::Looks;

/// The checks that this module makes, in the order in which they are told.
const CHECKS: [Rule; 8] = [
    Rule::ImdsUnreachable,
    Rule::ImdsDisabled,
    Rule::ImdsV1Enabled,
    Rule::ImdsHopLimit,
    Rule::ImdsEndpointOverride,
    Rule::RoleMissing,
    Rule::RoleCredentialsUnusable,
    Rule::RoleShadowed,
];

/// How posture is to be assessed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where IMDS is, such as [`crate::imds::DEFAULT_ENDPOINT`].
    pub endpoint: String,
    /// Somebody named the endpoint, so it is asked wherever this runs.
    pub endpoint_is_explicit: bool,
    /// How long to wait for IMDS and for the role to appear, as they may at
    /// boot. Zero asks once and ends within five seconds.
    pub wait: Duration,
    /// The end of all of it, from the start; `None` leaves it to `wait` and to
    /// what the questions may take. What is not answered by then is unknown.
    pub limit: Option<Duration>,
    /// The highest hop limit that is in order.
    pub hop_limit: u8,
    /// Somebody named the hop limit; else it may be 2 where containers run,
    /// which are a hop further away.
    pub hop_limit_is_explicit: bool,
    /// Whether to ask once without a token.
    pub probe_v1: bool,
    /// Mask the middle of access key IDs in what the checks say. The findings
    /// keep theirs: whoever tells them masks them then.
    pub redact: bool,
    /// Whether to fetch the user-data as well.
    pub user_data: bool,
    /// Whether to read the role's policies as well.
    pub role_policies: bool,
    pub services: Services,
    /// Kept from one assessment to the next by whoever makes several.
    pub looks: Looks,
}

/// The AWS services that are asked about the role, in its own name.
#[derive(Debug, Clone, Default)]
pub struct Services {
    pub network: Network,
    /// Where the instance does not tell its own.
    pub region: Option<String>,
    /// `None`: the public endpoint of the region, which need not be reachable.
    pub sts_endpoint: Option<String>,
    /// `None`: the public endpoint of the partition.
    pub iam_endpoint: Option<String>,
}

/// What a question to AWS about the role starts from.
#[derive(Debug, Clone, Copy)]
struct Inquiry<'a> {
    services: &'a Services,
    /// Whether the role is AWS's beyond doubt. Where it is not, its credentials
    /// are shown to named endpoints only.
    imds_is_at_home: bool,
    region: Option<&'a str>,
    clock: Clock,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: crate::imds::DEFAULT_ENDPOINT.to_owned(),
            endpoint_is_explicit: false,
            wait: Duration::ZERO,
            limit: None,
            hop_limit: 1,
            hop_limit_is_explicit: true,
            probe_v1: true,
            user_data: false,
            role_policies: false,
            services: Services::default(),
            looks: Looks::default(),
            redact: false,
        }
    }
}

/// What came out.
#[derive(Debug, Clone)]
pub struct Posture {
    /// Every check once, whatever its verdict.
    pub checks: Vec<PostureCheck>,
    /// What `role.shadowed` is made of, the worst first.
    pub findings: Vec<Finding>,
    /// Whether everybody was looked at for them and all are told: one that
    /// was known and is not among them is no more.
    pub findings_are_all: bool,
    pub instance: Instance,
    /// Whether the role gives credentials that can sign right now.
    pub role_usable: bool,
    /// The role's current credentials.
    pub role_key: Option<RoleKey>,
    /// The partition, such as `aws` or `aws-cn`.
    pub partition: Option<String>,
    /// The lifecycle state that the Auto Scaling group means this instance to
    /// reach.
    pub target_lifecycle_state: Option<String>,
    pub user_data: UserData,
}

/// The user-data of this instance, which no check judges.
#[derive(Debug, Clone)]
pub enum UserData {
    /// As it was given to the instance; it may hold a secret.
    Given(Secret),
    /// There is none, with the reason.
    Absent(String),
    /// It could not be fetched, with the reason.
    Unknown(String),
    /// The time was over before it was fetched, with the reason.
    NotInTime(String),
}

impl Posture {
    /// What is known when the run ends before the checks do: nothing.
    pub fn cut_short(reason: &str) -> Self {
        Self {
            user_data: UserData::NotInTime(reason.to_owned()),
            ..Self::uniform(Verdict::Unknown, reason)
        }
    }

    fn has(&self, rule: Rule) -> bool {
        self.checks.iter().any(|check| check.check == rule)
    }

    /// The same verdict for every check.
    fn uniform(verdict: Verdict, reason: &str) -> Self {
        Self {
            checks: CHECKS
                .iter()
                .map(|&check| PostureCheck::new(check, verdict, reason))
                .collect(),
            findings: Vec::new(),
            findings_are_all: false,
            instance: Instance::default(),
            role_usable: false,
            role_key: None,
            partition: None,
            target_lifecycle_state: None,
            user_data: match verdict {
                Verdict::NotApplicable => UserData::Absent(reason.to_owned()),
                _ => UserData::Unknown(reason.to_owned()),
            },
        }
    }
}

/// Assesses the instance this runs on; `root` is the host's `/` as seen from
/// here. Opens no connection where DMI says that this is not EC2, unless the
/// endpoint is explicit. Never fails: what cannot be told is `unknown`.
pub async fn assess(settings: &Settings, root: &Path) -> Posture {
    let mut posture = assess_role(settings, root).await;
    // What kept the role from being found keeps its policies unread.
    if settings.role_policies
        && !posture.has(Rule::RoleOverprivileged)
        && let Some(last) = posture.checks.last()
    {
        let unread = privilege::uniform(last.verdict, &last.reason);
        posture.checks.extend(unread);
    }
    posture
}

async fn assess_role(settings: &Settings, root: &Path) -> Posture {
    if !settings.endpoint_is_explicit
        && let Platform::Other(reason) = platform::read_platform(root)
    {
        return Posture::uniform(Verdict::NotApplicable, &reason);
    }
    let client = match Client::new(&settings.endpoint, Timeouts::default()) {
        Ok(client) => client,
        Err(error) => return Posture::uniform(Verdict::Unknown, &error.to_string()),
    };
    let started = Instant::now();
    let clock = Clock::start(started, settings.wait, settings.limit);
    match first_answer(&client, clock).await {
        Ok(ttl_was_told) => {
            let clock = clock.answered(started);
            Box::pin(assess_answering(
                &client,
                settings,
                root,
                ttl_was_told,
                clock,
            ))
            .await
        }
        Err(Error::TimedOut { .. }) if clock.is_cut_short() => {
            assess_cut(settings, root, clock).await
        }
        Err(error) => assess_silent(&client, settings, root, &error, clock).await,
    }
}

/// Asks for a token until IMDS gives one, says that it is disabled, or the
/// wait is over. At least once.
async fn first_answer(client: &Client, clock: Clock) -> Result<bool, Error> {
    let mut backoff = Backoff::until(clock.waited_out);
    loop {
        match clock.within("a token", client.fetch_token()).await {
            Ok(ttl_was_told) => return Ok(ttl_was_told),
            // Switched off for this instance; that does not change by itself.
            Err(error @ Error::Disabled { .. }) => return Err(error),
            Err(error) if !backoff.pause().await => return Err(error),
            Err(error) => log::debug!("{error}; trying again"),
        }
    }
}

async fn assess_answering(
    client: &Client,
    settings: &Settings,
    root: &Path,
    ttl_was_told: bool,
    clock: Clock,
) -> Posture {
    let v1 = async {
        if settings.probe_v1 {
            let probe = client.fetch_without_token();
            Some(clock.within("the list of items", probe).await)
        } else {
            None
        }
    };
    let hop_limit = async {
        timeout_at(clock.hangs_after, client.measure_hop_limit())
            .await
            .unwrap_or(HopLimit::Unknown("it took too long"))
    };
    let user_data = async {
        if !settings.user_data {
            return UserData::Absent("it was not asked for".into());
        }
        match clock.within("user-data", client.fetch_user_data()).await {
            Ok(Some(user_data)) => UserData::Given(user_data),
            Ok(None) => UserData::Absent("this instance has none".into()),
            Err(error) => UserData::Unknown(error.to_string()),
        }
    };
    let known = async {
        let (facts, role) = tokio::join!(
            identity::fetch_facts(client, clock),
            role::fetch_role(client, clock)
        );
        let inquiry = Inquiry {
            services: &settings.services,
            imds_is_at_home: client.is_at_home(),
            region: facts.instance.region.as_deref(),
            clock,
        };
        let privileges = async {
            if settings.role_policies {
                privilege::assess(inquiry, &role).await
            } else {
                Vec::new()
            }
        };
        let (hearing, privileges) = tokio::join!(hear(client, inquiry, &role), privileges);
        (facts, role, hearing, privileges)
    };
    let (v1, measured, (facts, role, hearing, privileges), user_data, seen) = tokio::join!(
        v1,
        hop_limit,
        known,
        user_data,
        shadow::look(root, &settings.looks, clock.end)
    );
    let now = jiff::Timestamp::now();
    let (missing, unusable) = role::check_role(&role, now);
    let (unusable, role_usable) = match (role.name(), hearing) {
        (Some(name), Some(hearing)) => (
            caller::weigh(unusable, name, &hearing),
            hearing.lets_sign(role.can_sign(now)),
        ),
        _ => (unusable, role.can_sign(now)),
    };
    let mut instance = facts.instance;
    let missing = role::name_origin(missing, &instance);
    instance.role = role.name().map(ToOwned::to_owned);
    let findings_are_all = seen.is_whole();
    let (shadowed, findings) = seen.check_shadowed(&role.attached(), &instance, settings.redact);
    let mut checks = vec![
        reach::check_reachable(client.endpoint(), ttl_was_told),
        reach::check_enabled(),
        reach::check_v1(v1.as_ref()),
        hop_limit::check_hop_limit(measured, hop_limit::expected(settings, root)),
        seen.check_overrides(),
        missing,
        unusable,
        shadowed,
    ];
    checks.extend(privileges);
    Posture {
        checks,
        findings,
        findings_are_all,
        instance,
        role_usable,
        role_key: role.credentials().map(RoleKey::of),
        partition: facts.partition,
        target_lifecycle_state: facts.target_lifecycle_state,
        user_data,
    }
}

/// What AWS itself says of the role's credentials; `None` where there are
/// none.
async fn hear(client: &Client, inquiry: Inquiry<'_>, role: &Role) -> Option<Hearing> {
    let mut hearing = caller::ask(inquiry, role.credentials()?).await;
    if inquiry.imds_is_at_home && hearing.skew.is_none() {
        hearing.skew = client.clock_skew().await;
    }
    Some(hearing)
}

/// There was no time to wait for a token: what can be told of the host.
async fn assess_cut(settings: &Settings, root: &Path, clock: Clock) -> Posture {
    let seen = shadow::look(root, &settings.looks, clock.end).await;
    let mut posture = Posture::cut_short("IMDS did not answer in the time given to the run");
    for check in &mut posture.checks {
        if check.check == Rule::ImdsEndpointOverride {
            *check = seen.check_overrides();
        }
    }
    posture
}

/// No token was given: what can be told without one.
async fn assess_silent(
    client: &Client,
    settings: &Settings,
    root: &Path,
    error: &Error,
    clock: Clock,
) -> Posture {
    // Where only the token's answer is lost, which is what a hop limit too
    // small does, a request without a token is answered all the same.
    let v1 = async {
        match error {
            Error::TimedOut { .. } if settings.probe_v1 => {
                let clock = clock.answered(Instant::now());
                let probe = client.fetch_without_token();
                Some(clock.within("the list of items", probe).await)
            }
            _ => None,
        }
    };
    let (v1, seen) = tokio::join!(v1, shadow::look(root, &settings.looks, clock.end));
    let (reachable, enabled) = reach::check_unanswered(client.endpoint(), error, v1.as_ref());
    let mut posture = Posture::uniform(Verdict::Unknown, &format!("IMDS gives no token: {error}"));
    if matches!(error, Error::Disabled { .. }) {
        posture.user_data = UserData::Absent("IMDS is disabled".into());
    }
    for check in &mut posture.checks {
        match check.check {
            Rule::ImdsUnreachable => check.clone_from(&reachable),
            Rule::ImdsDisabled => check.clone_from(&enabled),
            Rule::ImdsV1Enabled => {
                if let Some(told) =
                    reach::check_v1_without_session(settings.probe_v1, error, v1.as_ref())
                {
                    *check = told;
                }
            }
            Rule::ImdsEndpointOverride => *check = seen.check_overrides(),
            Rule::ImdsHopLimit if matches!(error, Error::Disabled { .. }) => {
                *check = PostureCheck::new(
                    Rule::ImdsHopLimit,
                    Verdict::NotApplicable,
                    "IMDS is disabled, so no token travels anywhere",
                );
            }
            _ => {}
        }
    }
    posture
}
